"""The pages about webhooks, for administrators of the clinic."""

import re

import pytest
from django.urls import reverse
from django.utils import timezone

from accounts.api_keys.services import create_key
from accounts.integrations import notices
from accounts.notifications.models import Notification
from tenancy.events import registry, services
from tenancy.events.models import Attempt, Delivery, Endpoint
from tenancy.events.tests.factories import SECRETS, Thing, open_endpoint

URL = "http://127.0.0.1:9/hook"


@pytest.fixture
def browser(page_client, admin):
    return page_client(admin)


@pytest.fixture
def endpoint(clinic):
    return open_endpoint(URL)


@pytest.fixture
def delivery(endpoint):
    services.emit("patient.created", Thing(), by=None)
    return Delivery.objects.get()


def page(name, *args):
    return reverse(f"integrations:{name}", args=args)


def text(answer):
    return answer.content.decode()


def test_wh11_a_new_webhook_shows_its_secret_once(browser):
    answer = browser.post(page("create_webhook"), {"url": URL, "description": "n8n", "everything": "on"})

    secret = re.search(r'value="(whsec_[^"]+)"', text(answer))[1]
    endpoint = Endpoint.objects.get()
    assert endpoint.secrets(timezone.now()) == [secret]
    assert endpoint.event_types == ["*"]
    for name, *args in (["webhooks"], ["webhook", endpoint.pk], ["change_webhook", endpoint.pk], ["deliveries"]):
        content = text(browser.get(page(name, *args)))
        assert secret[10:] not in content
    assert URL in text(browser.get(page("webhooks")))


def lit(answer):
    return re.search(r'<nav class="tabs".*?aria-current="(\w+)">([^<]+)<', text(answer), re.DOTALL).groups()


def test_a_page_below_a_tab_lights_the_tab(browser, admin, endpoint, delivery):
    key, _text = create_key(by=None, name="n8n", scopes=["admin"])

    assert lit(browser.get(page("keys"))) == ("page", "API keys")
    assert lit(browser.get(page("webhooks"))) == ("page", "Webhooks")
    for name, *args, label in (
        ["create_key", "API keys"],
        ["key", key.pk, "API keys"],
        ["create_webhook", "Webhooks"],
        ["webhook", endpoint.pk, "Webhooks"],
        ["change_webhook", endpoint.pk, "Webhooks"],
        ["delivery", delivery.pk, "Deliveries"],
    ):
        assert lit(browser.get(page(name, *args))) == ("true", label)
    assert lit(browser.post(page("rotate_key", key.pk), {"hours": "24"})) == ("true", "API keys")
    assert lit(browser.get(reverse("team:person", args=[admin.pk]))) == ("true", "People")
    assert lit(browser.get(reverse("team:roles"))) == ("page", "Roles")


@pytest.mark.parametrize(
    "fields",
    [
        *[{"url": ""}, {"url": "https://example.org:22/"}, {"url": "https://10.0.0.1/"}, {"url": "a\x00"}],
        *[{"everything": ""}, {"everything": "", "event_types": ["patient.eaten"]}, {"description": "x" * 201}],
    ],
)
def test_wh02_a_form_with_mistakes_comes_back(browser, fields):
    answer = browser.post(page("create_webhook"), {"url": URL, "everything": "on"} | fields)

    assert answer.status_code == 422
    assert not Endpoint.objects.exists()


def test_a_webhook_is_changed(browser, endpoint):
    answer = browser.post(page("change_webhook", endpoint.pk), {"url": URL, "event_types": ["patient.created"]})

    endpoint.refresh_from_db()
    assert answer.status_code == 302
    assert endpoint.event_types == ["patient.created"]


def test_pause_resume_rotate_test_and_delete(browser, endpoint):
    assert "is put aside" in text(browser.post(page("pause_webhook", endpoint.pk), follow=True))
    assert "Let it go on" in text(browser.get(page("webhook", endpoint.pk)))
    assert "is sent now" in text(browser.post(page("resume_webhook", endpoint.pk), follow=True))
    assert "A test is on its way" in text(browser.post(page("test_webhook", endpoint.pk), follow=True))
    shown = text(browser.post(page("rotate_secret", endpoint.pk), {"hours": "24"}))
    endpoint.refresh_from_db()
    assert re.search(r'value="(whsec_[^"]+)"', shown)[1] == endpoint.secrets(timezone.now())[0]
    assert browser.post(page("rotate_secret", endpoint.pk), {"hours": "9"}).status_code == 422
    browser.post(page("delete_webhook", endpoint.pk))
    assert browser.get(page("webhook", endpoint.pk)).status_code == 404
    assert SECRETS[endpoint.pk]


def test_the_log_has_filters_and_each_delivery_its_tries(browser, clinic, endpoint, delivery):
    other = open_endpoint("http://127.0.0.1:9/other")
    log = text(browser.get(page("deliveries")))
    assert "A patient was registered" in log
    for query, many in [
        (f"webhook={endpoint.pk}&state=&type=&day=", 1),
        (f"webhook={other.pk}", 0),
        ("state=failed", 0),
        ("state=waiting&type=patient.created", 1),
        (f"day={delivery.since.astimezone(clinic.zone).date()}", 1),
        ("day=2020-01-01", 0),
    ]:
        found = text(browser.get(f"{page('deliveries')}?{query}"))
        assert found.count(page("delivery", delivery.pk)) == many, query
    for query in ("state=lost", "webhook=1", "colour=red", "page=99"):
        assert browser.get(f"{page('deliveries')}?{query}").status_code in {200, 302}
    one = text(browser.get(page("delivery", delivery.pk)))
    assert str(delivery.event_id) in one
    assert "It was not tried yet" in one


def test_in18_wh09_what_a_receiver_answers_is_shown_as_text(browser, delivery):
    hostile = "</td><script>alert(1)</script><img src=x onerror=alert(2)>{{ 7|add:7 }}"
    Attempt.objects.create(
        delivery=delivery, number=1, at=timezone.now(), status=500, error="status", ms=3, answer=hostile
    )

    content = text(browser.get(page("delivery", delivery.pk)))

    assert "<script>alert(1)" not in content
    assert "<img src=x" not in content
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in content


def test_resend_one_and_a_range(browser, endpoint, delivery):
    Delivery.objects.update(state="failed", attempts=10)

    assert "It is sent again now" in text(browser.post(page("resend_delivery", delivery.pk), follow=True))
    delivery.refresh_from_db()
    assert (delivery.state, delivery.attempts) == ("waiting", 0)
    answer = browser.post(page("resend_range", endpoint.pk), {"hours": "24", "only_failed": "on"}, follow=True)
    assert "1 event is sent again" in text(answer)
    assert browser.post(page("resend_range", endpoint.pk), {"hours": "9"}).status_code == 422
    services.pause_endpoint(endpoint, by=None)
    assert browser.post(page("resend_range", endpoint.pk), {"hours": "24"}).status_code == 422
    assert "not active" in text(browser.post(page("resend_delivery", delivery.pk), follow=True))


def test_wh12_administrators_are_told_when_a_webhook_stops(admin, nurse, endpoint):
    for state, why, kind in [
        ("paused", "failing", notices.WEBHOOK_PAUSED),
        ("disabled", "gone", notices.WEBHOOK_DISABLED),
        ("paused", "sealed", notices.WEBHOOK_SEALED),
    ]:
        services.stop_endpoint(endpoint, state, why)
        told = Notification.objects.filter(kind=kind.code)
        assert admin.pk in told.values_list("recipient_id", flat=True)
        assert nurse.pk not in told.values_list("recipient_id", flat=True)
        assert told.first().url == page("webhook", endpoint.pk)
        assert told.first().params == {"host": "127.0.0.1:9"}
    assert notices.tell_of_stopped_endpoint in registry._on_stop


def test_only_who_manages_integrations_sees_webhooks(page_client, nurse, strange_admin, endpoint, delivery):
    stranger = page_client(strange_admin)
    for name in ("webhooks", "create_webhook", "deliveries"):
        assert page_client(nurse).get(page(name)).status_code == 403
        assert stranger.get(page(name)).status_code == 200
    assert URL not in text(stranger.get(page("webhooks")))
    for name in ("webhook", "change_webhook"):
        assert stranger.get(page(name, endpoint.pk)).status_code == 404
    for name in ("rotate_secret", "pause_webhook", "resume_webhook", "test_webhook", "resend_range", "delete_webhook"):
        assert stranger.post(page(name, endpoint.pk)).status_code == 404
    assert stranger.get(page("delivery", delivery.pk)).status_code == 404
    assert stranger.post(page("resend_delivery", delivery.pk)).status_code == 404


@pytest.mark.parametrize("many", [1, 3])
def test_lists_ask_the_same_number_of_questions(browser, endpoint, many, django_assert_max_num_queries):
    for _ in range(many):
        open_endpoint(URL)
        services.emit("patient.created", Thing(), by=None)
    for name, most in (("webhooks", 14), ("deliveries", 17)):
        with django_assert_max_num_queries(most):
            browser.get(page(name))
