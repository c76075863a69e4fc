"""Claims of rooms are read a few rooms at a time: no free time is missed, and none is given away twice."""

from uuid import UUID

import pytest

from clinic.patients.tests.factories import PatientFactory
from clinic.places import services as places
from clinic.scheduling import offering, plans, selectors, services
from clinic.scheduling.availability import Busy
from clinic.scheduling.services import Wanted

from .factories import at, make_location, make_practitioner, next_day, work

ROOMS = [UUID(int=number) for number in range(1, 21)]


def test_rooms_are_read_in_the_order_in_which_they_are_tried():
    asked = []

    def read(some):
        asked.append(some)
        return {ROOMS[0]: Busy([0.0], [10.0])}

    claims = plans.Claims(ROOMS, read)

    assert claims.get(ROOMS[0]).is_free(0, 5) is False
    assert claims.get(ROOMS[3]) is None
    assert asked == [ROOMS[:8]]
    assert claims.get(ROOMS[9]) is None
    assert claims.get(ROOMS[8]) is None
    assert asked == [ROOMS[:8], ROOMS[9:17], [ROOMS[8], *ROOMS[17:]]]
    assert claims.get(UUID(int=99)) is None
    assert len(asked) == 3
    assert set(claims) == set(ROOMS)


@pytest.fixture
def house(nurse):
    """Twelve rooms, all but the last taken on Monday at nine."""
    place, monday = make_location(), next_day(0)
    rooms = [
        places.create_resource(by=None, location=place, kind="room", name=f"Room {number:02}", category="visits")
        for number in range(12)
    ]
    kind = offering.create_type(
        by=nurse, data={"name": "Visit", "minutes": 30, "colour": 1}, needs=[("room", "visits")]
    )
    for _room in rooms[:-1]:
        one = make_practitioner()
        work(one, place)
        wanted = Wanted(patient=PatientFactory(by=nurse), practitioner=one, starts_at=at(monday, 9), type=kind)
        services.book(wanted, by=nurse)
    last = make_practitioner("Berta", "Zapata")
    work(last, place)
    return kind, last, monday, rooms


def offered(house, by):
    kind, practitioner, monday, _rooms = house
    found = selectors.find_slots([practitioner], monday, monday, by=by, type=kind)
    return {slot.starts: slot.resources for slot in found}


def test_the_last_room_of_a_full_house_is_still_found(house, nurse):
    kind, practitioner, monday, rooms = house

    assert offered(house, nurse)[at(monday, 9)] == (rooms[-1].pk,)

    wanted = Wanted(patient=PatientFactory(by=nurse), practitioner=practitioner, starts_at=at(monday, 9), type=kind)
    services.book(wanted, by=nurse)
    other = make_practitioner("Carla", "Yepes")
    work(other, rooms[0].location)
    assert at(monday, 9) not in offered((kind, other, monday, rooms), nurse)
    assert at(monday, 9, 30) in offered((kind, other, monday, rooms), nurse)


def test_without_what_is_read_later_the_last_room_would_be_offered_twice(house, nurse, monkeypatch):
    """The negative control: a reader that stops after the first rooms takes the others for free."""
    kind, practitioner, monday, rooms = house
    wanted = Wanted(patient=PatientFactory(by=nurse), practitioner=practitioner, starts_at=at(monday, 9), type=kind)
    services.book(wanted, by=nurse)
    other = make_practitioner("Carla", "Yepes")
    work(other, rooms[0].location)
    monkeypatch.setattr(plans.Claims, "__getitem__", lambda claims, resource: claims.known.get(resource))

    assert at(monday, 9) in offered((kind, other, monday, rooms), nurse)
