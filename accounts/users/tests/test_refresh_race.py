"""Tabs that renew at once, and thieves (security.md AU-18 to AU-20; decision X3). Real threads, real commits."""

import threading
from datetime import timedelta

import jwt
import pytest
from django.core.cache import caches
from django.db import connection
from django.utils import timezone

from accounts.notifications.models import Notification
from accounts.users.models import Session, SessionQuerySet
from accounts.users.tests.factories import MembershipFactory, open_clinic
from accounts.users.tests.fixtures import ProgramClient, open_session, tokens_of
from tenancy.audit.models import AuditEntry
from tenancy.tenants.context import tenant_context

PATHS = ["/api/auth/refresh", "/api/v1/auth/refresh"]
ROUNDS = 30  # `make bench BENCH_ARGS=refresh` runs a thousand over HTTP


@pytest.fixture
def session(committed_db, settings):
    """A sign-in in a clinic of its own, with rows that other threads see."""
    settings.RATE_LIMIT_SCALE = 100_000
    tenant, _ = open_clinic()
    with tenant_context(tenant.id):
        member = MembershipFactory()
    return open_session(member, Session.Kind.TOKEN)


def renew(token, path=PATHS[0]):
    """Status, and the refresh token that came back ("" for none)."""
    program = ProgramClient()
    program.cookies["refresh_token"] = token
    answer = program.post(path)
    return answer.status_code, answer.cookies["refresh_token"].value


def at_once(token, tabs, path):
    answers, gate = [], threading.Barrier(tabs)

    def run():
        gate.wait()
        answers.append(renew(token, path))
        connection.close()
        caches.close_all()

    threads = [threading.Thread(target=run) for _ in range(tabs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def id_of(token):
    return jwt.decode(token, options={"verify_signature": False})["jti"]


def reread(session):
    with tenant_context(session.tenant_id):
        return Session.objects.get(pk=session.pk)


def test_au19_tabs_that_renew_at_once_are_never_signed_out_and_never_fork(session):
    token = tokens_of(session)[1]
    for number in range(ROUNDS):
        answers = at_once(token, 2 + number % 5, PATHS[number % 2])

        assert {status for status, _token in answers} == {200}
        heads = {id_of(given) for _status, given in answers}
        assert heads == {str(reread(session).refresh_jti)}
        token = answers[0][1]

    assert reread(session).revoked_at is None


def test_au19_without_the_lock_on_the_row_it_would_fork(session, monkeypatch):
    """The control: two tabs that both read before either writes."""
    token = tokens_of(session)[1]
    gate, save = threading.Barrier(2, timeout=10), Session.save
    monkeypatch.setattr(SessionQuerySet, "select_for_update", lambda self, **kwargs: self)
    monkeypatch.setattr(Session, "save", lambda self, **kwargs: (gate.wait(), save(self, **kwargs)))

    answers = at_once(token, 2, PATHS[0])

    assert len({id_of(given) for status, given in answers if status == 200}) == 2


@pytest.mark.parametrize("path", PATHS)
def test_au20_an_answer_that_was_lost_can_be_asked_for_again(session, path):
    token = tokens_of(session)[1]
    _status, lost = renew(token, path)

    status, again = renew(token, path)

    assert (status, id_of(again)) == (200, id_of(lost))
    assert renew(again, path)[0] == 200
    assert reread(session).revoked_at is None


@pytest.mark.parametrize("path", PATHS)
def test_au18_a_stolen_token_is_found_whoever_uses_it_first(session, path):
    """The thief has the parent: by the second use that is too late, theirs or the owner's, the family ends."""
    stolen = tokens_of(session)[1]
    _status, owner = renew(stolen, path)
    assert renew(owner, path)[0] == 200

    assert renew(stolen, path)[0] == 401
    assert reread(session).revoked_at


def test_au18_the_grace_is_for_the_immediate_parent_only(session):
    first = tokens_of(session)[1]
    _status, second = renew(first)
    _status, third = renew(second)

    assert renew(second)[0] == 200
    assert renew(first)[0] == 401
    assert renew(third)[0] == 401


def test_au18_the_grace_ends_after_ten_seconds(session):
    first = tokens_of(session)[1]
    renew(first)
    with tenant_context(session.tenant_id):
        Session.objects.filter(pk=session.pk).update(rotated_at=timezone.now() - timedelta(seconds=10, milliseconds=1))

    assert renew(first)[0] == 401
    assert reread(session).revoked_at


def test_au18_reuse_ends_the_session_leaves_a_line_and_tells_its_owner(session):
    first = tokens_of(session)[1]
    access = tokens_of(session)[0]
    _status, second = renew(first)
    renew(second)

    assert renew(first)[0] == 401

    program = ProgramClient()
    program.credentials(HTTP_AUTHORIZATION=f"Bearer {access}")
    assert program.get("/api/auth/me").status_code == 401
    with tenant_context(session.tenant_id):
        [entry] = AuditEntry.objects.filter(reason_code="refresh_token_reused")
        assert (entry.action, entry.object_id) == ("signed_out", str(session.pk))
        [told] = Notification.objects.filter(kind="refresh_token_reused")
        assert told.recipient_id == session.membership_id


def test_au18_reuse_is_told_once(session):
    first = tokens_of(session)[1]
    _status, second = renew(first)
    renew(second)

    assert [renew(first)[0] for _ in range(5)] == [401] * 5
    with tenant_context(session.tenant_id):
        assert Notification.objects.filter(kind="refresh_token_reused").count() == 1
