"""Keys of browser sessions at rest: what the table holds opens nothing."""

import json
from datetime import timedelta

import pytest
from celery import current_app as app
from django.conf import settings as django_settings
from django.contrib.sessions.models import Session as StoredSession
from django.db import connection
from django.utils import timezone

from accounts.users.session_store import SessionStore, stored_key
from accounts.users.tasks import clear_expired_sessions
from tenancy.tenants.tests.contexts import outside_tenant

COOKIE = django_settings.SESSION_COOKIE_NAME


def everything_stored():
    with connection.cursor() as cursor:
        cursor.execute("SELECT session_key, session_data, expire_date::text FROM django_session")
        return cursor.fetchall()


def test_a_cookie_is_not_found_in_the_table(clinic, nurse, page_client):
    browser = page_client(nurse)
    key = browser.cookies[COOKIE].value

    assert browser.get("/").status_code == 200
    assert key not in json.dumps(everything_stored())
    assert stored_key(key) in {row[0] for row in everything_stored()}


def test_what_the_table_holds_is_no_cookie(clinic, nurse, page_client, client):
    page_client(nurse)

    for stored, *_rest in everything_stored():
        client.cookies[COOKIE] = stored
        assert client.get("/").status_code == 302


def test_an_unhashed_row_opens_nothing(clinic, nurse, page_client, client):
    """The control: somebody who can write a row still needs the key whose hash it is."""
    browser = page_client(nurse)
    [row] = StoredSession.objects.filter(session_key=stored_key(browser.cookies[COOKIE].value))
    StoredSession.objects.create(session_key="a" * 32, session_data=row.session_data, expire_date=row.expire_date)
    client.cookies[COOKIE] = "a" * 32

    assert client.get("/").status_code == 302


def test_a_session_is_kept_changed_and_deleted_by_its_key(db):
    store = SessionStore()
    store["seen"] = 1
    store.save()
    key = store.session_key
    again = SessionStore(key)
    again["seen"] += 1
    again.save()

    assert SessionStore(key)["seen"] == 2
    assert again.session_key == key
    assert store.exists(key)
    assert not store.exists("unknown" * 4)
    SessionStore().delete(key)
    assert not store.exists(key)
    again.delete()
    SessionStore().delete()


def test_an_unknown_key_is_never_taken_over(db):
    """AU-29: a key that somebody planted is not the one that is saved."""
    planted = SessionStore("p" * 32)
    planted["seen"] = 1
    planted.save()

    assert planted.session_key != "p" * 32
    assert not planted.exists("p" * 32)


def test_cycle_key_keeps_what_was_stored(db):
    store = SessionStore()
    store["seen"] = 1
    store.save()
    before = store.session_key
    store.cycle_key()
    store.save()

    assert store.session_key != before
    assert not store.exists(before)
    assert SessionStore(store.session_key)["seen"] == 1


@pytest.mark.parametrize("length", [8, 32, 64])
def test_stored_key_fits_the_column(length):
    assert len(stored_key("k" * length)) == StoredSession._meta.get_field("session_key").max_length == 40


def test_clear_expired_sessions_drops_only_those(clinic, nurse, page_client):
    kept, over = page_client(nurse), page_client(nurse)
    over_key = stored_key(over.cookies[COOKIE].value)
    StoredSession.objects.filter(session_key=over_key).update(expire_date=timezone.now() - timedelta(days=1))

    clear_expired_sessions()

    assert not StoredSession.objects.filter(session_key=over_key).exists()
    with outside_tenant():
        assert kept.get("/").status_code == 200


def test_clear_expired_sessions_runs_every_night():
    scheduled = {entry["task"] for entry in django_settings.CELERY_BEAT_SCHEDULE.values()}

    assert "accounts.users.tasks.clear_expired_sessions" in scheduled
    assert "accounts.users.tasks.clear_expired_sessions" in app.tasks or app.autodiscover_tasks() is None
