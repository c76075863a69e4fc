"""The harness itself: what other tests stand on has to be what it says."""

import uuid

from django.db import connection

from accounts.permissions import Permission
from accounts.users.models import Membership
from accounts.users.tests.factories import open_clinic
from tenancy.audit.models import AuditEntry
from tenancy.tenants.context import get_current_tenant_id, tenant_context
from tenancy.tenants.models import Tenant
from tenancy.tenants.tests.contexts import outside_tenant


def test_suite_runs_as_the_app_role(db):
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_user, rolsuper, rolbypassrls FROM pg_roles WHERE rolname = current_user")

        assert cursor.fetchone() == ("carewright_test_app", False, False)


def test_cast_sees_only_its_own_clinic(clinic, nurse, stranger):
    names = set(Membership.objects.values_list("user__name", flat=True))

    assert names == {"Nora Nurse", "admin"}
    assert get_current_tenant_id() == clinic.id
    assert stranger.tenant_id != clinic.id
    assert stranger.may(Permission.PATIENT_VIEW)


def test_outside_tenant_leaves_no_tenant_and_comes_back(clinic, nurse):
    with outside_tenant(), connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('app.tenant_id', true)")
        inside = cursor.fetchone()[0], get_current_tenant_id()

    assert inside == ("", None)
    assert Membership.objects.get(pk=nurse.pk) == nurse


def test_outside_tenant_writes_the_trail_first(clinic, nurse):
    with outside_tenant():
        pass

    assert AuditEntry.objects.filter(action="member_added", object_id=str(nurse.pk)).exists()


def test_clients_sign_in_as_the_member(clinic, nurse, stranger, api_client, cookie_client):
    for member in (nurse, stranger):
        for sign_in in (api_client, cookie_client):
            assert sign_in(member).get("/api/auth/me").json()["name"] == member.user.name


def test_page_client_is_signed_in(clinic, nurse, page_client):
    browser = page_client(nurse)

    browser.post("/language/", {"language": "es"})

    nurse.user.refresh_from_db()
    assert nurse.user.language == "es"


def test_committed_db_commits(committed_db):
    slug = f"kept-{uuid.uuid4().hex[:8]}"
    tenant, _ = open_clinic(slug)
    connection.close()

    assert Tenant.objects.filter(slug=slug).exists()
    with tenant_context(tenant.id):
        assert AuditEntry.objects.count() == 2
