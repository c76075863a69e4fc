"""Finding a clinic, numbering its things, commands and tasks inside of it, prefixes, system checks."""

import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.apps import apps
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.db import connection, models

from tenancy.tenants import checks
from tenancy.tenants.commands import TenantCommand
from tenancy.tenants.context import NoTenant, current_tenant_id, get_current_tenant_id, tenant_context
from tenancy.tenants.models import Counter, Tenant, TenantForeignKey, TenantModel
from tenancy.tenants.numbering import next_number
from tenancy.tenants.roles import RoleNotConfigured, as_owner, as_role
from tenancy.tenants.selectors import find_tenant, list_active_tenants
from tenancy.tenants.tasks import tenant_task


def make_tenant(slug=None, **fields):
    slug = slug or f"t-{uuid.uuid4().hex[:12]}"
    return Tenant.objects.create(slug=slug, name=slug.title(), **fields)


# --- Which clinic ----------------------------------------------------------------------------------------------------


@pytest.fixture
def empty_house(db):
    """Tests that commit leave clinics behind; here they are closed for as long as the test runs."""
    Tenant.objects.update(is_active=False)


@pytest.fixture
def two(empty_house):
    return make_tenant("riverside"), make_tenant("harbor")


def test_find_tenant_takes_the_first_that_is_given(two, settings):
    settings.BASE_DOMAIN = "clinics.example"
    riverside, harbor = two

    assert find_tenant(named="riverside", header="harbor", host="harbor.clinics.example") == riverside
    assert find_tenant(header="harbor", host="riverside.clinics.example") == harbor
    assert find_tenant(host="Riverside.Clinics.Example:8000") == riverside
    assert find_tenant(named=" Harbor ") == harbor


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"host": "clinics.example"},
        {"host": "riverside.elsewhere.example"},
        {"named": "unknown", "header": "riverside"},
        {"header": "riverside\x00"},
        {"named": "riverside' OR true --"},
    ],
)
def test_find_tenant_gives_nobody_rather_than_a_guess(two, settings, given):
    settings.BASE_DOMAIN = "clinics.example"

    assert find_tenant(**given) is None


def test_find_tenant_knows_no_closed_clinic(empty_house):
    make_tenant("closed", is_active=False)

    assert find_tenant(named="closed") is None
    assert list(list_active_tenants()) == []


def test_find_tenant_takes_the_only_clinic_there_is(empty_house):
    only = make_tenant()

    assert find_tenant(host="anything.example") == only


@pytest.mark.parametrize(
    "fields", [{"slug": "Demo"}, {"slug": "-demo"}, {"slug": "a b"}, {"slug": "demo", "time_zone": "Mars/Olympus"}]
)
def test_tenant_refuses_what_can_not_be_an_address_or_a_zone(db, fields):
    with pytest.raises(ValidationError):
        Tenant(name="X", **fields).full_clean()


# --- Numbers ---------------------------------------------------------------------------------------------------------


def test_next_number_counts_per_clinic_and_kind(two):
    counted = []
    for tenant in (*two, two[0]):
        with tenant_context(tenant.id):
            counted.append((next_number("patient"), next_number("capa"), next_number("patient", count=5)))

    assert counted == [(1, 1, 2), (1, 1, 2), (7, 2, 8)]


def test_next_number_gives_back_what_was_rolled_back(committed_db):
    tenant = make_tenant()
    with pytest.raises(ZeroDivisionError), tenant_context(tenant.id):
        next_number("patient")
        1 / 0

    with tenant_context(tenant.id):
        assert next_number("patient") == 1


def test_next_number_gives_nobody_the_same_one(committed_db):
    tenant = make_tenant()

    def take(_):
        try:
            with tenant_context(tenant.id):
                return next_number("patient")
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        numbers = list(pool.map(take, range(40)))

    assert sorted(numbers) == list(range(1, 41))


# --- Commands, tasks, roles ------------------------------------------------------------------------------------------


class Note(TenantCommand):
    """Notes where it runs."""

    def __init__(self, **options):
        super().__init__()
        self.seen = []
        for name, value in options.items():
            setattr(self, name, value)

    def handle_tenant(self, tenant, **options):
        self.seen.append((tenant.slug, get_current_tenant_id() == tenant.id))


def test_tenant_command_runs_inside_of_the_clinic_named(two):
    note = Note()

    call_command(note, tenant="harbor")

    assert note.seen == [("harbor", True)]
    assert get_current_tenant_id() is None


def test_tenant_command_without_a_clinic_refuses(two):
    with pytest.raises(CommandError, match="--tenant"):
        call_command(Note())


def test_tenant_command_names_the_clinics_there_are(two):
    with pytest.raises(CommandError, match=r"no clinic 'rivers'\. Known: \w+"):
        call_command(Note(), tenant="rivers")


def test_tenant_command_for_all_runs_once_for_each(two):
    note = Note(all_tenants=True)

    call_command(note)

    assert [entry for entry in note.seen if entry[0] in {"harbor", "riverside"}] == [
        ("harbor", True),
        ("riverside", True),
    ]


def test_tenant_command_may_open_its_own_transactions(two):
    note = Note(own_transactions=True)

    call_command(note, tenant="harbor")

    assert note.seen == [("harbor", False)]


@tenant_task(name="tests.count_counters")
def count_counters(*, fail=False):
    """A task for these tests."""
    if fail:
        raise ZeroDivisionError
    return str(current_tenant_id()), Counter.objects.count()


def test_tenant_task_runs_inside_of_its_clinic(two):
    with tenant_context(two[0].id):
        next_number("patient")

    assert count_counters(two[0].id) == (str(two[0].id), 1)
    assert count_counters.apply(args=[str(two[1].id)]).get() == (str(two[1].id), 0)
    assert get_current_tenant_id() is None


@pytest.mark.parametrize("nobody", [None, ""])
def test_tenant_task_refuses_to_run_without_one(django_assert_num_queries, db, nobody):
    with django_assert_num_queries(0), pytest.raises(NoTenant, match="count_counters"):
        count_counters(nobody)


def test_tenant_task_leaves_nothing_after_an_error(committed_db):
    tenant = make_tenant()
    with pytest.raises(ZeroDivisionError):
        count_counters(tenant.id, fail=True)

    assert get_current_tenant_id() is None
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('app.tenant_id', true)")
        assert cursor.fetchone()[0] in (None, "")


def test_as_owner_is_the_owner_for_the_length_of_the_block(committed_db):
    def me():
        with connection.cursor() as cursor:
            cursor.execute("SELECT current_user")
            return cursor.fetchone()[0]

    with as_owner():
        inside = me()

    assert (inside, me()) == ("carewright_test_owner", "carewright_test_app")


def test_as_role_refuses_a_role_nobody_named_and_an_open_transaction(db):
    with pytest.raises(RoleNotConfigured, match="DATABASE_OWNER_URL"), as_role(None, "DATABASE_OWNER_URL"):
        pass
    with pytest.raises(RuntimeError, match="transaction"), as_owner():
        pass


# --- What an index can use, and what models may not say --------------------------------------------------------------


def test_prefix_uses_the_leakproof_operator(db):
    tenant = make_tenant()
    with tenant_context(tenant.id):
        Counter.objects.bulk_create([Counter(name=name) for name in ("patient", "patch", "capa", "%")])
        found = Counter.objects.all().filter(name__prefix="pat")

        assert '"name" ^@ ' in str(found.query)
        assert sorted(found.values_list("name", flat=True)) == ["patch", "patient"]
        assert list(Counter.objects.all().filter(name__prefix="%").values_list("name", flat=True)) == ["%"]


@pytest.fixture
def app_label():
    """A label whose throw-away models are forgotten again."""
    before = dict(apps.all_models["tenants"])
    yield "tenants"
    for name in set(apps.all_models["tenants"]) - set(before):
        del apps.all_models["tenants"][name]
    apps.clear_cache()


def test_check_finds_plain_pointers_between_clinics(app_label):
    class Loose(TenantModel):
        counter = models.ForeignKey(Counter, models.PROTECT, related_name="+")
        many = models.ManyToManyField(Counter, related_name="+")

        class Meta:
            app_label = "tenants"

        def __str__(self):
            return ""

    class Outside(models.Model):
        counter = models.ForeignKey(Counter, models.PROTECT, related_name="+", db_constraint=False)

        class Meta:
            app_label = "tenants"

        def __str__(self):
            return ""

    errors = {(error.obj.model.__name__, error.id) for error in checks.check_tenant_tables(None)}

    assert {("Loose", "tenants.E001"), ("Loose", "tenants.E003"), ("Outside", "tenants.E002")} <= errors


def test_check_is_content_with_tenant_foreign_keys(app_label):
    class Tight(TenantModel):
        counter = TenantForeignKey(Counter, related_name="+")

        class Meta:
            app_label = "tenants"

        def __str__(self):
            return ""

    assert [error for error in checks.check_tenant_tables(None) if error.obj.model is Tight] == []
    assert {constraint.name for constraint in Tight._meta.constraints} == {
        "tenants_tight_tenant_id_uniq",
        "tenants_tight_counter_tenant_fk",
    }
