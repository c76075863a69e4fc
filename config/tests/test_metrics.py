import pytest
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families

pytestmark = pytest.mark.urls("config.tests.platform_urls")


def scrape(**options):
    return Client().get("/metrics", **options)


def counted(route, method="GET", status="200"):
    families = text_string_to_metric_families(scrape().content.decode())
    wanted = {"route": route, "method": method, "status": status}
    samples = [s for family in families for s in family.samples if s.name == "carewright_requests_total"]
    return sum(sample.value for sample in samples if sample.labels == wanted)


def test_metrics_count_by_route_pattern():
    before = counted("/api/notes/{pk}")

    for pk in (1, 2, 3):
        Client().get(f"/api/notes/{pk}")

    assert counted("/api/notes/{pk}") == before + 3


def test_metrics_have_no_series_for_what_strangers_make_up():
    for n in range(5):
        Client().get(f"/zoraida-{n}/")
        Client().generic(f"ZORAIDA{n}", "/api/notes")

    text = scrape().content.decode()
    assert "zoraida" not in text.lower()
    assert 'method="OTHER",route="/api/notes"' in text


@pytest.mark.parametrize(
    ("options", "status"),
    [
        ({}, 200),
        ({"REMOTE_ADDR": "10.0.0.9"}, 404),
        ({"headers": {"X-Forwarded-For": "127.0.0.1"}}, 404),
        ({"REMOTE_ADDR": "10.0.0.9", "headers": {"Authorization": "Bearer scrape-me"}}, 200),
        ({"REMOTE_ADDR": "10.0.0.9", "headers": {"Authorization": "Bearer wrong"}}, 404),
        ({"REMOTE_ADDR": "10.0.0.9", "headers": {"Authorization": "Bearer "}}, 404),
    ],
)
def test_metrics_are_for_this_machine_and_for_the_token(settings, options, status):
    settings.METRICS_TOKEN = "scrape-me"

    assert scrape(**options).status_code == status


def test_metrics_without_a_token_never_take_an_empty_one(settings):
    settings.METRICS_TOKEN = None

    for sent in ("Bearer ", "Bearer None", ""):
        assert scrape(REMOTE_ADDR="10.0.0.9", headers={"Authorization": sent}).status_code == 404
