"""Times that are only kept for a while: whether one still stands, and giving it back."""

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.users.models import Membership

from ..models import Appointment
from ..states import State
from .group_sessions import close_if_empty
from .locking import lock_visit
from .refusals import MoveRefused
from .wanted import Wanted
from .writing import set_state


def is_held_for(hold: Appointment, wanted: Wanted) -> bool:
    """Whether a hold still stands, for just this time; whoever books past a rule is judged anew."""
    same = (
        hold.practitioner_id == wanted.practitioner.pk
        and hold.starts_at == wanted.starts_at
        and hold.type_id == (wanted.type.pk if wanted.type else None)
        and (wanted.location is None or hold.location_id == wanted.location.pk)
        and wanted.ends_at in (None, hold.ends_at)
    )
    stands = hold.hold_expires_at is not None and hold.hold_expires_at > timezone.now()
    return same and stands and not wanted.overbook_reason.strip() and not wanted.override_reason.strip()


@transaction.atomic
def release(hold: Appointment, *, by: Membership | None) -> Appointment:
    """Let go of a held time before it is over. Raises MoveRefused for anything else."""
    hold = lock_visit(hold, None)
    if hold.state != State.HELD:
        raise MoveRefused(_("This time is not held."))
    released = set_state(hold, State.CANCELLED, by=by, action="released", reason="")
    if released.session is not None:
        close_if_empty(released.session, by=by)
    return released


def expire_holds() -> int:
    """Give back every time of this clinic that was kept for somebody who did not come back. Returns how many."""
    late = Appointment.objects.filter(state=State.HELD, hold_expires_at__lte=timezone.now())
    gone = 0
    for appointment in late.select_for_update(of=("self",), skip_locked=True, no_key=True).select_related("location"):
        with transaction.atomic():
            set_state(appointment, State.CANCELLED, by=None, action="expired", reason="")
        gone += 1
    deserted = Appointment.objects.live().filter(patient=None, capacity__gt=1, starts_at__gt=timezone.now())
    for session in deserted.exclude(places__is_live=True):
        with transaction.atomic():
            close_if_empty(session, by=None)
    return gone


def expire_holds_around(appointment: Appointment) -> None:
    """Let go of holds that are over and in the way; the sweeper may not have come by yet."""
    late = Appointment.objects.filter(
        state=State.HELD,
        hold_expires_at__lte=timezone.now(),
        busy_from__lt=appointment.busy_until,
        busy_until__gt=appointment.busy_from,
    )
    for hold in late.select_for_update(of=("self",), skip_locked=True, no_key=True).select_related("location"):
        set_state(hold, State.CANCELLED, by=None, action="expired", reason="")
