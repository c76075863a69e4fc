"""The HTML door of people, roles, groups, settings and one's own profile."""

import html
import re
from uuid import UUID

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.permission_words import WORDS
from accounts.permissions import DEFAULT_ROLES, PLATFORM_ROLE
from accounts.team.services import groups, members, rights, roles
from accounts.users.models import Grant, Group, GroupMember, HeldRole, Membership, Role, Session, User
from accounts.users.tests.factories import MembershipFactory
from tenancy.doors.tests.sent_forms import sent_by
from tenancy.tenants.context import finish_pending, tenant_context
from tenancy.tenants.models import Tenant
from tenancy.tenants.tests.contexts import outside_tenant

NOBODY = UUID(int=7)
CAST = ["admin", "doctor", "nurse", "receptionist", "auditor", "patient_user"]


@pytest.fixture
def browser(admin, page_client):
    return page_client(admin)


def text_of(answer):
    main = answer.content.decode().partition("<main")[2].partition("</main>")[0]
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", main)).split())


# --- People ----------------------------------------------------------------------------------------------------------


def test_d9_people_are_listed_searched_and_filtered(browser, nurse, doctor, stranger):
    members.deactivate_member(doctor, by=None, reason="Left")

    assert "Nora Nurse" in text_of(browser.get("/people/"))
    assert "Dario Doctor" not in text_of(browser.get("/people/"))
    assert "Dario Doctor" in text_of(browser.get("/people/?state=inactive"))
    assert "Nora Nurse" not in text_of(browser.get("/people/?q=dario&state=all"))
    assert "Ada Admin" not in text_of(browser.get("/people/?role=nurse"))
    assert "Nobody fits" in text_of(browser.get("/people/?q=sven"))
    assert browser.get("/people/?state=dead").status_code == 302


def test_people_asks_as_often_for_many_as_for_one(browser):
    def queries(address):
        finish_pending()
        browser.get(address)
        with CaptureQueriesContext(connection) as captured:
            assert browser.get(address).status_code == 200
        return len(captured)

    before = queries("/people/")
    for _ in range(4):
        MembershipFactory(roles=["nurse", "doctor"])
    assert queries("/people/") == before


def test_person_shows_who_they_are_and_what_they_may(browser, admin, nurse, page_client):
    page_client(nurse)
    rights.grant_permission(nurse, "metrics.view", by=admin, reason="Prepares the report")
    group = groups.create_group(name="Hygiene team", by=admin)
    groups.add_group_member(group, nurse, by=admin)
    finish_pending()

    text = text_of(browser.get(f"/people/{nurse.pk}/"))

    for said in ("Nora Nurse", nurse.user.email, "Hygiene team", "Prepares the report", "See the quality figures",
                 "Signed in now", "Permission given “See the quality figures”", "Joined the clinic"):  # fmt: skip
        assert said in text
    assert "Nowhere." not in text


def test_au30_ones_own_page_offers_no_rights_to_change(browser, admin):
    page = browser.get(f"/people/{admin.pk}/").content.decode()

    assert "Nobody changes what they may do themselves" in page
    assert f"/people/{admin.pk}/roles/" not in page
    assert f"/people/{admin.pk}/deactivate/" not in page
    refused = browser.post(f"/people/{admin.pk}/roles/", {"roles": ["admin", "doctor"]})
    assert (refused.status_code, "Nobody changes what they may do themselves" in text_of(refused)) == (422, True)


def test_k46_roles_are_changed_on_a_page(browser, nurse):
    address = f"/people/{nurse.pk}/roles/"
    form = sent_by(browser.get(address).content.decode(), holding="roles")
    assert form["roles"] == ["nurse"]

    refused = browser.post(address, {"roles": ["admin", "quality_manager"], "reason": "x"})
    assert refused.status_code == 422
    assert "two permissions that nobody may hold together" in text_of(refused)
    assert browser.post(address, {}).status_code == 422
    assert browser.post(address, {"roles": ["platform"]}).status_code == 422
    assert browser.post(address, {"roles": ["doctor", "qa"], "reason": "Covers"}).status_code == 302

    assert set(HeldRole.objects.filter(membership=nurse).values_list("role__code", flat=True)) == {"doctor", "qa"}


def test_k46_a_single_permission_is_given_for_whole_days_of_the_clinic_and_ended(browser, nurse, clinic):
    sent = {"effect": "grant", "permission": "metrics.view", "reason": "Report", "valid_until_day": "3",
            "valid_until_month": "4", "valid_until_year": "2099"}  # fmt: skip
    assert browser.post(f"/people/{nurse.pk}/permissions/new/", sent).status_code == 302

    grant = Grant.objects.get()
    assert grant.valid_until.astimezone(clinic.zone).isoformat() == "2099-04-04T00:00:00-05:00"
    shown = text_of(browser.get(f"/people/{nurse.pk}/"))
    assert "In force" in shown
    assert "3 Apr 2099" in shown  # the day that was typed, not the midnight after it
    assert "4 Apr 2099" not in shown
    assert browser.post(f"/people/{nurse.pk}/permissions/{grant.pk}/end/").status_code == 302
    assert "Ended by Ada Admin" in text_of(browser.get(f"/people/{nurse.pk}/"))


@pytest.mark.parametrize("changes", [{"reason": ""}, {"permission": ""}, {"permission": "x"}, {"valid_until_day": "3"},
                                     {"effect": "x"}, {"reason": "bad\u0000text"}])  # fmt: skip
def test_a_single_permission_that_is_not_right_comes_back(browser, nurse, changes):
    sent = {"effect": "deny", "permission": "metrics.view", "reason": "x"} | changes

    assert browser.post(f"/people/{nurse.pk}/permissions/new/", sent).status_code == 422
    assert not Grant.objects.exists()


def test_an_administrator_ends_somebodys_sign_in(browser, nurse, page_client):
    theirs = page_client(nurse)

    assert browser.post(f"/people/{nurse.pk}/sessions/{theirs.sign_in.pk}/end/").status_code == 302

    assert theirs.get("/").status_code == 302
    assert Session.objects.get(pk=theirs.sign_in.pk).revoked_at


def test_a_sign_in_of_somebody_else_is_not_there(browser, nurse, doctor, page_client):
    theirs = page_client(doctor)

    assert browser.post(f"/people/{nurse.pk}/sessions/{theirs.sign_in.pk}/end/").status_code == 404
    assert theirs.get("/").status_code == 200


def test_au21_deactivating_on_the_page_takes_a_reason(browser, nurse, page_client):
    theirs = page_client(nurse)

    refused = browser.post(f"/people/{nurse.pk}/deactivate/", {"reason": " "}, follow=True)
    assert "Say why" in text_of(refused)
    browser.post(f"/people/{nurse.pk}/deactivate/", {"reason": "Left"})
    assert theirs.get("/").status_code == 302
    browser.post(f"/people/{nurse.pk}/reactivate/", {"reason": "Back"})

    assert Membership.objects.get(pk=nurse.pk).is_active


def test_work_details_are_changed(browser, doctor):
    sent = {"department": "Ward 3", "specialization": "Surgery", "specialties": "Hands\r\n\r\n Feet \r\nHands"}

    assert browser.post(f"/people/{doctor.pk}/edit/", sent).status_code == 302

    doctor.refresh_from_db()
    assert (doctor.department, doctor.specialties) == ("Ward 3", ["Hands", "Feet"])


# --- Roles and groups ------------------------------------------------------------------------------------------------


def test_x8_the_matrix_says_every_permission_in_words_for_every_role(browser):
    text = text_of(browser.get("/people/roles/"))

    assert [words for words in WORDS.values() if str(words) not in text] == []
    for name in ("Administrator", "Doctor", "Nurse", "Reception", "Quality manager", "Auditor"):
        assert name in text
    assert "Platform administrator" not in text


def test_x8_own_roles_are_made_copied_changed_and_deleted(browser):
    nurse = Role.objects.get(code="nurse")
    assert browser.post(f"/people/roles/{nurse.number}/copy/", {"name": "Night nurse"}).status_code == 302
    role = Role.objects.get(code="night_nurse")
    address = f"/people/roles/{role.number}/"
    form = sent_by(browser.get(f"{address}edit/").content.decode(), holding="permissions")
    assert sorted(form["permissions"]) == sorted(nurse.permissions)

    saved = browser.post(f"{address}edit/", form | {"permissions": ["patients.view"], "name": ["Night"]})
    assert saved.status_code == 302
    stale = browser.post(f"{address}edit/", form | {"name": ["Too late"]})
    assert (stale.status_code, "somebody else" in text_of(stale).lower()) == (422, True)
    assert "See patients and their charts" in text_of(browser.get(address))
    browser.post(f"{address}delete/")

    assert not Role.objects.filter(pk=role.pk).exists()


def test_x8_a_built_in_role_can_not_be_changed_on_any_page(browser):
    nurse = Role.objects.get(code="nurse")

    assert browser.get(f"/people/roles/{nurse.number}/edit/").status_code == 302
    browser.post(f"/people/roles/{nurse.number}/edit/", {"name": "X", "permissions": []})
    browser.post(f"/people/roles/{nurse.number}/delete/")

    assert Role.objects.get(pk=nurse.pk).permissions == nurse.permissions


@pytest.mark.parametrize("sent", [{"name": ""}, {"name": "Nurse"}, {"name": "x", "permissions": ["rooms.fly"]},
                                  {"name": "x", "permissions": ["admin.roles", "documents.approve"]}])  # fmt: skip
def test_a_role_that_is_not_right_comes_back_with_its_ticks(browser, sent):
    answer = browser.post("/people/roles/new/", {"permissions": ["patients.view"]} | sent)

    assert answer.status_code == 422
    assert sent_by(answer.content.decode(), holding="permissions")["name"] == [sent["name"]]
    assert not Role.objects.filter(is_built_in=False).exists()


def test_k43_groups_on_pages(browser, nurse):
    browser.post("/people/groups/new/", {"name": "Hygiene team", "kind": "Department"})
    group = Group.objects.get()
    address = f"/people/groups/{group.number}/"

    assert "Nora Nurse" in text_of(browser.get(f"{address}?q=nora"))
    browser.post(f"{address}add/{nurse.pk}/")
    assert "Nobody fits" in text_of(browser.get(f"{address}?q=nora"))
    assert "Somebody joined: Nora Nurse" in text_of(browser.get(address))
    browser.post(f"{address}edit/", {"name": "Hygiene", "version": group.version})
    assert browser.post("/people/groups/new/", {"name": "hygiene"}).status_code == 422
    browser.post(f"{address}remove/{nurse.pk}/")
    browser.post(f"{address}end/")

    assert "There is no group yet" in text_of(browser.get("/people/groups/"))
    assert "Hygiene" in text_of(browser.get("/people/groups/?ended=true"))
    assert GroupMember.objects.get().ended_at


# --- Oneself and the clinic ------------------------------------------------------------------------------------------


def test_d7_my_profile_shows_and_changes_what_is_mine(nurse, page_client):
    mine = page_client(nurse)
    text = text_of(mine.get("/account/"))
    assert all(said in text for said in (nurse.user.email, "Nurse", "See patients and their charts"))

    sent = {"name": "Nora N.", "phone": "300 1", "language": "es", "department": "Ward 3", "specialization": ""}
    assert mine.post("/account/", sent | {"is_active": "", "roles": "admin"}).status_code == 302
    assert mine.post("/account/", {"name": ""}).status_code == 422

    user = User.objects.get(pk=nurse.user_id)
    assert (user.name, user.phone, user.language) == ("Nora N.", "300 1", "es")
    assert Membership.objects.get(pk=nurse.pk).roles[0].code == "nurse"


def test_d7_a_patients_profile_has_no_fields_of_work(patient_user, page_client):
    page = page_client(patient_user).get("/account/").content.decode()

    assert "id_phone" in page
    assert "id_department" not in page


def test_settings_are_bounded_and_saved(browser, clinic):
    sent = {"idle_minutes": "30", "session_hours": "8", "allows_registration": "on"}
    assert browser.post("/people/settings/", sent).status_code == 302

    clinic = Tenant.objects.get(pk=clinic.pk)
    assert (clinic.idle_minutes, clinic.session_hours, clinic.two_factor_required, clinic.allows_registration) == (
        30,
        8,
        False,
        True,
    )
    assert browser.post("/people/settings/", sent | {"idle_minutes": "4"}).status_code == 422
    assert browser.post("/people/settings/", sent | {"session_hours": "25"}).status_code == 422


# --- Who may open what -----------------------------------------------------------------------------------------------

EVERYBODY, ADMIN = set(CAST), {"admin"}
PAGES = [
    ("get", "/account/", EVERYBODY),
    ("get", "/people/", ADMIN),
    ("get", "/people/settings/", ADMIN),
    ("get", "/people/roles/", ADMIN),
    ("get", "/people/roles/new/", ADMIN),
    ("get", "/people/roles/2/", ADMIN),
    ("get", "/people/roles/2/edit/", ADMIN),
    ("post", "/people/roles/2/copy/", ADMIN),
    ("post", "/people/roles/2/delete/", ADMIN),
    ("get", "/people/groups/", ADMIN),
    ("get", "/people/groups/new/", ADMIN),
    ("get", "/people/groups/1/", ADMIN),
    ("get", "/people/groups/1/edit/", ADMIN),
    ("post", "/people/groups/1/end/", ADMIN),
    ("post", "/people/groups/1/add/{colleague}/", ADMIN),
    ("post", "/people/groups/1/remove/{colleague}/", ADMIN),
    ("get", "/people/{colleague}/", ADMIN),
    ("get", "/people/{colleague}/edit/", ADMIN),
    ("get", "/people/{colleague}/roles/", ADMIN),
    ("get", "/people/{colleague}/permissions/new/", ADMIN),
    ("post", "/people/{colleague}/permissions/{nobody}/end/", ADMIN),
    ("post", "/people/{colleague}/sessions/{nobody}/end/", ADMIN),
    ("post", "/people/{colleague}/deactivate/", ADMIN),
    ("post", "/people/{colleague}/reactivate/", ADMIN),
]


@pytest.mark.parametrize("who", CAST)
@pytest.mark.parametrize(
    ("method", "path", "allowed"), PAGES, ids=lambda value: str(sorted(value) if isinstance(value, set) else value)[:50]
)
def test_m25_d4_each_page_is_open_to_its_roles_only(request, clinic, page_client, who, method, path, allowed):
    member, colleague = request.getfixturevalue(who), MembershipFactory(role="user")
    groups.create_group(name="One", by=member)

    answer = getattr(page_client(member), method)(path.format(colleague=colleague.pk, nobody=NOBODY))

    assert (answer.status_code != 403) == (who in allowed)
    assert answer.status_code in {200, 302, 403, 404}


@pytest.mark.parametrize(
    ("method", "path", "allowed"), PAGES, ids=lambda value: str(sorted(value) if isinstance(value, set) else value)[:50]
)
def test_every_page_leads_a_stranger_to_the_sign_in(clinic, client, method, path, allowed):
    answer = getattr(client, method)(path.format(colleague=NOBODY, nobody=NOBODY))

    assert (answer.status_code, answer["Location"].partition("?")[0]) == (302, "/sign-in/")


def test_the_table_names_every_page():
    """The negative control: a page added to this room has to be put into the table above."""
    from accounts.team.urls import urlpatterns

    assert len(PAGES) == len(urlpatterns)


@pytest.mark.parametrize("tail", ["", "edit/", "roles/", "permissions/new/"])
def test_people_of_another_clinic_are_not_there(browser, stranger, tail):
    for member_id in (stranger.pk, NOBODY):
        assert browser.get(f"/people/{member_id}/{tail}").status_code == 404


@pytest.mark.parametrize("code", [*DEFAULT_ROLES, PLATFORM_ROLE])
def test_every_built_in_role_says_what_it_is_for(clinic, code):
    assert 20 < len(str(Role.objects.get(code=code).purpose)) < 120


def test_what_a_role_is_for_stands_wherever_roles_are_given(browser, admin, nurse):
    roles.create_role(name="Porters", description="<i>Brings & takes</i>", by=admin, permissions=[])
    number = Role.objects.get(code="nurse").number
    pages = ["/people/roles/", f"/people/roles/{number}/", f"/people/{nurse.pk}/roles/", "/people/invite/"]

    for page in (browser.get(address) for address in pages):
        assert page.status_code == 200
        assert "Cares for people here" in text_of(page)
        assert "<i>Brings" not in page.text


def test_the_history_of_a_group_says_what_it_began_with_and_what_changed(browser):
    browser.post("/people/groups/new/", {"name": "Hygiene team"})
    group = Group.objects.get()
    address = f"/people/groups/{group.number}/"

    made = text_of(browser.get(address))
    browser.post(f"{address}edit/", {"name": "Hygiene", "version": group.version})

    assert "Name Hygiene team" in made
    assert "Not known" not in made
    assert "Hygiene team → added Hygiene" in text_of(browser.get(address))


def test_a_group_and_a_role_of_another_clinic_are_not_there(browser, strange_admin, nurse):
    with outside_tenant(), tenant_context(strange_admin.tenant_id):
        theirs = [groups.create_group(name=f"G{number}", by=strange_admin) for number in range(2)][-1]
        role = [roles.create_role(name=f"R{number}", by=strange_admin) for number in range(2)][-1]

    for address in (f"/people/groups/{theirs.number}/", f"/people/roles/{role.number}/", "/people/groups/99999999999/"):
        assert browser.get(address).status_code == 404
    assert browser.post(f"/people/groups/{theirs.number}/add/{nurse.pk}/").status_code == 404
