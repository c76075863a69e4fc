"""Passwords forgotten, set by a link, changed (D21, AU-02, AU-08, AU-31), and who is told."""

import json
import threading
import time
from datetime import timedelta
from uuid import uuid4

import pytest
from django.contrib.auth.hashers import identify_hasher
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from accounts.joining import links
from accounts.joining.services import passwords
from accounts.notifications.models import Delivery, Notification
from accounts.second_factor.tests.phones import enrolled
from accounts.users.models import Membership, Session, User
from accounts.users.tests.factories import PASSWORD, MembershipFactory, UserFactory, open_clinic
from accounts.users.tests.fixtures import PageClient, ProgramClient, sign_in_browser, sign_in_program
from tenancy.audit.models import AuditEntry
from tenancy.tenants.context import tenant_context
from tenancy.tenants.models import Tenant
from tenancy.tenants.tests.contexts import outside_tenant

NEW = "three loud blue teapots"
TWICE = {"password": NEW, "repeated": NEW}


def ask(email, program=None):
    return (program or ProgramClient()).post("/api/auth/password/reset", {"email": email})


def link_for(user):
    user.refresh_from_db()
    uid, token = links.sign_password(user)
    return f"/password-reset/{uid}/{token}/"


def set_by_link(path, browser=None, **form):
    """As a browser does: follow the link, then send the form where it led."""
    browser = browser or PageClient()
    led = browser.get(path)
    return browser.post(led["Location"], TWICE | form) if led.status_code == 302 else led


def has_password(user, password):
    return User.objects.get(pk=user.pk).check_password(password)


# --- Asking ----------------------------------------------------------------------------------------------------------


def test_d21_a_link_is_mailed_and_sets_a_new_password(clinic, nurse, mails, link_in, client):
    answer = client.post("/password-reset/", {"email": nurse.user.email.upper()})
    [mail] = mails(clinic)

    assert (answer.status_code, answer["Location"]) == (302, "/password-reset/sent/")
    assert (mail.to, mail.subject) == ([nurse.user.email], "Set a new password")
    done = set_by_link(link_in(mail, "password-reset"), client)
    assert (done.status_code, done["Location"]) == (302, "/sign-in/")
    assert has_password(nurse.user, NEW)
    assert not Session.objects.filter(created_at__gte=timezone.now() - timedelta(minutes=1)).exists()


KINDS = ["unknown", "known", "without a clinic", "unconfirmed", "switched off", "member no more"]


def somebody(kind):
    if kind == "unknown":
        return "nobody@example.org", False
    if kind == "known":
        return MembershipFactory().user.email, True
    if kind == "without a clinic":
        return UserFactory().email, False
    if kind == "unconfirmed":
        return UserFactory(email="p@example.org", is_active=False, pending_email="p@example.org").email, False
    if kind == "switched off":
        user = MembershipFactory().user
        User.objects.filter(pk=user.pk).update(is_active=False)
        return user.email, False
    member = MembershipFactory()
    Membership.objects.filter(pk=member.pk).update(is_active=False)
    return member.user.email, False


@pytest.mark.parametrize("kind", KINDS)
def test_au02_asking_for_a_link_answers_everybody_alike(clinic, mails, kind):
    email, is_mailed = somebody(kind)

    by_api = ask(email)
    by_page = PageClient().post("/password-reset/", {"email": email})

    assert (by_api.status_code, by_api.json()) == (
        202,
        {"message": "If somebody has this address here, a mail with a link is on its way.", "detail": "accepted"},
    )
    assert (by_page.status_code, by_page["Location"], by_page.content) == (302, "/password-reset/sent/", b"")
    assert {mail.to[0] for mail in mails(clinic)} == ({email} if is_mailed else set())


def test_au02_asking_for_a_link_takes_the_same_time_for_everybody(clinic, nurse, settings):
    settings.EVEN_ANSWER_SECONDS = 0.3
    took = {}
    for email in (nurse.user.email, "nobody@example.org"):
        begun = time.monotonic()
        ask(email)
        took[email] = time.monotonic() - begun

    assert abs(took[nurse.user.email] - took["nobody@example.org"]) < 0.1
    assert min(took.values()) >= 0.3


def test_au02_mail_goes_to_the_stored_address_only(clinic, mails):
    """Django's own hole of 2019: a look-alike address must get nothing, and the owner's spelling counts."""
    MembershipFactory(user__email="mike@example.org")

    for spelling in ("ｍike@example.org", "mike@example.org\u200b", "MIKE@example.org", "mıke@example.org"):
        ask(spelling)

    assert {mail.to[0] for mail in mails(clinic)} == {"mike@example.org"}


def test_asking_is_limited_by_person_and_by_network_address(clinic, nurse, mails):
    answers = [ask(nurse.user.email).status_code for _ in range(12)]

    assert answers == [202] * 10 + [429, 429]
    assert Delivery.objects.filter(kind="password_reset").count() == 3
    assert len(mails(clinic)) == 1  # only the latest link is worth sending


@pytest.mark.parametrize("body", [{}, {"email": ""}, {"email": "x"}, {"email": ["a@example.org"]}, {"email": None}])
def test_asking_with_bad_input_is_400(clinic, anonymous_api, body):
    assert anonymous_api.post("/api/auth/password/reset", body).status_code == 400


def test_au31_the_link_has_our_own_address_whatever_the_host_header_says(clinic, nurse, mails, settings):
    settings.ALLOWED_HOSTS = ["*"]
    hostile = PageClient(HTTP_HOST="evil.example", HTTP_X_FORWARDED_HOST="evil.example")

    hostile.post("/password-reset/", {"email": nurse.user.email})

    [mail] = mails(clinic)
    assert "evil.example" not in mail.body
    assert f"{settings.PUBLIC_URL}/password-reset/" in mail.body


# --- The link --------------------------------------------------------------------------------------------------------


def test_au31_the_token_leaves_the_address_and_the_referrer(clinic, nurse, client):
    path = link_for(nurse.user)

    led = client.get(path)
    page = client.get(led["Location"])

    assert led.status_code == 302
    assert led["Location"].endswith("/set/")
    assert path.split("/")[3] not in page.text
    assert page["Referrer-Policy"] == "same-origin"
    assert "no-store" in page["Cache-Control"]
    assert 'autocomplete="new-password"' in page.text


def test_au31_looking_at_a_link_uses_nothing_up(clinic, nurse):
    path = link_for(nurse.user)

    for _ in range(3):
        browser = PageClient()
        assert browser.get(browser.get(path)["Location"]).status_code == 200

    assert set_by_link(path).status_code == 302


def test_au31_a_link_works_once(clinic, nurse):
    path = link_for(nurse.user)

    assert set_by_link(path).status_code == 302
    assert set_by_link(path, password="another new password", repeated="another new password").status_code == 410
    assert has_password(nurse.user, NEW)


def change_address(user):
    User.objects.filter(pk=user.pk).update(email="new@example.org", email_key="new@example.org")


def change_password(user):
    passwords.change_password(Membership.objects.get(user=user), current=PASSWORD, password="changed in the meantime")


ENDINGS = {
    "a new password": change_password,
    "another address": change_address,
    "a second request": lambda user: passwords.send_password_link(user, passwords.notices.PASSWORD_RESET),
    "switched off": lambda user: User.objects.filter(pk=user.pk).update(is_active=False),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_au31_a_link_dies_with(clinic, nurse, ending):
    path = link_for(nurse.user)
    browser = PageClient()
    led = browser.get(path)
    assert browser.get(led["Location"]).status_code == 200  # the negative control: it was good
    ENDINGS[ending](nurse.user)

    assert set_by_link(path).status_code == 410
    assert browser.post(led["Location"], TWICE).status_code == 410
    assert not has_password(nurse.user, NEW)


def test_au31_a_link_is_too_old_after_an_hour(clinic, nurse, time_machine_at):
    path = link_for(nurse.user)

    with time_machine_at(timedelta(minutes=61)):
        assert set_by_link(path).status_code == 410
    with time_machine_at(timedelta(minutes=59)):
        assert set_by_link(path).status_code == 302


def test_au31_forged_links_and_other_peoples_open_nothing(clinic, nurse, doctor):
    _, _, nurses, token, _ = link_for(nurse.user).split("/")
    _, _, doctors, _, _ = link_for(doctor.user).split("/")
    stamp, _, mac = token.partition("-")
    forgeries = [
        (doctors, token),
        (nurses, "x"),
        (nurses, f"{stamp}-{'0' * len(mac)}"),
        (nurses, f"{stamp}0-{mac}"),
        (nurses, f"zzzzzz-{mac}"),
        (nurses, token[:-1]),
        (nurses, token + "0"),
        (nurses, "set"),
        ("x", token),
        ("AAAA", token),
        ("%00", token),
        ("ñ", token),
        (str(nurse.user_id), token),
        (links.urlsafe_base64_encode(uuid4().bytes), token),
        (nurses, "A" * 5000),
    ]

    assert {set_by_link(f"/password-reset/{uid}/{made}/").status_code for uid, made in forgeries} <= {404, 410}
    by_api = [
        ProgramClient().post("/api/auth/password/reset/confirm", {"uid": uid, "token": made, "password": NEW})
        for uid, made in forgeries
    ]
    assert {answer.status_code for answer in by_api} == {400}
    assert has_password(nurse.user, PASSWORD)
    assert has_password(doctor.user, PASSWORD)


def test_au31_parallel_use_of_one_link_sets_one_password(committed_db):
    tenant, _ = open_clinic()
    with tenant_context(tenant.id):
        user = MembershipFactory().user
    path, start, answers = link_for(user), threading.Barrier(5), []

    def use(number):
        browser = PageClient()
        led = browser.get(path)
        start.wait()
        words = f"password number {number} of five"
        answers.append((browser.post(led["Location"], {"password": words, "repeated": words}).status_code, words))
        connection.close()

    threads = [threading.Thread(target=use, args=[number]) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(status for status, _ in answers) == [302, 410, 410, 410, 410]
    [winner] = [words for status, words in answers if status == 302]
    assert has_password(user, winner)


def test_au31_a_bad_password_leaves_the_link_good(clinic, nurse, anonymous_api):
    path = link_for(nurse.user)
    _, _, uid, token, _ = path.split("/")

    assert set_by_link(path, password="password", repeated="password").status_code == 422
    by_api = anonymous_api.post("/api/auth/password/reset/confirm", {"uid": uid, "token": token, "password": "short"})
    assert (by_api.status_code, by_api.json()["detail"][0]["loc"]) == (400, ["body", "password"])
    assert (
        anonymous_api.post("/api/auth/password/reset/confirm", {"uid": uid, "token": token, "password": NEW}).json()[
            "detail"
        ]
        == "password_set"
    )
    assert has_password(nurse.user, NEW)


# --- What setting it does --------------------------------------------------------------------------------------------


def test_d21_every_session_in_every_clinic_ends(clinic, nurse, other_clinic):
    with outside_tenant(), tenant_context(other_clinic.id):
        there = MembershipFactory(user=nurse.user)
    browser, program, elsewhere = sign_in_browser(nurse), sign_in_program(nurse), sign_in_program(there)
    assert program.get("/api/auth/me").status_code == elsewhere.get("/api/auth/me").status_code == 200

    set_by_link(link_for(nurse.user))

    assert program.get("/api/auth/me").status_code == 401
    assert elsewhere.get("/api/auth/me").status_code == 401
    assert browser.get("/account/password/").status_code == 302
    for tenant in (clinic, other_clinic):
        with outside_tenant(), tenant_context(tenant.id):
            assert AuditEntry.objects.filter(action="password_reset").count() == 1


def test_d21_the_owner_is_told_by_mail_once(clinic, nurse, other_clinic, mails):
    with outside_tenant(), tenant_context(other_clinic.id):
        MembershipFactory(user=nurse.user)

    set_by_link(link_for(nurse.user))

    told = [mail.subject for tenant in (clinic, other_clinic) for mail in mails(tenant)]
    assert told == ["A new password was set for your account"]


def test_au08_a_locked_person_gets_in_again_by_the_link(clinic, nurse, anonymous_api):
    for _ in range(6):
        locked = anonymous_api.post("/api/auth/login", {"email": nurse.user.email, "password": "wrong"})
    assert locked.status_code == 429
    assert User.objects.get(pk=nurse.user_id).failed_sign_ins > 0

    set_by_link(link_for(nurse.user))
    # What the commit does; tests never commit.
    passwords.proof.forget_failed_sign_ins(User.objects.get(pk=nurse.user_id))

    assert User.objects.get(pk=nurse.user_id).failed_sign_ins == 0
    assert anonymous_api.post("/api/auth/login", {"email": nurse.user.email, "password": NEW}).status_code == 200


def test_au08_the_commit_of_a_new_password_lifts_the_lock(committed_db):
    tenant, _ = open_clinic()
    with tenant_context(tenant.id):
        user = MembershipFactory().user
    for _ in range(6):
        locked = ProgramClient().post("/api/auth/login", {"email": user.email, "password": "wrong"})
    assert locked.status_code == 429

    set_by_link(link_for(user))

    assert ProgramClient().post("/api/auth/login", {"email": user.email, "password": NEW}).status_code == 200


def test_au08_somebody_with_a_live_session_is_not_locked_out_by_others(clinic, nurse, page_client, anonymous_api):
    browser = page_client(nurse)
    for _ in range(6):
        anonymous_api.post("/api/auth/login", {"email": nurse.user.email, "password": "wrong"})

    assert browser.get("/account/password/").status_code == 200
    assert browser.post("/account/password/", TWICE | {"current": PASSWORD}).status_code == 302


def test_au31_a_second_factor_is_asked_for_after_a_reset(clinic, nurse, anonymous_api):
    enrolled(nurse.user)

    set_by_link(link_for(nurse.user))

    answer = anonymous_api.post("/api/auth/login", {"email": nurse.user.email, "password": NEW})
    assert (answer.status_code, answer.json()["code"]) == (400, "two_factor_required")


def test_au11_what_is_set_is_hashed_as_decided(clinic, nurse):
    set_by_link(link_for(nurse.user))

    assert identify_hasher(User.objects.get(pk=nurse.user_id).password).algorithm == "bcrypt_sha256"


# --- Changing it -----------------------------------------------------------------------------------------------------


def test_change_ends_every_session_and_this_browser_goes_on(clinic, nurse, page_client, mails):
    browser, other, program = page_client(nurse), sign_in_browser(nurse), sign_in_program(nurse)

    answer = browser.post("/account/password/", TWICE | {"current": PASSWORD})

    assert (answer.status_code, answer["Location"]) == (302, "/account/password/")
    assert browser.get("/account/password/").status_code == 200
    assert other.get("/account/password/").status_code == 302
    assert program.get("/api/auth/me").status_code == 401
    assert has_password(nurse.user, NEW)
    assert [mail.subject for mail in mails(clinic)] == ["Your password was changed"]
    assert AuditEntry.objects.filter(action="password_changed", actor_kind="member").count() == 1


def test_change_keeps_the_second_factor_and_the_end_of_the_sign_in(clinic, nurse):
    browser = sign_in_browser(nurse, second_factor="totp")
    kept = browser.session
    kept["until"] = int((timezone.now() + timedelta(hours=1)).timestamp())
    kept.save()

    browser.post("/account/password/", TWICE | {"current": PASSWORD})

    session = Session.objects.order_by("-created_at", "-id").first()
    assert session.pk != browser.sign_in.pk
    assert session.second_factor == "totp"
    assert session.expires_at <= timezone.now() + timedelta(hours=1)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"current": "wrong"}, "not your present password"),
        ({"current": ""}, "required"),
        ({"repeated": "another one"}, "not the same"),
        ({"password": "password", "repeated": "password"}, "stolen"),
        ({"password": PASSWORD, "repeated": PASSWORD}, "have already"),
    ],
)
def test_change_says_what_is_wrong(clinic, nurse, page_client, change, words):
    browser = page_client(nurse)

    answer = browser.post("/account/password/", TWICE | {"current": PASSWORD} | change)

    assert answer.status_code == 422
    assert words in answer.text
    assert has_password(nurse.user, PASSWORD)
    assert browser.get("/account/password/").status_code == 200


def test_change_over_the_api(clinic, nurse, api_client):
    program = api_client(nurse)
    body = {"current_password": PASSWORD, "new_password": NEW}

    wrong = program.post("/api/auth/password/change", body | {"current_password": "wrong"})
    weak = program.post("/api/auth/password/change", body | {"new_password": "short"})
    same = program.post("/api/auth/password/change", body | {"new_password": PASSWORD})
    right = program.post("/api/auth/password/change", body)

    assert [answer.status_code for answer in (wrong, weak, same, right)] == [400, 400, 400, 200]
    assert [answer.json()["detail"][0]["loc"][-1] for answer in (wrong, weak, same)] == [
        "current_password", "new_password", "new_password",
    ]  # fmt: skip
    assert program.get("/api/auth/me").status_code == 401
    assert has_password(nurse.user, NEW)


def test_x5_change_by_cookie_always_needs_the_csrf_header(clinic, nurse, cookie_client):
    body = {"current_password": PASSWORD, "new_password": NEW}
    web = cookie_client(nurse)
    token = web.cookies["XSRF-TOKEN"].value

    without = web.post("/api/auth/password/change", body)
    forged = web.post("/api/auth/password/change", body, headers={"X-CSRF-Token": token[:-1] + "x"})
    assert [(answer.status_code, answer.json()["code"]) for answer in (without, forged)] == [(403, "csrf_failed")] * 2
    assert has_password(nurse.user, PASSWORD)

    assert web.post("/api/auth/password/change", body, headers={"X-CSRF-Token": token}).status_code == 200


def test_change_is_locked_after_five_wrong_ones(clinic, nurse, api_client):
    program = api_client(nurse)
    body = {"current_password": "wrong", "new_password": NEW}

    answers = [program.post("/api/auth/password/change", body) for _ in range(6)]
    right = program.post("/api/auth/password/change", body | {"current_password": PASSWORD})

    assert [answer.status_code for answer in answers] == [400] * 5 + [429]
    assert (right.status_code, "Retry-After" in right) == (429, True)
    assert has_password(nurse.user, PASSWORD)


def test_change_needs_somebody(clinic, anonymous_api, client):
    assert anonymous_api.post("/api/auth/password/change", {}).status_code == 401
    assert client.get("/account/password/")["Location"].startswith("/sign-in/")


@pytest.mark.parametrize("size", [257, 4_096, 900_000])
def test_au10_too_long_is_400_before_any_hash(clinic, nurse, api_client, monkeypatch, size):
    hashed = []
    program = api_client(nurse)
    monkeypatch.setattr(User, "set_password", lambda self, raw: hashed.append(raw))
    monkeypatch.setattr(User, "check_password", lambda self, raw: hashed.append(raw))

    answer = program.post("/api/auth/password/change", {"current_password": PASSWORD, "new_password": "x" * size})

    assert answer.status_code == 400
    assert hashed == []


# --- A clinic's first administrator ----------------------------------------------------------------------------------


def create_tenant(capsys, **options):
    call_command("create_tenant", **{"name": "New Clinic"} | options)
    return json.loads(capsys.readouterr().out)


def test_create_tenant_mails_the_administrator_a_link(db, capsys, mails, link_in):
    slug = f"t-{uuid4().hex[:8]}"

    answer = create_tenant(capsys, slug=slug, admin_email=f"ada@{slug}.example", time_zone="Europe/London")

    tenant = Tenant.objects.get(slug=slug)
    user = User.objects.get(pk=answer["admin"]["id"])
    [mail] = mails(tenant)
    assert answer["admin"] == {"id": str(user.pk), "email": f"ada@{slug}.example", "password_link_mailed": True}
    assert (mail.to, mail.subject) == ([user.email], "Welcome to New Clinic")
    assert not user.has_usable_password()
    assert set_by_link(link_in(mail, "password-reset")).status_code == 302
    assert has_password(user, NEW)


def test_create_tenant_mails_nobody_who_has_a_password(db, capsys, mails):
    slug = f"t-{uuid4().hex[:8]}"

    given = create_tenant(capsys, slug=slug, admin_email=f"ada@{slug}.example", admin_password=PASSWORD)
    known = create_tenant(capsys, slug=f"{slug}-2", admin_email=f"ada@{slug}.example")

    assert [answer["admin"]["password_link_mailed"] for answer in (given, known)] == [False, False]
    assert given["admin"]["id"] == known["admin"]["id"]
    assert [mails(tenant) for tenant in Tenant.objects.filter(slug__startswith=slug)] == [[], []]


@pytest.mark.parametrize(
    ("options", "words"),
    [({"slug": "A B"}, "slug"), ({"slug": "ok-slug", "admin_password": "short"}, "too short")],
)
def test_create_tenant_refuses_with_a_sentence(db, capsys, options, words):
    with pytest.raises(CommandError, match=words):
        create_tenant(capsys, **{"admin_email": "ada@example.org"} | options)

    assert not User.objects.filter(email="ada@example.org").exists()


def test_notifications_hold_no_password_and_no_link(clinic, nurse):
    set_by_link(link_for(nurse.user))
    ask(nurse.user.email)

    assert NEW not in str(list(Notification.objects.values()) + list(Delivery.objects.values()))
    assert "password-reset/" not in str(list(Delivery.objects.values()))
