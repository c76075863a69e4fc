"""Whatever ends a sign-in holds at the very next request, by page, cookie and Bearer (security.md AU-21, figure 12)."""

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.permissions import Permission
from accounts.users import sessions
from accounts.users.models import Grant, HeldRole, Membership, Role, User
from accounts.users.tests.factories import MembershipFactory
from accounts.users.tests.fixtures import sign_in_browser, sign_in_by_cookie, sign_in_program
from tenancy.tenants.models import Tenant

DOORS = {
    "page": (sign_in_browser, "/patients/"),
    "cookie": (sign_in_by_cookie, "/api/patients"),
    "bearer": (sign_in_program, "/api/patients"),
    "bearer at v1": (sign_in_program, "/api/v1/patients"),
}
GONE = {"page": 302, "cookie": 401, "bearer": 401, "bearer at v1": 401}


def logout(caller, member):
    sessions.revoke_session(caller.sign_in, by=member)


def logout_everywhere(caller, member):
    sessions.sign_out_everywhere(member.user, by=member, reason_code="ended_by_owner")


def password_change(caller, member):
    member.user.set_password("another fine password")
    member.user.save()
    sessions.sign_out_everywhere(member.user, by=member, reason_code="password_changed")


def member_deactivated(caller, member):
    Membership.objects.filter(pk=member.pk).update(is_active=False)


def membership_ended(caller, member):
    Membership.objects.filter(pk=member.pk).update(ends_at=timezone.now() - timedelta(seconds=1))


def person_deactivated(caller, member):
    User.objects.filter(pk=member.user_id).update(is_active=False)


def clinic_suspended(caller, member):
    Tenant.objects.filter(pk=member.tenant_id).update(is_active=False)


def time_over(caller, member):
    type(caller.sign_in).objects.filter(pk=caller.sign_in.pk).update(expires_at=timezone.now())


ENDINGS = [
    logout, logout_everywhere, password_change, member_deactivated, membership_ended, person_deactivated,
    clinic_suspended, time_over,
]  # fmt: skip


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("end", ENDINGS)
def test_au21_whatever_ends_a_sign_in_holds_at_the_next_request(clinic, nurse, door, end):
    enter, path = DOORS[door]
    caller = enter(nurse)
    assert caller.get(path).status_code == 200

    end(caller, nurse)

    assert caller.get(path).status_code == GONE[door]


@pytest.mark.parametrize("door", DOORS)
def test_au21_ending_one_sign_in_leaves_others_of_the_person_alone(clinic, nurse, door):
    """The control: what ends is what was meant."""
    enter, path = DOORS[door]
    here, there, colleague = enter(nurse), enter(nurse), enter(MembershipFactory())

    logout(here, nurse)
    assert [caller.get(path).status_code for caller in (here, there, colleague)] == [GONE[door], 200, 200]
    logout_everywhere(there, nurse)
    assert [caller.get(path).status_code for caller in (there, colleague)] == [GONE[door], 200]


def role_taken_away(member):
    HeldRole.objects.filter(membership=member).delete()


def role_changed(member):
    HeldRole.objects.filter(membership=member).update(role=Role.objects.get(code="user"))


def role_lost_a_permission(member):
    Role.objects.filter(code="nurse").update(permissions=[Permission.OWN_PROFILE])


def permission_denied(member):
    Grant.objects.create(membership=member, permission=Permission.PATIENT_VIEW, is_denial=True, reason="on leave")


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("change", [role_taken_away, role_changed, role_lost_a_permission, permission_denied])
def test_au21_a_changed_role_holds_at_the_next_request(clinic, nurse, door, change):
    enter, path = DOORS[door]
    caller = enter(nurse)
    assert caller.get(path).status_code == 200

    change(nurse)

    assert caller.get(path).status_code == 403


@pytest.mark.parametrize("door", ["cookie", "bearer"])
@pytest.mark.parametrize("end", [member_deactivated, clinic_suspended, person_deactivated])
def test_au21_what_only_paused_works_again(clinic, nurse, door, end):
    """A sign-in that nobody ended is asked again at every request, and comes back with its person."""
    enter, path = DOORS[door]
    caller = enter(nurse)
    end(caller, nurse)
    assert caller.get(path).status_code == 401

    for model, pk in ((Membership, nurse.pk), (Tenant, nurse.tenant_id), (User, nurse.user_id)):
        model.objects.filter(pk=pk).update(is_active=True)

    assert caller.get(path).status_code == 200
