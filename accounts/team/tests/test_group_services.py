"""Groups: made, changed, joined and left; what a group's permissions may and may not do (K43)."""

import pytest

from accounts.team.services import groups, rights, roles
from accounts.users.models import Group, GroupMember, Membership
from accounts.users.tests.factories import MembershipFactory
from tenancy.audit.tests.trails import actions_about
from tenancy.rules import NotAllowed, RuleBroken, StaleVersion


@pytest.fixture
def hygiene(admin):
    return groups.create_group(name="Hygiene team", kind="Department", by=admin)


@pytest.fixture
def group_manager(admin):
    """May manage groups, and nothing that gives rights."""
    role = roles.create_role(name="Group keeper", permissions=["admin.groups"], by=admin)
    return MembershipFactory(role=role.code)


def fresh(member):
    return Membership.objects.select_related("user", "tenant").get(pk=member.pk)


def test_k43_a_group_is_counted_and_leaves_a_line(hygiene, admin):
    second = groups.create_group(name="Night shift", by=admin)

    assert (hygiene.number, second.number) == (1, 2)
    assert actions_about(hygiene) == ["group_created"]


@pytest.mark.parametrize("name", ["Hygiene team", " hygiene  TEAM ", "Ｈygiene team", "", "  "])
def test_k43_a_group_needs_a_name_of_its_own(hygiene, admin, name):
    with pytest.raises(RuleBroken, match="name"):
        groups.create_group(name=name, by=admin)
    other = groups.create_group(name="Other", by=admin)
    with pytest.raises(RuleBroken, match="name"):
        groups.update_group(other, name=name, by=admin)


def test_k43_a_deactivated_group_frees_its_name(hygiene, admin):
    groups.deactivate_group(hygiene, by=admin)
    groups.deactivate_group(hygiene, by=admin)

    assert groups.create_group(name="Hygiene team", by=admin).pk != hygiene.pk
    assert Group.objects.count() == 2, "nothing is deleted"
    assert actions_about(hygiene) == ["group_created", "group_deactivated"]
    with pytest.raises(RuleBroken, match="is over"):
        groups.update_group(hygiene, name="Again", by=admin)


def test_k43_joining_leaving_and_joining_again_keeps_both_times(hygiene, admin, nurse):
    groups.add_group_member(hygiene, nurse, by=admin)
    with pytest.raises(RuleBroken, match="in this group already"):
        groups.add_group_member(hygiene, nurse, by=admin)
    assert groups.remove_group_member(hygiene, nurse, by=admin) is True
    assert groups.remove_group_member(hygiene, nurse, by=admin) is False
    groups.add_group_member(hygiene, nurse, by=admin)

    rows = GroupMember.objects.filter(group=hygiene, membership=nurse)
    assert sorted(row.ended_at is None for row in rows) == [False, True]
    assert rows.get(ended_at__isnull=False).ended_by_id == admin.pk


def test_update_group_of_an_old_version_is_refused(hygiene, admin):
    groups.update_group(hygiene, description="Hands", by=admin, expected_version=1)

    with pytest.raises(StaleVersion):
        groups.update_group(hygiene, description="Feet", by=admin, expected_version=1)


def test_k46_permissions_of_a_group_hold_for_its_members_while_they_are_in_it(admin, nurse, api_client):
    group = groups.create_group(name="Readers", permissions=["metrics.view"], by=admin)
    assert not fresh(nurse).may("metrics.view")

    groups.add_group_member(group, nurse, by=admin)
    assert fresh(nurse).may("metrics.view")
    groups.remove_group_member(group, nurse, by=admin)
    assert not fresh(nurse).may("metrics.view")
    groups.add_group_member(group, nurse, by=admin)
    groups.deactivate_group(group, by=admin)
    assert not fresh(nurse).may("metrics.view")


def test_k46_a_group_brings_no_conflict_together(admin, clinic):
    worker = MembershipFactory(role="qa")  # carries out corrective actions
    group = groups.create_group(name="Checkers", permissions=["capa.verify_action"], by=admin)

    with pytest.raises(RuleBroken, match="two permissions"):
        groups.add_group_member(group, worker, by=admin)
    with pytest.raises(RuleBroken, match="two permissions"):
        groups.create_group(name="Both", permissions=["capa.verify_action", "capa.do_action"], by=admin)
    plain = groups.create_group(name="Plain", by=admin)
    groups.add_group_member(plain, worker, by=admin)
    with pytest.raises(RuleBroken, match="two permissions"):
        groups.update_group(plain, permissions=["capa.verify_action"], by=admin)
    with pytest.raises(RuleBroken, match="two permissions"):
        nurse = MembershipFactory(role="nurse")
        groups.add_group_member(group, nurse, by=admin)
        rights.assign_roles(nurse, ["qa"], by=admin)


def test_au30_who_manages_groups_gives_no_permissions(admin, nurse, group_manager):
    """A group must not be a way round `admin.roles`."""
    strong = groups.create_group(name="Strong", permissions=["phi.export"], by=admin)
    plain = groups.create_group(name="Plain", by=group_manager)
    for act in (
        lambda: groups.create_group(name="Mine", permissions=["phi.export"], by=group_manager),
        lambda: groups.update_group(plain, permissions=["phi.export"], by=group_manager),
        lambda: groups.add_group_member(strong, nurse, by=group_manager),
        lambda: groups.add_group_member(strong, group_manager, by=group_manager),
        lambda: groups.deactivate_group(strong, by=group_manager),
    ):
        with pytest.raises(NotAllowed, match="manages roles"):
            act()

    groups.add_group_member(plain, nurse, by=group_manager)
    groups.update_group(strong, description="Harmless", by=group_manager)


def test_au30_nobody_joins_a_group_that_gives_them_permissions(admin, clinic):
    group = groups.create_group(name="Exporters", permissions=["phi.export"], by=admin)
    plain = groups.create_group(name="Plain", by=admin)
    groups.add_group_member(plain, admin, by=admin)

    with pytest.raises(RuleBroken, match="ask another administrator"):
        groups.add_group_member(group, admin, by=admin)
    with pytest.raises(RuleBroken, match="You are in this group"):
        groups.update_group(plain, permissions=["phi.export"], by=admin)


def test_who_is_not_active_joins_nothing(hygiene, admin, nurse):
    Membership.objects.filter(pk=nurse.pk).update(is_active=False)

    with pytest.raises(RuleBroken, match="not active"):
        groups.add_group_member(hygiene, fresh(nurse), by=admin)
