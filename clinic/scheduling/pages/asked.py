"""What an address or a form asks for, read without trust: an unknown id is 404, a day that is none is today."""

from datetime import date
from uuid import UUID

from django.http import Http404
from django.utils import timezone

from accounts.users.models import Membership
from clinic.places.models import Location
from clinic.places.selectors import get_location
from clinic.practitioners.models import Practitioner
from tenancy.tenants.models import Tenant

from .. import agenda, selectors

FIRST_DAY, LAST_DAY = date(1990, 1, 1), date(2200, 1, 1)


def read_id(text: str | None) -> UUID | None:
    """An id, None for nothing. Raises Http404 for what is no id."""
    if not text:
        return None
    try:
        return UUID(text)
    except ValueError:
        raise Http404 from None


def read_day(text: str | None, today: date) -> date:
    try:
        day = date.fromisoformat(text or "")
    except ValueError:
        return today
    return day if FIRST_DAY <= day <= LAST_DAY else today


def read_practitioner(text: str | None, *, by: Membership) -> Practitioner | None:
    wanted = read_id(text)
    return selectors.get_doctor(wanted, by=by) if wanted else None


def read_location(text: str | None, *, by: Membership, practitioner: Practitioner | None = None) -> Location | None:
    """The location asked for, else where this clinician works, else most of the clinic; None where there is none."""
    wanted = read_id(text)
    return get_location(wanted, by=by) if wanted else agenda.find_usual_location(by=by, practitioner=practitioner)


def today_at(location: Location | None, tenant: Tenant) -> date:
    return timezone.localdate(timezone=location.zone if location else tenant.zone)


def own_practitioner(member: Membership) -> Practitioner | None:
    return agenda.find_own_practitioner(member)
