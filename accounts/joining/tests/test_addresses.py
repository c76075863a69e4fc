"""Another e-mail address: asked for with the password, confirmed where it leads, told to the old one (AU-33)."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.conf import settings as django_settings
from django.core import signing
from django.utils import timezone

from accounts.joining import links
from accounts.joining.services import addresses
from accounts.users.models import User
from accounts.users.tests.factories import PASSWORD, UserFactory
from tenancy.audit.models import AuditEntry
from tenancy.doors import limits as door_limits
from tenancy.rules import RuleBroken

NEW = "nora.new@example.org"
FORM = {"act": "change", "email": NEW, "password": PASSWORD}


@pytest.fixture
def browser(nurse, page_client):
    return page_client(nurse)


def stored(member):
    user = User.objects.get(pk=member.user_id)
    return user.email, user.pending_email, user.email_confirmed_at is not None


def path_for(member, email=NEW):
    user = User.objects.get(pk=member.user_id)
    return f"/confirm-email/{links.sign_address(user, email=email, tenant_id=member.tenant_id)}/"


# --- Changing --------------------------------------------------------------------------------------------------------


def test_au33_the_new_address_counts_when_it_is_confirmed_and_the_old_one_is_told(
    clinic, nurse, browser, client, mails, link_in
):
    old = nurse.user.email
    answer = browser.post("/account/e-mail/", FORM)
    [asked] = mails(clinic)

    assert (answer.status_code, asked.to) == (302, [NEW])
    assert stored(nurse) == (old, NEW, False)
    assert "A new address waits" in browser.get("/account/e-mail/").text

    path = link_in(asked, "confirm-email")
    assert client.get(path).status_code == 200
    assert stored(nurse) == (old, NEW, False)  # looking uses nothing up
    assert browser.post(path)["Location"] == "/"  # whoever is signed in stays so, and sees it
    assert "Your address is confirmed." in browser.get("/").text

    assert stored(nurse) == (NEW, "", True)
    [told] = mails(clinic)
    assert (told.to, told.subject) == ([old], "Your e-mail address was changed")
    assert NEW not in told.body
    assert client.post(path).status_code == 410
    actions = set(AuditEntry.objects.values_list("action", flat=True))
    assert {"email_change_asked_for", "email_confirmed"} <= actions


def test_au33_a_user_name_that_was_the_address_goes_along(clinic, nurse, client, anonymous_api):
    User.objects.filter(pk=nurse.user_id).update(pending_email=NEW)
    client.post(path_for(nurse))

    user = User.objects.get(pk=nurse.user_id)
    assert (user.username, user.username_key, user.email_key) == (NEW, NEW, NEW)
    assert anonymous_api.post("/api/auth/login", {"email": nurse.user.email, "password": PASSWORD}).status_code == 401
    assert anonymous_api.post("/api/auth/login", {"email": NEW, "password": PASSWORD}).status_code == 200


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"password": "wrong"}, "not your present password"),
        ({"password": ""}, "required"),
        ({"email": "x"}, "email"),
        ({"email": f"{'x' * 250}@example.org"}, "254"),
        ({"email": "a\u202eb@example.org"}, "email"),
    ],
)
def test_au33_it_takes_the_password_and_an_address(clinic, nurse, browser, mails, change, words):
    answer = browser.post("/account/e-mail/", FORM | change)

    assert answer.status_code == 422
    assert words in answer.text
    assert stored(nurse)[1] == ""
    assert mails(clinic) == []


def test_au33_five_wrong_passwords_lock_it(clinic, nurse, browser):
    answers = [browser.post("/account/e-mail/", FORM | {"password": "wrong"}).status_code for _ in range(6)]

    assert answers == [422] * 5 + [429]


def test_au02_an_address_of_somebody_else_gets_the_same_answer_and_no_mail(clinic, nurse, browser, mails):
    UserFactory(email=NEW)

    answer = browser.post("/account/e-mail/", FORM)

    assert (answer.status_code, answer["Location"]) == (302, "/account/e-mail/")
    assert mails(clinic) == []


def test_au33_an_address_that_was_taken_meanwhile_is_refused(clinic, nurse, client):
    User.objects.filter(pk=nurse.user_id).update(pending_email=NEW)
    path = path_for(nurse)
    UserFactory(email=NEW.upper())

    answer = client.post(path)

    assert answer.status_code == 422
    assert "another account" in answer.text
    assert stored(nurse)[0] != NEW


def test_au31_the_links_for_a_password_die_with_the_change(clinic, nurse, client):
    User.objects.filter(pk=nurse.user_id).update(pending_email=NEW)
    uid, token = links.sign_password(User.objects.get(pk=nurse.user_id))
    assert client.get(f"/password-reset/{uid}/{token}/").status_code == 302

    client.post(path_for(nurse))

    assert client.get(f"/password-reset/{uid}/{token}/").status_code == 410


def test_the_link_can_be_sent_again_and_the_change_forgotten(clinic, nurse, browser, mails, link_in, client):
    browser.post("/account/e-mail/", FORM)
    [first] = mails(clinic)
    browser.post("/account/e-mail/", {"act": "resend"})
    [again] = mails(clinic)
    assert again.to == [NEW]

    browser.post("/account/e-mail/", {"act": "forget"})

    assert stored(nurse)[1] == ""
    assert client.get(link_in(first, "confirm-email")).status_code == 410
    with pytest.raises(RuleBroken):
        addresses.forget_address_change(nurse)


def test_the_present_address_can_be_confirmed(clinic, nurse, browser, mails, link_in, client):
    browser.post("/account/e-mail/", {"act": "resend"})
    [mail] = mails(clinic)

    assert mail.to == [nurse.user.email]
    assert client.post(link_in(mail, "confirm-email")).status_code == 302
    assert stored(nurse)[2] is True
    with pytest.raises(RuleBroken, match="confirmed already"):
        addresses.send_confirmation(nurse)


# --- Links that do not work ------------------------------------------------------------------------------------------


def forged(given, /, **changes):
    user = User.objects.get(pk=given.user_id)
    claims = {"tenant": str(given.tenant_id), "user": str(user.pk), "email": NEW, "version": user.link_version}
    return signing.TimestampSigner(salt="carewright.address").sign_object(claims | changes)


FORGERIES = {
    "nothing": lambda m: "x",
    "colons": lambda m: "a:b:c",
    "truncated": lambda m: forged(m)[:-1],
    "longer": lambda m: forged(m) + "A",
    "another salt": lambda m: signing.TimestampSigner(salt="carewright.invitation").sign_object({}),
    "another key": lambda m: signing.TimestampSigner(key="x" * 40, salt="carewright.address").sign_object({}),
    "an empty object": lambda m: signing.TimestampSigner(salt="carewright.address").sign_object({}),
    "a list": lambda m: signing.TimestampSigner(salt="carewright.address").sign_object([]),
    "no uuid": lambda m: forged(m, user="7"),
    "another person": lambda m: forged(m, user=str(uuid4())),
    "another clinic": lambda m: forged(m, tenant=str(uuid4())),
    "another address": lambda m: forged(m, email="thief@example.org"),
    "an older link": lambda m: forged(m, version=99),
    "five thousand characters": lambda m: "A" * 5000,
    "unicode": lambda m: "ñ:ñ:ñ",
}


@pytest.mark.parametrize("case", FORGERIES)
def test_au33_a_forged_link_confirms_nothing(clinic, nurse, client, anonymous_api, case):
    User.objects.filter(pk=nurse.user_id).update(pending_email=NEW)
    assert client.get(f"/confirm-email/{forged(nurse)}/").status_code == 200  # the negative control
    token = FORGERIES[case](nurse)
    before = stored(nurse)

    by_page = [client.get(f"/confirm-email/{token}/").status_code, client.post(f"/confirm-email/{token}/").status_code]
    by_api = anonymous_api.post("/api/auth/confirm-email", {"token": token})

    assert set(by_page) <= {404, 410}
    assert by_api.status_code == 400
    assert stored(nurse) == before


def test_a_link_is_too_old_after_three_days(clinic, nurse, client, time_machine_at):
    User.objects.filter(pk=nurse.user_id).update(pending_email=NEW)
    path = path_for(nurse)

    with time_machine_at(timedelta(days=3, seconds=1)):
        assert client.get(path).status_code == 410
    with time_machine_at(timedelta(days=2)):
        assert client.get(path).status_code == 200


def test_a_link_of_somebody_switched_off_confirms_nothing(clinic, nurse, client):
    User.objects.filter(pk=nurse.user_id).update(pending_email=NEW)
    path = path_for(nurse)
    User.objects.filter(pk=nurse.user_id).update(is_active=False, email_confirmed_at=timezone.now())

    assert client.post(path).status_code == 410


@pytest.mark.parametrize("body", [{}, {"token": ""}, {"token": 7 * [1]}, {"token": None}, {"token": "x" * 2001}])
def test_confirming_with_bad_input_is_400(clinic, anonymous_api, body):
    assert anonymous_api.post("/api/auth/confirm-email", body).status_code == 400


def test_the_page_needs_somebody(clinic, client):
    assert client.get("/account/e-mail/")["Location"].startswith("/sign-in/")


@pytest.fixture
def without_redis(settings):
    settings.CACHES = {"default": {**django_settings.CACHES["default"], "LOCATION": "redis://127.0.0.1:1/9"}}
    door_limits._paused_until.clear()
    yield
    door_limits._paused_until.clear()


@pytest.mark.parametrize(
    ("address", "body", "status"),
    [
        ("/account/e-mail/", FORM, 503),
        ("/account/e-mail/", {"act": "resend"}, 302),
        ("/account/password/", {"current": PASSWORD, "password": "six loud yellow doors",
                                "repeated": "six loud yellow doors"}, 503),
    ],
)  # fmt: skip
def test_without_redis_pages_say_so_and_change_nothing(nurse, browser, without_redis, address, body, status):
    User.objects.filter(pk=nurse.user_id).update(email_confirmed_at=None)
    before = stored(nurse)

    answer = browser.post(address, body)

    assert answer.status_code == status
    assert "paused for a moment" in (answer if status == 503 else browser.get(address)).text
    assert stored(nurse) == before
