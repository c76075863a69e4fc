"""People of a clinic: deactivated, let in again, changed; and two administrators at the same moment."""

import threading
from datetime import timedelta

import pytest
from django.db import connection
from django.http import Http404
from django.utils import timezone

from accounts.second_factor.services import reset_second_factor
from accounts.team import selectors
from accounts.team.services import clinic as clinic_services
from accounts.team.services import members, rights
from accounts.users.models import HeldRole, Membership, Session, User
from accounts.users.tests.factories import MembershipFactory, open_clinic
from tenancy.audit.models import AuditEntry
from tenancy.audit.tests.trails import entries_about
from tenancy.rules import RuleBroken
from tenancy.tenants.context import finish_pending, tenant_context
from tenancy.tenants.models import Tenant


def test_au21_a_deactivated_member_is_refused_at_the_next_request(admin, nurse, api_client, page_client):
    program, browser = api_client(nurse), page_client(nurse)
    assert (program.get("/api/auth/me").status_code, browser.get("/").status_code) == (200, 200)

    members.deactivate_member(nurse, by=admin, reason="Left the clinic")

    assert program.get("/api/auth/me").status_code == 401
    assert browser.get("/").status_code == 302
    assert not Session.objects.filter(membership=nurse, revoked_at__isnull=True).exists()
    (entry,) = [entry for entry in entries_about(nurse) if entry["action"] == "member_deactivated"]
    assert (entry["reason"], entry["details"]) == ("Left the clinic", {"sessions_ended": 2})


def test_au21_a_changed_role_holds_at_the_next_request(admin, nurse, api_client, page_client):
    program, browser = api_client(nurse), page_client(nurse)
    assert (program.get("/api/patients").status_code, browser.get("/patients/").status_code) == (200, 200)

    rights.assign_roles(nurse, ["auditor"], by=admin, reason="Changes to quality")

    assert (program.get("/api/patients").status_code, browser.get("/patients/").status_code) == (403, 403)


def test_au21_a_denial_holds_at_the_next_request_and_ending_it_too(admin, nurse, api_client):
    program = api_client(nurse)
    (denial,) = rights.deny_permission(nurse, "patients.view", by=admin, reason="Under review")
    assert program.get("/api/patients").status_code == 403

    rights.end_grant(denial, by=admin)

    assert program.get("/api/patients").status_code == 200


def test_reactivated_members_sign_in_anew(admin, nurse, api_client):
    program = api_client(nurse)
    members.deactivate_member(nurse, by=admin, reason="Leave")
    members.reactivate_member(nurse, by=admin, reason="Is back")

    assert program.get("/api/auth/me").status_code == 401, "the old session stays ended"
    assert api_client(nurse).get("/api/auth/me").status_code == 200
    actions = [entry["action"] for entry in entries_about(nurse)]
    assert [action for action in actions if "activated" in action] == ["member_deactivated", "member_reactivated"]


def test_deactivating_takes_a_reason_and_somebody_else(admin, nurse):
    with pytest.raises(RuleBroken, match="Say why"):
        members.deactivate_member(nurse, by=admin, reason=" ")
    with pytest.raises(RuleBroken, match="Somebody else"):
        members.deactivate_member(admin, by=admin, reason="Enough")
    members.deactivate_member(nurse, by=admin, reason="Left")
    with pytest.raises(RuleBroken, match="not active any more"):
        members.deactivate_member(nurse, by=admin, reason="Left")


def test_reactivating_refuses_rights_that_conflict_by_now(admin, clinic):
    member = MembershipFactory(role="qa")
    members.deactivate_member(member, by=admin, reason="Leave")
    rights.Grant.objects.create(membership=member, permission="capa.verify_action", reason="Written by hand")

    with pytest.raises(RuleBroken, match="two permissions"):
        members.reactivate_member(member, by=admin, reason="Back")

    assert not Membership.objects.get(pk=member.pk).is_active


def test_update_profile_writes_person_and_member_and_one_line(nurse):
    members.update_profile(
        nurse, by=nurse, changes={"name": "Nora N. Nurse", "phone": "300 555 0101", "department": "Ward 3"}
    )

    assert User.objects.get(pk=nurse.user_id).phone == "300 555 0101"
    assert Membership.objects.get(pk=nurse.pk).department == "Ward 3"
    (entry,) = [entry for entry in entries_about(nurse) if entry["action"] == "member_updated"]
    assert entry["changes"]["name"] == ["Nora Nurse", "Nora N. Nurse"]


@pytest.mark.parametrize("field", ["is_active", "email", "is_platform_admin", "specialties", "roles"])
def test_au30_update_profile_takes_nothing_else(nurse, field):
    with pytest.raises(KeyError):
        members.update_profile(nurse, by=nurse, changes={field: "x"})


# --- Settings --------------------------------------------------------------------------------------------------------


def test_sign_in_settings_are_bounded_and_audited(admin, clinic):
    clinic_services.update_sign_in_settings(clinic, by=admin, changes={"idle_minutes": 30, "session_hours": 8})
    finish_pending()

    clinic = Tenant.objects.get(pk=clinic.pk)
    assert (clinic.idle_minutes, clinic.session_hours) == (30, 8)
    assert AuditEntry.objects.filter(action="sign_in_settings_changed").count() == 1
    for changes in ({"idle_minutes": 4}, {"idle_minutes": 61}, {"session_hours": 0}, {"session_hours": 25}):
        with pytest.raises(RuleBroken, match="Choose a number"):
            clinic_services.update_sign_in_settings(clinic, by=admin, changes=changes)
    with pytest.raises(KeyError):
        clinic_services.update_sign_in_settings(clinic, by=admin, changes={"slug": "mine"})


def test_switching_the_second_factor_on_starts_the_days_of_grace(admin, clinic):
    clinic_services.update_sign_in_settings(clinic, by=admin, changes={"two_factor_required": False})
    before = Tenant.objects.get(pk=clinic.pk).two_factor_since

    clinic_services.update_sign_in_settings(clinic, by=admin, changes={"two_factor_required": True})

    assert Tenant.objects.get(pk=clinic.pk).two_factor_since > before


# --- At the same moment ----------------------------------------------------------------------------------------------


def at_once(tenant, *acts):
    ready, outcomes = threading.Barrier(len(acts)), [None] * len(acts)

    def run(place, act):
        try:
            with tenant_context(tenant.id):
                ready.wait(timeout=20)
                act()
        except RuleBroken as refused:
            outcomes[place] = refused
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=item) for item in enumerate(acts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    return outcomes


@pytest.mark.parametrize("how", ["demote", "deactivate", "deny"])
def test_au30_two_administrators_who_remove_each_other_at_once_leave_one(committed_db, how):
    tenant, ada = open_clinic()
    with tenant_context(tenant.id):
        bea = MembershipFactory(role="admin")
    act = {
        "demote": lambda member, by: rights.assign_roles(member, ["nurse"], by=by),
        "deactivate": lambda member, by: members.deactivate_member(member, by=by, reason="Coup"),
        "deny": lambda member, by: rights.deny_permission(member, "admin.roles", by=by, reason="Coup"),
    }[how]

    for _round in range(5):
        outcomes = at_once(tenant, lambda: act(ada, bea), lambda: act(bea, ada))

        assert sorted(type(outcome).__name__ for outcome in outcomes) == ["NoneType", "RuleBroken"]
        with tenant_context(tenant.id):
            keepers = [m for m in Membership.objects.active() if m.may("admin.roles") and m.may("admin.users")]
            assert len(keepers) == 1
            Membership.objects.update(is_active=True)
            rights.Grant.objects.update(ended_at="2020-01-01T00:00:00Z")
            for member in (ada, bea):
                HeldRole.objects.filter(membership=member).delete()
                HeldRole.objects.create(membership=member, role=rights.Role.objects.get(code="admin"))


def test_raising_the_idle_time_wakes_nobody_who_is_asleep(clinic, admin, nurse, page_client):
    browser = page_client(nurse)
    Session.objects.filter(membership=nurse).update(last_seen_at=timezone.now() - timedelta(minutes=20))

    clinic_services.update_sign_in_settings(clinic, by=admin, changes={"idle_minutes": 60})

    assert browser.get("/account/").status_code == 302


def test_the_platform_sees_who_works_here_and_not_who_is_treated(clinic, admin, nurse, patient_user):
    assert patient_user in selectors.list_members(by=admin)
    admin.is_platform = True

    seen = selectors.list_members(by=admin)

    assert nurse in seen
    assert patient_user not in seen
    assert selectors.get_member_by_id(nurse.pk, by=admin) == nurse
    for read, known_by in [(selectors.get_member_by_id, patient_user.pk), (selectors.get_member, patient_user.user_id)]:
        with pytest.raises(Http404):
            read(known_by, by=admin)


def test_who_may_change_roles_is_out_of_reach_of_who_may_not(clinic, admin, nurse, doctor):
    """`admin.users` alone shuts out nurses and no administrator (negative control: it does shut out the doctor)."""
    second = MembershipFactory(role="admin")
    rights.grant_permission(nurse, "admin.users", by=admin, reason="Covers for the office")
    clerk = Membership.objects.get(pk=nurse.pk)

    with pytest.raises(RuleBroken, match="may change roles"):
        members.deactivate_member(second, by=clerk, reason="Coup")
    with pytest.raises(RuleBroken, match="may change roles"):
        reset_second_factor(second, by=clerk, reason="Coup")
    members.deactivate_member(second, by=admin, reason="Left")
    with pytest.raises(RuleBroken, match="may change roles"):
        members.reactivate_member(second, by=clerk, reason="Friend")

    assert not members.deactivate_member(doctor, by=clerk, reason="Left").is_active
