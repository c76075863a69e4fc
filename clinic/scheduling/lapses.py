"""Qualifications that lapse soon, and the visits that breaks."""

from datetime import timedelta

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import override, pgettext

from accounts.notifications.services import notify
from accounts.permissions import Permission
from accounts.qualifications.models import Qualification
from accounts.qualifications.notices import LAPSE
from accounts.qualifications.selectors import lapsing_until
from accounts.users.models import Membership

from .models import Appointment
from .states import UPCOMING

DAYS_AHEAD = 30


def broken_visits(qualification: Qualification) -> list[Appointment]:
    """Visits to come, after its last day, whose type needs what this member will not hold any more."""
    after = qualification.valid_until
    assert after is not None
    return list(
        Appointment.objects.filter(
            practitioner__member=qualification.membership_id,
            type__qualifications__kind=qualification.kind_id,
            state__in=UPCOMING,
            wall_start__gt=f"{after}T24:00",
        )
        .select_related("patient", "practitioner", "location", "type")
        .order_by("starts_at", "id")
    )


def announce_lapses() -> int:
    """Tell members and who manages qualifications of every lapse in the next 30 days, once each. Returns how many."""
    today = timezone.localdate()
    lapses = list(lapsing_until(today + timedelta(days=DAYS_AHEAD), after=today))
    managers = [m for m in Membership.objects.active() if m.may(Permission.QUALIFICATION_MANAGE)] if lapses else []
    for row in lapses:
        assert row.valid_until is not None
        told = {m.pk: m for m in [row.membership, *managers]}
        visits = broken_visits(row)
        for member in told.values():
            _tell(member, row, visits)
    return len(lapses)


def _tell(member: Membership, row: Qualification, visits: list[Appointment]) -> None:
    """One notice, its day written as the reader's language writes it."""
    assert row.valid_until is not None
    with override(member.user.language or member.tenant.language):
        day = date_format(row.valid_until, pgettext("a day in a sentence", "j F Y"))
    params = {"kind": row.kind.name, "member": row.membership.display_name, "day": day, "visits": len(visits)}
    event = f"lapse:{row.pk}:{row.valid_until}"
    notify(LAPSE, [member], params=params, url=f"/people/{row.membership.user_id}/", about=row, event=event)
