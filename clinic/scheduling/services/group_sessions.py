"""Group sessions and the places in them.

A session is a row without a patient that claims the practitioner and the rooms;
its places are rows of their own. Whoever joins, empties, moves or cancels a
session holds the practitioner's lock, so nobody joins one that goes.
"""

from dataclasses import replace

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from accounts.users.models import Membership
from clinic.places.models import Resource
from clinic.practitioners.models import Practitioner

from ..models import Appointment
from ..states import State
from .claims import MOST_LANES, check_may_overbook, claim
from .histories import facts_of, note_move
from .locking import lock_visit
from .refusals import TimeTaken, nearest_to, refuse_busy_patient
from .wanted import Wanted, checked_row
from .writing import enter, set_state, write


class GroupFull(TimeTaken):
    """The session stands, and somebody has each of its places."""

    code = "group_full"


def claim_or_join(appointment: Appointment, wanted: Wanted, *, by: Membership | None) -> list[Resource]:
    """Claim the time of a visit; where its kind has places for several people, join their session instead.

    Raises as `claim`, and GroupFull.
    """
    if appointment.patient_id and appointment.type is not None and appointment.type.capacity > 1:
        check_may_overbook(wanted, by=by)
        return take_place(appointment, wanted, by=by)
    return claim(appointment, wanted, by=by)


def take_place(appointment: Appointment, wanted: Wanted, *, by: Membership | None) -> list[Resource]:
    """Join the session of this kind at this time, or begin one. The rooms are the session's."""
    session = _session_at(appointment)
    if session is None:
        alone = replace(wanted, patient=None, reason="", notes="", submit_key=None, hold=None, custom_fields={})
        session = checked_row(alone, by=by, state=State.BOOKED)
        session.capacity = appointment.type.capacity if appointment.type else 1
        session.override_reason = appointment.override_reason
        enter(session, claim(session, alone, by=by), by=by)
    over = wanted.overbook_reason.strip()[:300]
    taken = set(_places_of(session).exclude(pk=appointment.pk).values_list("place", flat=True))
    most = session.capacity + (MOST_LANES if over else 0)
    free = next((place for place in range(1, most + 1) if place not in taken), None)
    if free is None:
        raise GroupFull(
            _("All %(count)d places are taken.") % {"count": session.capacity},
            who="practitioner",
            nearest=nearest_to(appointment),
        )
    if free > session.capacity:
        appointment.lane, appointment.overbook_reason = free - session.capacity, over
    refuse_busy_patient(appointment)
    appointment.session, appointment.place = session, free
    return []


def _session_at(appointment: Appointment) -> Appointment | None:
    return (
        Appointment.objects.live()
        .filter(
            practitioner=appointment.practitioner_id,
            location=appointment.location_id,
            type=appointment.type_id,
            starts_at=appointment.starts_at,
            patient=None,
        )
        .select_related("location", "practitioner", "type")
        .first()
    )


def _places_of(session: Appointment) -> QuerySet[Appointment]:
    return Appointment.objects.live().filter(session=session.pk)


def lock_places(appointment: Appointment) -> list[Appointment]:
    """The places of a session, locked after its practitioner; none for anything else."""
    if appointment.patient_id:
        return []
    Practitioner.objects.select_for_update(of=("self",), no_key=True).get(pk=appointment.practitioner_id)
    rows = _places_of(appointment).select_for_update(of=("self",), no_key=True).order_by("pk")
    return list(rows.select_related("location", "practitioner", "patient", "type"))


def with_places(appointment: Appointment) -> list[Appointment]:
    """A visit, or a session with its places."""
    return (
        [appointment] if appointment.patient_id else [appointment, *_places_of(appointment).select_related("patient")]
    )


def move_places(session: Appointment, *, by: Membership | None, reason: str) -> None:
    """Those who are in a session go where it goes. Raises TimeTaken when one of them is elsewhere then.

    The move stands in the story of each; it is undone with its session, so the batch is the session's alone.
    """
    for place in lock_places(session):
        before = facts_of(place)
        names = (
            "practitioner",
            "location",
            "starts_at",
            "ends_at",
            "busy_from",
            "busy_until",
            "wall_start",
            "time_zone",
        )
        for name in names:
            setattr(place, name, getattr(session, name))
        refuse_busy_patient(place)
        place.sequence += 1
        write(place, (), is_new=False)
        note_move(place, before, by=by, reason=reason)


def close_if_empty(session: Appointment, *, by: Membership | None) -> None:
    """A session nobody is in gives its practitioner and rooms back."""
    session = lock_visit(session, None)
    Practitioner.objects.select_for_update(of=("self",), no_key=True).get(pk=session.practitioner_id)
    if session.is_live and not _places_of(session).exists():
        set_state(session, State.CANCELLED, by=by, action="emptied", reason="")
