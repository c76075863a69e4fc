"""Booking: one success, clear refusals, and a table that refuses what no service has checked."""

import uuid
from dataclasses import replace
from datetime import time, timedelta
from threading import Barrier, Thread

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from accounts.users.tests.factories import MembershipFactory, open_clinic
from clinic.patients.tests.factories import PatientFactory
from clinic.places.models import Resource
from clinic.places.services import add_holiday, create_resource, update_location
from clinic.scheduling import plans, services
from clinic.scheduling.availability import slots
from clinic.scheduling.models import Appointment, Leave, TypeNeed
from clinic.scheduling.services import TimeNotOffered, TimeTaken, Wanted
from clinic.scheduling.services.claims import MOST_LANES
from clinic.scheduling.states import LIVE, MOVES, State
from tenancy.rules import NotAllowed, RuleBroken, StaleVersion
from tenancy.tenants.context import tenant_context

from .factories import at, make_location, make_practitioner, make_type, next_day, work

MONDAY = next_day(0)


@pytest.fixture
def house(clinic):
    return make_location()


@pytest.fixture
def practitioner(house):
    found = make_practitioner()
    work(found, house)
    return found


@pytest.fixture
def wanted(house, practitioner):
    """`wanted(hour=9)`: a visit next Monday at nine."""

    def build(hour=9, minute=0, **fields):
        fields = {"patient": fields.pop("patient", None) or PatientFactory(), "practitioner": practitioner} | fields
        return Wanted(location=house, starts_at=at(MONDAY, hour, minute), **fields)

    return build


def test_book_puts_a_visit_into_the_book(clinic, nurse, wanted):
    visit = services.book(wanted(), by=nurse)

    assert (visit.state, visit.is_live, visit.number) == (State.BOOKED, True, 1)
    assert visit.wall_start == f"{MONDAY}T09:00"
    assert visit.minutes == 30
    assert [c.action for c in visit.changes.all()] == ["booked"]


def test_book_refuses_an_overlap_and_names_the_three_nearest_times(clinic, nurse, wanted):
    """Wish 2: visits of different lengths."""
    services.book(wanted(10), by=nurse)

    with pytest.raises(TimeTaken, match="another visit") as refused:
        services.book(wanted(10, 15, type=make_type(minutes=15)), by=nurse)

    clocks = [(slot.starts - at(MONDAY, 10, 15)).total_seconds() / 60 for slot in refused.value.nearest]
    assert clocks == [15, -45, 45]
    assert Appointment.objects.count() == 1


def test_book_lets_visits_meet(clinic, nurse, wanted):
    services.book(wanted(9), by=nurse)
    services.book(wanted(9, 30), by=nurse)

    assert Appointment.objects.live().count() == 2


def test_book_refuses_a_patient_who_is_elsewhere_then(clinic, nurse, house, wanted):
    """Wish 5."""
    patient = PatientFactory()
    services.book(wanted(9, patient=patient), by=nurse)
    other = make_practitioner("Otto", "Orejuela")

    with pytest.raises(TimeTaken, match="patient"):
        services.book(wanted(9, patient=patient, practitioner=other), by=nurse)


def test_book_claims_a_room_and_refuses_when_none_is_left(clinic, nurse, house, wanted):
    """Wish 6."""
    scan = make_type("scan")
    TypeNeed.objects.create(type=scan, kind=Resource.Kind.ROOM, category="ultrasound")
    create_resource(by=nurse, location=house, kind="room", name="Scan 1", category="ultrasound")
    visit = services.book(wanted(9, type=scan), by=nurse)
    assert [claim.resource.name for claim in visit.resources.all()] == ["Scan 1"]

    other = make_practitioner("Otto", "Orejuela")
    work(other, house)
    with pytest.raises(TimeTaken, match="ultrasound"):
        services.book(wanted(9, type=scan, practitioner=other), by=nurse)
    assert Appointment.objects.count() == 1


def test_book_takes_no_room_of_another_house(clinic, nurse, house, practitioner, wanted):
    """Wish 6: the room is where the visit is."""
    scan = make_type("scan")
    TypeNeed.objects.create(type=scan, kind=Resource.Kind.ROOM)
    create_resource(by=None, location=make_location("Annex"), kind="room", name="A far room")

    with pytest.raises(TimeTaken, match="No Room is free"):
        services.book(wanted(9, type=scan), by=nurse)
    assert slots(*plan_of(practitioner, scan)) == []

    near = create_resource(by=None, location=house, kind="room", name="Near")
    assert [claim.resource for claim in services.book(wanted(9, type=scan), by=nurse).resources.all()] == [near]
    assert {slot.resources for slot in slots(*plan_of(practitioner, scan))} == {(near.pk,)}


def plan_of(practitioner, type):
    return plans.load_plan([practitioner], MONDAY, MONDAY, type=type), plans.demand_of(type)


def test_book_keeps_to_the_limit_of_a_day_of_that_kind_and_practitioner(clinic, nurse, doctor, house, wanted):
    few = make_type("few", per_day=2)
    services.book(wanted(9), by=nurse)  # another kind does not count
    first = services.book(wanted(10, type=few), by=nurse)
    assert len(slots(*plan_of(first.practitioner, few))) == 4
    services.book(wanted(10, 30, type=few), by=nurse)

    with pytest.raises(TimeNotOffered, match="No more than 2 of these visits a day") as refused:
        services.book(wanted(11, type=few), by=nurse)

    assert {slot.starts.date() for slot in refused.value.nearest} == {MONDAY + timedelta(days=1)}
    assert slots(*plan_of(first.practitioner, few)) == []
    services.book(wanted(11), by=nurse)  # and others are still booked
    services.reschedule(first, by=nurse, starts_at=at(MONDAY, 11, 30))  # it counts only once
    other = make_practitioner("Otto", "Orejuela")
    services.book(wanted(9, type=few, practitioner=other), by=nurse)
    services.book(wanted(9, 30, type=few, overbook_reason="Urgent"), by=doctor)


def test_book_leaves_hours_of_one_kind_to_it(clinic, nurse, house, practitioner, wanted):
    shots, talk = make_type("shots"), make_type("talk")
    work(practitioner, house, weekdays=[0], starts=time(14), ends=time(16), only_type=shots)

    for kind in (talk, None):
        with pytest.raises(TimeNotOffered, match="kept for another kind of visit"):
            services.book(wanted(14, type=kind), by=nurse)
    assert services.book(wanted(14, type=shots), by=nurse).state == State.BOOKED


def test_book_refuses_a_house_nobody_uses_any_more(clinic, admin, nurse, house, wanted):
    update_location(house, by=admin, changes={"is_active": False})
    house.refresh_from_db()

    with pytest.raises(RuleBroken, match="Nobody is seen at Main house any more"):
        services.book(wanted(9), by=nurse)


def test_overbooking_where_nothing_is_in_the_way_is_an_ordinary_visit(clinic, doctor, house, wanted):
    scan = make_type("scan")
    TypeNeed.objects.create(type=scan, kind=Resource.Kind.ROOM)
    create_resource(by=None, location=house, kind="room", name="Room 1")

    free = services.book(wanted(9, type=scan, overbook_reason="In case"), by=doctor)
    late = services.book(wanted(20, type=scan, overbook_reason="Pain"), by=doctor)
    over = services.book(wanted(9, type=scan, overbook_reason="Pain"), by=doctor)

    assert [(visit.lane, visit.resources.count()) for visit in (free, late, over)] == [(0, 1), (1, 1), (1, 0)]


def test_book_keeps_buffers(clinic, nurse, wanted):
    services.book(wanted(9, type=make_type("long", minutes=30, buffer_after=15)), by=nurse)

    with pytest.raises(TimeTaken):
        services.book(wanted(9, 30), by=nurse)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"ends_at": at(MONDAY, 9)}, "End time must be after start time"),
        ({"ends_at": at(MONDAY, 18)}, "at most 8 hours"),
    ],
)
def test_book_refuses_lengths_that_make_no_sense(clinic, nurse, wanted, change, sentence):
    with pytest.raises(RuleBroken, match=sentence):
        services.book(wanted(9, **change), by=nurse)


def test_book_refuses_the_past_the_archived_and_the_dead(clinic, nurse, practitioner, house):
    archived, dead = PatientFactory(), PatientFactory(is_deceased=True)
    archived.archived_at = timezone.now()
    for patient, when, sentence in [
        (PatientFactory(), timezone.now() - timedelta(hours=2), "has passed"),
        (archived, at(MONDAY, 9), "archived"),
        (dead, at(MONDAY, 9), "has died"),
    ]:
        with pytest.raises(RuleBroken, match=sentence):
            services.book(Wanted(patient=patient, practitioner=practitioner, location=house, starts_at=when), by=nurse)
    assert not Appointment.objects.exists()


def test_book_refuses_leave_holidays_and_what_is_outside_of_the_hours(clinic, nurse, practitioner, wanted):
    with pytest.raises(TimeNotOffered, match="outside of the working hours"):
        services.book(wanted(15), by=nurse)
    Leave.objects.create(
        practitioner=practitioner, kind="illness", starts_at=at(MONDAY, 9), ends_at=at(MONDAY, 10), note="Flu"
    )
    with pytest.raises(TimeNotOffered, match="away then: Flu"):
        services.book(wanted(9), by=nurse)
    add_holiday(by=nurse, day=MONDAY, name="Independence Day")
    with pytest.raises(TimeNotOffered, match="Independence Day"):
        services.book(wanted(11), by=nurse)


def test_overbooking_takes_the_permission_and_stands_in_a_lane_of_its_own(clinic, nurse, doctor, wanted):
    """Wish 4."""
    services.book(wanted(9), by=nurse)
    doctor.__dict__["permissions"] = doctor.permissions | {"appointments.overbook"}

    with pytest.raises(NotAllowed):
        services.book(wanted(9, overbook_reason="Pain since yesterday"), by=nurse)
    lanes = [services.book(wanted(9, overbook_reason="Pain"), by=doctor).lane for _ in range(MOST_LANES)]
    with pytest.raises(TimeTaken, match="as far as it may be"):
        services.book(wanted(9, overbook_reason="Pain"), by=doctor)

    assert lanes == [1, 2, 3]
    assert Appointment.objects.filter(lane__gt=0, overbook_reason="Pain").count() == 3


def test_a_double_submit_books_once(clinic, nurse, wanted):
    asked = wanted(9, submit_key=uuid.uuid4())

    assert services.book(asked, by=nurse).pk == services.book(asked, by=nurse).pk
    assert Appointment.objects.count() == 1


def test_a_form_that_was_sent_and_changed_is_not_taken_for_a_double_submit(clinic, nurse, patient_user, wanted):
    """Back in the browser, another patient, Book: the second patient must not seem to be booked."""
    asked = wanted(9, submit_key=uuid.uuid4())
    done = services.book(asked, by=nurse)

    for change in ({"patient": PatientFactory()}, {"starts_at": at(MONDAY, 10)}):
        with pytest.raises(RuleBroken, match=f"has booked visit {done.number} already"):
            services.book(replace(asked, **change), by=nurse)
    services.reschedule(done, by=nurse, starts_at=at(MONDAY, 11))
    assert services.book(asked, by=nurse).pk == done.pk  # the same press, come late
    assert Appointment.objects.count() == 1


def test_a_hold_keeps_the_time_until_it_is_over(clinic, nurse, wanted):
    """Wish 3: what is pending keeps the time."""
    hold = services.book(wanted(9), by=nurse, state=State.HELD)
    with pytest.raises(TimeTaken):
        services.book(wanted(9), by=nurse)

    Appointment.objects.filter(pk=hold.pk).update(hold_expires_at=timezone.now() - timedelta(seconds=1))
    booked = services.book(wanted(9), by=nurse)

    hold.refresh_from_db()
    assert (hold.state, booked.state) == (State.CANCELLED, State.BOOKED)
    with pytest.raises(RuleBroken):
        services.move(hold, State.BOOKED, by=nurse)


def test_expire_holds_gives_back_only_what_is_over(clinic, nurse, wanted):
    late = services.book(wanted(9), by=nurse, state=State.HELD)
    services.book(wanted(10), by=nurse, state=State.HELD)
    Appointment.objects.filter(pk=late.pk).update(hold_expires_at=timezone.now() - timedelta(seconds=1))

    assert services.expire_holds() == 1
    assert services.expire_holds() == 0


# --- Moves -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("old", State.values)
def test_moves_follow_the_table_and_nothing_else(clinic, nurse, wanted, old):
    visit = services.book(wanted(), by=nurse)
    for new in State.values:
        Appointment.objects.filter(pk=visit.pk).update(state=old, is_live=old in LIVE)
        if new in MOVES[old]:
            assert services.move(visit, new, by=nurse, reason="Because").state == new
        else:
            with pytest.raises(services.MoveRefused):
                services.move(visit, new, by=nurse, reason="Because")


def test_confirm_is_compare_and_set(clinic, nurse, wanted):
    """Wish 3."""
    visit = services.book(wanted(), by=nurse, state=State.REQUESTED)
    services.move(visit, State.CANCELLED, by=nurse, reason="Withdrawn")

    with pytest.raises(services.MoveRefused, match="Cancelled by now"):
        services.move(visit, State.CONFIRMED, by=nurse, expected_state=State.REQUESTED)


def test_cancelling_frees_the_time_and_undo_takes_it_back_while_it_is_free(clinic, nurse, wanted):
    visit = services.book(wanted(9), by=nurse)
    with pytest.raises(RuleBroken, match="Say why"):
        services.move(visit, State.CANCELLED, by=nurse)
    services.move(visit, State.CANCELLED, by=nurse, reason="Ill")
    assert services.undo_move(visit, by=nurse).state == State.BOOKED

    services.move(visit, State.CANCELLED, by=nurse, reason="Ill")
    services.book(wanted(9), by=nurse)
    with pytest.raises(TimeTaken):
        services.undo_move(visit, by=nurse)


def test_arriving_is_timed_and_undone(clinic, nurse, wanted):
    visit = services.move(services.book(wanted(), by=nurse), State.ARRIVED, by=nurse)
    assert visit.arrived_at is not None

    assert services.undo_move(visit, by=nurse).arrived_at is None


def test_reschedule_keeps_the_identity_and_refuses_what_is_stale(clinic, nurse, wanted):
    visit = services.book(wanted(9), by=nurse)
    services.book(wanted(10), by=nurse)

    moved = services.reschedule(visit, by=nurse, starts_at=at(MONDAY, 11), expected_version=1)

    assert (moved.pk, moved.sequence, moved.wall_start) == (visit.pk, 1, f"{MONDAY}T11:00")
    with pytest.raises(StaleVersion):
        services.reschedule(visit, by=nurse, starts_at=at(MONDAY, 9), expected_version=1)
    with pytest.raises(TimeTaken):
        services.reschedule(visit, by=nurse, starts_at=at(MONDAY, 10))
    # Over its own old time it may go.
    assert services.reschedule(moved, by=nurse, starts_at=at(MONDAY, 11, 15)).sequence == 2


# --- The table itself ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("subject", ["practitioner", "patient", "resource"])
def test_the_table_refuses_an_overlap_nobody_has_checked(clinic, nurse, house, wanted, subject):
    """Wish 2: raw rows meet the same rule as pages and the API."""
    scan = make_type("scan")
    TypeNeed.objects.create(type=scan, kind=Resource.Kind.ROOM)
    create_resource(by=nurse, location=house, kind="room", name="Scan 1")
    visit = services.book(wanted(9, type=scan), by=nurse)
    other = make_practitioner("Otto", "Orejuela")
    copy = Appointment.objects.get(pk=visit.pk)
    copy.pk, copy.number = uuid.uuid4(), 99
    if subject != "practitioner":
        copy.practitioner = other
    if subject != "patient":
        copy.patient = PatientFactory()

    with (
        pytest.raises(IntegrityError, match=f"{subject if subject != 'resource' else 'resource'}_excl"),
        transaction.atomic(),
    ):
        copy.save(force_insert=True)
        claim = visit.resources.get()
        claim.pk, claim.appointment = uuid.uuid4(), copy
        claim.save(force_insert=True)


# --- Races -----------------------------------------------------------------------------------------------------------


def race(tenant, count, act):
    """`act(n)` in so many threads at once, each in its own connection and transaction; what each came to."""
    results, barrier = [], Barrier(count)

    def run(number):
        barrier.wait()
        try:
            with tenant_context(tenant.id):
                act(number)
            results.append("booked")
        except Exception as error:
            results.append(type(error).__name__)
        finally:
            connection.close()

    threads = [Thread(target=run, args=(n,)) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


@pytest.fixture
def open_house(committed_db):
    """A clinic with committed rows: (tenant, nurse, practitioner, location, patients)."""
    tenant, _ = open_clinic()
    with tenant_context(tenant.id):
        house, found = make_location(), make_practitioner()
        work(found, house, starts=time(8), ends=time(18), step=5)
        yield_ = (tenant, MembershipFactory(role="nurse"), found, house, [PatientFactory() for _ in range(16)])
    return yield_


def test_of_many_bookers_of_one_time_one_gets_it(open_house):
    """Wish 1, without HTTP; `make bench` does the 200 rounds of 50 over HTTP."""
    tenant, nurse, practitioner, house, patients = open_house
    for hour in (9, 10, 11):
        results = race(
            tenant,
            16,
            lambda n, hour=hour: services.book(
                Wanted(patient=patients[n], practitioner=practitioner, location=house, starts_at=at(MONDAY, hour)),
                by=nurse,
            ),
        )
        assert sorted(set(results)) == ["TimeTaken", "booked"]
        assert results.count("booked") == 1


def naive_book(patient, practitioner, house, starts_at):
    """Check, then insert, without a lock and past the constraint: what others do (negative control)."""
    ends_at = starts_at + timedelta(minutes=30)
    if Appointment.objects.filter(starts_at__lt=ends_at, ends_at__gt=starts_at, state="booked").exists():
        raise TimeTaken("taken", who="practitioner")
    Appointment.objects.create(
        number=uuid.uuid4().int % 10**9, patient=patient, practitioner=practitioner, location=house,
        starts_at=starts_at, ends_at=ends_at, busy_from=starts_at, busy_until=ends_at, wall_start="", time_zone="",
        lane=uuid.uuid4().int % 30_000 + 1, overbook_reason="around the constraint",
    )  # fmt: skip


def test_checking_without_a_lock_books_twice(open_house):
    """Wish 1, negative control: what a check without a lock lets through."""
    tenant, _nurse, practitioner, house, patients = open_house
    doubles = 0
    for hour in range(8, 18):
        results = race(tenant, 8, lambda n, hour=hour: naive_book(patients[n], practitioner, house, at(MONDAY, hour)))
        doubles += results.count("booked") > 1

    assert doubles


def test_of_many_bookers_of_a_group_as_many_as_it_has_places_get_in(open_house):
    """Negative control: with one place more, one more gets in."""
    tenant, nurse, found, house, patients = open_house
    for capacity, hour in ((5, 9), (6, 11)):
        with tenant_context(tenant.id):
            kind = make_type(f"group-{capacity}", capacity=capacity)

        def join(number, kind=kind, hour=hour):
            wanted = Wanted(patient=patients[number], practitioner=found, location=house, type=kind,
                            starts_at=at(MONDAY, hour))  # fmt: skip
            services.book(wanted, by=nurse)

        results = race(tenant, len(patients), join)

        assert sorted(set(results)) == ["GroupFull", "booked"]
        assert results.count("booked") == capacity
        with tenant_context(tenant.id):
            assert Appointment.objects.filter(patient=None, type=kind).count() == 1


def test_a_kept_time_saved_by_many_presses_becomes_one_visit(open_house):
    tenant, nurse, found, house, patients = open_house
    wanted = Wanted(patient=patients[0], practitioner=found, location=house, starts_at=at(MONDAY, 9))
    with tenant_context(tenant.id):
        hold = services.book(wanted, by=nurse, state=State.HELD)
    seen, save = set(), replace(wanted, hold=hold.pk, submit_key=uuid.uuid4())

    results = race(tenant, 12, lambda _number: seen.add(services.book(save, by=nurse).pk))

    assert (results, seen) == (["booked"] * 12, {hold.pk})
    with tenant_context(tenant.id):
        assert [(visit.pk, visit.state) for visit in Appointment.objects.all()] == [(hold.pk, State.BOOKED)]
