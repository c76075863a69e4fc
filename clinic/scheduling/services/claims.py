"""The practitioner, the rooms and the devices of a visit: what is free is chosen, what is taken is refused."""

import uuid

from django.utils.translation import gettext as _

from accounts.permissions import Permission
from accounts.users.models import Membership
from clinic.places.models import Resource
from tenancy.rules import NotAllowed

from .. import plans
from ..models import Appointment, AppointmentResource
from .refusals import TimeTaken, nearest_to, others_then, refuse_claimed, refuse_clash, refuse_not_offered
from .wanted import Wanted

MOST_LANES = 3


def claim(appointment: Appointment, wanted: Wanted, *, by: Membership | None) -> list[Resource]:
    """Check that everything is free, choosing rooms and devices; an overbooking gets a lane where it is not.

    Raises TimeTaken, TimeNotOffered, and NotAllowed for overbooking without the permission.
    """
    check_may_overbook(wanted, by=by)
    try:
        chosen = choose(appointment, wanted)
        refuse_clash(appointment, chosen, by=by)
        refuse_not_offered(appointment)
    except TimeTaken:
        if wanted.overbook_reason.strip():
            return _overbook(appointment, wanted)
        raise
    return chosen


def check_may_overbook(wanted: Wanted, *, by: Membership | None) -> None:
    """Raise NotAllowed for somebody who books over others without the permission."""
    if wanted.overbook_reason.strip() and (by is None or not by.may(Permission.APPOINTMENT_OVERBOOK)):
        raise NotAllowed(_("You may not book over other visits."))


def choose(appointment: Appointment, wanted: Wanted) -> list[Resource]:
    """The rooms and devices that are asked for, or one that is free for each need of the type. Raises TimeTaken."""
    if wanted.resources is not None:
        return list(wanted.resources)
    if appointment.type is None:
        return []
    needs = plans.needs_of(appointment.type)
    wanted_here = [pk for need in needs for pk in need.at(appointment.location_id)]
    taken = set(
        AppointmentResource.objects.filter(
            resource__in=wanted_here,
            is_live=True,
            busy_from__lt=appointment.busy_until,
            busy_until__gt=appointment.busy_from,
        )
        .exclude(appointment=appointment.pk)
        .values_list("resource_id", flat=True)
    )
    chosen: list[uuid.UUID] = []
    for need in needs:
        here = need.at(appointment.location_id)
        free = next((pk for pk in here if pk not in taken and pk not in chosen), None)
        if free is None:
            raise TimeTaken(
                _("No %(what)s is free then.") % {"what": need.category},
                who="resource",
                nearest=nearest_to(appointment),
            )
        chosen.append(free)
    return list(Resource.objects.filter(pk__in=chosen))


def choose_if_free(appointment: Appointment, wanted: Wanted) -> list[Resource]:
    """What an overbooked visit needs, as far as it is free."""
    try:
        chosen = choose(appointment, wanted)
        refuse_claimed(appointment, chosen)
    except TimeTaken:
        return []
    return chosen


def _overbook(appointment: Appointment, wanted: Wanted) -> list[Resource]:
    """A deliberate overbooking takes the first lane that is free: recorded, bounded, seen by the constraint."""
    appointment.overbook_reason = wanted.overbook_reason.strip()[:300]
    taken = set(
        others_then(appointment).filter(practitioner=appointment.practitioner_id).values_list("lane", flat=True)
    )
    if appointment.patient_id:
        taken |= set(others_then(appointment).filter(patient=appointment.patient_id).values_list("lane", flat=True))
    lane = next((lane for lane in range(1, MOST_LANES + 1) if lane not in taken), None)
    if lane is None:
        raise TimeTaken(_("This time is overbooked as far as it may be."), who="practitioner")
    appointment.lane = lane
    return choose_if_free(appointment, wanted)
