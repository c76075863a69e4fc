from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from django.utils import translation

from config.look import wording

BORN = date(1978, 3, 14)


@pytest.mark.parametrize(
    ("language", "value", "written"),
    [
        ("en", BORN, "14 Mar 1978"),
        ("es", BORN, "14 mar 1978"),
        ("en", "1978-03-14", "14 Mar 1978"),
        ("en", "1978-03", "Mar 1978"),
        ("en", "1978", "1978"),
        ("en", "1978-99", "1978-99"),
        ("en", datetime(2026, 11, 21, 9, 51), "21 Nov 2026"),
        ("en", None, ""),
        ("en", "", ""),
    ],
)
def test_write_date_never_uses_figures_only(language, value, written):
    with translation.override(language):
        assert wording.write_date(value) == written


@pytest.mark.parametrize(
    ("on", "written"),
    [
        (date(1978, 3, 14), "0 days"),
        (date(1978, 4, 13), "30 days"),
        (date(1978, 4, 14), "1 month"),
        (date(1980, 3, 13), "23 months"),
        (date(1980, 3, 14), "2 years"),
        (date(2026, 3, 13), "47 years"),
        (date(2026, 3, 14), "48 years"),
        (date(1978, 3, 13), ""),
    ],
)
def test_write_age_changes_its_unit_as_a_child_grows(on, written):
    with translation.override("en"):
        assert wording.write_age(BORN, on) == written


def test_write_age_of_nobody_known_is_empty():
    assert wording.write_age(None, BORN) == ""


@pytest.mark.parametrize(
    ("value", "country", "written"),
    [
        ("1020345678", "CO", "1.020.345.678"),
        ("9434765919", "GB", "943\N{NO-BREAK SPACE}476\N{NO-BREAK SPACE}5919"),
        ("12345678", "", "12\N{NO-BREAK SPACE}345\N{NO-BREAK SPACE}678"),
        ("0045127788", "CO", "0.045.127.788"),
        ("1234", "CO", "1234"),
        ("X-88120", "CO", "X-88120"),
        ("", "CO", ""),
        (None, "CO", ""),
    ],
)
def test_write_document_number_groups_as_the_country_does(value, country, written):
    assert wording.write_document_number(value, country) == written


@pytest.mark.parametrize(("language", "written"), [("en", "12,345"), ("es", "12.345")])
def test_write_count_parts_thousands_as_the_language_does(language, written):
    with translation.override(language):
        assert wording.write_count(12345) == written
        assert wording.write_count(345) == "345"


@pytest.mark.parametrize(
    ("zone", "written"),
    [
        ("America/Bogota", "21 Nov 2026, 09:51 UTC\N{MINUS SIGN}5"),
        ("Europe/London", "21 Nov 2026, 14:51 GMT"),
        ("Asia/Kolkata", "21 Nov 2026, 20:21 IST"),
        ("Asia/Kathmandu", "21 Nov 2026, 20:36 UTC+5:45"),
    ],
)
def test_write_time_names_the_zone_of_the_clinic(zone, written):
    instant = datetime(2026, 11, 21, 14, 51, tzinfo=UTC)

    with translation.override("en"):
        assert wording.write_time(instant, ZoneInfo(zone)) == written


def test_write_time_leaves_out_what_is_not_wanted():
    instant = datetime(2026, 11, 21, 14, 51, tzinfo=UTC)

    assert wording.write_time(instant, ZoneInfo("UTC"), with_date=False, with_zone=False) == "14:51"
    assert wording.write_time(None, ZoneInfo("UTC")) == ""
