"""Inviting and accepting: what a link is good for, and everything it is not."""

import threading
from datetime import timedelta
from uuid import uuid4

import pytest
from django.core import signing
from django.db import connection
from django.utils import timezone
from django.utils.html import escape

from accounts.joining import links, selectors
from accounts.joining.models import Invitation
from accounts.joining.services import invitations
from accounts.permissions import DEFAULT_ROLES
from accounts.second_factor.tests.phones import code, enrolled, wrong_code
from accounts.users.models import Membership, Role, Session, User
from accounts.users.tests.factories import PASSWORD, MembershipFactory, UserFactory, open_clinic
from accounts.users.tests.fixtures import PageClient, ProgramClient
from tenancy.audit.models import AuditEntry
from tenancy.rules import NotAllowed, RuleBroken
from tenancy.tenants.context import tenant_context
from tenancy.tenants.models import Tenant
from tenancy.tenants.tests.contexts import outside_tenant

EMAIL = "nina.new@example.org"
NEW = {"name": "Nina New", "password": "three loud blue teapots", "repeated": "three loud blue teapots"}


def invited(by, **fields):
    return invitations.invite(by=by, **{"email": EMAIL, "name": "Nina New", "roles": ["nurse"]} | fields)


def path_of(invitation):
    return f"/join/{links.sign_invitation(invitation)}/"


def actions():
    return list(AuditEntry.objects.in_order().values_list("action", flat=True))


def written():
    """What a refused link must not change."""
    return User.objects.count(), Membership.objects.count(), list(Invitation.objects.values())


# --- Inviting --------------------------------------------------------------------------------------------------------


def test_a_name_adds_no_line_to_the_mail(clinic, admin, mails):
    invited(admin, name="Nina\r\n\r\nYour account is locked, open")

    [mail] = mails(clinic)
    assert mail.body.startswith("Hello Nina Your account is locked, open,\n\nAda Admin invites you")


def test_invite_sends_a_link_that_carries_the_role(clinic, admin, mails, link_in):
    invitation = invited(admin, roles=["Clinician", "nurse"])

    [mail] = mails(clinic)
    token = link_in(mail, "join").split("/")[2]
    claim = links.read_invitation(token)
    assert (mail.to, mail.subject) == ([EMAIL], "Invitation to join Riverside Clinic")
    assert "Ada Admin invites you to join Riverside Clinic. Your role: Doctor, Nurse." in mail.body
    assert (claim.tenant_id, claim.invitation_id, claim.roles) == (clinic.id, invitation.pk, ("doctor", "nurse"))
    assert actions()[-1] == "invitation_sent"


def test_the_link_is_kept_nowhere(clinic, admin, mails, link_in):
    invitation = invited(admin)
    [mail] = mails(clinic)
    token = link_in(mail, "join").split("/")[2]

    with connection.cursor() as cursor:
        for table in connection.introspection.table_names():
            cursor.execute(f'SELECT count(*) FROM "{table}" t WHERE t::text LIKE %s', [f"%{token[-20:]}%"])
            assert cursor.fetchone() == (0,), table
    assert str(invitation.pk)


@pytest.mark.parametrize(
    ("roles", "error", "words"),
    [
        ([], RuleBroken, "at least one role"),
        (["emperor"], RuleBroken, "no role emperor"),
        (["platform"], RuleBroken, "no role platform"),
        (["nurse", "platform"], RuleBroken, "no role platform"),
        (["admin", "qa"], RuleBroken, "roles"),
    ],
)
def test_invite_refuses_roles_nobody_may_have(clinic, admin, roles, error, words):
    with pytest.raises(error, match=words):
        invited(admin, roles=roles)

    assert not Invitation.objects.exists()


def test_invite_with_roles_needs_the_permission_for_roles(clinic):
    Role.objects.create(number=90, code="desk", name="Desk", permissions=["profile.own", "admin.users"])
    clerk = MembershipFactory(role="desk")

    with pytest.raises(NotAllowed):
        invited(clerk, roles=["nurse"])
    assert invited(clerk, roles=["patient"]).roles == ["patient"]


def test_invite_refuses_members_and_whoever_is_invited(clinic, admin, nurse):
    invited(admin)

    with pytest.raises(RuleBroken, match="member"):
        invited(admin, email=nurse.user.email.upper())
    with pytest.raises(RuleBroken, match="invited already"):
        invited(admin, email=f" {EMAIL.upper()} ")
    assert Invitation.objects.count() == 1


# --- Accepting -------------------------------------------------------------------------------------------------------


def test_accept_makes_a_member_with_the_roles_of_the_link(clinic, admin, client):
    invitation = invited(admin, roles=["doctor"], specialization="Cardiology", phone="300 123")

    shown = client.get(path_of(invitation))
    answer = client.post(path_of(invitation), NEW)

    assert shown.status_code == 200
    assert escape("Nina New") in shown.text
    assert (answer.status_code, answer["Location"]) == (302, "/")
    member = Membership.objects.get(user__email=EMAIL)
    assert ([role.code for role in member.roles], member.specialization) == (["doctor"], "Cardiology")
    assert member.user.check_password(NEW["password"])
    assert member.user.email_confirmed_at is not None
    invitation.refresh_from_db()
    assert (invitation.accepted_by, invitation.is_open) == (member, False)
    assert Session.objects.get().membership == member
    assert {"invitation_accepted", "member_added"} <= set(actions())


def test_accept_get_takes_nothing(clinic, admin, client):
    invitation = invited(admin)
    before = written()

    for _ in range(3):
        assert client.get(path_of(invitation)).status_code == 200

    assert written() == before


def test_accept_by_a_known_person_takes_their_own_password_and_changes_none(clinic, admin, other_clinic, client):
    with outside_tenant(), tenant_context(other_clinic.id):
        known = MembershipFactory(role="nurse", user__email=EMAIL, user__name="Nina Known").user
    invitation = invited(admin, name="Nina Other")

    shown = client.get(path_of(invitation))
    wrong = client.post(path_of(invitation), {"password": NEW["password"]})
    assert (shown.status_code, wrong.status_code) == (200, 422)
    assert 'autocomplete="new-password"' not in shown.text
    assert not Membership.objects.filter(user=known).exists()

    right = client.post(path_of(invitation), {"password": PASSWORD, "name": "Nina Other", "repeated": PASSWORD})

    assert right.status_code == 302
    known.refresh_from_db()
    assert (known.name, known.check_password(PASSWORD)) == ("Nina Known", True)
    assert Membership.objects.filter(user=known).exists()


def test_accept_by_a_known_person_with_a_second_factor_asks_for_it_first(clinic, admin, other_clinic, client):
    with outside_tenant(), tenant_context(other_clinic.id):
        known = MembershipFactory(role="nurse", user__email=EMAIL).user
    phone = enrolled(known)
    invitation = invited(admin)

    shown = client.get(path_of(invitation))
    without = client.post(path_of(invitation), {"password": PASSWORD})
    wrong = client.post(path_of(invitation), {"password": PASSWORD, "code": wrong_code(phone)})

    assert 'autocomplete="one-time-code"' in shown.text
    assert (without.status_code, wrong.status_code) == (422, 422)
    assert "Two-factor required" in without.text
    assert "Invalid two-factor code" in wrong.text
    assert not Membership.objects.filter(user=known).exists()
    assert not Session.objects.exists()

    right = client.post(path_of(invitation), {"password": PASSWORD, "code": code(phone)})

    assert (right.status_code, right["Location"]) == (302, "/")
    assert Membership.objects.filter(user=known).exists()
    assert Session.objects.get().second_factor == "totp"
    assert client.get("/").status_code == 200


def test_an_unconfirmed_registration_does_not_occupy_an_address(clinic, admin, client):
    squatter = UserFactory(email=EMAIL, is_active=False, pending_email=EMAIL, password="the squatters own words")
    invitation = invited(admin)

    assert client.post(path_of(invitation), NEW).status_code == 302

    squatter.refresh_from_db()
    assert (squatter.is_active, squatter.name) == (True, "Nina New")
    assert squatter.check_password(NEW["password"])
    assert not squatter.check_password("the squatters own words")


def test_accept_refuses_a_bad_password_and_leaves_the_link(clinic, admin, client):
    invitation = invited(admin)

    answer = client.post(path_of(invitation), {**NEW, "password": "password", "repeated": "password"})

    assert answer.status_code == 422
    assert "stolen" in answer.text
    assert client.post(path_of(invitation), NEW).status_code == 302


def test_accept_refuses_roles_that_have_come_to_conflict(clinic, admin, client):
    invitation = invited(admin, roles=["nurse"])
    Role.objects.filter(code="nurse").update(permissions=["admin.roles", "documents.approve"])

    assert client.post(path_of(invitation), NEW).status_code == 422
    assert not User.objects.filter(email=EMAIL).exists()


# --- Links that do not work ------------------------------------------------------------------------------------------


def forged(given, /, **changes):
    claims = {
        "tenant": str(given.tenant_id),
        "invitation": str(given.pk),
        "roles": sorted(given.roles),
        "version": given.version,
    }
    return signing.TimestampSigner(salt="carewright.invitation").sign_object(claims | changes)


def accepted(invitation):
    invitations.accept_as_new(
        links.read_invitation(links.sign_invitation(invitation)), name="Nina", password=NEW["password"]
    )


DEAD_LINKS = {
    "expired row": (lambda i, a: Invitation.objects.filter(pk=i.pk).update(expires_at=timezone.now()), 410),
    "withdrawn": (lambda i, a: invitations.withdraw_invitation(i, by=a), 410),
    "accepted": (lambda i, a: accepted(i), 410),
    "sent again": (lambda i, a: invitations.resend_invitation(i, by=a), 410),
    "roles of the row changed": (lambda i, a: Invitation.objects.filter(pk=i.pk).update(roles=["admin"]), 404),
    "clinic closed": (lambda i, a: Tenant.objects.filter(pk=i.tenant_id).update(is_active=False), 404),
}


@pytest.mark.parametrize("case", DEAD_LINKS)
def test_a_link_that_is_over_says_so_and_writes_nothing(clinic, admin, client, case):
    act, status = DEAD_LINKS[case]
    invitation = invited(admin)
    path = path_of(invitation)
    assert client.get(path).status_code == 200  # the negative control: it was good
    act(invitation, admin)
    before = written()

    shown, posted = client.get(path), client.post(path, NEW)

    assert (shown.status_code, posted.status_code) == (status, status)
    assert "This link does not work" in shown.text
    assert written() == before
    assert not Session.objects.exists()


FORGERIES = {
    "nothing": lambda i: "x",
    "dots": lambda i: "a.b.c",
    "colons": lambda i: ":::",
    "truncated": lambda i: links.sign_invitation(i)[:-1],
    "longer": lambda i: links.sign_invitation(i) + "A",
    "signature of another": lambda i: links.sign_invitation(i).rpartition(":")[0] + ":" + "A" * 43,
    "payload of another": lambda i: "e30:" + links.sign_invitation(i).partition(":")[2],
    "another salt": lambda i: signing.TimestampSigner(salt="carewright.address").sign_object({"a": 1}),
    "another key": lambda i: signing.TimestampSigner(key="x" * 40, salt="carewright.invitation").sign_object({}),
    "an empty object": lambda i: signing.TimestampSigner(salt="carewright.invitation").sign_object({}),
    "a list": lambda i: signing.TimestampSigner(salt="carewright.invitation").sign_object([1, 2]),
    "no uuid": lambda i: forged(i, invitation="7"),
    "another invitation": lambda i: forged(i, invitation=str(uuid4())),
    "another clinic": lambda i: forged(i, tenant=str(uuid4())),
    "more roles": lambda i: forged(i, roles=["admin", "nurse"]),
    "another role": lambda i: forged(i, roles=["admin"]),
    "no role": lambda i: forged(i, roles=[]),
    "ten thousand characters": lambda i: "A" * 10_000,
    "unicode": lambda i: "ñ" * 40,
    "null": lambda i: "%00",
}


@pytest.mark.parametrize("case", FORGERIES)
def test_au30_a_forged_link_opens_nothing(clinic, admin, client, case):
    invitation = invited(admin)
    before = written()
    path = f"/join/{FORGERIES[case](invitation)}/"

    assert {client.get(path).status_code, client.post(path, NEW).status_code} <= {404, 410}
    assert written() == before


def test_au30_a_real_link_of_another_clinic_does_not_open_ours(clinic, admin, strange_admin, other_clinic, client):
    with outside_tenant(), tenant_context(other_clinic.id):
        theirs = invited(strange_admin, roles=["admin"])
    ours = invited(admin)
    mixed = forged(theirs, tenant=str(clinic.id))

    assert client.post(f"/join/{mixed}/", NEW).status_code == 404
    assert client.get(path_of(ours)).status_code == 200
    assert not User.objects.filter(email=EMAIL).exists()


def test_a_link_is_too_old_after_a_week(clinic, admin, client, time_machine_at):
    invitation = invited(admin)
    path = path_of(invitation)

    with time_machine_at(timedelta(days=7, seconds=1)):
        assert client.get(path).status_code == 410
    with time_machine_at(timedelta(days=6)):
        assert client.get(path).status_code == 200


def test_a_refused_link_leaves_one_line_in_the_trail_when_it_is_used(clinic, admin, client):
    invitation = invited(admin)
    path = path_of(invitation)
    invitations.withdraw_invitation(invitation, by=admin)

    client.get(path)
    assert "invitation_refused" not in actions()
    for _ in range(3):
        client.post(path, NEW)

    [entry] = AuditEntry.objects.filter(action="invitation_refused")
    assert (entry.reason_code, entry.object_id) == ("link_withdrawn", str(invitation.pk))


def test_cc08_of_two_who_accept_at_once_one_gets_in(committed_db):
    tenant, admin = open_clinic()
    with tenant_context(tenant.id):
        email = f"{uuid4().hex}@example.org"
        path = path_of(invited(admin, email=email))
    start, answers = threading.Barrier(6), []

    def accept():
        browser = PageClient()
        start.wait()
        answers.append(browser.post(path, NEW).status_code)
        connection.close()

    threads = [threading.Thread(target=accept) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(answers) == [302, 410, 410, 410, 410, 410]
    with tenant_context(tenant.id):
        assert Membership.objects.filter(user__email=email).count() == 1


# --- Sending again, withdrawing --------------------------------------------------------------------------------------


def test_resend_makes_the_earlier_link_worthless_and_the_new_one_good(clinic, admin, mails, link_in, client):
    invitation = invited(admin)
    [first] = mails(clinic)
    invitations.resend_invitation(invitation, by=admin)
    [second] = mails(clinic)

    assert client.get(link_in(first, "join")).status_code == 410
    assert client.get(link_in(second, "join")).status_code == 200


def test_a_mail_that_waits_is_dropped_when_the_invitation_is_over(clinic, admin, mails):
    invitation = invited(admin)
    invitations.withdraw_invitation(invitation, by=admin)

    assert mails(clinic) == []


def test_resend_floods_nobody(clinic, admin):
    invitation = invited(admin)
    for _time in range(3):
        invitations.resend_invitation(invitation, by=admin)

    with pytest.raises(RuleBroken, match="Several mails"):
        invitations.resend_invitation(invitation, by=admin)
    invitation.refresh_from_db()
    assert invitation.version == 4


def test_withdraw_and_resend_refuse_what_is_over(clinic, admin):
    invitation = invited(admin)
    invitations.withdraw_invitation(invitation, by=admin)

    for act in (invitations.withdraw_invitation, invitations.resend_invitation):
        with pytest.raises(RuleBroken, match="already"):
            act(invitation, by=admin)
    assert invited(admin).pk != invitation.pk


# --- The page and the API --------------------------------------------------------------------------------------------


def test_invite_page_lists_who_has_not_answered(clinic, admin, page_client):
    browser = page_client(admin)
    form = {"name": "Nina New", "email": EMAIL, "roles": ["nurse"], "specialties": "Wounds, , wounds,Stoma"}

    answer = browser.post("/people/invite/", form)
    page = browser.get("/people/invite/")

    assert (answer.status_code, answer["Location"]) == (302, "/people/invite/")
    [invitation] = selectors.list_open_invitations()
    assert invitation.specialties == ["Wounds", "wounds", "Stoma"]
    assert EMAIL in page.text
    assert "Platform administrator" not in page.text
    assert browser.post(f"/people/invite/{invitation.pk}/resend/").status_code == 302
    assert browser.post(f"/people/invite/{invitation.pk}/withdraw/").status_code == 302
    assert not selectors.list_open_invitations().exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [({"email": "no address"}, "email"), ({"roles": ["emperor"]}, "emperor"), ({"name": ""}, "required"),
     ({"specialties": ",".join(map(str, range(13)))}, "At most 12"), ({"roles": ["admin", "qa"]}, "Nobody was")],
)  # fmt: skip
def test_invite_page_shows_what_is_wrong(clinic, admin, page_client, change, words):
    form = {"name": "Nina New", "email": EMAIL, "roles": ["nurse"]} | change

    answer = page_client(admin).post("/people/invite/", form)

    assert answer.status_code == 422
    assert words in answer.text
    assert not Invitation.objects.exists()


@pytest.mark.parametrize("role", sorted(set(DEFAULT_ROLES) - {"admin"}))
def test_invite_is_for_those_who_manage_people(clinic, admin, page_client, api_client, role):
    member = MembershipFactory(role=role)
    invitation = invited(admin)

    browser, program = page_client(member), api_client(member)
    assert browser.get("/people/invite/").status_code == 403
    assert browser.post(f"/people/invite/{invitation.pk}/withdraw/").status_code == 403
    assert program.get("/api/invitations").status_code == 403
    assert program.post("/api/invitations", {"email": "a@example.org", "name": "A", "role": "admin"}).status_code == 403
    assert program.delete(f"/api/invitations/{invitation.pk}").status_code == 403
    assert Invitation.objects.get().is_open


def test_invitations_api_makes_lists_and_withdraws(clinic, admin, api_client):
    program = api_client(admin)

    made = program.post("/api/invitations", {"email": EMAIL, "name": "Nina New", "roles": ["nurse", "QA"]})
    listed = program.get("/api/invitations").json()
    again = program.post(f"/api/invitations/{made.json()['id']}/resend")
    gone = program.delete(f"/api/invitations/{made.json()['id']}")

    assert (made.status_code, made.json()["roles"], made.json()["invited_by"]) == (201, ["nurse", "qa"], "Ada Admin")
    assert (listed["total"], listed["items"][0]["email"]) == (1, EMAIL)
    assert (again.status_code, gone.status_code) == (200, 204)
    assert program.get("/api/invitations").json()["items"] == []
    assert program.delete(f"/api/invitations/{made.json()['id']}").status_code == 404


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({}, 400, "email"),
        ({"email": EMAIL, "name": "N"}, 400, "role"),
        ({"email": EMAIL, "name": "N", "role": "emperor"}, 400, "role"),
        ({"email": EMAIL, "name": "N", "role": "platform"}, 400, "role"),
        ({"email": "x", "name": "N", "role": "nurse"}, 400, "email"),
        ({"email": EMAIL, "name": "N" * 201, "role": "nurse"}, 400, "name"),
        ({"email": EMAIL, "name": "N", "role": ["nurse"]}, 400, "role"),
        ({"email": EMAIL, "name": "N", "roles": ["admin", "qa"]}, 409, None),
    ],
)
def test_invitations_api_refuses_bad_input(clinic, admin, api_client, body, status, field):
    answer = api_client(admin).post("/api/invitations", body)

    assert answer.status_code == status
    if field:
        assert field in {problem["loc"][-1] for problem in answer.json()["detail"]}
    assert not Invitation.objects.exists()


def test_invitations_of_another_clinic_are_not_there(clinic, admin, strange_admin, api_client, page_client):
    invitation = invited(admin)

    assert api_client(strange_admin).delete(f"/api/invitations/{invitation.pk}").status_code == 404
    assert page_client(strange_admin).post(f"/people/invite/{invitation.pk}/withdraw/").status_code == 404
    assert api_client(strange_admin).get("/api/invitations").json()["items"] == []
    assert ProgramClient().get("/api/invitations").status_code == 401
