"""Finding one's own draft."""

from datetime import timedelta
from typing import Any

from django.utils import timezone

from .models import Draft

KEPT_FOR = timedelta(days=7)


def get_draft(key: str, *, by: Any) -> Draft | None:
    """What this member (a Membership) has typed on the page with this path in the last week, or None."""
    return Draft.objects.filter(membership=by, key=key, updated_at__gt=timezone.now() - KEPT_FOR).first()
