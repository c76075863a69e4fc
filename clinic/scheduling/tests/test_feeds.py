"""Calendar feeds: read back whole by another program, private, revocable, without a word about health."""

from copy import copy
from datetime import timedelta

import pytest
from icalendar import Calendar

from clinic.patients.tests.factories import PatientFactory
from clinic.scheduling import feeds, services
from clinic.scheduling.calendars import calendar_of, etag_of
from clinic.scheduling.services import Wanted
from clinic.scheduling.states import State

from .factories import at, make_location, make_practitioner, make_type, next_day

MONDAY = next_day(0)


@pytest.fixture
def practitioner(clinic):
    return make_practitioner()


@pytest.fixture
def visit(clinic, nurse, practitioner):
    return services.book(
        Wanted(
            patient=PatientFactory(first_name="Canaria"),
            practitioner=practitioner,
            location=make_location(time_zone="Europe/London"),
            starts_at=at(MONDAY, 9, zone="Europe/London"),
            type=make_type("oncology", name="Oncology"),
            reason="Lump",
            notes="Afraid",
        ),
        by=nurse,
    )


def events(content):
    return list(Calendar.from_ical(content).walk("VEVENT"))


def read(token):
    return feeds.read_feed(feeds.split_token(token)[1])


def test_a_feed_is_read_back_whole(visit, nurse, practitioner):
    """Wish 16."""
    _feed, token = feeds.open_feed(by=nurse, practitioner=practitioner)
    content = read(token)
    (event,) = events(content)

    assert event["UID"] == f"{visit.pk}@carewright"
    assert event.start == visit.starts_at
    assert event.start.tzinfo.key == "Europe/London"
    assert Calendar.from_ical(content).walk("VTIMEZONE")


def test_a_file_of_two_zones_has_the_rules_of_both_in_one_order(visit):
    far = copy(visit)
    far.time_zone = "Asia/Tokyo"

    content = calendar_of([visit, far], name="Two", for_patient=True)

    zones = [str(zone["TZID"]) for zone in Calendar.from_ical(content).walk("VTIMEZONE")]
    assert zones == ["Asia/Tokyo", "Europe/London"]
    assert calendar_of([visit, far], name="Two", for_patient=True) == content


@pytest.mark.parametrize("whose", ["practitioner", "patient"])
def test_a_feed_holds_nothing_clinical(visit, nurse, whose):
    """Wish 16."""
    _feed, token = feeds.open_feed(by=nurse, **{whose: getattr(visit, whose)})
    content = read(token).decode()

    assert not [word for word in ("Oncology", "Lump", "Afraid", "Canaria", "de la Hoz") if word in content]
    assert ("Quintero" in content) == (whose == "patient")


def test_moving_and_cancelling_raise_the_sequence_and_keep_the_uid(visit, nurse, practitioner):
    _feed, token = feeds.open_feed(by=nurse, practitioner=practitioner)
    first, before = events(read(token))[0], etag_of(read(token))
    assert etag_of(read(token)) == before

    services.reschedule(visit, by=nurse, starts_at=visit.starts_at + timedelta(hours=1))
    moved = events(read(token))[0]
    services.move(visit, State.CANCELLED, by=nurse, reason="Ill")
    gone = events(read(token))[0]

    assert first["UID"] == moved["UID"] == gone["UID"]
    assert (first["SEQUENCE"], moved["SEQUENCE"], gone["SEQUENCE"]) == (0, 1, 2)
    assert gone["STATUS"] == "CANCELLED"
    assert etag_of(read(token)) != before


def test_a_revoked_feed_is_gone_and_another_stays(visit, nurse, practitioner):
    feed, token = feeds.open_feed(by=nurse, practitioner=practitioner)
    _other, second = feeds.open_feed(by=nurse, practitioner=practitioner)
    feeds.revoke_feed(feed, by=nurse)

    assert read(token) is None
    assert read(second)


@pytest.mark.parametrize("token", ["", "x", ".", "zz.secret", "0" * 32 + ".", "0" * 32 + "." + "a" * 65, "\0.a"])
def test_a_token_that_is_none_is_nothing(token):
    assert feeds.split_token(token) is None


def test_a_secret_is_not_kept(visit, nurse, practitioner):
    feed, token = feeds.open_feed(by=nurse, practitioner=practitioner)

    assert token.partition(".")[2] not in str(feed.__dict__)
