"""Claiming a key, keeping an answer, letting it go; inside one clinic, beside another, and outside of all."""

import uuid
from datetime import timedelta
from threading import Thread

import pytest
import time_machine
from django.conf import settings
from django.db import connection, transaction
from django.test import override_settings
from django.utils import timezone

from tenancy.retries import services
from tenancy.retries.models import Answer, PlatformAnswer
from tenancy.retries.services import Attempt, OtherRequest, Reply, StillRunning
from tenancy.retries.tasks import purge_answers
from tenancy.sealing import InvalidToken
from tenancy.tenants.context import tenant_context
from tenancy.tenants.tests.contexts import outside_tenant

REPLY = Reply(201, {"ETag": '"1"', "Content-Type": "application/json"}, '{"name":"Ñuñez\\n"}\n\x00'.encode())


def attempt(**fields):
    usual = {"caller": "users.membership:1", "route": "api/patients", "key": "order-1", "sent": b"a body"}
    return Attempt(**usual | fields)


def keep(**fields):
    one = attempt(**fields)
    assert services.claim(one) is None
    services.keep(one, REPLY)


def test_claim_of_a_new_key_says_do_it(clinic):
    assert services.claim(attempt()) is None
    assert Answer.objects.count() == 0


def test_claim_of_a_kept_key_gives_the_reply_as_it_was(clinic):
    keep()

    assert services.claim(attempt()) == REPLY


@pytest.mark.parametrize("sent", [b"a body ", b"A body", b"", b"a body\x00"])
def test_claim_with_another_body_is_another_request(clinic, sent):
    keep()

    with pytest.raises(OtherRequest):
        services.claim(attempt(sent=sent))


@pytest.mark.parametrize(
    "other",
    [
        {"caller": "users.membership:2"},
        {"caller": "api_keys.apikey:1"},
        {"route": "api/specialties"},
        {"key": "order-2"},
        {"caller": "users.membership:1api", "route": "/patients"},  # parts do not run into each other
    ],
)
def test_claim_is_of_one_caller_route_and_key(clinic, other):
    keep()

    assert services.claim(attempt(**other)) is None


def test_claim_is_of_one_clinic(clinic, other_clinic):
    keep()

    with outside_tenant(), tenant_context(other_clinic.id):
        assert services.claim(attempt()) is None
        assert Answer.objects.count() == 0


def test_outside_of_clinics_answers_lie_in_a_table_of_their_own(db):
    keep()

    assert services.claim(attempt()) == REPLY
    assert PlatformAnswer.objects.count() == 1


def test_keep_takes_nothing_that_was_kept_meanwhile(clinic):
    services.keep(attempt(), REPLY)

    with pytest.raises(StillRunning):
        services.keep(attempt(), Reply(201, {}, b"other"))
    assert services.claim(attempt()) == REPLY


def test_an_answer_moved_to_another_row_opens_nothing(clinic):
    """Somebody who may write to the database can not have one answer given for another."""
    keep()
    keep(key="order-2", sent=b"another")
    one, other = Answer.objects.order_by("made_at")
    Answer.objects.filter(pk=one.pk).update(sealed=other.sealed)

    with pytest.raises(InvalidToken):
        services.claim(attempt())


def test_a_new_secret_key_still_opens_what_the_old_one_sealed(clinic):
    keep()

    with override_settings(SECRET_KEY="the next one" * 4, SECRET_KEY_FALLBACKS=[settings.SECRET_KEY]):
        assert services.claim(attempt()) == REPLY
        with pytest.raises(OtherRequest):
            services.claim(attempt(sent=b"another"))


def test_equal_bodies_have_another_fingerprint_in_another_clinic(clinic, other_clinic):
    keep()
    with outside_tenant(), tenant_context(other_clinic.id):
        keep()
        theirs = Answer.objects.get().fingerprint

    assert Answer.objects.get().fingerprint != theirs


# --- 24 hours --------------------------------------------------------------------------------------------------------


def test_a_kept_answer_is_forgotten_after_24_hours_purged_or_not(clinic):
    now = timezone.now()
    with time_machine.travel(now, tick=False):
        keep()
    with time_machine.travel(now + timedelta(hours=24) - timedelta(seconds=1), tick=False):
        assert services.claim(attempt()) == REPLY
    with time_machine.travel(now + timedelta(hours=24), tick=False):
        assert services.claim(attempt(sent=b"something else")) is None
        services.keep(attempt(sent=b"something else"), Reply(200, {}, b""))
        assert services.claim(attempt(sent=b"something else")) == Reply(200, {}, b"")
    assert Answer.objects.count() == 1


def test_purge_answers_removes_what_is_old_in_every_clinic_closed_ones_too(clinic, other_clinic):
    keep()
    other_clinic.is_active = False
    with outside_tenant():
        other_clinic.save()
        keep()
        with tenant_context(other_clinic.id):
            keep()
    later = timezone.now() + timedelta(hours=24)
    with time_machine.travel(later, tick=False), outside_tenant():
        with tenant_context(clinic.id):
            keep(key="fresh")
        purge_answers()

    assert Answer.objects.count() == 1
    with outside_tenant():
        assert PlatformAnswer.objects.count() == 0
        with tenant_context(other_clinic.id):
            assert Answer.objects.count() == 0


def test_purge_answers_keeps_what_is_younger(clinic):
    keep()

    assert services.purge_answers(now=timezone.now() + timedelta(hours=23, minutes=59)) == 0
    assert services.purge_answers(now=timezone.now() + timedelta(hours=24, minutes=1)) == 1


def test_purging_is_on_the_clock():
    tasks = [entry["task"] for entry in settings.CELERY_BEAT_SCHEDULE.values()]

    assert "tenancy.retries.tasks.purge_answers" in tasks


# --- The lock --------------------------------------------------------------------------------------------------------


def test_claim_does_not_wait_and_the_lock_ends_with_the_transaction(committed_db):
    """Two connections: the second is told at once, and may go on when the first has ended without an answer."""
    one = attempt(key=str(uuid.uuid4()))
    outcomes: list[Reply | str | None] = []

    def claim():
        try:
            with transaction.atomic():
                outcomes.append(services.claim(one))
        except StillRunning:
            outcomes.append("told")
        finally:
            connection.close()

    def in_a_thread():
        thread = Thread(target=claim)
        thread.start()
        thread.join(timeout=20)

    with transaction.atomic():
        services.claim(one)
        in_a_thread()
    in_a_thread()

    assert outcomes == ["told", None]
