"""Mails that waited when a backup was made: after a restore nobody knows whether they left."""

from django.utils import timezone

from tenancy.backups.quarantine import held_after_restore

from .models import Delivery

WORDS = "Held back: it waited when the backup was made that has been restored, and may have left since."


@held_after_restore("mails that waited")
def hold_mails() -> int:
    """Give them up, so that they stand at /notifications/undelivered/ with the button that tries again."""
    waiting = Delivery.objects.filter(state=Delivery.State.WAITING)
    return waiting.update(state=Delivery.State.FAILED, last_error=WORDS, next_try_at=timezone.now())
