"""Every list of the admin with as many rows as a large clinic has patients: first page, deep page, filters, search.

Rows are made in the database, a table at a time and without its triggers; a
row's id is made from its number, so that row 17 of one table points at row 17
of another.
"""

import random
from collections.abc import Iterable

import psycopg

from bench.large_clinic import PASSWORD, LargeClinic, open_web
from bench.load import hammer, sign_in
from bench.report import Figure, percentile

TARGET = 100.0
REQUESTS = 30
ID = "(lpad(to_hex(1760000000000 + n), 12, '0') || '70008000' || lpad(to_hex(n), 12, '0'))::uuid"


def measure_lists(clinic: LargeClinic, count: int) -> list[Figure]:
    """p99 of every way into every list, one request at a time, as an administrator."""
    fill(clinic, count)
    figures = []
    with open_web(clinic) as address:
        cookie = sign_in(address, "admin@large.example", PASSWORD)
        for title, paths in lists():
            hammer(address, cookie, paths[:5], connections=1)
            times, errors, _seconds = hammer(address, cookie, paths, connections=1)
            note = f"p50 {percentile(times, 0.5):.1f} ms, {errors} errors"
            figures.append(Figure(f"{title}, p99", percentile(times, 0.99), "ms", TARGET, note))
    return figures


def lists() -> Iterable[tuple[str, list[str]]]:
    """Title and addresses: each list plainly, on its last page, by each filter, in each order, and searched."""
    from django.contrib import admin
    from django.test import RequestFactory
    from django.urls import reverse

    request = RequestFactory().get("/")
    rng = random.Random(20261121)
    for model, page in admin.site._registry.items():
        name = model._meta.model_name
        address = reverse(f"admin:{model._meta.app_label}_{name}_changelist")
        ways = {name: "", f"{name}, last page": "?p=100"}
        for field in page.get_list_filter(request):
            ways |= {f"{name}, {field}={value}": f"?{field}__exact={value}" for value in _choices(model, field)}
        for place, column in enumerate(page.get_list_display(request), start=1):
            if column in (page.get_sortable_by(request) or ()):
                ways |= {f"{name}, by {column}": f"?o={place}", f"{name}, by -{column}": f"?o=-{place}"}
        for title, query in ways.items():
            yield title, [address + query] * REQUESTS
        if page.get_search_fields(request):
            words = [f"person{rng.randrange(10, 99)}" for _ in range(REQUESTS)]
            yield f"{name}, searched", [f"{address}?q={word}" for word in words]
            yield f"{name}, searched in vain", [f"{address}?q=nobody"] * REQUESTS


def _choices(model, name: str) -> list[str]:
    field = model._meta.get_field(name)
    return [str(value) for value, _words in field.choices] if field.choices else ["1", "0"]


def fill(clinic: LargeClinic, count: int) -> None:
    """Give every table of the admin so many rows, where it has fewer."""
    from django.contrib import admin

    from accounts.users.models import GroupMember, HeldRole, Membership, User

    models = list(dict.fromkeys([User, Membership, HeldRole, GroupMember, *admin.site._registry]))
    filled = set(models)
    with psycopg.connect(clinic.environment["DATABASE_ADMIN_URL"], dbname="carewright", autocommit=True) as database:
        database.execute("SET session_replication_role = replica")
        for model in models:
            there = database.execute(f'SELECT count(*) FROM "{model._meta.db_table}"').fetchone()[0]
            if there < count:
                database.execute(_insert(model, clinic.tenant_id, filled), [count])
        database.execute("VACUUM ANALYZE")


def _insert(model, tenant_id: str, filled: set) -> str:
    columns = {field.column: _value(field, tenant_id, filled) for field in model._meta.concrete_fields}
    names = ", ".join(f'"{name}"' for name in columns)
    values = ", ".join(columns.values())
    # Numbers begin high, so that they meet none that is there.
    return f'INSERT INTO "{model._meta.db_table}" ({names}) SELECT {values} FROM generate_series(1000, 999 + %s) AS n'


def _value(field, tenant_id: str, filled: set) -> str:
    """SQL for one column of row n."""
    kind = field.get_internal_type()
    if field.name == "tenant":
        return f"'{tenant_id}'"
    if field.primary_key:
        return ID if kind == "UUIDField" else "n"
    if field.is_relation:
        if field.related_model in filled and field.related_model._meta.pk.get_internal_type() == "UUIDField":
            return ID
        return "NULL" if field.null else "1"
    if field.null and not kind.endswith("IntegerField"):  # numbers people count by are never all missing
        return "NULL"
    if field.choices:
        words = [str(value) for value, _words in field.choices]
        return "(ARRAY[" + ", ".join(f"'{word}'" for word in words) + f"])[1 + n %% {len(words)}]"
    return _plain_value(field, kind)


def _plain_value(field, kind: str) -> str:
    if kind == "CharField" or kind in {"EmailField", "SlugField", "TextField"}:
        return f"left('person' || n || '@mail.example {field.name}', {field.max_length or 200})"
    return {
        "BooleanField": "n %% 20 <> 0",
        "JSONField": "'[]'",
        "DateTimeField": "now() - n * interval '1 minute'",
        "DateField": "date '1960-01-01' + n %% 20000",
        "UUIDField": ID,
        "BinaryField": "'\\x00'",
    }.get(kind, "n" if kind not in {"SmallIntegerField", "PositiveSmallIntegerField"} else "n %% 100")
