"""The back door of the book: every list and row can be looked at, nothing can be changed, no patient is named."""

import pytest

from accounts.qualifications.services import create_kind, record_qualification
from clinic.patients.tests.factories import PatientFactory
from clinic.places import services as places
from clinic.practitioners.services import create_specialty
from clinic.scheduling import disturbances, feeds, reminders, services, waiting
from clinic.scheduling.models import Appointment, WaitingEntry, WorkingHours
from clinic.scheduling.services import Wanted

from .factories import at, make_location, make_practitioner, make_type, next_day, work

MONDAY = next_day(0)
TABLES = [
    "places/location", "places/resource", "places/holiday", "practitioners/specialty", "scheduling/appointment",
    "scheduling/appointmenttype", "scheduling/workinghours", "scheduling/leave", "scheduling/waitingentry",
    "scheduling/reminderrule", "scheduling/calendarfeed", "qualifications/qualificationkind",
    "qualifications/qualification",
]  # fmt: skip


@pytest.fixture
def browser(settings, admin, page_client):
    settings.DEMO = True
    return page_client(admin)


@pytest.fixture
def rows(admin, doctor):
    """One row of each table, by its address in the admin."""
    house, kind = make_location(), make_type()
    room = places.create_resource(by=admin, location=house, kind="room", name="One")
    holiday = places.add_holiday(by=admin, day=MONDAY, name="Off")
    person = make_practitioner(member=doctor)
    work(person, house)
    patient = PatientFactory(first_last_name="Canaria")
    wanted = Wanted(patient=patient, practitioner=person, location=house, starts_at=at(MONDAY, 9), reason="Lump",
                    overbook_reason="x")  # fmt: skip
    services.book(wanted, by=admin)
    leave, _batch = disturbances.take_leave(
        person, by=admin, kind="holiday", starts_at=at(MONDAY, 20), ends_at=at(MONDAY, 21)
    )
    waiting.join_waiting_list(by=admin, patient=patient, type=kind, earliest=MONDAY, latest=MONDAY, note="Tumour")
    licence = create_kind(by=admin, name="Licence", group="licence")
    return {
        "places/location": house,
        "places/resource": room,
        "places/holiday": holiday,
        "practitioners/specialty": create_specialty(by=admin, name="Cardiology"),
        "scheduling/appointment": Appointment.objects.get(),
        "scheduling/appointmenttype": kind,
        "scheduling/workinghours": WorkingHours.objects.first(),
        "scheduling/leave": leave,
        "scheduling/waitingentry": WaitingEntry.objects.get(),
        "scheduling/reminderrule": reminders.save_rule(None, by=admin, hours_before=24),
        "scheduling/calendarfeed": feeds.open_feed(by=admin, practitioner=person)[0],
        "qualifications/qualificationkind": licence,
        "qualifications/qualification": record_qualification(doctor, by=admin, kind=licence, valid_from=MONDAY),
    }


def test_every_table_can_be_looked_at_and_none_changed(rows, browser):
    assert sorted(rows) == sorted(TABLES)
    for table, row in rows.items():
        listed, shown = browser.get(f"/admin/{table}/"), browser.get(f"/admin/{table}/{row.pk}/change/")
        assert (listed.status_code, shown.status_code) == (200, 200), table
        assert 'name="_save"' not in shown.text, table
        assert browser.get(f"/admin/{table}/add/").status_code == 403, table
        assert browser.post(f"/admin/{table}/{row.pk}/change/", {}).status_code == 403, table
        assert browser.post(f"/admin/{table}/{row.pk}/delete/", {"post": "yes"}).status_code == 403, table


def test_no_patient_no_reason_and_no_secret_is_shown(rows, browser):
    feed = rows["scheduling/calendarfeed"]
    for table in ("scheduling/appointment", "scheduling/waitingentry", "scheduling/calendarfeed"):
        page = browser.get(f"/admin/{table}/").text + browser.get(f"/admin/{table}/{rows[table].pk}/change/").text
        assert not [word for word in ("Canaria", "Lump", "Tumour", feed.secret_hash) if word in page], table


def test_nobody_without_the_admin_comes_in(rows, nurse, page_client, settings):
    settings.DEMO = True
    answer = page_client(nurse).get("/admin/scheduling/appointment/", follow=True)
    assert answer.status_code == 403
