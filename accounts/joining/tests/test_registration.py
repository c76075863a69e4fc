"""Registering: patients themselves, administrators anybody, nobody anything else (C2, Q2, M3, D6, K2, AU-30)."""

import threading
import time
from uuid import uuid4

import pytest
from django.db import connection

from accounts.joining import links, selectors
from accounts.joining.models import Invitation
from accounts.joining.services import invitations
from accounts.permissions import DEFAULT_ROLES, ROLE_ALIASES
from accounts.second_factor.tests.phones import code, enrolled, wrong_code
from accounts.users.models import HeldRole, Membership, Role, Session, User
from accounts.users.tests.factories import PASSWORD, MembershipFactory, open_clinic
from accounts.users.tests.fixtures import PageClient, ProgramClient
from tenancy.tenants.context import tenant_context
from tenancy.tenants.models import Tenant
from tenancy.tenants.tests.contexts import outside_tenant

EMAIL, WORDS = "pia.nueva@example.org", "three loud blue teapots"
BODY = {"name": "Pia Nueva", "email": EMAIL, "password": WORDS}
ROUTES = ["/api/auth/register", "/api/v1/auth/register/"]


@pytest.fixture
def open_house(clinic):
    """The clinic lets patients register."""
    Tenant.objects.filter(pk=clinic.pk).update(allows_registration=True)
    clinic.allows_registration = True
    return clinic


def here(clinic, **fields):
    return BODY | {"tenant": clinic.slug} | fields


def fields_of(answer):
    return {problem["loc"][-1] for problem in answer.json()["detail"]}


# --- By themselves, over the API -------------------------------------------------------------------------------------


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize(
    ("body", "name", "username"),
    [
        ({"name": "Pia Nueva"}, "Pia Nueva", EMAIL),
        ({"full_name": "Pia Nueva", "bio": "Gardener", "phone": "300 1"}, "Pia Nueva", EMAIL),
        ({"username": "pia77"}, "pia77", "pia77"),
        ({"name": "Pia Nueva", "role": "patient"}, "Pia Nueva", EMAIL),
    ],
)
def test_q2_m3_k2_register_answers_who_was_made_in_any_documents_words(
    open_house, anonymous_api, route, body, name, username
):
    answer = anonymous_api.post(route, {"email": EMAIL, "password": WORDS, "tenant": open_house.slug} | body)

    user = User.objects.get(email=EMAIL)
    assert answer.status_code == 201
    assert answer.json() == {
        "id": str(user.pk), "email": EMAIL, "username": username, "name": name, "role": "patient",
    }  # fmt: skip
    assert not answer.cookies
    assert user.check_password(WORDS)


def test_a_stranger_writes_nothing_into_the_mail_to_somebody_elses_address(open_house, anonymous_api, mails):
    body = {"name": "You won, see http://evil.example/", "password": WORDS, "tenant": open_house.slug, "email": EMAIL}
    assert anonymous_api.post("/api/auth/register", body).status_code == 201

    [mail] = mails(open_house)
    assert "evil.example" not in mail.body
    assert mail.body.startswith(f"Hello {EMAIL},")


def test_a_registered_patient_gets_in_only_after_confirming(open_house, anonymous_api, mails, link_in, client):
    anonymous_api.post("/api/auth/register", here(open_house))
    [mail] = mails(open_house)
    path = link_in(mail, "confirm-email")

    closed = anonymous_api.post("/api/auth/login", {"email": EMAIL, "password": WORDS})
    unknown = anonymous_api.post("/api/auth/login", {"email": "nobody@example.org", "password": WORDS})
    assert (closed.status_code, closed.json()["detail"]) == (401, "Invalid email or password")
    assert {k: v for k, v in closed.json().items() if k != "trace_id"} == {
        k: v for k, v in unknown.json().items() if k != "trace_id"
    }
    assert client.get(path).status_code == 200
    assert client.post(path, {"password": "another one entirely"}).status_code == 422
    assert not Membership.objects.filter(user__email=EMAIL).exists()

    assert client.post(path, {"password": WORDS}).status_code == 302
    assert [role.code for role in Membership.objects.get(user__email=EMAIL).roles] == ["patient"]
    assert anonymous_api.post("/api/auth/login", {"email": EMAIL, "password": WORDS}).status_code == 200
    assert client.post(path, {"password": WORDS}).status_code == 410


def test_confirm_email_over_the_api(open_house, anonymous_api, mails, link_in):
    anonymous_api.post("/api/auth/register", here(open_house))
    [mail] = mails(open_house)
    token = link_in(mail, "confirm-email").split("/")[2]

    without = anonymous_api.post("/api/auth/confirm-email", {"token": token})
    wrong = anonymous_api.post("/api/auth/confirm-email", {"token": token, "password": "x"})
    right = anonymous_api.post("/api/auth/confirm-email", {"token": token, "password": WORDS})
    again = anonymous_api.post("/api/auth/confirm-email", {"token": token, "password": WORDS})

    assert [answer.status_code for answer in (without, wrong, right, again)] == [400, 400, 200, 400]
    assert [fields_of(answer) for answer in (without, wrong, again)] == [{"password"}, {"password"}, {"token"}]
    assert again.json()["detail"][0]["type"] == "link_used"


@pytest.mark.parametrize("tenant", ["own", "unknown", None])
def test_registration_is_closed_unless_the_clinic_opens_it(clinic, anonymous_api, tenant):
    named = {"tenant": clinic.slug if tenant == "own" else tenant} if tenant else {}

    answer = anonymous_api.post("/api/auth/register", BODY | named)

    assert answer.status_code == 403
    assert not User.objects.filter(email=EMAIL).exists()


def test_registration_finds_the_clinic_as_decided(open_house, other_clinic, anonymous_api):
    in_header = anonymous_api.post("/api/auth/register", BODY, headers={"X-Tenant": open_house.slug})
    named_wins = anonymous_api.post(
        "/api/auth/register", here(other_clinic, email="b@example.org"), headers={"X-Tenant": open_house.slug}
    )

    assert (in_header.status_code, named_wins.status_code) == (201, 403)


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("role", sorted({*DEFAULT_ROLES, *ROLE_ALIASES, "platform", "emperor"} - {"patient"}))
def test_au30_nobody_gives_themself_a_role(open_house, anonymous_api, route, role):
    in_body = anonymous_api.post(route, here(open_house, role=role))
    in_query = anonymous_api.post(f"{route}?role={role}", here(open_house))

    assert (in_body.status_code, in_query.status_code) == (403, 403)
    assert not User.objects.filter(email=EMAIL).exists()


def test_au30_other_keys_give_nobody_anything(open_house, anonymous_api, mails, link_in, client):
    more = {
        "is_staff": True, "is_superuser": True, "is_platform_admin": True, "is_active": True, "groups": ["admin"],
        "tenant_id": str(uuid4()), "permissions": ["admin.users"], "roles": ["admin"],
        "id": str(uuid4()), "link_version": 9, "email_confirmed_at": "2020-01-01", "has_second_factor": True,
    }  # fmt: skip
    answer = anonymous_api.post("/api/auth/register", here(open_house) | more)
    [mail] = mails(open_house)
    client.post(link_in(mail, "confirm-email"), {"password": WORDS})

    user = User.objects.get(email=EMAIL)
    assert answer.json()["role"] == "patient"
    assert str(user.pk) != more["id"]
    assert (user.is_platform_admin, user.has_second_factor) == (False, False)
    assert HeldRole.objects.get(membership__user=user).role.code == "patient"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"email": None}, "email"),
        ({"email": "x"}, "email"),
        ({"email": f"{'x' * 250}@example.org"}, "email"),
        ({"email": ["a@example.org"]}, "email"),
        ({"name": ""}, "name"),
        ({"name": None}, "name"),
        ({"name": 7 * [1]}, "name"),
        ({"name": "N" * 201}, "name"),
        ({"password": None}, "password"),
        ({"password": ""}, "password"),
        ({"password": "short"}, "password"),
        ({"password": "password123"}, "password"),
        ({"password": "x" * 257}, "password"),
        ({"password": {"a": 1}}, "password"),
        ({"password": EMAIL}, "password"),
        ({"phone": "3" * 31}, "phone"),
        ({"role": 7}, "role"),
        ({"role": ["patient"]}, "role"),
        ({"role": ""}, "role"),
        ({"specialties": "Cardiology"}, "specialties"),
        ({"specialties": ["x"] * 13}, "specialties"),
        ({"tenant": 7 * [1]}, "tenant"),
    ],
)
def test_m3_register_names_every_field_that_is_wrong(open_house, anonymous_api, change, field):
    body = {key: value for key, value in (here(open_house) | change).items() if value is not None}

    answer = anonymous_api.post("/api/auth/register", body)

    assert answer.status_code == 400
    assert field in fields_of(answer)
    assert not User.objects.filter(email=EMAIL).exists()


def test_q2_missing_fields_are_all_named(open_house, anonymous_api):
    assert fields_of(anonymous_api.post("/api/auth/register", {"tenant": open_house.slug})) == {"email", "password"}


@pytest.mark.parametrize("spelling", [EMAIL, EMAIL.upper(), f" {EMAIL} ", "pia.nueva@example.org."])
def test_q2_m3_an_address_or_user_name_is_taken_once(open_house, anonymous_api, spelling):
    anonymous_api.post("/api/auth/register", here(open_house, username="pia77"))

    by_email = anonymous_api.post("/api/auth/register", here(open_house, email=spelling))
    by_name = anonymous_api.post("/api/auth/register", here(open_house, email="b@example.org", username="PIA77"))
    as_name = anonymous_api.post("/api/auth/register", here(open_house, email="c@example.org", username=EMAIL))

    assert (by_email.status_code, fields_of(by_email)) == (400, {"email"})
    assert (by_name.status_code, fields_of(by_name)) == (400, {"username"})
    assert (as_name.status_code, fields_of(as_name)) == (400, {"username"})
    assert User.objects.filter(email_key=EMAIL).count() == 1


def test_register_is_limited_by_network_address(open_house, anonymous_api, admin, api_client):
    answers = [
        anonymous_api.post("/api/auth/register", here(open_house, email=f"p{number}@example.org"))
        for number in range(6)
    ]

    assert [answer.status_code for answer in answers] == [201] * 5 + [429]
    assert int(answers[-1]["Retry-After"]) > 0
    # An administrator at work is not counted here.
    assert api_client(admin).post("/api/auth/register", BODY | {"role": "nurse"}).status_code == 201


def test_cc08_of_many_who_register_one_address_at_once_one_is_made(committed_db, monkeypatch):
    tenant, admin = open_clinic(allows_registration=True)
    with tenant_context(tenant.id):
        admin.permissions
    email, start, answers = f"{uuid4().hex}@example.org", threading.Barrier(5), []

    def register():
        start.wait()
        answers.append(ProgramClient().post("/api/auth/register", here(tenant, email=email)))
        connection.close()

    threads = [threading.Thread(target=register) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(answer.status_code for answer in answers) == [201, 400, 400, 400, 400]
    assert User.objects.filter(email=email).count() == 1


# --- By an administrator ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("role", sorted(DEFAULT_ROLES))
def test_d6_m3_an_administrator_registers_with_any_role(clinic, admin, api_client, route, role):
    body = BODY | {"role": role, "specialization": "Cardiology", "department": "Ward 3", "specialties": ["Echo"]}

    answer = api_client(admin).post(route, body)

    member = Membership.objects.get(user__email=EMAIL)
    assert (answer.status_code, answer.json()["role"]) == (201, role)
    assert [held.code for held in member.roles] == [role]
    assert (member.specialization, member.department, member.specialties) == ("Cardiology", "Ward 3", ["Echo"])
    assert (member.user.is_active, member.user.email_confirmed_at) == (True, None)


def test_d6_the_role_may_stand_in_the_query_and_in_the_documents_words(clinic, admin, api_client):
    program = api_client(admin)

    in_query = program.post("/api/v1/auth/register?role=doctor", BODY | {"specialty_id": 7})
    alias = program.post("/api/auth/register?role=QA", BODY | {"email": "b@example.org"})
    both = program.post("/api/auth/register?role=nurse", BODY | {"email": "c@example.org", "role": "doctor"})

    assert (in_query.status_code, in_query.json()["role"]) == (201, "doctor")
    assert Membership.objects.get(user__email=EMAIL).specialties == ["7"]
    assert (alias.status_code, alias.json()["role"]) == (201, "qa")
    assert (both.status_code, fields_of(both)) == (400, {"role"})


def test_d6_a_doctor_needs_a_specialty_at_doctolibs_address(clinic, admin, api_client):
    without = api_client(admin).post("/api/v1/auth/register", BODY | {"role": "doctor"})
    at_medisecures = api_client(admin).post("/api/auth/register", BODY | {"role": "doctor"})

    assert (without.status_code, fields_of(without)) == (400, {"specialty_id"})
    assert at_medisecures.status_code == 201


def test_an_administrator_registers_in_their_own_clinic_whatever_the_body_says(clinic, admin, other_clinic, api_client):
    answer = api_client(admin).post("/api/auth/register", here(other_clinic, role="nurse"))

    assert answer.status_code == 201
    assert Membership.objects.filter(user__email=EMAIL).exists()
    with outside_tenant(), tenant_context(other_clinic.id):
        assert not Membership.objects.filter(user__email=EMAIL).exists()


@pytest.mark.parametrize("role", ["emperor", "platform"])
def test_an_administrator_gives_no_role_that_is_not_there(clinic, admin, api_client, role):
    answer = api_client(admin).post("/api/auth/register", BODY | {"role": role})

    assert (answer.status_code, fields_of(answer)) == (400, {"role"})
    assert not User.objects.filter(email=EMAIL).exists()


@pytest.mark.parametrize("role", sorted(set(DEFAULT_ROLES) - {"admin"}))
def test_au30_members_who_are_no_administrators_register_nobody(open_house, api_client, role):
    program = api_client(MembershipFactory(role=role))

    assert program.post("/api/auth/register", BODY | {"role": "admin"}).status_code == 403
    assert program.post("/api/auth/register", BODY).status_code == 403


def test_au30_managing_people_alone_gives_no_roles(clinic, api_client):
    Role.objects.create(number=90, code="desk", name="Desk", permissions=["profile.own", "admin.users"])
    program = api_client(MembershipFactory(role="desk"))

    assert program.post("/api/auth/register", BODY | {"role": "doctor"}).status_code == 403
    assert program.post("/api/auth/register", BODY | {"role": "patient"}).status_code == 201


def test_a_cookie_administrator_is_asked_where_the_request_comes_from(clinic, admin, cookie_client):
    web = cookie_client(admin)

    crossing = web.post("/api/auth/register", BODY | {"role": "nurse"}, headers={"Sec-Fetch-Site": "cross-site"})
    assert (crossing.status_code, crossing.json()["code"]) == (403, "csrf_failed")
    assert web.post("/api/auth/register", BODY | {"role": "nurse"}).status_code == 201


@pytest.mark.parametrize("role", ["doctor", "patient"])
def test_a_credential_that_is_over_is_401_and_nobody_is_made(open_house, admin, api_client, role):
    program = api_client(admin)
    Session.objects.update(revoked_at="2026-01-01T00:00:00Z")

    assert program.post("/api/auth/register", here(open_house, role=role)).status_code == 401
    assert not User.objects.filter(email=EMAIL).exists()


# --- With an invitation ----------------------------------------------------------------------------------------------


def test_c2_an_invitation_gives_its_role_and_no_other(clinic, admin, anonymous_api):
    invitation = invitations.invite(by=admin, email=EMAIL, name="Pia", roles=["nurse"])
    token = links.sign_invitation(invitation)

    other = anonymous_api.post("/api/auth/register", BODY | {"invitation": token, "email": "b@example.org"})
    answer = anonymous_api.post("/api/auth/register", BODY | {"invitation": token, "role": "admin"})
    again = anonymous_api.post("/api/auth/register", BODY | {"invitation": token})

    assert (other.status_code, fields_of(other)) == (400, {"email"})
    assert (answer.status_code, answer.json()["role"]) == (201, "nurse")
    assert (again.status_code, again.json()["detail"][0]["type"]) == (400, "link_used")


@pytest.mark.parametrize("token", ["x", "a:b:c", "A" * 2000])
def test_c2_a_forged_invitation_is_refused(clinic, anonymous_api, token):
    answer = anonymous_api.post("/api/auth/register", BODY | {"invitation": token, "role": "admin"})

    assert (answer.status_code, fields_of(answer)) == (400, {"invitation"})
    assert not User.objects.filter(email=EMAIL).exists()


def test_c2_a_known_person_accepts_with_their_second_factor(clinic, admin, other_clinic, anonymous_api):
    with outside_tenant(), tenant_context(other_clinic.id):
        known = MembershipFactory(role="nurse", user__email=EMAIL).user
    phone = enrolled(known)
    token = links.sign_invitation(invitations.invite(by=admin, email=EMAIL, name="Pia", roles=["nurse"]))
    body = BODY | {"invitation": token, "password": PASSWORD}

    without = anonymous_api.post("/api/auth/register", body)
    wrong = anonymous_api.post("/api/auth/register", body | {"totp_code": wrong_code(phone)})
    joined_by_then = Membership.objects.filter(user=known).exists()
    right = anonymous_api.post("/api/auth/register", body | {"totp_code": code(phone)})

    assert (without.status_code, without.json()["code"]) == (400, "two_factor_required")
    assert (wrong.status_code, wrong.json()["code"]) == (400, "invalid_totp")
    assert not joined_by_then
    assert right.status_code == 201
    assert Membership.objects.filter(user=known).exists()


def test_c2_a_known_person_accepts_with_their_own_password_only(clinic, admin, other_clinic, anonymous_api):
    with outside_tenant(), tenant_context(other_clinic.id):
        known = MembershipFactory(role="nurse", user__email=EMAIL).user
    token = links.sign_invitation(invitations.invite(by=admin, email=EMAIL, name="Pia", roles=["nurse"]))

    wrong = anonymous_api.post("/api/auth/register", BODY | {"invitation": token})
    right = anonymous_api.post("/api/auth/register", BODY | {"invitation": token, "password": PASSWORD})

    assert (wrong.status_code, wrong.json()["detail"]) == (401, "Invalid email or password")
    assert right.status_code == 201
    known.refresh_from_db()
    assert known.check_password(PASSWORD)


# --- The page: nobody learns who is known (AU-01, AU-02) -------------------------------------------------------------

FORM = {"name": "Pia Nueva", "email": EMAIL, "password": WORDS, "repeated": WORDS}


@pytest.fixture
def only_clinic(open_house, monkeypatch):
    """The page stands at the clinic's own address."""
    monkeypatch.setattr("accounts.joining.pages.find_tenant", lambda **kwargs: open_house)
    return open_house


def whoever(kind, clinic):
    if kind == "member":
        MembershipFactory(role="patient", user__email=EMAIL)
    elif kind == "known elsewhere":
        tenant, _ = open_clinic()
        with tenant_context(tenant.id):
            MembershipFactory(role="nurse", user__email=EMAIL, user__name="Pia Known")
    elif kind == "unconfirmed":
        MembershipFactory(role="patient", user__email="unrelated@example.org")
        PageClient().post("/join/", FORM | {"password": "an earlier password", "repeated": "an earlier password"})
    elif kind == "closed":
        MembershipFactory(role="patient", user__email=EMAIL)
        User.objects.filter(email=EMAIL).update(is_active=False, email_confirmed_at="2026-01-01T00:00:00Z")


EXPECTED = {
    "unknown": "Confirm your registration at Riverside Clinic",
    "member": "You already have an account",
    "known elsewhere": "Your registration at Riverside Clinic",
    "unconfirmed": "Confirm your registration at Riverside Clinic",
    "closed": None,
}


@pytest.mark.parametrize("kind", EXPECTED)
def test_au02_the_page_answers_alike_and_the_mail_goes_to_the_owner(only_clinic, client, mails, kind):
    if kind == "known elsewhere":
        with outside_tenant():
            whoever(kind, only_clinic)
    else:
        whoever(kind, only_clinic)
    mails(only_clinic)

    answer = client.post("/join/", FORM | {"email": EMAIL.upper()})

    assert (answer.status_code, answer["Location"]) == (302, "/join/sent/")
    left = [(mail.to[0].lower(), mail.subject) for mail in mails(only_clinic)]
    assert left == ([(EMAIL, EXPECTED[kind])] if EXPECTED[kind] else [])


def test_au01_au02_known_and_unknown_addresses_take_the_same_time(only_clinic, client, settings):
    settings.EVEN_ANSWER_SECONDS = 0.4
    whoever("member", only_clinic)
    took = {}

    for email in (EMAIL, "new@example.org"):
        begun = time.monotonic()
        assert client.post("/join/", FORM | {"email": email}).status_code == 302
        took[email] = time.monotonic() - begun

    assert abs(took[EMAIL] - took["new@example.org"]) < 0.1
    assert min(took.values()) >= 0.4


def test_a_stranger_can_not_prepare_an_account_for_somebody_else(only_clinic, client, mails, link_in):
    client.post("/join/", FORM | {"password": "the strangers own words", "repeated": "the strangers own words"})
    [first] = mails(only_clinic)
    client.post("/join/", FORM)
    [second] = mails(only_clinic)

    assert client.get(link_in(first, "confirm-email")).status_code == 410
    path = link_in(second, "confirm-email")
    assert client.post(path, {"password": "the strangers own words"}).status_code == 422
    assert client.post(path, {"password": WORDS}).status_code == 302


def test_a_known_person_joins_by_the_mail_with_their_own_password(only_clinic, client, mails, link_in):
    with outside_tenant():
        whoever("known elsewhere", only_clinic)
    client.post("/join/", FORM)
    [mail] = mails(only_clinic)
    path = link_in(mail, "join")

    assert client.post(path, FORM).status_code == 422
    assert client.post(path, {"password": PASSWORD}).status_code == 302
    member = Membership.objects.get(user__email=EMAIL)
    assert ([role.code for role in member.roles], member.user.name) == (["patient"], "Pia Known")


def test_strangers_may_have_three_mails_an_hour_sent_to_one_address(only_clinic, mails, monkeypatch):
    whoever("member", only_clinic)
    monkeypatch.setattr("accounts.joining.pages.client_address", lambda request: uuid4().hex)

    for _ in range(5):
        assert PageClient().post("/join/", FORM).status_code == 302

    assert len(mails(only_clinic)) == 3


def test_the_page_is_limited_by_network_address(only_clinic, client):
    answers = [client.post("/join/", FORM | {"email": f"p{number}@example.org"}) for number in range(6)]

    assert [answer.status_code for answer in answers] == [302] * 5 + [429]
    assert "Too many tries" in answers[-1].text


def test_the_page_is_closed_unless_a_clinic_opens_it(clinic, client):
    assert client.get("/join/").status_code == 403
    assert client.post("/join/", FORM).status_code == 403
    assert not User.objects.filter(email=EMAIL).exists()


def test_the_page_asks_which_clinic_where_several_offer_it(open_house, other_clinic, client):
    Tenant.objects.filter(pk=other_clinic.pk).update(allows_registration=True)

    page = client.get("/join/")
    none = client.post("/join/", FORM)
    strange = client.post("/join/", FORM | {"clinic": "elsewhere"})
    answer = client.post("/join/", FORM | {"clinic": other_clinic.slug})

    assert "Harbor Clinic" in page.text
    assert (none.status_code, strange.status_code, answer.status_code) == (422, 422, 302)
    token_of = selectors.find_person(EMAIL)
    assert token_of is not None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"repeated": "another"}, "not the same"),
        ({"password": "password", "repeated": "password"}, "stolen"),
        ({"email": "x"}, "email"),
        ({"name": "\u202egnihtemos"}, "U+202E"),
        ({"name": "N" * 201}, "200"),
    ],
)
def test_the_page_says_what_is_wrong(only_clinic, client, change, words):
    answer = client.post("/join/", FORM | change)

    assert answer.status_code == 422
    assert words in answer.text
    assert not User.objects.filter(email=EMAIL).exists()


def test_register_takes_back_an_invitation_that_is_answered_this_way(clinic, admin, api_client):
    invitations.invite(by=admin, email=EMAIL, name="Pia", roles=["nurse"])

    api_client(admin).post("/api/auth/register", BODY | {"role": "nurse"})

    assert not Invitation.objects.open().exists()
