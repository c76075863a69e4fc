"""Codes are good once, wrong ones are counted, seeds lie sealed (security.md AU-12 to AU-17)."""

import base64
import threading
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.core.cache import caches
from django.db import connection
from django.utils import timezone

from accounts.notifications.models import Notification
from accounts.second_factor import models, sealing, selectors, services
from accounts.second_factor.models import LOCKED_FOR, MOST_TRIES, Authenticator, RecoveryCode, RecoveryCodes
from accounts.second_factor.services import CodeRefused, ProofNeeded
from accounts.users.models import Membership, Session, User, Workplace
from accounts.users.tests.factories import PASSWORD, MembershipFactory, UserFactory, open_clinic
from accounts.users.tests.fixtures import open_session
from tenancy.audit.models import AuditEntry
from tenancy.rules import NotAllowed, RuleBroken
from tenancy.tenants.context import finish_pending, tenant_context

from .phones import code, enrolled, phone_of, wrong_code

NOON = datetime(2026, 5, 4, 12, 0, 5, tzinfo=UTC)


def sign_in(member, factor="", kind=Session.Kind.PAGE):
    session = open_session(member, kind, factor)
    return Session.objects.select_related("membership__user", "tenant").get(pk=session.pk)


def refused(act, *args, **options):
    with pytest.raises(RuleBroken) as caught:
        act(*args, **options)
    return caught.value.code


def trail(action):
    finish_pending()
    return list(AuditEntry.objects.filter(action=action))


def told(member):
    return sorted(Notification.objects.filter(recipient=member).values_list("kind", flat=True))


# --- One code, once --------------------------------------------------------------------------------------------------


def test_au12_a_code_is_good_once(clinic, nurse):
    phone = enrolled(nurse.user)
    now = code(phone)

    assert services.prove_code(nurse.user, now) == "totp"
    assert refused(services.prove_code, nurse.user, now) == "invalid_totp"


def test_au12_a_replay_fails_after_redis_is_flushed(clinic, nurse):
    phone = enrolled(nurse.user)
    now = code(phone)
    services.prove_code(nurse.user, now)

    caches["default"]._cache.get_client(write=True).flushall()

    assert refused(services.prove_code, nurse.user, now) == "invalid_totp"


def at_once(act, count):
    """How many of so many threads get True; each has a connection of its own and begins at the same moment."""
    results, barrier = [], threading.Barrier(count)

    def one():
        try:
            barrier.wait(timeout=30)
            results.append(act())
        finally:
            connection.close()

    threads = [threading.Thread(target=one) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    return results


def proves(user, text):
    try:
        return services.prove_code(user, text) != ""
    except CodeRefused:
        return False


@pytest.fixture
def without_limits(settings, monkeypatch):
    """What is left when nobody counts wrong tries: replays have to fail all the same."""
    settings.RATE_LIMIT_SCALE = 1_000_000
    monkeypatch.setattr(models, "MOST_TRIES", 1_000_000)


@pytest.mark.parametrize("is_flushed", [False, True])
def test_au12_of_many_at_once_exactly_one_succeeds(committed_db, without_limits, is_flushed):
    for _round in range(5):
        user = UserFactory()
        now = code(enrolled(user))

        def act(user=user, now=now):
            if is_flushed:
                caches["default"]._cache.get_client(write=True).flushall()
            return proves(user, now)

        assert sorted(at_once(act, 8)) == [False] * 7 + [True]


def test_au12_of_many_requests_in_transactions_exactly_one_succeeds(committed_db, without_limits):
    tenant, _admin = open_clinic()
    user = UserFactory()
    now = code(enrolled(user))

    def act():
        with tenant_context(tenant.id):
            return proves(user, now)

    assert sum(at_once(act, 8)) == 1


def test_au12_without_the_lock_the_step_is_still_taken_once(committed_db, without_limits):
    """The negative control of the lock: `verify_token` on rows read beforehand, as a careless caller would."""
    user = UserFactory()
    now = code(enrolled(user))
    rows = [Authenticator.objects.get(user=user) for _ in range(8)]

    assert sum(at_once(lambda: rows.pop().verify_token(now), 8)) == 1


@pytest.mark.parametrize(("steps", "is_accepted"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
def test_au13_one_step_each_side_is_accepted(clinic, nurse, steps, is_accepted):
    with time_machine.travel(NOON, tick=False):
        phone = enrolled(nurse.user)

        assert proves(nurse.user, code(phone, steps=steps)) == is_accepted


@pytest.mark.parametrize("seconds_back", [30, 60, 3600])
def test_au13_a_server_clock_stepped_back_opens_no_used_step(clinic, nurse, seconds_back):
    with time_machine.travel(NOON, tick=False):
        phone = enrolled(nurse.user)
        used = code(phone)
        services.prove_code(nurse.user, used)
    with time_machine.travel(NOON - timedelta(seconds=seconds_back), tick=False):
        for text in {used, code(phone, steps=-1), code(phone), code(phone, steps=1)}:
            assert not proves(nurse.user, text)


def test_au13_an_earlier_step_is_never_taken_after_a_later_one(clinic, nurse):
    with time_machine.travel(NOON, tick=False):
        phone = enrolled(nurse.user)

        assert proves(nurse.user, code(phone, steps=1))
        assert not proves(nurse.user, code(phone))


@pytest.mark.parametrize(
    "text",
    ["", " ", "12345", "1234567", "+12345", "-12345", "１２３４５６", "٣٤٥٦٧٨", "12345a", "0x1234", "1e5", "\0" * 6],
)
def test_prove_code_takes_digits_only_as_digits(clinic, nurse, text):
    enrolled(nurse.user)

    assert not proves(nurse.user, text)


def test_prove_code_takes_digits_as_people_type_them(clinic, nurse):
    now = code(enrolled(nurse.user))

    assert proves(nurse.user, f" {now[:3]} {now[3:]} ")


# --- Wrong ones are counted ------------------------------------------------------------------------------------------


def test_au14_five_wrong_codes_lock_the_account_also_after_redis_is_flushed(clinic, nurse):
    phone = enrolled(nurse.user)
    for _try in range(MOST_TRIES):
        assert refused(services.prove_code, nurse.user, wrong_code(phone)) == "invalid_totp"

    assert refused(services.prove_code, nurse.user, code(phone)) == "too_many_attempts"
    caches["default"].clear()
    assert refused(services.prove_code, nurse.user, code(phone)) == "too_many_attempts"

    with time_machine.travel(timezone.now() + LOCKED_FOR + timedelta(seconds=1)):
        caches["default"].clear()
        assert services.prove_code(nurse.user, code(phone)) == "totp"
        assert Authenticator.objects.get(user=nurse.user).throttling_failure_count == 0


def test_au14_four_wrong_codes_lock_nobody(clinic, nurse):
    phone = enrolled(nurse.user)
    for _try in range(MOST_TRIES - 1):
        refused(services.prove_code, nurse.user, wrong_code(phone))

    assert services.prove_code(nurse.user, code(phone)) == "totp"


def test_au14_codes_of_all_kinds_count_together(clinic, nurse):
    session = sign_in(nurse)
    codes = enrol(session)
    phone = phone_of(Authenticator.objects.get(user=nurse.user))
    for number in range(MOST_TRIES):
        refused(services.prove_code, nurse.user, wrong_code(phone) if number % 2 else "0000-0000-0000")

    assert refused(services.prove_code, nurse.user, codes[0]) == "too_many_attempts"


# --- What lies in the database ---------------------------------------------------------------------------------------


def test_a_seed_read_by_sql_is_worthless(clinic, nurse, doctor):
    device = services.begin_authenticator(nurse.user)
    with connection.cursor() as cursor:
        cursor.execute("SELECT row_to_json(d)::text FROM second_factor_authenticator d WHERE id = %s", [device.pk])
        row = cursor.fetchone()[0]

    seed = device.seed
    assert len(seed) == 20
    for form in (seed.hex(), device.typed_seed, base64.b64encode(seed).decode().rstrip("=")):
        assert form.lower() not in row.lower()
    with pytest.raises(sealing.InvalidToken):
        sealing.unseal(device.sealed_seed, doctor.user_id)


def test_a_seed_is_opened_with_an_earlier_secret_key_only_while_it_is_named(clinic, nurse, settings):
    phone = enrolled(nurse.user)
    settings.SECRET_KEY, old = "another secret for tests, of the length asked for", settings.SECRET_KEY

    assert not proves(nurse.user, code(phone))
    settings.SECRET_KEY_FALLBACKS = [old]
    assert proves(nurse.user, code(phone))


def test_au17_recovery_codes_are_stored_as_fingerprints_of_60_bits(clinic, nurse):
    codes = enrol(sign_in(nurse))

    assert len(set(codes)) == 10
    assert len(sealing.ALPHABET) ** sealing.CODE_LENGTH >= 2**60
    stored = set(RecoveryCode.objects.filter(sheet__user=nurse.user).values_list("digest", flat=True))
    assert {len(digest) for digest in stored} == {64}
    assert stored.isdisjoint(codes)


# --- Recovery codes --------------------------------------------------------------------------------------------------


def enrol(session):
    """As a person does it; returns the recovery codes."""
    device = services.begin_authenticator(session.membership.user)
    return services.confirm_authenticator(session=session, code=code(phone_of(device)))


@pytest.mark.parametrize(
    "typed", [str, str.upper, lambda text: text.replace("-", " "), lambda text: text.replace("0", "o")]
)
def test_au17_a_recovery_code_is_good_once(clinic, nurse, typed):
    codes = enrol(sign_in(nurse))

    assert services.prove_code(nurse.user, typed(codes[3])) == "recovery"
    assert refused(services.prove_code, nurse.user, codes[3]) == "invalid_totp"
    assert services.prove_code(nurse.user, codes[4]) == "recovery"
    assert selectors.count_recovery_codes(nurse.user) == 8


def test_au17_of_many_at_once_exactly_one_uses_a_recovery_code(committed_db, without_limits):
    tenant, _admin = open_clinic()
    with tenant_context(tenant.id):
        nurse = MembershipFactory(role="nurse")
        codes = enrol(sign_in(nurse))

    for text in codes[:3]:
        assert sum(at_once(lambda text=text: proves(nurse.user, text), 8)) == 1


def test_au17_new_recovery_codes_kill_the_earlier_ones(clinic, nurse):
    session = sign_in(nurse)
    earlier = enrol(session)

    new = services.renew_recovery_codes(session=session, password=PASSWORD)

    assert set(new).isdisjoint(earlier)
    assert not proves(nurse.user, earlier[0])
    assert proves(nurse.user, new[0])
    assert len(trail("recovery_codes_renewed")) == 1
    assert "recovery_codes_renewed" in told(nurse)


def test_au17_a_recovery_code_of_somebody_else_opens_nothing(clinic, nurse, doctor):
    codes = enrol(sign_in(nurse))
    enrol(sign_in(doctor))

    assert not proves(doctor.user, codes[0])


def test_renew_recovery_codes_needs_a_second_factor(clinic, nurse):
    assert refused(services.renew_recovery_codes, session=sign_in(nurse), password=PASSWORD) == "rule_broken"


# --- Setting up and switching off ------------------------------------------------------------------------------------


def test_q9_confirming_marks_this_sign_in_and_ends_the_others(clinic, nurse):
    here, there = sign_in(nurse), sign_in(nurse)

    codes = enrol(here)

    live = set(Session.objects.live(timezone.now()).filter(membership=nurse).values_list("pk", flat=True))
    assert len(codes) == 10
    assert here.pk in live
    assert there.pk not in live
    assert Session.objects.get(pk=here.pk).second_factor == "totp"
    assert User.objects.get(pk=nurse.user_id).has_second_factor
    assert [entry.object_id for entry in trail("second_factor_added")] == [str(nurse.pk)]
    assert told(nurse) == ["second_factor_added"]


def test_au15_an_active_seed_is_neither_shown_nor_overwritten(clinic, nurse):
    enrol(sign_in(nurse))
    before = Authenticator.objects.get(user=nurse.user).sealed_seed

    assert refused(services.begin_authenticator, nurse.user) == "totp_active"
    assert refused(services.confirm_authenticator, session=sign_in(nurse, "totp"), code="123456") == "totp_active"
    assert Authenticator.objects.get(user=nurse.user).sealed_seed == before


def test_q8_the_secret_is_made_only_where_none_is_stored(clinic, nurse):
    first = services.begin_authenticator(nurse.user).provision_uri

    assert services.begin_authenticator(nurse.user).provision_uri == first
    with time_machine.travel(timezone.now() + timedelta(minutes=31)):
        assert services.begin_authenticator(nurse.user).provision_uri != first


def test_au15_verify_without_setup_is_refused(clinic, nurse):
    assert refused(services.confirm_authenticator, session=sign_in(nurse), code="123456") == "no_totp_secret"


def test_confirm_authenticator_counts_wrong_codes(clinic, nurse):
    session = sign_in(nurse)
    phone = phone_of(services.begin_authenticator(nurse.user))
    for _try in range(MOST_TRIES):
        assert refused(services.confirm_authenticator, session=session, code=wrong_code(phone)) == "invalid_totp"

    assert refused(services.confirm_authenticator, session=session, code=code(phone)) == "too_many_attempts"
    assert not User.objects.get(pk=nurse.user_id).has_second_factor


def test_au15_an_old_sign_in_sets_nothing_up_without_the_password(clinic, nurse):
    session = sign_in(nurse)
    with time_machine.travel(timezone.now() + timedelta(minutes=16)):
        phone = phone_of(services.begin_authenticator(nurse.user))

        assert refused(services.confirm_authenticator, session=session, code=code(phone)) == ProofNeeded.code
        with pytest.raises(CodeRefused, match="not your password"):
            services.confirm_authenticator(session=session, code=code(phone), password="wrong")
        assert len(services.confirm_authenticator(session=session, code=code(phone), password=PASSWORD)) == 10


def test_au15_a_session_from_another_clinic_is_no_recent_proof(clinic, nurse):
    """Switching clinics opens a fresh row; whoever holds a stolen browser has not signed in by that."""
    session = sign_in(nurse)
    assert selectors.was_recently_proved(session)

    session.expires_at -= timedelta(hours=2)

    assert not selectors.was_recently_proved(session)


@pytest.mark.parametrize("proof", ["password", "code"])
def test_au15_disable_needs_a_proof(clinic, nurse, proof):
    enrol(sign_in(nurse))
    session = sign_in(nurse, "totp")
    phone = phone_of(Authenticator.objects.get(user=nurse.user))
    given = {"password": PASSWORD, "code": code(phone, steps=1)}[proof]
    with time_machine.travel(timezone.now() + timedelta(minutes=6)):
        if proof == "code":
            given = code(phone)
        assert refused(services.disable_authenticator, session=session) == ProofNeeded.code
        assert refused(services.disable_authenticator, session=session, password="wrong") == "invalid_password"
        assert refused(services.disable_authenticator, session=session, code=wrong_code(phone)) == "invalid_totp"
        assert Authenticator.objects.filter(user=nurse.user).exists()

        services.disable_authenticator(session=session, **{proof: given})

    assert not Authenticator.objects.filter(user=nurse.user).exists()


def test_q10_disabling_erases_the_secret_and_tells(clinic, nurse):
    here, there = sign_in(nurse), None
    enrol(here)
    there = sign_in(nurse, "totp")

    services.disable_authenticator(session=here)

    assert not Authenticator.objects.filter(user=nurse.user).exists()
    assert not RecoveryCodes.objects.filter(user=nurse.user).exists()
    assert not User.objects.get(pk=nurse.user_id).has_second_factor
    assert Session.objects.get(pk=here.pk).second_factor == ""
    assert not Session.objects.live(timezone.now()).filter(pk=there.pk).exists()
    assert len(trail("second_factor_removed")) == 1
    assert told(nurse) == ["second_factor_added", "second_factor_removed"]


def test_disable_authenticator_without_one_does_nothing(clinic, nurse):
    session, other = sign_in(nurse), sign_in(nurse)
    services.begin_authenticator(nurse.user)

    services.disable_authenticator(session=session)

    assert not Authenticator.objects.filter(user=nurse.user).exists()
    assert Session.objects.live(timezone.now()).filter(pk=other.pk).exists()
    assert trail("second_factor_removed") == []


def test_wrong_passwords_are_counted_here_too(clinic, nurse):
    session = sign_in(nurse)
    enrol(session)
    for _try in range(5):
        refused(services.disable_authenticator, session=session, password="wrong")

    assert refused(services.disable_authenticator, session=session, password=PASSWORD) == "too_many_attempts"


# --- Losing it -------------------------------------------------------------------------------------------------------


def test_q10_reset_second_factor_takes_everything_and_tells_everybody(clinic, admin, nurse):
    other_admin = MembershipFactory(role="admin")
    session = sign_in(nurse)
    enrol(session)

    services.reset_second_factor(nurse, by=admin, reason=" Lost the telephone ")

    user = User.objects.get(pk=nurse.user_id)
    assert not user.has_second_factor
    assert user.second_factor_reset_at
    assert not RecoveryCodes.objects.filter(user=user).exists()
    assert not Session.objects.live(timezone.now()).filter(pk=session.pk).exists()
    (entry,) = trail("second_factor_reset")
    assert entry.object_id == str(nurse.pk)
    assert "second_factor_reset" in told(nurse)
    assert told(other_admin) == ["second_factor_of_colleague_reset"]
    assert told(admin) == []
    assert Membership.objects.get(pk=nurse.pk).second_factor_due <= timezone.now()


def test_reset_second_factor_needs_the_permission(clinic, doctor, nurse):
    enrol(sign_in(nurse))

    with pytest.raises(NotAllowed):
        services.reset_second_factor(nurse, by=doctor, reason="Lost")
    assert Authenticator.objects.filter(user=nurse.user).exists()


@pytest.mark.parametrize(
    ("whom", "reason", "sentence"),
    [("nurse", "  ", "Say why"), ("admin", "Lost", "Somebody else"), ("doctor", "Lost", "has no second factor")],
)
def test_reset_second_factor_refuses(clinic, admin, nurse, doctor, whom, reason, sentence):
    enrol(sign_in(nurse))
    enrol(sign_in(admin))

    with pytest.raises(RuleBroken, match=sentence):
        services.reset_second_factor({"nurse": nurse, "admin": admin, "doctor": doctor}[whom], by=admin, reason=reason)
    assert Authenticator.objects.filter(user__in=[nurse.user, admin.user]).count() == 2


def test_reset_second_factor_leaves_people_of_other_clinics_to_the_platform(clinic, other_clinic, admin, nurse):
    enrol(sign_in(nurse))
    Workplace.objects.create(user=nurse.user, tenant=other_clinic)

    with pytest.raises(RuleBroken, match="also works in other clinics"):
        services.reset_second_factor(nurse, by=admin, reason="Lost")

    admin.user.is_platform_admin = True
    services.reset_second_factor(nurse, by=admin, reason="Lost")
    assert not Authenticator.objects.filter(user=nurse.user).exists()


def test_reset_second_factor_of_the_platform_is_not_for_a_clinic(clinic, admin, nurse):
    enrol(sign_in(nurse))
    User.objects.filter(pk=nurse.user_id).update(is_platform_admin=True)

    with pytest.raises(RuleBroken, match="platform administrator"):
        services.reset_second_factor(nurse, by=admin, reason="Lost")


def test_a_stranger_is_nobody(clinic, stranger):
    from django.http import Http404

    with pytest.raises(Http404):
        selectors.get_member(stranger.pk)
