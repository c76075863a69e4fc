import datetime
from base64 import urlsafe_b64decode

import pytest
from django.db.models import F, Value
from django.db.models.functions import NullIf
from django.test import RequestFactory

from tenancy.doors import paging
from tenancy.doors.paging import PageQuery, capped_count, paginate
from tenancy.doors.refusals import FieldsRefused
from tenancy.tenants.context import tenant_context
from tenancy.tenants.models import Tenant

pytestmark = pytest.mark.django_db


class ClinicQuery(PageQuery):
    sorts = {"name": "name", "zone": ("time_zone", "name"), "created_at": "created_at", "nickname": "nickname"}
    default_sort = "name asc"


class LongQuery(ClinicQuery):
    default_limit = 10


@pytest.fixture
def clinics():
    """25 clinics in 3 time zones, five of them without a nickname; their names in order."""
    zones = ["UTC", "Europe/London", "America/Bogota"]
    made = [
        Tenant(
            slug=f"paging-{n}",
            name=f"Clinic {n:02}",
            time_zone=zones[n % 3],
            created_at=datetime.datetime(2026, 1, 1 + n // 10, tzinfo=datetime.UTC),
        )
        for n in range(25)
    ]
    Tenant.objects.bulk_create(made)
    return [clinic.name for clinic in made]


def rows():
    nickname = F("name")
    for n in range(5):
        nickname = NullIf(nickname, Value(f"Clinic {n:02}"))
    return Tenant.objects.filter(slug__startswith="paging-").annotate(nickname=nickname)


def page_of(query_string="", query=ClinicQuery, queryset=None):
    return paginate(rows() if queryset is None else queryset, query.read(RequestFactory().get(f"/?{query_string}")))


def names(page):
    return [row.name for row in page.items]


def walk(sort, size=4):
    """All names in the order of the cursor, from the first page to the last."""
    page, seen = page_of(f"sort={sort}&limit={size}"), []
    while True:
        seen += names(page)
        if page.next_cursor is None:
            return seen
        page = page_of(f"sort={sort}&limit={size}&cursor={page.next_cursor}")


def refusal(query_string):
    with pytest.raises(FieldsRefused) as caught:
        page_of(query_string)
    return [(entry["loc"][-1], entry["type"]) for entry in caught.value.problems]


def test_paginate_answers_the_first_twenty(clinics):
    page = page_of()

    assert names(page) == clinics[:20]
    assert (page.page, page.page_size, page.total, page.pages) == (1, 20, 25, 2)


def test_paginate_last_page_needs_no_count(clinics, django_assert_num_queries):
    with django_assert_num_queries(1):
        page = page_of("page=2")

    assert names(page) == clinics[20:]
    assert (page.total, page.next_cursor) == (25, None)


@pytest.mark.parametrize("spelling", ["limit", "page_size", "size"])
def test_paginate_takes_three_spellings_of_the_size(clinics, spelling):
    assert names(page_of(f"{spelling}=3&page=2")) == clinics[3:6]


def test_paginate_cuts_the_size_to_a_hundred(clinics):
    assert page_of("limit=101").page_size == 100
    assert page_of("limit=1000000000").page_size == 100


def test_paginate_uses_the_default_of_the_list(clinics):
    assert page_of(query=LongQuery).page_size == 10


def test_paginate_beyond_the_end_is_empty(clinics):
    page = page_of("page=100000")

    assert (names(page), page.total, page.pages) == ([], 25, 2)


def test_paginate_of_nothing():
    page = page_of()

    assert page.envelope([]) == {
        "items": [], "page": 1, "page_size": 20, "total": 0, "pages": 0, "next_cursor": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("sent", "parameter"),
    [
        ("page=0", "page"),
        ("page=-1", "page"),
        ("page=1e9", "page"),
        ("page=1000000000", "page"),
        ("page=a", "page"),
        ("limit=0", "limit"),
        ("page_size=-5", "page_size"),
        ("size=" + "9" * 30, "size"),
        ("sort=slug", "sort"),
        ("sort=user__password", "sort"),
        ("sort=name%20desc,%20id", "sort"),
        ("sort=name%20desc;drop", "sort"),
        ("sort=name%20descending", "sort"),
        ("sort=name&sort=zone", "sort"),
        ("sort=--name", "sort"),
        ("page=2&cursor=abc", "cursor"),
        ("cursor=abc", "cursor"),
        ("cursor=%C3%B1", "cursor"),
        ("cursor=" + "A" * 2_001, "cursor"),
    ],
)
def test_paginate_refuses(clinics, sent, parameter):
    assert refusal(sent)[0][0] == parameter


@pytest.mark.parametrize("spelling", ["name desc", "-name"])
def test_paginate_sorts_downwards(clinics, spelling):
    assert names(page_of(f"sort={spelling}")) == clinics[:4:-1]


@pytest.mark.parametrize("direction", ["", " desc"])
@pytest.mark.parametrize("word", ["name", "zone", "created_at", "nickname"])
def test_cursor_walks_every_row_once_in_the_order_of_the_pages(clinics, word, direction):
    by_page = [name for n in range(1, 8) for name in names(page_of(f"sort={word}{direction}&limit=4&page={n}"))]

    assert sorted(by_page) == clinics
    assert walk(f"{word}{direction}") == by_page


def test_cursor_is_not_shifted_by_new_rows(clinics):
    first = page_of("limit=10")
    Tenant.objects.create(slug="paging-new", name="Clinic 00 new")

    assert names(page_of(f"limit=10&cursor={first.next_cursor}")) == clinics[10:20]


def test_page_numbers_are_shifted_by_new_rows(clinics):
    Tenant.objects.create(slug="paging-new", name="Clinic 00 new")

    assert names(page_of("limit=10&page=2")) != clinics[10:20]


def test_cursor_belongs_to_one_order(clinics):
    cursor = page_of("limit=10").next_cursor

    assert refusal(f"limit=10&sort=zone&cursor={cursor}") == [("cursor", "cursor")]


def test_cursor_shows_no_values(clinics):
    cursor = page_of("limit=10").next_cursor

    assert b"Clinic" not in urlsafe_b64decode(cursor + "==")


def test_cursor_changed_by_one_character_is_refused(clinics):
    cursor = page_of("limit=10").next_cursor
    changed = cursor[:30] + ("A" if cursor[30] != "A" else "B") + cursor[31:]

    assert refusal(f"limit=10&cursor={changed}") == [("cursor", "cursor")]


def test_paginate_walks_values_too(clinics):
    page = page_of("limit=5", queryset=rows().values("id", "name"))

    assert [row["name"] for row in page.items] == clinics[:5]
    assert page.next_cursor


def test_capped_count_stops_counting(clinics, django_assert_num_queries):
    with django_assert_num_queries(1) as done:
        assert capped_count(rows(), cap=10) == (10, True)

    assert "LIMIT 11" in done.captured_queries[0]["sql"]
    assert capped_count(rows(), cap=25) == (25, False)


def test_envelopes_flag_a_capped_total(clinics, monkeypatch):
    monkeypatch.setattr(paging, "COUNTED_EXACTLY", 10)
    monkeypatch.setattr(paging.capped_count, "__defaults__", (10,))
    page = page_of("limit=5")

    assert page.keyed("clinics", [1]) == {
        "clinics": [1], "total": 10, "page": 1, "limit": 5, "pages": 2, "total_is_capped": True,
    }  # fmt: skip
    assert page.envelope([])["total_is_capped"] is True


def test_paginate_refuses_the_cursor_of_another_clinic(clinics):
    """Its rows would not come, but where it stands tells how much the other clinic has."""
    ours, theirs = Tenant.objects.all()[:2]
    with tenant_context(theirs.id):
        cursor = page_of("limit=5").next_cursor
        assert page_of(f"limit=5&cursor={cursor}").items

    with tenant_context(ours.id), pytest.raises(FieldsRefused):
        page_of(f"limit=5&cursor={cursor}")
