"""Staff, roles, groups and one's own profile: usable by everybody, and an administrator's walk through them."""

import pytest
from playwright.sync_api import expect

from accounts.team.services import groups, members, rights, roles
from accounts.users.tests.factories import MembershipFactory

from .conftest import PHONE, troubles_of

PAGES = {
    "people": "/people/",
    "nobody fits": "/people/?q=nobody+has+this+name",
    "person": "/people/{person}/",
    "inactive": "/people/{gone}/",
    "edit": "/people/{person}/edit/",
    "person's roles": "/people/{person}/roles/",
    "single permission": "/people/{person}/permissions/new/",
    "roles": "/people/roles/",
    "built-in role": "/people/roles/1/",
    "own role": "/people/roles/{role}/",
    "change a role": "/people/roles/{role}/edit/",
    "new role": "/people/roles/new/",
    "groups": "/people/groups/",
    "group": "/people/groups/{group}/?q=n",
    "new group": "/people/groups/new/",
    "settings": "/people/settings/",
    "profile": "/account/",
}


@pytest.fixture(scope="session")
def staff(running_site, django_db_blocker):
    """An administrator of the site's clinic, with a colleague whose page has something of everything."""

    def hire():
        admin = MembershipFactory(role="admin", user__name="Ada Admin")
        busy = MembershipFactory(roles=["nurse", "training_manager"], user__name="Núria Öztürk-van den Berg")
        gone = MembershipFactory(role="doctor", user__name="Gone Gregor")
        members.update_member(busy, by=admin, changes={"department": "Ward 3", "specialties": ["Wounds", "Diabetes"]})
        role = roles.create_role(
            name="Ward clerk", permissions=["patients.view", "documents.read"], by=admin, description="Third floor"
        )
        rights.grant_permission(busy, "metrics.view", by=admin, reason="Prepares the report")
        rights.deny_permission(busy, "patients.edit", by=admin, reason="In training until the review")
        group = groups.create_group(name="Hygiene team", kind="Department", description="Hands", by=admin)
        groups.create_group(name="Readers", permissions=["audit.view_record"], by=admin)
        groups.add_group_member(group, busy, by=admin)
        members.deactivate_member(gone, by=admin, reason="Left the clinic")
        return {"admin": admin, "person": busy, "gone": gone, "role": role, "group": group}

    with django_db_blocker.unblock():
        found = running_site.work(hire)
    running_site.members["administrator"] = found["admin"]
    return found


@pytest.fixture
def address(staff):
    ids = {"person": staff["person"].pk, "gone": staff["gone"].pk}
    return lambda path: path.format(**ids, role=staff["role"].number, group=staff["group"].number)


@pytest.mark.parametrize("name", PAGES)
def test_page_can_be_used_by_everybody(staff, opens, address, name):
    page = opens("administrator")
    page.goto(address(PAGES[name]))
    expect(page.locator("h1")).to_be_visible()

    assert troubles_of(page) == []


def test_dialogs_can_be_used_by_everybody(staff, opens, address):
    page = opens("administrator")
    page.goto(address("/people/{person}/"))
    page.get_by_role("button", name="Deactivate", exact=True).click()
    expect(page.get_by_role("dialog")).to_be_visible()

    assert troubles_of(page) == []


def test_the_matrix_scrolls_in_its_own_box_and_keeps_its_names_in_sight(staff, opens):
    page = opens("administrator", viewport=PHONE)
    page.goto("/people/roles/")
    box = page.locator(".matrix-box")
    box.scroll_into_view_if_needed()

    box.evaluate("box => { box.scrollLeft = 400; box.scrollTop = 600; }")

    row, column = page.locator(".matrix tbody th[scope=row]").nth(30), page.locator(".matrix thead th").nth(5)
    edge = box.bounding_box()
    assert abs(row.bounding_box()["x"] - edge["x"]) <= 2
    assert abs(column.bounding_box()["y"] - edge["y"]) <= 2
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_the_open_tab_is_in_sight_on_a_telephone(staff, opens):
    page = opens("administrator", viewport=PHONE)
    page.goto("/account/notifications/")

    open_tab = page.locator(".tabs [aria-current]").bounding_box()
    assert open_tab["x"] >= 0
    assert open_tab["x"] + open_tab["width"] <= PHONE["width"]


def test_k46_an_administrator_gives_a_role_and_takes_somebody_out(site, staff, opens, address):
    colleague = site.work(lambda: MembershipFactory(role="nurse", user__name="Walk Away"))
    page = opens("administrator")
    page.goto("/people/")
    page.get_by_label("Name or e-mail").fill("walk")
    page.get_by_role("button", name="Show").click()
    page.get_by_role("link", name="Walk Away").click()
    page.get_by_role("link", name="Change roles").click()
    page.get_by_label("Administrator").check()
    page.get_by_label("Quality manager").check()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert")).to_contain_text("two permissions that nobody may hold together")
    page.get_by_label("Administrator").uncheck()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status").first).to_contain_text("Saved")

    page.get_by_role("button", name="Deactivate").first.click()
    page.get_by_role("dialog").get_by_label("Reason").fill("Walked away")
    page.get_by_role("dialog").get_by_role("button", name="Deactivate").click()
    expect(page.get_by_text("Not active").first).to_be_visible()

    assert not site.work(lambda: type(colleague).objects.get(pk=colleague.pk).is_active)
