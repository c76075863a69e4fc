"""What a restored database must not send by itself: the receivers may have had it since (security.md BK-07)."""

from tenancy.backups.quarantine import held_after_restore

from . import services


@held_after_restore("events that waited")
def hold_events() -> int:
    """Drop what waits, clinic by clinic; events stay, and can be sent again by hand."""
    return services.drop_waiting()
