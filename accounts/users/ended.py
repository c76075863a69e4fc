"""Sign-ins of the time a backup was made: some have been ended since, and nobody knows which."""

from django.utils import timezone

from tenancy.backups.quarantine import held_after_restore

from .models import Session


@held_after_restore("sign-ins that were open")
def end_sign_ins() -> int:
    """End all of them: everybody signs in again."""
    return Session.objects.filter(revoked_at__isnull=True).update(revoked_at=timezone.now())
