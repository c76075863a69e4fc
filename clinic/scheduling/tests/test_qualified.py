"""Only who is qualified on that day is booked; in an emergency with a reason that is reported."""

from datetime import date, timedelta

import pytest

from accounts.notifications.models import Notification
from accounts.qualifications import services as qualifications
from accounts.qualifications.selectors import read_holdings
from accounts.users.tests.factories import MembershipFactory
from clinic.patients.tests.factories import PatientFactory
from clinic.scheduling import lapses, services
from clinic.scheduling.models import Appointment, AppointmentType, TypeQualification
from clinic.scheduling.services import NotQualified, Wanted
from tenancy.rules import NotAllowed

from .factories import at, make_location, make_practitioner, make_type, next_day, work

MONDAY = next_day(0, after=14)


@pytest.fixture
def wanted(clinic, admin, doctor):
    kind = qualifications.create_kind(by=admin, name="Ultrasound privilege", group="privilege")
    scan = make_type("scan")
    TypeQualification.objects.create(type=scan, kind=kind)
    practitioner, house = make_practitioner(member=doctor), make_location()

    def build(hour=9, **fields):
        return Wanted(
            patient=PatientFactory(), practitioner=practitioner, location=house, type=scan,
            starts_at=at(MONDAY, hour), **fields,
        )  # fmt: skip

    build.kind = kind
    return build


def grant(doctor, wanted, admin, until):
    return qualifications.record_qualification(
        doctor, by=admin, kind=wanted.kind, valid_from=date.today(), valid_until=until
    )


def test_booking_names_the_item_and_the_day_it_lapsed(wanted, admin, doctor, nurse):
    lapsed = MONDAY - timedelta(days=1)
    grant(doctor, wanted, admin, lapsed)

    with pytest.raises(NotQualified, match=f"Ultrasound privilege.* lapsed on {lapsed.day} ") as refused:
        services.book(wanted(), by=nurse)

    assert [gap.lapsed_on for gap in refused.value.gaps] == [lapsed]
    assert not Appointment.objects.exists()


def test_booking_who_is_qualified_on_that_day(wanted, admin, doctor, nurse):
    grant(doctor, wanted, admin, MONDAY)

    assert services.book(wanted(), by=nurse).override_reason == ""


def test_moving_beyond_the_last_day_is_refused(wanted, admin, doctor, nurse):
    grant(doctor, wanted, admin, MONDAY)
    visit = services.book(wanted(), by=nurse)

    with pytest.raises(NotQualified):
        services.reschedule(visit, by=nurse, starts_at=visit.starts_at + timedelta(days=1))


def test_an_override_takes_the_permission_and_a_reason_that_stays(wanted, doctor, nurse):
    with pytest.raises(NotAllowed):
        services.book(wanted(override_reason="Nobody else is here"), by=nurse)

    visit = services.book(wanted(override_reason="Nobody else is here"), by=doctor)
    assert Appointment.objects.exclude(override_reason="").get() == visit


def test_a_lapse_is_announced_once_with_the_visits_it_breaks(wanted, admin, doctor, nurse):
    row = grant(doctor, wanted, admin, MONDAY)
    kept = services.book(wanted(9), by=nurse)
    broken = services.book(wanted(10), by=nurse)
    later = MONDAY + timedelta(days=1)
    Appointment.objects.filter(pk=broken.pk).update(wall_start=f"{later}T10:00")

    assert [visit.pk for visit in lapses.broken_visits(row)] == [broken.pk] != [kept.pk]
    lapses.announce_lapses()
    lapses.announce_lapses()

    told = Notification.objects.filter(kind="qualification_lapses")
    assert {n.recipient_id for n in told} >= {doctor.pk, admin.pk}
    assert nurse.pk not in {n.recipient_id for n in told}
    assert told.filter(recipient=doctor).count() == 1
    assert {n.params["visits"] for n in told} == {"1"}


def test_uncovered_visits_stand_on_the_practitioners_page_until_somebody_renews(
    wanted, admin, doctor, nurse, page_client
):
    row = grant(doctor, wanted, admin, MONDAY)
    services.book(wanted(9), by=nurse)
    broken = services.book(wanted(10), by=nurse)
    Appointment.objects.filter(pk=broken.pk).update(wall_start=f"{MONDAY + timedelta(days=1)}T10:00")
    practitioner = broken.practitioner

    assert lapses.uncovered_visits(practitioner) == [broken]
    page = page_client(doctor).get(f"/practitioners/{practitioner.pk}/").content.decode()
    assert "Visits without the qualification they need" in page
    assert f"/appointments/{broken.pk}/" in page
    assert broken.patient.first_name not in page

    later = MONDAY + timedelta(days=1)
    qualifications.record_qualification(doctor, by=admin, kind=wanted.kind, valid_from=later, valid_until=None)
    assert lapses.uncovered_visits(practitioner) == []
    qualifications.withdraw_qualification(row, by=admin, reason="Forged")
    assert [visit.wall_start[11:] for visit in lapses.uncovered_visits(practitioner)] == ["09:00"]
    Appointment.objects.update(override_reason="Nobody else is here")
    assert lapses.uncovered_visits(practitioner) == []


def test_a_lapse_leads_everybody_who_is_told_to_a_page_they_may_open(wanted, admin, doctor, nurse, page_client):
    """And the day reads as the reader's language writes it."""
    grant(doctor, wanted, admin, MONDAY)
    trainer = MembershipFactory(role="training_manager", user__language="es")
    kind = qualifications.create_kind(by=admin, name="Fire safety", group="training")
    qualifications.record_qualification(trainer, by=admin, kind=kind, valid_from=date.today(), valid_until=MONDAY)
    lapses.announce_lapses()

    told = list(Notification.objects.filter(kind="qualification_lapses").select_related("recipient"))
    assert {n.recipient_id for n in told} >= {doctor.pk, admin.pk, trainer.pk}
    for notice in told:
        assert not notice.url or page_client(notice.recipient).get(notice.url).status_code == 200, notice.url
    assert all(n.url for n in told)
    days = {n.recipient_id: n.params["day"] for n in told if n.params["kind"] == "Fire safety"}
    assert days[admin.pk] == f"{MONDAY.day} {MONDAY:%B %Y}"
    assert " de " in days[trainer.pk]


def test_slots_offer_nobody_who_is_not_qualified_on_that_day(wanted, admin, doctor, nurse, patient_user, api_client):
    """What is offered can be booked: with `explain` the item and the day it lapsed, to patients only that it is not."""
    asked = wanted()
    work(asked.practitioner, asked.location)
    AppointmentType.objects.update(self_service="book")
    grant(doctor, wanted, admin, MONDAY)
    address = f"/api/doctors/{asked.practitioner.pk}/slots"
    query = {"from": str(MONDAY), "to": str(MONDAY + timedelta(days=1)), "type": str(asked.type.pk)}

    for member in (nurse, patient_user):
        slots = api_client(member).get(address, query).json()["slots"]
        assert {slot["localStart"][:10] for slot in slots} == {str(MONDAY)}
        assert len(slots) == 6
    reasons = {
        member: api_client(member).get(address, query | {"explain": "true"}).json()["slots"][-1]["reasons"]
        for member in (nurse, patient_user)
    }
    assert reasons[nurse][0]["code"] == "unqualified"
    assert f"“Ultrasound privilege” of Dario Quintero lapsed on {MONDAY.day} " in reasons[nurse][0]["text"]
    assert reasons[patient_user] == [{"code": "not_offered", "text": "This time is not offered."}]
    qualifications.record_qualification(doctor, by=admin, kind=wanted.kind, valid_from=MONDAY + timedelta(days=1))
    assert len(api_client(nurse).get(address, query).json()["slots"]) == 12


def test_holdings_are_one_query_for_many_days_and_people(wanted, admin, doctor, django_assert_num_queries):
    grant(doctor, wanted, admin, MONDAY)

    with django_assert_num_queries(1):
        holdings = read_holdings([doctor.pk, admin.pk], [wanted.kind])
        gaps = [holdings.gaps(doctor.pk, MONDAY + timedelta(days=n)) for n in range(-2, 3)]
        assert len(holdings.gaps(admin.pk, MONDAY)) == len(holdings.gaps(None, MONDAY)) == 1
    assert [len(found) for found in gaps] == [0, 0, 0, 1, 1]
