"""Qualifications that lapse soon, and the visits that breaks."""

from collections import defaultdict
from collections.abc import Mapping
from datetime import date, timedelta
from uuid import UUID

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import override, pgettext

from accounts.notifications.services import notify
from accounts.permissions import Permission
from accounts.qualifications.models import Qualification
from accounts.qualifications.notices import LAPSE
from accounts.qualifications.selectors import lapsing_until
from accounts.users.models import Membership
from clinic.practitioners.models import Practitioner

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
            session=None,
            wall_start__gt=f"{after}T24:00",
        )
        .select_related("patient", "practitioner", "location", "type")
        .order_by("starts_at", "id")
    )


def uncovered_visits(practitioner: Practitioner) -> list[Appointment]:
    """Visits to come whose type needs what this practitioner does not hold on their day, and nobody has said why."""
    visits = (
        Appointment.objects.filter(
            practitioner=practitioner,
            type__qualifications__isnull=False,
            state__in=UPCOMING,
            starts_at__gt=timezone.now(),
            session=None,
            override_reason="",
        )
        .select_related("location", "type")
        .prefetch_related("type__qualifications")
        .distinct()
        .order_by("starts_at", "id")
    )
    held: dict[UUID, list[tuple[date, date]]] = defaultdict(list)
    rows = Qualification.objects.filter(membership=practitioner.member_id, withdrawn_at=None)
    for kind, since, until in (
        rows.values_list("kind_id", "valid_from", "valid_until") if practitioner.member_id else ()
    ):
        held[kind].append((since, until or date.max))
    return [visit for visit in visits if _lacks(visit, held)]


def _lacks(visit: Appointment, held: Mapping[UUID, list[tuple[date, date]]]) -> bool:
    assert visit.type is not None
    day = date.fromisoformat(visit.wall_start[:10])
    kinds = [need.kind_id for need in visit.type.qualifications.all()]
    return not all(any(since <= day <= until for since, until in held.get(kind, ())) for kind in kinds)


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
    notify(LAPSE, [member], params=params, url=_page_for(member, row), about=row, event=event)


def _page_for(reader: Membership, row: Qualification) -> str:
    """Where the visits stand, else where it can be renewed; "" for whoever may open neither."""
    practitioner = Practitioner.objects.filter(member=row.membership_id).order_by("id").first()
    if practitioner is not None and reader.may(Permission.PRACTITIONER_VIEW):
        return f"/practitioners/{practitioner.pk}/"
    return f"/people/{row.membership_id}/qualifications/" if reader.may(Permission.QUALIFICATION_MANAGE) else ""
