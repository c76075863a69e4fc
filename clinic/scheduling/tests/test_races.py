"""Everybody at once, with real connections: mixed lengths, moves, an illness in between (issue 4)."""

import random
from datetime import time, timedelta
from threading import Barrier, Thread

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.users.tests.factories import MembershipFactory, open_clinic
from bench.race import OVERLAPS
from clinic.patients.tests.factories import PatientFactory
from clinic.places.services import create_resource
from clinic.scheduling import disturbances, services
from clinic.scheduling.disturbances import Decision
from clinic.scheduling.models import Appointment, Leave, TypeNeed
from clinic.scheduling.services import TimeTaken, Wanted
from clinic.scheduling.states import State
from tenancy.rules import RuleBroken
from tenancy.tenants.context import tenant_context

from .factories import at, make_location, make_practitioner, make_type, next_day, work

MONDAY = next_day(0)
CLIENTS = 8


@pytest.fixture
def ward(committed_db):
    """A clinic with committed rows in which doctors, rooms and patients are all few."""
    tenant, _ = open_clinic()
    with tenant_context(tenant.id):
        nurse, house = MembershipFactory(role="nurse"), make_location()
        doctors = [make_practitioner(f"Doc{number}", "Duarte") for number in range(3)]
        for doctor in doctors:
            work(doctor, house, starts=time(8), ends=time(18), step=5)
        visit = make_type("visit", 30, buffer_after=5)
        TypeNeed.objects.create(type=visit, kind="room")
        for number in range(2):
            create_resource(by=nurse, location=house, kind="room", name=f"Room {number}")
        patients = [PatientFactory() for _ in range(6)]
        return tenant, nurse, house, doctors, [visit, make_type("word", 10)], patients


def all_at_once(tenant, act):
    """`act(number, rng)` in every client's thread; what went wrong beyond a refusal."""
    failures, barrier = [], Barrier(CLIENTS)

    def run(number):
        barrier.wait()
        try:
            for turn in range(6):
                try:
                    with tenant_context(tenant.id):
                        act(number, random.Random(number * 100 + turn))
                except RuleBroken:
                    pass
        except Exception as error:
            failures.append(repr(error))
        finally:
            connection.close()

    threads = [Thread(target=run, args=(number,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return failures


def overlaps(tenant):
    with tenant_context(tenant.id), connection.cursor() as cursor:
        found = {}
        for name, sql in OVERLAPS.items():
            cursor.execute(sql)
            (found[name],) = cursor.fetchone()
    return found


def one_of(rng, rows):
    rows = list(rows.order_by("pk"))
    return rng.choice(rows) if rows else None


def test_bookings_of_mixed_lengths_moves_and_leave_never_share_anything(ward):
    tenant, nurse, house, doctors, types, patients = ward

    def act(number, rng):
        start = at(MONDAY, rng.randrange(8, 11), rng.randrange(0, 60, 5))
        if number == 0:
            return fall_ill(rng)
        visit = one_of(rng, Appointment.objects.filter(state=State.BOOKED)) if rng.random() < 0.4 else None
        if visit is None:
            services.book(
                Wanted(patient=rng.choice(patients), practitioner=rng.choice(doctors), location=house,
                       type=rng.choice(types), starts_at=start), by=nurse)  # fmt: skip
        elif rng.random() < 0.7:
            services.reschedule(visit, by=nurse, starts_at=start, practitioner=rng.choice(doctors))
        else:
            services.move(visit, State.CANCELLED, by=nurse, reason="Race")

    def fall_ill(rng):
        """Away for an hour: whoever is there goes to a colleague an hour later, and half of the time comes back."""
        away, colleague = rng.sample(doctors, 2)
        span = at(MONDAY, 9), at(MONDAY, 10)
        decisions = [
            Decision(visit.pk, "move", visit.starts_at + timedelta(hours=2), colleague)
            for visit in disturbances.affected_by(away, *span)
        ]
        leave, batch = disturbances.take_leave(
            away, by=nurse, kind=Leave.Kind.ILLNESS, starts_at=span[0], ends_at=span[1], decisions=decisions
        )
        if rng.random() < 0.5:
            disturbances.undo_leave(leave, batch, by=nurse)

    assert all_at_once(tenant, act) == []
    with tenant_context(tenant.id):
        assert Appointment.objects.count() > CLIENTS  # how many depends on who came first
    assert overlaps(tenant) == dict.fromkeys(OVERLAPS, 0)


def test_a_refused_booking_looks_for_other_times_only_when_asked(ward):
    tenant, nurse, house, doctors, types, patients = ward
    with tenant_context(tenant.id):
        wanted = Wanted(
            patient=patients[0], practitioner=doctors[0], location=house, type=types[1], starts_at=at(MONDAY, 9)
        )
        services.book(wanted, by=nurse)
        with CaptureQueriesContext(connection) as refused, pytest.raises(TimeTaken) as taken:
            services.book(wanted, by=nurse)
        before = len(refused)
        with CaptureQueriesContext(connection) as looked:
            nearest = taken.value.nearest
        assert [slot.starts for slot in nearest] == [at(MONDAY, 8, 50), at(MONDAY, 9, 10), at(MONDAY, 8, 45)]
        assert before < 16
        assert len(looked) > 5  # what the one who was refused no longer makes everybody wait for
        with CaptureQueriesContext(connection) as again:
            assert taken.value.nearest == nearest
        assert len(again) == 0
