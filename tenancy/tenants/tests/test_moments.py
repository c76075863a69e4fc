"""Moments come out of the database as Django reads them, only faster (tenancy/postgres)."""

from datetime import UTC, datetime

import pytest
from django.db import DataError, connection

from tenancy.postgres.base import MomentLoader


def read(text, zone="UTC"):
    with connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL TIME ZONE '{zone}'")
        cursor.execute("SELECT %s::text::timestamptz", [text])
        return cursor.fetchone()[0]


MOMENTS = [
    ("2026-03-02T10:00:00Z", datetime(2026, 3, 2, 10, tzinfo=UTC)),
    ("2026-03-02T10:00:00.5-05:00", datetime(2026, 3, 2, 15, 0, 0, 500_000, tzinfo=UTC)),
    ("2026-03-02T10:00:00.000001+05:30", datetime(2026, 3, 2, 4, 30, 0, 1, tzinfo=UTC)),
]
ENDS = [
    ("0001-01-01T00:00:00Z", datetime(1, 1, 1, tzinfo=UTC)),
    ("9999-12-31T23:59:59.999999Z", datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)),
]


@pytest.mark.parametrize(("text", "moment"), [*MOMENTS, *ENDS])
def test_a_moment_is_read_in_utc(text, moment, db):
    found = read(text)

    assert (found, found.tzinfo) == (moment, UTC)


@pytest.mark.parametrize(("text", "moment"), MOMENTS)
@pytest.mark.parametrize("zone", ["America/Bogota", "Asia/Kathmandu"])
def test_a_moment_is_the_same_whatever_the_connection_speaks(text, moment, zone, db):
    found = read(text, zone)

    assert (found, found.tzinfo) == (moment, UTC)


@pytest.mark.parametrize("text", ["infinity", "0044-03-15T00:00:00Z BC", "12026-01-01T00:00:00Z"])
def test_what_python_does_not_know_is_refused_as_ever(text, db):
    with pytest.raises(DataError):
        read(text)


def test_every_connection_reads_so(db):
    assert connection.connection.adapters.get_loader(1184, 0) is MomentLoader
