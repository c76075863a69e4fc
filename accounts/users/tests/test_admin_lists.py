"""Lists of the admin: what they find, and that none counts or sorts a whole table."""

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group as StockGroup
from django.core.paginator import Paginator
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.users.admin_site import CappedPaginator, CarewrightAdminSite, HouseModelAdmin
from accounts.users.models import GroupMember, HeldRole, Membership, Session, User
from accounts.users.tests.factories import MembershipFactory


@pytest.fixture
def browser(clinic, admin, page_client, settings):
    settings.DEMO = True
    return page_client(admin)


def pages():
    return [(model, page) for model, page in admin.site._registry.items()]


def address_of(model):
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")


def test_admin_has_pages_of_the_house_only():
    assert {User, Membership, HeldRole, GroupMember, Session} <= {model for model, _page in pages()}
    assert [model for model, page in pages() if not isinstance(page, HouseModelAdmin)] == []


def test_admin_takes_no_stock_page_in():
    site = CarewrightAdminSite()
    site.register(StockGroup)
    site.register(StockGroup, admin.ModelAdmin)
    site.register(Session, HouseModelAdmin)

    assert list(site._registry) == [Session]


@pytest.mark.parametrize("model", [model for model, _page in pages()], ids=lambda model: model._meta.label)
def test_no_list_counts_a_whole_table(browser, model):
    """The negative control is Django's own paginator, below."""
    with CaptureQueriesContext(connection) as captured:
        assert browser.get(address_of(model)).status_code == 200

    counts = [query["sql"] for query in captured if "COUNT(*)" in query["sql"]]
    assert [sql for sql in counts if "LIMIT" not in sql] == []


def test_the_paginator_stops_counting(admin, nurse, monkeypatch):
    asked = Membership.objects.order_by("id")
    there = asked.count()
    monkeypatch.setattr("accounts.users.admin_site.MOST_COUNTED", there - 1)

    assert (CappedPaginator(asked, 25).count, Paginator(asked, 25).count) == (there - 1, there)


@pytest.mark.parametrize("model", [User, Membership, HeldRole, Session], ids=lambda model: model.__name__)
def test_people_are_found_by_the_beginning_of_their_address(browser, model, nurse, stranger, page_client):
    page_client(nurse)
    start = nurse.user.email[:8].upper()

    assert "Nora Nurse" in browser.get(address_of(model), {"q": start}).text
    for nobody in (stranger.user.email, "%", "_", "nobody-at-all"):
        text = browser.get(address_of(model), {"q": nobody}).text
        assert "Nora Nurse" not in text
        assert "Sven Stranger" not in text


def test_accounts_of_people_elsewhere_are_not_there(browser, stranger):
    assert "Sven Stranger" not in browser.get(address_of(User)).text
    assert browser.get(f"/admin/users/user/{stranger.user_id}/change/").status_code == 302


def test_an_account_shows_no_secret(browser, nurse):
    text = browser.get(f"/admin/users/user/{nurse.user_id}/change/").text

    assert nurse.user.email in text
    assert nurse.user.password not in text
    assert "link_version" not in text


@pytest.mark.parametrize("model", [model for model, _page in pages()], ids=lambda model: model._meta.label)
def test_a_list_asks_as_often_for_many_as_for_one(browser, model):
    def queries():
        with CaptureQueriesContext(connection) as captured:
            browser.get(address_of(model))
        return len(captured)

    queries()
    before = queries()
    for _ in range(3):
        MembershipFactory(roles=["nurse", "doctor"])
    queries()  # what was pending is written
    assert queries() <= before
