"""Free times and the reasons against the others: pure, so examples are small and properties many."""

import uuid
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from clinic.scheduling.availability import Block, Busy, Calendar, Demand, Need, Plan, Window, nearest, slots

WHO, WHERE, TYPE = uuid.uuid4(), uuid.uuid4(), uuid.uuid4()
START = datetime(2026, 12, 7, 14, tzinfo=UTC)


def at(minutes):
    return START + timedelta(minutes=minutes)


def plan(*blocks, minutes=120, step=30, **parts):
    return Plan(
        windows=[Window(START, at(minutes), WHO, WHERE, step, "Mondays")],
        practitioner_blocks={WHO: list(blocks)},
        day_of={WHERE: UTC},
        **parts,
    )


def demand(minutes=30, **parts):
    return Demand(type_id=TYPE, minutes=minutes, **parts)


def starts(found):
    return [(slot.starts - START).total_seconds() // 60 for slot in found]


def test_slots_offer_every_step_that_fits():
    assert starts(slots(plan(), demand())) == [0, 30, 60, 90]
    assert starts(slots(plan(), demand(minutes=60))) == [0, 30, 60]
    assert starts(slots(plan(minutes=20), demand())) == []


def test_slots_leave_out_what_a_booking_touches_and_keep_what_only_meets_it():
    taken = Block(at(30), at(60), "booked", "appointment 7")

    assert starts(slots(plan(taken), demand())) == [0, 60, 90]


def test_slots_keep_buffers_free():
    taken = Block(at(60), at(90), "booked", "appointment 7")

    assert starts(slots(plan(taken), demand(buffer_after=10))) == [0, 90]


def test_slots_explain_every_reason_at_once():
    away, shut = Block(at(0), at(45), "leave", "Holiday"), Block(at(0), at(30), "closed", "closed")
    found = slots(plan(away, location_blocks={WHERE: [shut]}), demand(), explain=True)

    assert [[r.kind for r in slot.reasons] for slot in found] == [["leave", "closed"], ["leave"], [], []]
    assert found[0].reasons[0].words == "Holiday"


def test_slots_choose_a_free_resource_and_name_the_one_that_is_missing():
    rooms = uuid.uuid4(), uuid.uuid4()
    needs = (Need("ultrasound", rooms),)
    busy = {rooms[0]: [Block(at(0), at(60), "resource", "")], rooms[1]: [Block(at(30), at(60), "resource", "")]}
    found = slots(plan(resource_blocks=busy), demand(needs=needs), explain=True)

    assert [slot.resources for slot in found] == [(rooms[1],), (), (rooms[0],), (rooms[0],)]
    assert found[1].reasons[0].words == "ultrasound"


def test_slots_two_needs_of_one_kind_take_two_resources():
    room = uuid.uuid4()

    assert slots(plan(), demand(needs=(Need("a", (room,)), Need("b", (room,))))) == []


def test_slots_respect_lead_time_horizon_and_the_limit_of_a_day():
    assert starts(slots(plan(), demand(not_before=at(31)))) == [60, 90]
    assert starts(slots(plan(), demand(not_after=at(30)))) == [0, 30]
    full = plan(booked_per_day={(WHO, START.date()): 4})
    assert [r.kind for slot in slots(full, demand(per_day=4), explain=True) for r in slot.reasons] == ["per_day"] * 4
    assert starts(slots(full, demand(per_day=5))) == [0, 30, 60, 90]


def test_nearest_gives_the_three_closest_free_times():
    found = slots(plan(minutes=300), demand())

    assert starts(nearest(found, at(100))) == [90, 120, 60]


spans = st.lists(st.tuples(st.integers(0, 600), st.integers(1, 120)), max_size=25)


@given(spans, st.integers(0, 600), st.integers(1, 90))
def test_calendar_agrees_with_looking_at_every_block(blocks, low, length):
    made = [Block(at(start), at(start + minutes), "booked", str(n)) for n, (start, minutes) in enumerate(blocks)]
    first, last = at(low).timestamp(), at(low + length).timestamp()
    naive = {b.words for b in made if b.starts.timestamp() < last and b.ends.timestamp() > first}

    assert {b.words for b in Calendar(made).overlapping(first, last)} == naive


@given(spans, st.integers(5, 60), st.integers(5, 60))
def test_free_slots_never_share_time_with_a_block(blocks, minutes, step):
    made = [Block(at(start), at(start + length), "booked", "") for start, length in blocks]
    found = slots(plan(*made, minutes=600, step=step), demand(minutes=minutes), explain=True)

    for slot in found:
        clash = any(b.starts < slot.ends and b.ends > slot.starts for b in made)
        assert slot.is_free != clash
    assert starts(found) == list(range(0, 600 - minutes + 1, step))


@given(
    blocks=st.lists(st.tuples(st.integers(0, 40), st.integers(1, 9)), max_size=12),
    low=st.integers(0, 45),
    length=st.integers(1, 9),
)
def test_busy_agrees_with_looking_at_every_claim(blocks, low, length):
    claims = sorted((start, start + minutes) for start, minutes in blocks)
    busy = Busy([start for start, _end in claims], [end for _start, end in claims])

    assert busy.is_free(low, low + length) == all(end <= low or start >= low + length for start, end in claims)
