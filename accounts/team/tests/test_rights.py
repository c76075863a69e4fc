"""Roles, grants and denials of a member: who may give what to whom, and what is refused (K46, X8, quality.md 6.15)."""

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.notifications.models import Notification
from accounts.permissions import CONFLICTS, DEFAULT_ROLES, PLATFORM_ROLE, ROLE_ALIASES, Permission
from accounts.team.services import members, rights, roles
from accounts.users.models import Grant, HeldRole, Membership, Role
from accounts.users.tests.factories import MembershipFactory
from tenancy.audit.tests.trails import entries_about
from tenancy.rules import RuleBroken

P = Permission


def fresh(member):
    """The member as the next request reads them."""
    return Membership.objects.select_related("user", "tenant").get(pk=member.pk)


def held(member):
    return sorted(HeldRole.objects.filter(membership=member).values_list("role__code", flat=True))


@pytest.fixture
def lonely_admin(clinic, admin):
    """The only administrator: the one who opened the clinic has left."""
    for member in Membership.objects.exclude(pk=admin.pk):
        Membership.objects.filter(pk=member.pk).update(is_active=False)
    return admin


# --- Roles of a member -----------------------------------------------------------------------------------------------


def test_k46_assign_roles_replaces_the_roles_and_leaves_a_line(admin, nurse):
    rights.assign_roles(nurse, ["doctor", "qa"], by=admin, reason="Covers for Dario")

    assert held(nurse) == ["doctor", "qa"]
    assert nurse.may(P.DOCUMENT_REVIEW)
    (entry,) = [entry for entry in entries_about(nurse) if entry["action"] == "roles_assigned"]
    assert entry["changes"] == {"roles": [["nurse"], ["doctor", "qa"]]}
    assert (entry["reason"], entry["user"]["name"]) == ("Covers for Dario", "Ada Admin")


@pytest.mark.parametrize(("alias", "code"), ROLE_ALIASES.items())
def test_x8_assign_roles_takes_the_names_of_the_documents(admin, nurse, alias, code):
    rights.assign_roles(nurse, [alias], by=admin)

    assert held(nurse) == [code]


def test_assign_roles_tells_the_member_once_and_only_of_a_change(admin, nurse):
    rights.assign_roles(nurse, ["doctor"], by=admin)
    rights.assign_roles(nurse, ["doctor"], by=admin)

    (told,) = Notification.objects.filter(recipient=nurse)
    assert (told.kind, told.category) == ("team_rights_changed", "security")
    assert told.delivery is not None, "nobody may switch this mail off"


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ([], "at least one role"),
        (["astronaut"], "no role astronaut"),
        ([PLATFORM_ROLE], "no role platform"),
        (["doctor", PLATFORM_ROLE], "no role platform"),
    ],
)
def test_assign_roles_refuses_what_is_no_role(admin, nurse, wanted, says):
    with pytest.raises(RuleBroken, match=says):
        rights.assign_roles(nurse, wanted, by=admin)

    assert held(nurse) == ["nurse"]


def test_au30_nobody_changes_their_own_roles(admin):
    with pytest.raises(RuleBroken, match="Nobody changes what they may do themselves"):
        rights.assign_roles(admin, ["admin", "doctor"], by=admin)

    assert held(admin) == ["admin"]


def test_k46_conflicting_roles_are_refused_naming_both_in_words(admin, nurse):
    with pytest.raises(RuleBroken) as refused:
        rights.assign_roles(nurse, ["admin", "quality_manager"], by=admin)

    assert "Nora Nurse would hold two permissions" in refused.value.sentence
    assert "“Manage roles and who may do what”" in refused.value.sentence
    assert "“Approve documents”" in refused.value.sentence
    assert held(nurse) == ["nurse"]


@pytest.mark.parametrize("pair", CONFLICTS, ids=lambda pair: "+".join(pair))
def test_k46_no_way_leads_to_a_conflicting_pair(admin, clinic, pair):
    """Role and role, role and grant, group and grant: every road to both is closed; to one of them, open."""
    one, other = pair
    member = MembershipFactory(role="user")
    first = roles.create_role(name="First", permissions=[one], by=admin)
    second = roles.create_role(name="Second", permissions=[other], by=admin)
    rights.assign_roles(member, [first.code], by=admin)

    with pytest.raises(RuleBroken, match="two permissions"):
        rights.assign_roles(member, [first.code, second.code], by=admin)
    with pytest.raises(RuleBroken, match="two permissions"):
        rights.grant_permission(member, other, by=admin, reason="Needed")
    with pytest.raises(RuleBroken, match="two permissions"):
        roles.update_role(first, permissions=[one, other], by=admin)
    with pytest.raises(RuleBroken, match="two permissions"):
        roles.create_role(name="Both", permissions=[one, other], by=admin)

    rights.assign_roles(member, [second.code], by=admin)
    assert other in fresh(member).permissions
    assert one not in fresh(member).permissions


def test_a_permission_that_is_kept_away_for_good_makes_no_conflict(admin, nurse):
    rights.deny_permission(nurse, P.CAPA_DO_ACTION, by=admin, reason="Verifies instead")
    rights.assign_roles(nurse, ["qa"], by=admin)
    (verify,) = rights.grant_permission(nurse, P.CAPA_VERIFY_ACTION, by=admin, reason="Verifies")

    assert fresh(nurse).may(P.CAPA_VERIFY_ACTION)
    with pytest.raises(RuleBroken, match="two permissions"):
        rights.end_grant(Grant.objects.get(is_denial=True), by=admin)
    rights.end_grant(verify, by=admin)
    rights.end_grant(Grant.objects.get(is_denial=True), by=admin)
    assert fresh(nurse).may(P.CAPA_DO_ACTION)


def test_a_conflict_that_begins_tomorrow_is_refused_today(admin, clinic):
    member = MembershipFactory(role="qa")

    with pytest.raises(RuleBroken, match="two permissions"):
        rights.grant_permission(
            member, P.CAPA_VERIFY_ACTION, by=admin, reason="Soon", valid_from=timezone.now() + timedelta(days=1)
        )


# --- The last administrator ------------------------------------------------------------------------------------------


def test_au30_the_last_administrator_keeps_the_role(lonely_admin, clinic):
    with pytest.raises(RuleBroken, match="this is the last one"):
        rights.assign_roles(lonely_admin, ["doctor"], by=None)

    assert held(lonely_admin) == ["admin"]


def test_au30_the_last_administrator_can_not_be_denied_it_or_deactivated(lonely_admin, nurse):
    for act in (
        lambda: rights.deny_permission(lonely_admin, P.ROLE_MANAGE, by=nurse, reason="x"),
        lambda: rights.deny_permission(
            lonely_admin, P.USER_MANAGE, by=nurse, reason="x", valid_from=timezone.now() + timedelta(days=3)
        ),
        lambda: members.deactivate_member(lonely_admin, by=None, reason="x"),
    ):
        with pytest.raises(RuleBroken, match="this is the last one"):
            act()

    assert fresh(lonely_admin).may(P.ROLE_MANAGE)


def test_somebody_who_manages_only_for_a_time_does_not_replace_the_last_administrator(lonely_admin, nurse):
    Membership.objects.filter(pk=nurse.pk).update(is_active=True)
    until = timezone.now() + timedelta(days=7)
    for code in (P.ROLE_MANAGE, P.USER_MANAGE):
        rights.grant_permission(nurse, code, by=lonely_admin, reason="Holiday", valid_until=until)

    with pytest.raises(RuleBroken, match="this is the last one"):
        rights.assign_roles(lonely_admin, ["doctor"], by=nurse)


def test_an_administrator_who_is_not_the_last_may_go(admin, nurse):
    """The negative control: the clinic's first administrator stays."""
    first = Membership.objects.exclude(pk__in=[admin.pk, nurse.pk]).get()

    rights.assign_roles(admin, ["doctor"], by=first)

    assert held(admin) == ["doctor"]


# --- Grants and denials ----------------------------------------------------------------------------------------------


def test_k46_a_denial_beats_a_grant_beats_the_role(admin, nurse):
    assert nurse.may(P.PATIENT_EDIT)

    rights.deny_permission(nurse, P.PATIENT_EDIT, by=admin, reason="In training")
    rights.grant_permission(nurse, P.PATIENT_EDIT, by=admin, reason="Try again")
    assert not fresh(nurse).may(P.PATIENT_EDIT)

    rights.end_grant(Grant.objects.get(is_denial=True), by=admin, reason="Trained")
    assert fresh(nurse).may(P.PATIENT_EDIT)


def test_k46_a_bundle_grants_all_its_codes(admin, nurse):
    made = rights.grant_permission(nurse, "documents.approve", by=admin, reason="Deputy")

    assert sorted(grant.permission for grant in made) == ["documents.approve", "documents.review"]
    assert fresh(nurse).may(P.DOCUMENT_REVIEW)


def test_a_grant_holds_only_in_its_time(admin, nurse):
    now = timezone.now()
    rights.grant_permission(nurse, P.METRIC_VIEW, by=admin, reason="x", valid_from=now + timedelta(hours=1))
    rights.grant_permission(nurse, P.RISK_VIEW, by=admin, reason="x", valid_until=now + timedelta(hours=1))

    assert not fresh(nurse).may(P.METRIC_VIEW)
    assert fresh(nurse).may(P.RISK_VIEW)
    Grant.objects.update(valid_from=now - timedelta(hours=2), valid_until=now - timedelta(hours=1))
    assert not fresh(nurse).may(P.RISK_VIEW)


@pytest.mark.parametrize("act", [rights.grant_permission, rights.deny_permission])
@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"reason": " "}, "Say why"),
        ({"permission": "patients.fly"}, "no permission patients.fly"),
        ({"valid_until": timedelta(hours=-1)}, "in the future"),
        ({"valid_from": timedelta(days=2), "valid_until": timedelta(days=1)}, "after the beginning"),
    ],
)
def test_a_grant_is_refused(admin, nurse, act, changes, says):
    now = timezone.now()
    moments = {key: now + value for key, value in changes.items() if key.startswith("valid")}
    permission = changes.get("permission", P.METRIC_VIEW)

    with pytest.raises(RuleBroken, match=says):
        act(nurse, permission, by=admin, reason=changes.get("reason", "x"), **moments)

    assert not Grant.objects.exists()


def test_k46_grant_to_self_is_refused(admin):
    with pytest.raises(RuleBroken, match="Nobody changes"):
        rights.grant_permission(admin, P.BREAK_GLASS, by=admin, reason="Curious")
    with pytest.raises(RuleBroken, match="Nobody changes"):
        rights.deny_permission(admin, P.METRIC_VIEW, by=admin, reason="Modest")

    assert not Grant.objects.exists()


def test_end_grant_keeps_the_row_and_says_who(admin, nurse):
    (grant,) = rights.grant_permission(nurse, P.METRIC_VIEW, by=admin, reason="Report")

    rights.end_grant(grant, by=admin, reason="Report done")
    rights.end_grant(grant, by=admin)

    grant.refresh_from_db()
    assert (grant.ended_by_id, grant.ended_at is None) == (admin.pk, False)
    assert [entry["action"] for entry in entries_about(nurse)].count("grant_ended") == 1


def test_a_member_who_works_for_the_platform_holds_only_its_role(admin, nurse):
    Membership.objects.filter(pk=nurse.pk).update(is_platform=True)
    nurse.refresh_from_db()

    with pytest.raises(RuleBroken, match="for the platform"):
        rights.assign_roles(nurse, ["doctor"], by=admin)
    with pytest.raises(RuleBroken, match="for the platform"):
        rights.grant_permission(nurse, P.PATIENT_VIEW, by=admin, reason="Look")


# --- Roles -----------------------------------------------------------------------------------------------------------


def test_x8_a_role_of_the_clinics_own(admin, clinic):
    role = roles.create_role(
        name="Ward clerk", permissions=["documents.read", "patients.view"], by=admin, description="Third floor"
    )

    assert role.permissions == ["documents.download", "documents.view_effective", "patients.view"]
    assert (role.code, role.is_built_in, role.version) == ("ward_clerk", False, 1)
    assert role.number == len(DEFAULT_ROLES) + 2  # the platform's is the one between


@pytest.mark.parametrize("name", ["", "  ", "Nurse", "nurse", "DOCTOR", "QA Manager", "platform", "ward  CLERK"])
def test_a_role_needs_a_name_of_its_own(admin, clinic, name):
    roles.create_role(name="Ward clerk", by=admin)

    with pytest.raises(RuleBroken, match="name"):
        roles.create_role(name=name, by=admin)


def test_a_role_may_have_a_name_in_any_script(admin, clinic):
    assert roles.create_role(name="護士", by=admin).code == "role"
    assert roles.create_role(name="護士長", by=admin).code.startswith("role_")


@pytest.mark.parametrize("code", [*DEFAULT_ROLES, PLATFORM_ROLE])
def test_x8_built_in_roles_are_neither_changed_nor_deleted(admin, clinic, code):
    role = Role.objects.get(code=code)
    before = list(role.permissions)

    with pytest.raises(RuleBroken, match="stays as it is"):
        roles.update_role(role, permissions=["profile.own"], by=admin)
    with pytest.raises(RuleBroken, match="stays as it is"):
        roles.delete_role(role, by=admin)

    assert Role.objects.get(code=code).permissions == before


def test_copy_role_makes_one_that_can_be_changed(admin, clinic):
    copy = roles.copy_role(Role.objects.get(code="nurse"), name="Night nurse", by=admin)
    assert copy.permissions == Role.objects.get(code="nurse").permissions

    changed = roles.update_role(copy, permissions=["patients.view"], description="After nine", by=admin)

    assert (changed.permissions, changed.version) == (["patients.view"], 2)
    with pytest.raises(RuleBroken, match="can not be copied"):
        roles.copy_role(Role.objects.get(code=PLATFORM_ROLE), name="Mine", by=admin)


def test_update_role_holds_for_everybody_who_has_it_and_tells_them(admin, nurse):
    role = roles.create_role(name="Clerk", permissions=["patients.view"], by=admin)
    rights.assign_roles(nurse, [role.code], by=admin)
    told = Notification.objects.filter(recipient=nurse, kind="team_rights_changed")
    before = told.count()

    roles.update_role(role, description="At the desk", by=admin)
    assert told.count() == before
    roles.update_role(role, permissions=["metrics.view"], by=admin)

    assert fresh(nurse).permissions == {"metrics.view"}
    assert told.count() == before + 1


def test_update_role_refuses_a_conflict_with_what_a_holder_has_besides(admin, nurse):
    role = roles.create_role(name="Clerk", permissions=["patients.view"], by=admin)
    rights.assign_roles(nurse, [role.code, "qa"], by=admin)

    with pytest.raises(RuleBroken, match="Nora Nurse would hold"):
        roles.update_role(role, permissions=["capa.verify_action"], by=admin)

    assert fresh(nurse).may("patients.view")


def test_au30_nobody_changes_a_role_they_hold(admin, clinic):
    role = roles.create_role(name="Clerk", permissions=["patients.view"], by=admin)
    rights.assign_roles(admin, ["admin", role.code], by=None)

    with pytest.raises(RuleBroken, match="You hold this role yourself"):
        roles.update_role(role, permissions=["patients.view", "phi.export"], by=admin)


def test_update_role_can_not_take_the_last_administrator_away(lonely_admin, nurse):
    role = roles.create_role(name="Head", permissions=["admin.users", "admin.roles"], by=lonely_admin)
    rights.assign_roles(nurse, [role.code], by=lonely_admin)
    Membership.objects.filter(pk=nurse.pk).update(is_active=True)
    rights.assign_roles(lonely_admin, ["doctor"], by=nurse)

    with pytest.raises(RuleBroken, match="this is the last one"):
        roles.update_role(role, permissions=["admin.users"], by=None)


def test_delete_role_only_where_nobody_holds_it(admin, nurse):
    role = roles.create_role(name="Clerk", permissions=["patients.view"], by=admin)
    rights.assign_roles(nurse, [role.code], by=admin)

    with pytest.raises(RuleBroken, match="1 people still hold"):
        roles.delete_role(role, by=admin)
    rights.assign_roles(nurse, ["nurse"], by=admin)
    roles.delete_role(role, by=admin)

    assert not Role.objects.filter(code="clerk").exists()
