"""The pages about keys, for administrators of the clinic."""

import re

import pytest
from django.urls import reverse

from accounts.api_keys.models import ApiKey
from accounts.api_keys.tests.fixtures import server_with


@pytest.fixture
def browser(page_client, admin):
    return page_client(admin)


def make(browser, **fields):
    return browser.post(reverse("integrations:create_key"), {"name": "n8n", "scopes": ["admin"], "days": ""} | fields)


def text_on(answer):
    return re.search(r'value="(cwk_[^"]+)"', answer.content.decode())[1]


def test_s3_a_new_key_is_shown_once_and_works(browser):
    answer = make(browser)

    text = text_on(answer)
    assert server_with(text).get("/v1/auth/api-keys").status_code == 200
    key = ApiKey.objects.get()
    for page in (reverse("integrations:keys"), reverse("integrations:key", args=[key.pk])):
        content = browser.get(page).content.decode()
        assert key.prefix in content
        assert text[-43:] not in content


@pytest.mark.parametrize(
    "fields", [{"name": ""}, {"scopes": []}, {"scopes": ["root"]}, {"days": "7"}, {"name": "a\x00"}]
)
def test_s3_a_form_with_mistakes_comes_back(browser, fields):
    answer = make(browser, **fields)

    assert answer.status_code == 422
    assert not ApiKey.objects.exists()


def test_s3_rotate_shows_the_next_key(browser):
    make(browser)
    key = ApiKey.objects.get()

    answer = browser.post(reverse("integrations:rotate_key", args=[key.pk]), {"hours": "24"})

    assert server_with(text_on(answer)).get("/v1/auth/api-keys").status_code == 200
    again = browser.post(reverse("integrations:rotate_key", args=[key.pk]), {"hours": "24"})
    assert again.status_code == 422


@pytest.mark.parametrize(("hours", "sentence"), [("24", "The old key works until"), ("0", "refused from now on")])
def test_s3_rotating_says_until_when_the_old_key_works_and_which_takes_its_place(browser, hours, sentence):
    make(browser)
    old = ApiKey.objects.get()
    answer = browser.post(reverse("integrations:rotate_key", args=[old.pk]), {"hours": hours}).content.decode()
    new = ApiKey.objects.exclude(pk=old.pk).get()

    assert sentence in answer
    assert str(new) in browser.get(reverse("integrations:key", args=[old.pk])).content.decode()
    assert str(old) not in browser.get(reverse("integrations:key", args=[new.pk])).content.decode()


def test_s3_revoke_ends_a_key(browser):
    text = text_on(make(browser))
    key = ApiKey.objects.get()

    answer = browser.post(reverse("integrations:revoke_key", args=[key.pk]), follow=True)

    assert "is refused from now on" in answer.content.decode()
    assert server_with(text).get("/v1/auth/api-keys").status_code == 401


def test_a_key_that_lives_for_days_ends(browser):
    make(browser, days="30")

    assert ApiKey.objects.get().expires_at is not None


def test_only_who_manages_integrations_sees_keys(page_client, nurse, stranger, strange_admin, browser):
    make(browser)
    key = ApiKey.objects.get()

    assert page_client(nurse).get(reverse("integrations:keys")).status_code == 403
    assert page_client(strange_admin).get(reverse("integrations:key", args=[key.pk])).status_code == 404
