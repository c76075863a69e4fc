"""What the answer of a passkey has to be, and the ways in which it is not (AU-36). Chromium is in the browser tests."""

import threading

import pytest
from django.db import connection
from django_otp_webauthn.models import WebAuthnCredential

from accounts.second_factor import passkeys, services
from accounts.second_factor.passkeys import Ceremonies, PasskeyRefused
from accounts.users.models import Session, User
from accounts.users.tests.factories import PASSWORD, MembershipFactory, open_clinic
from accounts.users.tests.fixtures import open_session
from tenancy.audit.models import AuditEntry
from tenancy.rules import RuleBroken
from tenancy.tenants.context import finish_pending, tenant_context

from .keys import SoftKey, text_of

OURS = Ceremonies(["http://localhost"])


def sign_in(member, factor=""):
    session = open_session(member, Session.Kind.PAGE, factor)
    return Session.objects.select_related("membership__user", "tenant").get(pk=session.pk)


def add(session, key, *, answer=None, state=None, password=""):
    options, begun = OURS.register_begin(session.membership.user)
    return services.add_passkey(
        session=session, ceremonies=OURS, state=state or begun, answer=answer or key.create(options), name="Key",
        password=password,
    )  # fmt: skip


def prove(user, key, **changes):
    options, state = OURS.authenticate_begin(user=user, require_user_verification=False)
    return services.prove_passkey(user, ceremonies=OURS, state=state, answer=key.get(options, **changes))


@pytest.fixture
def key(clinic, nurse):
    """A passkey of the nurse, in use."""
    key = SoftKey()
    add(sign_in(nurse), key)
    return key


def test_q9_a_passkey_is_a_second_factor(clinic, nurse):
    key, here, there = SoftKey(), sign_in(nurse), sign_in(nurse)

    codes = add(here, key)

    assert len(codes) == 10
    assert User.objects.get(pk=nurse.user_id).has_second_factor
    assert Session.objects.get(pk=here.pk).second_factor == "passkey"
    assert not Session.objects.live(here.created_at).filter(pk=there.pk).exists()
    assert prove(nurse.user, key) == "passkey"
    assert WebAuthnCredential.objects.get(user=nurse.user).last_used_at
    finish_pending()
    assert AuditEntry.objects.filter(action="second_factor_added").count() == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"origin": "https://evil.example"},
        {"origin": "http://localhost.evil.example"},
        {"type": "webauthn.create"},
        {"challenge": text_of(b"another challenge")},
        {"flags": 0},  # nobody was there
    ],
)
def test_au36_an_answer_for_something_else_is_refused(clinic, nurse, key, changes):
    with pytest.raises(PasskeyRefused):
        prove(nurse.user, key, **changes)
    assert prove(nurse.user, key) == "passkey"


def test_au36_an_answer_for_another_domain_is_refused(clinic, nurse, key):
    key.rp_id = "evil.example"

    with pytest.raises(PasskeyRefused):
        prove(nurse.user, key)


def test_au36_a_challenge_is_good_for_one_answer(clinic, nurse, key):
    options, state = OURS.authenticate_begin(user=nurse.user, require_user_verification=False)
    first, second = key.get(options), key.get(options)
    services.prove_passkey(nurse.user, ceremonies=OURS, state=state, answer=first)

    for answer in (first, second):
        with pytest.raises(PasskeyRefused):
            services.prove_passkey(nurse.user, ceremonies=OURS, state=state, answer=answer)


def test_au36_a_counter_that_goes_back_is_a_copy(clinic, nurse, key):
    prove(nurse.user, key)
    prove(nurse.user, key)
    key.counter = 0

    with pytest.raises(PasskeyRefused):
        prove(nurse.user, key)


def test_au36_a_passkey_of_somebody_else_is_refused(clinic, nurse, doctor, key):
    theirs = SoftKey()
    add(sign_in(doctor), theirs)

    with pytest.raises(PasskeyRefused):
        prove(nurse.user, theirs)
    with pytest.raises(PasskeyRefused):
        prove(nurse.user, SoftKey())


def test_au36_a_removed_passkey_opens_nothing(clinic, nurse, key):
    passkey = WebAuthnCredential.objects.get(user=nurse.user)
    services.remove_passkey(passkey, session=sign_in(nurse, "passkey"), password=PASSWORD)

    with pytest.raises(PasskeyRefused):
        prove(nurse.user, key)
    assert not User.objects.get(pk=nurse.user_id).has_second_factor


def test_the_same_passkey_is_not_added_twice(clinic, nurse, doctor, key):
    with pytest.raises(PasskeyRefused):
        add(sign_in(doctor), key)
    assert WebAuthnCredential.objects.count() == 1


def test_an_eleventh_passkey_is_refused(clinic, nurse):
    session = sign_in(nurse)
    for _number in range(services.MOST_PASSKEYS):
        add(session, SoftKey(), password=PASSWORD)

    with pytest.raises(RuleBroken, match="Remove one first"):
        add(session, SoftKey(), password=PASSWORD)


@pytest.mark.parametrize("state", [None, "", [], {}, {"challenge": None}, {"challenge": "x"}])
def test_an_answer_without_its_challenge_is_refused(clinic, nurse, key, state):
    options, _state = OURS.authenticate_begin(user=nurse.user, require_user_verification=False)

    with pytest.raises(PasskeyRefused):
        services.prove_passkey(nurse.user, ceremonies=OURS, state=state, answer=key.get(options))


def test_au36_of_many_at_once_exactly_one_answer_counts(committed_db):
    tenant, _admin = open_clinic()
    with tenant_context(tenant.id):
        nurse = MembershipFactory(role="nurse")
        key = SoftKey()
        add(sign_in(nurse), key)
    options, state = OURS.authenticate_begin(user=nurse.user, require_user_verification=False)
    answer, results = key.get(options), []
    barrier = threading.Barrier(8)

    def one():
        try:
            barrier.wait(timeout=30)
            results.append(services.prove_passkey(nurse.user, ceremonies=OURS, state=dict(state), answer=answer))
        except PasskeyRefused:
            results.append("")
        finally:
            connection.close()

    threads = [threading.Thread(target=one) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert sorted(results) == [""] * 7 + ["passkey"]


@pytest.mark.parametrize(
    ("origin", "is_possible"),
    [
        ("http://localhost:8000", True),
        ("https://localhost", True),
        ("https://riverside.localhost", True),
        ("http://127.0.0.1:8000", False),
        ("https://clinic.example", False),
        ("https://evillocalhost", False),
    ],
)
def test_passkeys_are_offered_where_browsers_allow_them(origin, is_possible):
    assert passkeys.is_possible(origin) == is_possible


def test_passkeys_are_not_offered_without_https(settings):
    settings.OTP_WEBAUTHN_RP_ID = "clinic.example"

    assert passkeys.is_possible("https://clinic.example")
    assert passkeys.is_possible("https://riverside.clinic.example:8443")
    assert not passkeys.is_possible("http://clinic.example")
