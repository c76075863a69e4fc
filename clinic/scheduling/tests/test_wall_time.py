"""Wall time over both clock changes, in zones that do it in different ways (wishes 7 and 8)."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinic.scheduling.wall_time import NoSuchTime, TwiceThatDay, day_bounds, moment_of, nearest_moment, wall_of, window

# Half-hour shifts (Lord Howe), no shifts (Bogotá), quarter hours (Chatham), shifts at midnight (Beirut, Santiago).
ZONES = [
    *["America/Bogota", "Europe/London", "America/New_York", "Australia/Lord_Howe", "Pacific/Chatham"],
    *["Asia/Beirut", "America/Santiago", "Asia/Kathmandu"],
]
zones = st.sampled_from(ZONES).map(ZoneInfo)
walls = st.datetimes(datetime(2020, 1, 1), datetime(2035, 12, 31)).map(lambda d: d.replace(second=0, microsecond=0))
days = st.dates(date(2020, 1, 1), date(2035, 12, 30))


@given(walls, zones)
def test_moment_of_reads_back_as_the_same_wall_time(wall, zone):
    try:
        moment = moment_of(wall, zone)
    except NoSuchTime:
        assert wall_of(nearest_moment(wall, zone), zone) > wall
    except TwiceThatDay:
        first, second = moment_of(wall, zone, fold=0), moment_of(wall, zone, fold=1)
        assert first < second
        assert wall_of(first, zone) == wall_of(second, zone) == wall
    else:
        assert wall_of(moment, zone) == wall


@given(days, zones)
def test_day_bounds_of_neighbours_meet_and_hold_23_to_25_hours(day, zone):
    begins, ends = day_bounds(day, zone)

    assert ends == day_bounds(day + timedelta(days=1), zone)[0]
    assert timedelta(hours=22) <= ends - begins <= timedelta(hours=26)
    assert begins.astimezone(zone).date() == day


@given(days, zones, st.times(), st.times())
def test_window_is_never_empty_or_backwards_but_for_a_gap(day, zone, starts, ends):
    starts, ends = starts.replace(second=0, microsecond=0), ends.replace(second=0, microsecond=0)
    opens, closes = window(day, starts, ends, zone)

    assert closes >= opens
    assert closes - opens <= timedelta(hours=25)


@pytest.mark.parametrize(
    ("zone", "wall"),
    [
        ("Europe/London", datetime(2026, 3, 29, 1, 30)),
        ("America/New_York", datetime(2026, 3, 8, 2, 30)),
        ("Australia/Lord_Howe", datetime(2026, 10, 4, 2, 15)),
        ("Asia/Beirut", datetime(2026, 3, 29, 0, 30)),
    ],
)
def test_moment_of_a_time_that_does_not_exist_is_refused(zone, wall):
    with pytest.raises(NoSuchTime, match="does not exist"):
        moment_of(wall, ZoneInfo(zone))
    assert wall_of(nearest_moment(wall, ZoneInfo(zone)), ZoneInfo(zone)).minute in {0, 30}


def test_moment_of_a_time_that_comes_twice_wants_to_know_which():
    wall, zone = datetime(2026, 10, 25, 1, 30), ZoneInfo("Europe/London")

    with pytest.raises(TwiceThatDay, match="comes twice"):
        moment_of(wall, zone)
    assert moment_of(wall, zone, fold=0) == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert moment_of(wall, zone, fold=1) == datetime(2026, 10, 25, 1, 30, tzinfo=UTC)


def test_window_over_midnight_and_over_the_change_keeps_the_clock():
    zone = ZoneInfo("Europe/London")

    opens, closes = window(date(2026, 3, 28), time(22), time(6), zone)

    assert (wall_of(opens, zone).hour, wall_of(closes, zone).hour) == (22, 6)
    assert closes - opens == timedelta(hours=7)
