"""Gap 5 of clinic.md: a government changes its clocks; what was booked for 09:00 is found and put right."""

import json
import shutil
import zoneinfo
from datetime import time, timedelta
from importlib.resources import files
from io import StringIO
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from django.core import mail
from django.core.management import call_command

from accounts.notifications import sending
from clinic.patients.tests.factories import PatientFactory
from clinic.places.services import create_resource, update_location
from clinic.scheduling import clock_changes, services
from clinic.scheduling.models import Appointment, TypeNeed
from clinic.scheduling.services import Wanted
from tenancy.tenants.context import get_current_tenant_id
from tenancy.tenants.tests.contexts import outside_tenant

from .factories import BOGOTA, at, make_location, make_practitioner, make_type, next_day, work

MONDAY = next_day(0)


@pytest.fixture
def decree(tmp_path):
    """`decree("America/Caracas")`: from now on the clocks of Bogotá are those of another place."""
    kept = zoneinfo.TZPATH

    def change(like):
        target = tmp_path / BOGOTA
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(_rules_of(like), target)
        zoneinfo.reset_tzpath([str(tmp_path), *kept])
        ZoneInfo.clear_cache()

    yield change
    zoneinfo.reset_tzpath(kept)
    ZoneInfo.clear_cache()


def _rules_of(name):
    for folder in zoneinfo.TZPATH:
        if (found := Path(folder) / name).is_file():
            return found
    return Path(str(files("tzdata"))) / "zoneinfo" / name


@pytest.fixture
def house(clinic):
    return make_location()


@pytest.fixture
def visits(nurse, house):
    """Three visits in a row that share a room, from nine on; the first patient has an address."""
    dario = make_practitioner()
    work(dario, house)
    scan = make_type("scan")
    TypeNeed.objects.create(type=scan, kind="room")
    create_resource(by=None, location=house, kind="room", name="Room 1")
    made = []
    for number in range(3):
        patient = PatientFactory(email="" if number else "ana@example.org")
        starts_at = at(MONDAY, 9) + timedelta(minutes=30 * number)
        wanted = Wanted(patient=patient, practitioner=dario, location=house, type=scan, starts_at=starts_at)
        made.append(services.book(wanted, by=nurse))
    sending.deliver_due(get_current_tenant_id())
    mail.outbox.clear()
    return made


def run(tenant, *options):
    said = StringIO()
    call_command("clock_changes", "--tenant", tenant.slug, *options, stdout=said)
    return json.loads(said.getvalue())


def walls():
    """What the clock at the place shows for each visit, and what the row says it should."""
    rows = Appointment.objects.select_related("location").order_by("starts_at")
    shown = [f"{visit.starts_at.astimezone(visit.location.zone):%H:%M}" for visit in rows]
    return shown, [visit.wall_start[11:] for visit in rows]


NINE = ["09:00", "09:30", "10:00"]
TEN = ["10:00", "10:30", "11:00"]


def test_clock_changes_finds_nothing_while_the_rules_hold(clinic, visits):
    assert run(clinic) == {"tenant": clinic.slug, "moved": []}
    assert run(clinic, "--keep", "clock") == {"tenant": clinic.slug, "moved": []}
    assert [visit.version for visit in Appointment.objects.all()] == [1, 1, 1]


@pytest.mark.parametrize(
    ("like", "shows"), [("America/Caracas", TEN), ("America/Costa_Rica", ["08:00", "08:30", "09:00"])]
)
def test_clock_changes_lists_what_moved_and_keeps_the_clock(clinic, visits, decree, like, shows):
    decree(like)

    listed = run(clinic)
    assert [(row["meant"][11:], row["shows"][11:]) for row in listed["moved"]] == list(zip(NINE, shows, strict=True))
    assert "Aurelia" not in json.dumps(listed)
    assert walls() == (shows, NINE)  # listing changes nothing

    answer = run(clinic, "--keep", "clock")

    assert (answer["changed"], answer["refused"]) == (3, {})
    assert walls() == (NINE, NINE)
    for visit in Appointment.objects.all():
        claim = visit.resources.get()
        assert (claim.busy_from, claim.busy_until) == (visit.busy_from, visit.busy_until)
        assert (visit.minutes, visit.sequence) == (30, 1)
        assert "clocks of America/Bogota" in visit.changes.latest("at").reason
    assert run(clinic)["moved"] == []
    sending.deliver_due(get_current_tenant_id())
    assert mail.outbox == []  # for people nothing has changed


def test_clock_changes_keeps_the_moment_and_tells_patients(clinic, visits, decree):
    moments = [visit.starts_at for visit in visits]
    decree("America/Caracas")

    assert run(clinic, "--keep", "moment")["changed"] == 3

    assert walls() == (TEN, TEN)
    assert list(Appointment.objects.order_by("starts_at").values_list("starts_at", flat=True)) == moments
    sending.deliver_due(get_current_tenant_id())
    (message,) = mail.outbox
    assert "10:00" in message.body


def test_clock_changes_sees_a_location_that_got_another_zone(clinic, admin, visits, house):
    update_location(house, by=admin, changes={"time_zone": "America/New_York"})
    update = {row["number"]: row["meant"][11:] for row in run(clinic)["moved"]}
    offset = at(MONDAY, 9).astimezone(ZoneInfo("America/New_York")).utcoffset()

    # Bogotá and New York share their clocks in winter.
    assert list(update.values()) == ([] if offset == timedelta(hours=-5) else NINE)


def test_clock_changes_names_what_can_not_go(clinic, nurse, visits, house, decree):
    """The practitioner works in Berlin, too: there no clock has changed, and that visit stays where it is."""
    dario, berlin = visits[0].practitioner, make_location("Berlin", "Europe/Berlin")
    moment = at(MONDAY, 8, 30)
    work(dario, berlin, weekdays=range(7), starts=time(0), ends=time(23, 45))
    there = Wanted(patient=PatientFactory(), practitioner=dario, location=berlin, starts_at=moment)
    services.book(there, by=nurse)
    decree("America/Caracas")  # 09:30 is now where 08:30 was

    answer = run(clinic, "--keep", "clock")

    assert answer["changed"] == 2
    assert answer["refused"] == {str(visits[1].number): "Dario Quintero has another visit then."}
    assert [one.appointment.number for one in clock_changes.find_parted()] == [visits[1].number]


def test_clock_changes_is_right_about_a_time_that_comes_twice(clinic, nurse):
    """Both half past ones of an autumn night read as 01:30: neither has moved."""
    london = make_location("London", "Europe/London")
    otto = make_practitioner("Otto", "Orejuela")
    day = next(MONDAY + timedelta(days=n) for n in range(400) if _hours(MONDAY + timedelta(days=n)) == 25)
    for hours in (0, 1):
        moment = at(day, 1, 30, "Europe/London") + timedelta(hours=hours)
        wanted = Wanted(patient=PatientFactory(), practitioner=otto, location=london, starts_at=moment)
        services.book(wanted, by=nurse)

    assert clock_changes.find_parted() == []


def _hours(day):
    london = "Europe/London"
    return (at(day + timedelta(days=1), 0, 0, london) - at(day, 0, 0, london)) / timedelta(hours=1)


def test_clock_changes_leaves_other_clinics_alone(clinic, other_clinic, visits, decree):
    decree("America/Caracas")

    with outside_tenant():
        assert run(other_clinic, "--keep", "clock")["moved"] == []
    assert walls()[0] == TEN
