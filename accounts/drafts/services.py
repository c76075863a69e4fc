"""Keeping drafts and letting them go. `by` is a Membership: this room stands below the one that has them."""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from tenancy.rules import RuleBroken

from .models import Draft
from .selectors import KEPT_FOR

MOST_BYTES = 200_000
MOST_DRAFTS = 50
NEVER_KEPT = re.compile(r"passw|secret|otp|token|^draft$", re.IGNORECASE)


@transaction.atomic
def save_draft(*, by: Any, key: str, values: Mapping[str, Sequence[str]]) -> Draft:
    """Keep what a member has typed on one page; what was kept of it before is replaced.

    `key` is the path of the page, `values` each field's values as the browser
    sends them. Passwords, codes and tokens are left out. A member has fifty
    drafts at most, the oldest go. Raises RuleBroken when it is more than 200 kB.
    """
    kept = {
        name.replace("\x00", ""): [value.replace("\x00", "") for value in given]
        for name, given in values.items()
        if not NEVER_KEPT.search(name)
    }
    if len(json.dumps(kept, ensure_ascii=False).encode()) > MOST_BYTES:
        raise RuleBroken(_("This is too much text to be kept as a draft."))
    draft, _made = Draft.objects.update_or_create(
        membership=by, key=key, defaults={"values": kept, "updated_at": timezone.now()}
    )
    surplus = Draft.objects.filter(membership=by).order_by("-updated_at").values_list("pk", flat=True)[MOST_DRAFTS:]
    Draft.objects.filter(pk__in=list(surplus)).delete()
    return draft


@transaction.atomic
def discard_draft(*, by: Any, key: str) -> bool:
    """Let a member's own draft go; whether there was one."""
    count, _rows = Draft.objects.filter(membership=by, key=key).delete()
    return count > 0


@transaction.atomic
def purge_drafts(*, now: datetime) -> int:
    """Remove the drafts of the current clinic that are older than a week; how many they were."""
    count, _rows = Draft.objects.filter(updated_at__lte=now - KEPT_FOR).delete()
    return count
