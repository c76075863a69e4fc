"""`/v1/webhooks` and `/v1/webhook-deliveries` (S25)."""

import uuid
from datetime import timedelta

import pytest
from django.utils import timezone
from standardwebhooks import Webhook

from tenancy.events import services
from tenancy.events.models import Attempt, Delivery, Endpoint
from tenancy.events.tests.factories import Thing, open_endpoint
from tenancy.events.tests.test_targets import SPELLINGS

URL = "http://127.0.0.1:9/hook"


@pytest.fixture
def program(key_client):
    return key_client("admin")


def create(program, **fields):
    return program.post("/v1/webhooks", {"url": URL, "event_types": ["patient.created"]} | fields)


def test_s25_a_webhook_is_made_listed_changed_and_deleted(program):
    made = create(program, description="n8n")

    assert made.status_code == 201
    row = made.json()
    assert Webhook(row["secret"])
    assert (row["url"], row["state"], row["event_types"], row["version"]) == (URL, "active", ["patient.created"], 1)
    one = program.get(f"/v1/webhooks/{row['id']}")
    assert "secret" not in one.json()
    assert (one.json()["id"], one["ETag"]) == (row["id"], '"1"')
    assert [found["id"] for found in program.get("/v1/webhooks").json()["items"]] == [row["id"]]

    changed = program.patch(f"/v1/webhooks/{row['id']}", {"event_types": ["*"]}, headers={"If-Match": '"1"'})
    assert (changed.status_code, changed.json()["event_types"], changed["ETag"]) == (200, ["*"], '"2"')
    stale = program.patch(f"/v1/webhooks/{row['id']}", {"description": "x"}, headers={"If-Match": '"1"'})
    assert stale.status_code == 412
    assert program.delete(f"/v1/webhooks/{row['id']}", headers={"If-Match": '"1"'}).status_code == 412
    assert program.delete(f"/v1/webhooks/{row['id']}").status_code == 204
    assert program.get(f"/v1/webhooks/{row['id']}").status_code == 404


HOSTILE = [
    *["https://127.0.0.1/", "https://127.1/", "https://2130706433/", "https://0x7f.1/", "https://[::1]/"],
    *["https://169.254.169.254/latest/meta-data/", "https://[::ffff:169.254.169.254]/", "https://10.0.0.1/"],
    *["http://example.org/", "ftp://example.org/", "file:///etc/passwd", "gopher://127.0.0.1:6379/_FLUSHALL"],
    *["https://user:pass@example.org/", "https://example.org@127.0.0.1/", "https://example.org#@127.0.0.1/"],
    *[
        "https://example.org\\@127.0.0.1/",
        "https://example.org:22/",
        "https://example.org:6379/",
        "https://localhost./",
    ],
    *["https://①②⑦.0.0.1/", "https://127。0。0。1/", "https://example.org/\r\nX: 1", "//example.org", "x" * 500],
    *["https://redis/", "https://%31%32%37.0.0.1/", "javascript:alert(1)", "https://no-such-host.invalid/"],
]


@pytest.mark.parametrize("url", HOSTILE)
def test_wh02_hostile_addresses_are_a_400_that_names_the_field(program, url, settings):
    endpoint = open_endpoint(URL)
    settings.WEBHOOK_LOOPBACK = False  # as in production

    for answer in (create(program, url=url), program.patch(f"/v1/webhooks/{endpoint.pk}", {"url": url})):
        assert answer.status_code == 400, answer.content
        assert [problem["loc"][-1] for problem in answer.json()["detail"]] == ["url"]
    assert not Endpoint.objects.filter(url=url).exists()


def test_wh02_the_door_refuses_all_spellings_that_lead_elsewhere(program, settings):
    """The long list of tenancy.events, over the wire: each is the caller's mistake, none is a failure of ours."""
    settings.WEBHOOK_LOOPBACK = False
    answers = {url: create(program, url=url).status_code for url in set(SPELLINGS)}

    assert len(answers) >= 90
    assert {url: status for url, status in answers.items() if status != 400} == {}
    assert not Endpoint.objects.exists()


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"url": ""}, "url"), ({"url": 7}, None), ({"url": None}, "url"), ({"url": [URL]}, "url"),
        ({"url": "x" * 501}, "url"),
        ({"event_types": ["patient.eaten"]}, "event_types"), ({"event_types": []}, "event_types"),
        ({"event_types": "*"}, "event_types"), ({"event_types": [None]}, "event_types"), ({"kind": "fax"}, "kind"),
        ({"kind": "queue"}, "kind"), ({"secret": "whsec_mine"}, "secret"), ({"description": "x" * 201}, "description"),
    ],
)  # fmt: skip
def test_bad_input_is_a_400(program, fields, named):
    answer = create(program, **fields)

    assert answer.status_code == 400, answer.content
    if named:
        assert named in str(answer.json()["detail"][0]["loc"])
    assert Endpoint.objects.count() == 0


def test_s25_rotating_shows_the_next_secret(program):
    row = create(program).json()

    next_one = program.post(f"/v1/webhooks/{row['id']}/rotate-secret", {"overlap_hours": 2})

    assert next_one.status_code == 201
    assert next_one.json()["secret"] != row["secret"]
    assert next_one.json()["old_secret_until"] is not None
    assert Endpoint.objects.get().secrets(timezone.now()) == [next_one.json()["secret"], row["secret"]]
    assert program.post(f"/v1/webhooks/{row['id']}/rotate-secret", {"overlap_hours": 721}).status_code == 400


def test_pause_resume_and_test(program):
    address = f"/v1/webhooks/{create(program).json()['id']}"

    assert program.post(f"{address}/pause").json()["state"] == "paused"
    assert program.post(f"{address}/pause").status_code == 409
    assert program.post(f"{address}/test").status_code == 409
    assert program.post(f"{address}/resume").json()["state"] == "active"
    tested = program.post(f"{address}/test")
    assert (tested.status_code, tested.json()["type"], tested.json()["state"]) == (202, "endpoint.test", "waiting")


def test_the_log_is_filtered_and_resent(program):
    endpoint = open_endpoint(URL)
    services.emit("patient.created", Thing(), by=None)
    services.emit("patient.updated", Thing(), by=None)
    done = Delivery.objects.get(event__type="patient.created")
    Delivery.objects.filter(pk=done.pk).update(state="failed", attempts=10)
    Attempt.objects.create(
        delivery=done, number=10, at=timezone.now(), status=500, error="status", ms=12, answer="<b>no</b>"
    )

    def found(query):
        return [row["type"] for row in program.get(f"/v1/webhook-deliveries?{query}").json()["items"]]

    assert found("") == ["patient.updated", "patient.created"]
    assert found("state=failed") == ["patient.created"]
    assert found(f"webhook_id={endpoint.pk}&type=patient.updated") == ["patient.updated"]
    one = program.get(f"/v1/webhook-deliveries/{done.pk}").json()
    assert [(t["number"], t["status"], t["ms"], t["answer"]) for t in one["tries"]] == [(10, 500, 12, "<b>no</b>")]
    again = program.post(f"/v1/webhook-deliveries/{done.pk}/resend")
    assert (again.status_code, again.json()["state"], again.json()["event_id"]) == (202, "waiting", str(done.event_id))
    since = (timezone.now() - timedelta(hours=1)).isoformat()
    many = program.post(f"/v1/webhooks/{endpoint.pk}/resend", {"since": since})
    assert (many.status_code, many.json()) == (202, {"resent": 2})
    for query in ("state=lost", "webhook_id=1", "since=yesterday", "colour=red"):
        assert program.get(f"/v1/webhook-deliveries?{query}").status_code == 400


def test_event_types_are_those_of_the_house(program):
    codes = [row["code"] for row in program.get("/v1/webhooks/event-types").json()["items"]]

    words = ["created", "deleted", "status_changed", "updated"]
    assert sorted(codes) == [f"{thing}.{word}" for thing in ("appointment", "patient") for word in words]


def test_only_who_manages_integrations_comes_in(key_client, anonymous_api, api_client, nurse, admin):
    reader = key_client("patients:read")
    for program, status in [(reader, 403), (anonymous_api, 401), (api_client(nurse), 403), (api_client(admin), 200)]:
        assert program.get("/v1/webhooks").status_code == status
        assert program.get("/v1/webhook-deliveries").status_code == status


def test_ti_h19_another_clinic_has_no_webhook_here(program, api_client, strange_admin):
    endpoint = open_endpoint(URL)
    services.emit("patient.created", Thing(), by=None)
    delivery = Delivery.objects.get()
    stranger = api_client(strange_admin)
    for address in (f"/v1/webhooks/{endpoint.pk}", f"/v1/webhook-deliveries/{delivery.pk}"):
        assert program.get(address).status_code == 200
        assert stranger.get(address).status_code == 404
        assert stranger.get(address.replace(address[-36:], str(uuid.uuid4()))).status_code == 404
    assert stranger.get("/v1/webhooks").json()["items"] == []
    assert stranger.get("/v1/webhook-deliveries").json()["items"] == []
    assert stranger.get(f"/v1/webhook-deliveries?webhook_id={endpoint.pk}").status_code == 404
    for verb in ("rotate-secret", "pause", "resume", "test"):
        assert stranger.post(f"/v1/webhooks/{endpoint.pk}/{verb}", {}).status_code == 404
    assert stranger.delete(f"/v1/webhooks/{endpoint.pk}").status_code == 404
    assert stranger.post(f"/v1/webhook-deliveries/{delivery.pk}/resend").status_code == 404
