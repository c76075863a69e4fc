"""A small clinic to book in: made by the services where there are any."""

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from clinic.places import services as places
from clinic.places.models import Location
from clinic.practitioners.models import Practitioner
from clinic.practitioners.services import create_practitioner
from clinic.scheduling.models import AppointmentType, WorkingHours
from clinic.scheduling.wall_time import moment_of

BOGOTA = "America/Bogota"


def make_location(name: str = "Main house", time_zone: str = BOGOTA) -> Location:
    return places.create_location(by=None, name=name, time_zone=time_zone)


def make_practitioner(first_name: str = "Dario", last_name: str = "Quintero", **fields) -> Practitioner:
    data = {"first_name": first_name, "first_last_name": last_name, **fields}
    return create_practitioner(by=None, data=data)


def make_type(code: str = "visit", minutes: int = 30, **fields) -> AppointmentType:
    return AppointmentType.objects.create(code=code, name=fields.pop("name", code.title()), minutes=minutes, **fields)


def work(practitioner, location, *, weekdays=range(5), starts=time(9), ends=time(12), step=30, **fields) -> None:
    """Working hours on some weekdays."""
    fields.setdefault("valid_from", date(2020, 1, 1))
    for weekday in weekdays:
        WorkingHours.objects.create(
            practitioner=practitioner, location=location, weekday=weekday, starts=starts, ends=ends, step=step, **fields
        )


def next_day(weekday: int, *, after: int = 7) -> date:
    """The next such weekday at least `after` days from now."""
    day = date.today() + timedelta(days=after)
    return day + timedelta(days=(weekday - day.weekday()) % 7)


def at(day: date, hour: int, minute: int = 0, zone: str = BOGOTA) -> datetime:
    """A moment by the clock of a place."""
    return moment_of(datetime.combine(day, time(hour, minute)), ZoneInfo(zone), fold=0)
