"""People, memberships, roles, and opening a clinic."""

import bcrypt
import pytest
from django.contrib.auth.hashers import check_password, identify_hasher
from django.core.exceptions import ValidationError

from accounts.permissions import DEFAULT_ROLES, ROLE_ALIASES, Permission
from accounts.users import selectors, services
from accounts.users.hashers import BCryptSHA256
from accounts.users.models import Membership, Role, User, Workplace, identity_key
from accounts.users.tests.factories import PASSWORD, MembershipFactory, UserFactory
from tenancy.audit.models import AuditEntry
from tenancy.rules import RuleBroken
from tenancy.tenants.context import finish_pending, tenant_context
from tenancy.tenants.models import Tenant
from tenancy.tenants.tests.contexts import outside_tenant


def actions():
    finish_pending()
    return list(AuditEntry.objects.in_order().values_list("action", flat=True))


# --- People ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("Nora@Example.org", "nora@example.org"),
        (" nora@example.org ", "nora@example.org"),
        ("nora@example.org.", "nora@example.org"),
        ("no\u200bra@example.org", "nora@example.org"),
        ("\uff4eora@example.org", "nora@example.org"),
        ("stra\u00dfe@example.org", "strasse@example.org"),
        ("Jose\u0301", "jos\u00e9"),
        ("\u0130stanbul", "i\u0307stanbul"),
        ("\x00", ""),
    ],
)
def test_identity_key_folds_every_spelling_into_one(text, key):
    assert identity_key(text) == key
    assert identity_key(identity_key(text)) == key


def test_create_user_keeps_names_as_typed_and_finds_them_in_any_spelling(db):
    user = UserFactory(email="Nora@Example.org", username="Nora", name=" Nora Nurse ")

    assert (user.email, user.username, user.name) == ("Nora@Example.org", "Nora", "Nora Nurse")
    assert selectors.find_user("NORA@example.org ") == selectors.find_user("nora") == user
    assert User.objects.get_by_natural_key("nORA") == user


@pytest.mark.parametrize("nobody", ["", " ", "\x00", "nora", "x" * 400, "%", "n_ra"])
def test_find_user_gives_nobody(db, nobody):
    UserFactory(email="somebody@example.org")

    assert selectors.find_user(nobody) is None


def test_create_user_refuses_a_name_that_is_taken_in_any_spelling(db):
    UserFactory(email="nora@example.org", username="nora")

    with pytest.raises(RuleBroken, match="e-mail"):
        UserFactory(email="NORA@example.org", username="other")
    with pytest.raises(RuleBroken, match="user name"):
        UserFactory(email="other@example.org", username="N\u200bORA")


@pytest.mark.parametrize(
    ("password", "words"),
    [("short", "too short"), ("password123", "stolen"), ("nora@example.org", "similar"), ("x" * 257, "256")],
)
def test_create_user_refuses_weak_passwords(db, password, words):
    with pytest.raises(RuleBroken, match=words):
        UserFactory(email="nora@example.org", password=password)

    assert not User.objects.filter(email_key="nora@example.org").exists()


def test_create_user_without_a_password_lets_nobody_in(db):
    user = UserFactory(password=None)

    assert not user.has_usable_password()


def test_password_hash_is_bcrypt_sha256_of_cost_12_outside_of_tests(db):
    """Decision X25; the suite itself uses the same hash with the least work."""
    hashed = UserFactory(password="\N{KEY} " * 40).password

    assert BCryptSHA256.rounds == 12
    assert hashed.startswith("bcrypt_sha256$$2b$04$")
    assert check_password("\N{KEY} " * 40, hashed)
    assert not check_password("\N{KEY} " * 36, hashed)


def test_hash_of_an_imported_account_is_read_and_never_raises():
    stored = "bcrypt$" + bcrypt.hashpw(b"x" * 72, bcrypt.gensalt(4)).decode()

    assert identify_hasher(stored).algorithm == "bcrypt"
    assert check_password("x" * 72, stored)
    assert not check_password("x" * 73, stored)


# --- Members ---------------------------------------------------------------------------------------------------------


def test_add_member_gives_roles_a_workplace_and_an_entry(clinic, admin):
    user = UserFactory()

    member = services.add_member(user, roles=["doctor", "Admin"], by=admin, specialization="Cardiology")

    assert [role.code for role in member.roles] == ["admin", "doctor"]
    assert member.may(Permission.PATIENT_VIEW)
    assert (member.tenant_id, member.specialization) == (clinic.id, "Cardiology")
    assert list(selectors.list_workplaces(user)) == [clinic]
    assert actions()[-1] == "member_added"


def test_add_member_refuses_an_unknown_role_and_a_second_membership(clinic, nurse):
    with pytest.raises(RuleBroken, match="There is no role emperor"):
        MembershipFactory(role="emperor")
    with pytest.raises(RuleBroken, match="already"):
        MembershipFactory(user=nurse.user)


def test_one_person_may_work_in_two_clinics_with_other_roles(clinic, nurse, other_clinic):
    with outside_tenant(), tenant_context(other_clinic.id):
        there = MembershipFactory(user=nurse.user, role="admin")
        roles = [role.code for role in there.roles]

    assert roles == ["admin"]
    assert [role.code for role in nurse.roles] == ["nurse"]
    assert set(selectors.list_workplaces(nurse.user)) == {clinic, other_clinic}


@pytest.mark.parametrize("code", DEFAULT_ROLES)
def test_a_member_may_what_their_role_gives_and_no_more(clinic, code):
    member = MembershipFactory(role=code)

    assert {permission for permission in Permission if member.may(permission)} == DEFAULT_ROLES[code][1]


@pytest.mark.parametrize(("alias", "code"), ROLE_ALIASES.items())
def test_roles_answer_to_the_names_of_the_specifications(clinic, alias, code):
    assert [role.code for role in MembershipFactory(role=alias).roles] == [code]


def test_roles_belong_to_the_clinic_and_may_differ(clinic, nurse, other_clinic):
    Role.objects.filter(code="nurse").update(permissions=["profile.own"])

    assert not Membership.objects.get(pk=nurse.pk).may(Permission.PATIENT_VIEW)
    with outside_tenant(), tenant_context(other_clinic.id):
        assert MembershipFactory(role="nurse").may(Permission.PATIENT_VIEW)


def test_bring_built_in_roles_adds_what_is_missing_and_brings_the_rest_up_to_date(clinic):
    Role.objects.filter(code="nurse").update(permissions=["profile.own"])
    Role.objects.filter(code="user").delete()
    Role.objects.create(number=900, code="own", name="Our own", permissions=["profile.own"])

    services.bring_built_in_roles()

    assert Role.objects.count() == len(DEFAULT_ROLES) + 2
    assert "patients.view" in Role.objects.get(code="nurse").permissions
    assert Role.objects.get(code="own").permissions == ["profile.own"]


# --- Clinics ---------------------------------------------------------------------------------------------------------


def test_create_tenant_opens_a_clinic_with_roles_and_an_administrator(db):
    tenant, member = services.create_tenant(
        slug="riverside-2", name="Riverside", admin_email="ada@example.org", admin_password=PASSWORD, country="GB"
    )

    with tenant_context(tenant.id):
        assert set(Role.objects.values_list("code", flat=True)) == {*DEFAULT_ROLES, "platform"}
        assert Membership.objects.get() == member
        assert actions() == ["member_added", "tenant_created"]
    assert (member.user.email, tenant.country) == ("ada@example.org", "GB")


def test_create_tenant_makes_a_known_person_administrator_and_keeps_their_password(db):
    known = UserFactory(email="ada@example.org")

    _, member = services.create_tenant(
        slug="second", name="Second", admin_email="ADA@example.org", admin_password="something else entirely"
    )

    assert member.user == known
    assert User.objects.get(pk=known.pk).check_password(PASSWORD)


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"slug": "Not A Slug"}, ValidationError),
        ({"time_zone": "Mars/Olympus"}, ValidationError),
        ({"admin_password": "short"}, RuleBroken),
    ],
)
def test_create_tenant_is_all_or_nothing(db, fields, error):
    whole = {"slug": "half", "name": "Half", "admin_email": "half@example.org", "admin_password": PASSWORD}

    with pytest.raises(error):
        services.create_tenant(**whole | fields)

    assert not Tenant.objects.filter(slug="half").exists()
    assert not User.objects.filter(email_key="half@example.org").exists()
    assert not Workplace.objects.filter(user__email_key="half@example.org").exists()


def test_k46_add_member_refuses_roles_that_exclude_each_other(admin, clinic):
    user = UserFactory()

    with pytest.raises(RuleBroken, match="two permissions that nobody may hold together"):
        services.add_member(user, roles=["admin", "quality_manager"], by=admin)

    assert services.add_member(user, roles=["admin", "doctor"], by=admin).may("admin.roles")
