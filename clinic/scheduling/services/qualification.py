"""Whether the practitioner holds what a kind of visit needs, on the day of the visit."""

from django.utils.translation import gettext as _

from accounts.permissions import Permission
from accounts.qualifications.selectors import Gap, gaps_of
from accounts.users.models import Membership
from tenancy.rules import NotAllowed, RuleBroken

from ..models import Appointment
from ..wall_time import wall_of
from ..wordings import say_gap
from .wanted import Wanted


class NotQualified(RuleBroken):
    """The practitioner lacks what the type of visit needs on that day. `gaps` names each and when it lapsed."""

    code = "not_qualified"

    def __init__(self, sentence: str, gaps: list[Gap]):
        super().__init__(sentence)
        self.gaps = gaps


def check_qualified(appointment: Appointment, wanted: Wanted, *, by: Membership | None) -> None:
    """Refuse a practitioner who lacks what the type needs, unless somebody who may says why it has to be."""
    appointment.override_reason = ""
    gaps = _qualification_gaps(appointment)
    if not gaps:
        return
    reason = wanted.override_reason.strip()
    if not reason:
        raise NotQualified(" ".join(say_gap(appointment.practitioner.name, gap) for gap in gaps), gaps)
    if by is None or not by.may(Permission.QUALIFICATION_OVERRIDE):
        raise NotAllowed(_("You may not book without the qualification."))
    appointment.override_reason = reason[:300]


def _qualification_gaps(appointment: Appointment) -> list[Gap]:
    """What the practitioner of a visit lacks on its day, of what its type needs."""
    if appointment.type is None:
        return []
    kinds = [need.kind for need in appointment.type.qualifications.select_related("kind")]
    day = wall_of(appointment.starts_at, appointment.location.zone).date()
    return gaps_of(appointment.practitioner.member_id, kinds, day)
