"""Reminders and confirmations: from the state they find when they leave, once each; opt-out respected."""

from datetime import timedelta

import pytest
from django.core import mail
from django.utils import timezone
from icalendar import Calendar

from accounts.notifications import sending
from accounts.notifications.models import Delivery
from clinic.patients import services as patients
from clinic.patients.tests.factories import PatientFactory
from clinic.scheduling import notices, reminders, services, waiting
from clinic.scheduling.models import Appointment, Reminder, ReminderRule
from clinic.scheduling.services import Wanted
from clinic.scheduling.states import State
from tenancy.tenants.context import get_current_tenant_id

from .factories import make_location, make_practitioner, make_type


@pytest.fixture
def book(clinic, nurse):
    house, practitioner = make_location(time_zone="Europe/London"), make_practitioner()

    def book(hours=20, **fields):
        patient = fields.pop("patient", None) or PatientFactory(email="aurelia@example.org")
        start = (timezone.now() + timedelta(hours=hours)).replace(second=0, microsecond=0)
        wanted = Wanted(
            patient=patient,
            practitioner=practitioner,
            location=house,
            starts_at=start,
            reason="Lump",
            notes="Afraid",
            **fields,
        )
        visit = services.book(wanted, by=nurse)
        Appointment.objects.filter(pk=visit.pk).update(created_at=timezone.now() - timedelta(days=3))
        return visit

    return book


@pytest.fixture
def rule(clinic):
    return ReminderRule.objects.create(hours_before=24)


def delivered():
    """Everything that waits, sent now: (subject, mail)."""
    mail.outbox.clear()
    sending.deliver_due(get_current_tenant_id())
    return {message.subject: message for message in mail.outbox}


def test_a_due_reminder_is_sent_once(book, rule):
    """Wish 14."""
    visit = book()
    delivered()

    assert [reminders.send_due_reminders() for _ in range(3)] == [1, 0, 0]
    (message,) = delivered().values()

    assert message.to == ["aurelia@example.org"]
    assert "Europe/London" in message.body
    assert not [word for word in ("Lump", "Afraid") if word in message.body]
    assert [r.outcome for r in visit.reminders.all()] == ["sent"]


@pytest.mark.parametrize("what", ["cancelled", "moved", "opted_out"])
def test_a_reminder_looks_at_the_book_when_it_leaves(book, rule, nurse, what):
    """Wish 14: none for a cancelled visit."""
    visit = book()
    delivered()
    assert reminders.send_due_reminders() == 1
    if what == "cancelled":
        services.move(visit, State.CANCELLED, by=nurse, reason="Ill")
    elif what == "moved":
        services.reschedule(visit, by=nurse, starts_at=visit.starts_at + timedelta(hours=30))
    else:
        patients.record_consent(visit.patient, by=nurse, kind="messages", granted=False)

    assert not [subject for subject in delivered() if "Reminder" in subject]
    assert Reminder.objects.get().outcome == "pointless"


def test_a_moved_visit_is_reminded_of_anew(book, rule, nurse):
    visit = book()
    reminders.send_due_reminders()
    services.reschedule(visit, by=nurse, starts_at=visit.starts_at + timedelta(hours=1))

    assert reminders.send_due_reminders() == 1


@pytest.mark.parametrize(
    ("patient", "outcome"), [({"email": ""}, "no_address"), ({"email": "a@example.org", "says": False}, "opted_out")]
)
def test_who_has_no_address_or_does_not_want_it_is_noted_and_left_alone(book, rule, nurse, patient, outcome):
    says = patient.pop("says", True)
    person = PatientFactory(**patient)
    if not says:
        patients.record_consent(person, by=nurse, kind="messages", granted=False)
    visit = book(patient=person)

    assert reminders.send_due_reminders() == 0
    assert [r.outcome for r in visit.reminders.all()] == [outcome]
    assert delivered() == {}


def test_what_is_not_due_is_not_reminded_of(book, rule, nurse):
    book(hours=30)
    services.move(book(hours=10), State.CANCELLED, by=nurse, reason="Ill")

    assert reminders.send_due_reminders() == 0


def test_a_clinic_has_its_own_words(book, rule):
    ReminderRule.objects.update(subject="Te esperamos %(date)s", text="Hola %(name)s, %(time)s. %(secret)s")
    book()
    delivered()
    reminders.send_due_reminders()

    (message,) = delivered().values()
    assert message.subject.startswith("Te esperamos ")
    assert "Hola Aurelia de la Hoz" in message.body
    assert "%(secret)s" in message.body


def test_booking_moving_and_cancelling_are_told_with_a_calendar_file(book, nurse):
    visit = book()
    (booked,) = delivered().values()
    services.reschedule(visit, by=nurse, starts_at=visit.starts_at + timedelta(hours=1))
    (moved,) = delivered().values()
    services.move(visit, State.CANCELLED, by=nurse, reason="Ill")
    (cancelled,) = delivered().values()

    events = [Calendar.from_ical(m.attachments[0][1]).walk("VEVENT")[0] for m in (booked, moved, cancelled)]
    assert {event["UID"] for event in events} == {f"{visit.pk}@carewright"}
    assert [event["SEQUENCE"] for event in events] == [0, 1, 2]
    assert "cancelled" in cancelled.subject


def test_a_cancellation_taken_back_before_the_mail_leaves_is_not_told(book, nurse):
    visit = book()
    delivered()
    services.move(visit, State.CANCELLED, by=nurse, reason="Oops")
    services.undo_move(visit, by=nurse)

    assert delivered() == {}


def test_an_offer_is_mailed(book, nurse):
    kind = make_type()
    visit = book(hours=60, type=kind)
    waiting.join_waiting_list(
        by=nurse, patient=PatientFactory(email="waits@example.org"), type=kind,
        earliest=visit.starts_at.date() - timedelta(days=1), latest=visit.starts_at.date() + timedelta(days=1),
    )  # fmt: skip
    delivered()
    services.move(visit, State.CANCELLED, by=nurse, reason="Ill")

    (message,) = [m for m in delivered().values() if m.to == ["waits@example.org"]]
    assert "kept for you until" in message.body


def test_mails_hold_ids_and_no_words_in_their_rows(book):
    book()

    assert not [row for row in Delivery.objects.values_list("params", flat=True) if "Lump" in str(row)]
    assert notices.CONFIRMATION.code == Delivery.objects.get().kind
