"""What gets into the outbox, and what administrators do with their endpoints."""

import json
from datetime import timedelta

import pytest
import structlog
from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.utils import timezone

from tenancy.audit.models import AuditEntry
from tenancy.events import registry, selectors, services
from tenancy.events.models import Attempt, Delivery, Endpoint, Event, Sequence
from tenancy.rules import RuleBroken, StaleVersion
from tenancy.sealing import InvalidToken
from tenancy.tenants.context import NoTenant, finish_pending, tenant_context
from tenancy.tenants.tests.contexts import outside_tenant

from .factories import SECRETS, Thing, open_endpoint

URL = "http://127.0.0.1:9/hook"
CREATED, UPDATED = "patient.created", "patient.updated"


@pytest.fixture
def endpoint(clinic, admin):
    return open_endpoint(URL, by=admin)


@pytest.fixture
def patient(clinic):
    """Something to tell of."""
    return Thing()


def actions():
    finish_pending()
    return list(AuditEntry.objects.order_by("seq").values_list("action", flat=True))


# --- Emitting --------------------------------------------------------------------------------------------------------


def test_s25_emit_writes_the_event_and_a_delivery_for_each_endpoint_that_wants_it(endpoint, patient, admin):
    other = open_endpoint(URL, event_types=[UPDATED])
    with structlog.contextvars.bound_contextvars(request_id="req-1"):
        services.emit(CREATED, patient, by=admin)

    [event] = Event.objects.filter(object_id=patient.pk)
    assert (event.type, event.object_type, event.sequence, event.request_id) == (CREATED, "patient", 1, "req-1")
    assert (event.actor_kind, event.actor_id) == ("member", admin.pk)
    assert list(event.deliveries.values_list("endpoint_id", "state", "attempts")) == [(endpoint.pk, "waiting", 0)]
    assert other.deliveries.count() == 0


def test_wh16_the_payload_is_thin(endpoint, patient, admin):
    services.emit(CREATED, patient, by=admin)

    event = Event.objects.get(object_id=patient.pk)
    assert json.loads(event.body) == {
        "id": str(event.pk),
        "type": CREATED,
        "timestamp": event.occurred_at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "data": {
            "object": "patient",
            "id": str(patient.pk),
            "number": patient.number,
            "sequence": 1,
            "tenant_id": str(endpoint.tenant_id),
        },
    }


def test_wh14_each_thing_counts_its_own_events(endpoint, patient):
    other = Thing()
    for thing, type in [(patient, CREATED), (other, CREATED), (patient, UPDATED), (patient, UPDATED)]:
        services.emit(type, thing, by=None)

    def numbers(thing):
        events = Event.objects.filter(object_id=thing.pk).order_by("id")
        return [(event.sequence, json.loads(event.body)["data"]["sequence"]) for event in events]

    assert numbers(patient) == [(1, 1), (2, 2), (3, 3)]
    assert numbers(other) == [(1, 1)]


def test_wh14_numbers_never_come_twice_though_events_are_removed(endpoint, patient):
    services.emit(CREATED, patient, by=None)
    services.purge(now=timezone.now() + timedelta(days=31))
    assert Event.objects.count() == 0

    services.emit(UPDATED, patient, by=None)

    assert Event.objects.get().sequence == 2


def test_emit_writes_nothing_in_a_clinic_without_endpoints(patient, django_assert_num_queries):
    with django_assert_num_queries(1):
        services.emit(CREATED, patient, by=None)

    assert (Event.objects.count(), Delivery.objects.count(), Sequence.objects.count()) == (0, 0, 0)


def test_emit_is_a_look_and_a_statement_with_three_endpoints(patient, django_assert_num_queries):
    for _ in range(3):
        open_endpoint(URL)
    with django_assert_num_queries(2):
        services.emit(CREATED, patient, by=None)

    assert Delivery.objects.count() == 3


def test_emit_keeps_events_for_a_later_resend_though_nobody_asked_for_this_type(endpoint, patient, admin):
    services.change_endpoint(endpoint, by=admin, event_types=[UPDATED])
    services.emit(CREATED, patient, by=None)

    assert Event.objects.get().deliveries.count() == 0


@pytest.mark.parametrize(("stop", "many"), [("pause", 1), ("disable", 0), ("delete", 0)])
def test_emit_puts_aside_for_a_paused_endpoint_only(endpoint, patient, admin, stop, many):
    if stop == "pause":
        services.pause_endpoint(endpoint, by=admin)
    elif stop == "disable":
        Endpoint.objects.filter(pk=endpoint.pk).update(state="disabled")
    else:
        services.delete_endpoint(endpoint, by=admin)

    services.emit(CREATED, patient, by=None)

    assert Delivery.objects.filter(endpoint=endpoint).count() == many


def test_emit_of_a_transaction_that_is_rolled_back_was_never_told(endpoint, patient):
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        services.emit(CREATED, patient, by=None)
        raise ZeroDivisionError

    services.emit(UPDATED, patient, by=None)

    assert [(event.type, event.sequence) for event in Event.objects.all()] == [(UPDATED, 1)]


def test_emit_refuses_a_type_nobody_registered(patient):
    with pytest.raises(LookupError):
        services.emit("patient.eaten", patient, by=None)
    with outside_tenant(), pytest.raises(NoTenant):
        services.emit(CREATED, patient, by=None)


def test_emit_rings_once_for_a_transaction(endpoint, patient, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks() as rings:
        for _ in range(5):
            services.emit(UPDATED, patient, by=None)

    assert len(rings) == 1


def test_ti_h19_an_event_of_one_clinic_reaches_no_endpoint_of_another(endpoint, other_clinic, patient):
    with outside_tenant(), tenant_context(other_clinic.id):
        theirs = open_endpoint(URL)
        services.emit(CREATED, Thing(), by=None)
        assert theirs.deliveries.count() == 1
        assert Endpoint.objects.filter(pk=endpoint.pk).exists() is False

    assert endpoint.deliveries.count() == 0
    assert Event.objects.count() == 0


def test_a_type_is_registered_once():
    with pytest.raises(ValueError, match="two types"):
        registry.register(registry.EventType(CREATED, "again"))
    assert {CREATED, "appointment.status_changed"} <= {known.code for known in registry.all_types()}
    assert registry.TEST not in registry.all_types()


# --- Endpoints -------------------------------------------------------------------------------------------------------


def test_wh11_a_secret_lies_sealed_and_opens_for_its_own_endpoint_only(endpoint):
    secret = SECRETS[endpoint.pk]
    with connection.cursor() as cursor:
        cursor.execute("SELECT row_to_json(e)::text FROM events_endpoint e WHERE id = %s", [endpoint.pk])
        row = cursor.fetchone()[0]

    assert secret not in row
    assert secret.encode().hex() not in row
    assert endpoint.secrets(timezone.now()) == [secret]
    other = open_endpoint(URL)
    other.sealed_secret = endpoint.sealed_secret
    with pytest.raises(InvalidToken):
        other.secrets(timezone.now())


def test_create_endpoint_writes_a_line_in_the_trail_without_the_secret(endpoint, admin):
    assert actions()[-1] == "webhook_created"
    entry = AuditEntry.objects.get(action="webhook_created")
    assert SECRETS[endpoint.pk] not in entry.payloads.get().body


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"url": "http://10.0.0.1/"}, "url"), ({"url": "https://169.254.169.254/"}, "url"),
        ({"url": "nonsense"}, "url"), ({"url": "https://no-such-name.invalid/"}, "url"),
        ({"event_types": ["patient.eaten"]}, "event_types"),
        ({"event_types": []}, "event_types"), ({"event_types": ["endpoint.test"]}, "event_types"),
        ({"kind": "queue"}, "kind"),
    ],
)  # fmt: skip
def test_wh01_create_endpoint_refuses_by_field(clinic, admin, given, field):
    with pytest.raises(ValidationError) as refused:
        services.create_endpoint(by=admin, **{"url": URL} | given)

    assert list(refused.value.message_dict) == [field]
    assert Endpoint.objects.count() == 0


def test_create_endpoint_stops_at_twenty(clinic, admin):
    for _ in range(20):
        open_endpoint(URL)
    with pytest.raises(RuleBroken, match="20"):
        open_endpoint(URL)


def test_change_endpoint_refuses_an_address_as_creating_does(endpoint, admin):
    with pytest.raises(ValidationError):
        services.change_endpoint(endpoint, by=admin, url="https://192.168.1.1/")
    endpoint.refresh_from_db()

    assert endpoint.url == URL


def test_change_endpoint_changes_what_is_given(endpoint, admin):
    changed = services.change_endpoint(endpoint, by=admin, event_types=[UPDATED, CREATED, UPDATED], expected_version=1)

    assert (changed.event_types, changed.url, changed.version) == ([CREATED, UPDATED], URL, 2)
    with pytest.raises(StaleVersion):
        services.change_endpoint(endpoint, by=admin, description="x", expected_version=1)
    assert services.change_endpoint(endpoint, by=admin, url=URL).version == 2, "nothing changed, nothing written"


def test_rotate_secret_keeps_both_for_the_overlap(endpoint, admin):
    old = SECRETS[endpoint.pk]

    endpoint, new = services.rotate_secret(endpoint, by=admin, overlap=timedelta(hours=2))

    now = timezone.now()
    assert endpoint.secrets(now) == [new, old]
    assert endpoint.secrets(now + timedelta(hours=3)) == [new]
    services.purge(now=now + timedelta(hours=3))
    endpoint.refresh_from_db()
    assert endpoint.sealed_old_secret is None


def test_rotate_secret_without_overlap_ends_the_old_one_at_once(endpoint, admin):
    endpoint, new = services.rotate_secret(endpoint, by=admin, overlap=timedelta())

    assert endpoint.secrets(timezone.now()) == [new]
    for hours in (-1, 31 * 24):
        with pytest.raises(RuleBroken):
            services.rotate_secret(endpoint, by=admin, overlap=timedelta(hours=hours))


def test_pause_and_resume_give_new_tries_to_what_waits(endpoint, patient, admin):
    services.emit(CREATED, patient, by=None)
    Delivery.objects.update(attempts=7, next_try_at=timezone.now() + timedelta(hours=9))

    endpoint = services.pause_endpoint(endpoint, by=admin)
    assert (endpoint.state, endpoint.why) == ("paused", "asked")
    with pytest.raises(RuleBroken):
        services.pause_endpoint(endpoint, by=admin)
    endpoint = services.resume_endpoint(endpoint, by=admin)

    assert (endpoint.state, endpoint.why, endpoint.stopped_at) == ("active", "", None)
    [delivery] = Delivery.objects.all()
    assert (delivery.attempts, delivery.next_try_at <= timezone.now()) == (0, True)
    with pytest.raises(RuleBroken):
        services.resume_endpoint(endpoint, by=admin)


def test_wh17_delete_drops_what_waits_and_what_was_sealed(endpoint, patient, admin):
    services.emit(CREATED, patient, by=None)

    services.delete_endpoint(endpoint, by=admin)

    endpoint.refresh_from_db()
    assert (endpoint.state, bytes(endpoint.sealed_secret)) == ("deleted", b"")
    assert list(Delivery.objects.values_list("state", flat=True)) == ["dropped"]
    assert list(selectors.list_endpoints()) == []
    for service in (services.pause_endpoint, services.resume_endpoint, services.send_test_event):
        with pytest.raises(RuleBroken):
            service(endpoint, by=admin)


def test_bk07_a_restored_clinic_sends_nothing_old(endpoint, patient):
    services.emit(CREATED, patient, by=None)

    assert services.drop_waiting() == 1
    assert services.drop_waiting() == 0


# --- Sending again ---------------------------------------------------------------------------------------------------


def test_send_test_event_goes_to_one_endpoint(endpoint, admin):
    other = open_endpoint(URL)

    delivery = services.send_test_event(endpoint, by=admin)

    assert delivery.event.type == "endpoint.test"
    assert json.loads(delivery.event.body)["data"]["id"] == str(endpoint.pk)
    assert other.deliveries.count() == 0
    assert actions()[-1] == "webhook_tested"


def test_resend_begins_anew_with_the_same_event(endpoint, patient, admin):
    services.emit(CREATED, patient, by=None)
    delivery = Delivery.objects.get()
    before = delivery.event.body
    Delivery.objects.update(state="failed", attempts=10)

    again = services.resend(delivery, by=admin)

    assert (again.pk, again.state, again.attempts, again.event.body) == (delivery.pk, "waiting", 0, before)
    assert Event.objects.count() == 1


def test_resend_range_takes_what_the_endpoint_asks_for_in_that_time(endpoint, admin):
    patients = [Thing() for _ in range(4)]
    for patient in patients:
        services.emit(CREATED, patient, by=None)
    Delivery.objects.update(state="delivered", delivered_at=timezone.now())
    first = Event.objects.order_by("id").first()
    services.emit(UPDATED, patients[0], by=None)
    late = open_endpoint(URL, event_types=[CREATED])

    many = services.resend_range(late, by=admin, since=first.occurred_at)

    assert many == 4
    assert sorted(late.deliveries.values_list("event__type", flat=True)) == [CREATED] * 4
    assert services.resend_range(endpoint, by=admin, since=first.occurred_at, only_failed=True) == 1
    assert services.resend_range(endpoint, by=admin, since=first.occurred_at) == 5
    assert services.resend_range(endpoint, by=admin, since=first.occurred_at, until=first.occurred_at) == 0
    assert Delivery.objects.filter(endpoint=endpoint).count() == 5, "the same deliveries, not new ones"


def test_resend_range_refuses_too_many(endpoint, patient, admin, monkeypatch):
    monkeypatch.setattr(services, "MOST_RESENT", 2)
    for _ in range(3):
        services.emit(UPDATED, patient, by=None)

    with pytest.raises(services.TooManyToResend):
        services.resend_range(endpoint, by=admin, since=timezone.now() - timedelta(hours=1))


def test_purge_keeps_thirty_days(endpoint, patient, admin):
    services.emit(CREATED, patient, by=None)
    Attempt.objects.create(delivery=Delivery.objects.get(), number=1, at=timezone.now(), ms=3)

    assert services.purge(now=timezone.now() + timedelta(days=29)) == 0
    services.delete_endpoint(endpoint, by=admin)
    assert services.purge(now=timezone.now() + timedelta(days=31)) == 1
    assert (Attempt.objects.count(), Delivery.objects.count(), Endpoint.objects.count()) == (0, 0, 0)


def test_selectors_narrow_the_log(endpoint, patient):
    services.emit(CREATED, patient, by=None)
    services.emit(UPDATED, patient, by=None)
    Delivery.objects.filter(event__type=UPDATED).update(state="failed")

    def found(**narrowed):
        return [row.event.type for row in selectors.list_deliveries(endpoint, **narrowed)]

    assert found() == [UPDATED, CREATED]
    assert found(state="failed") == [UPDATED]
    assert found(type=CREATED) == [CREATED]
    assert found(since=timezone.now() + timedelta(hours=1)) == []
    assert selectors.count_deliveries(endpoint) == {"waiting": 1, "delivered": 0, "failed": 1, "dropped": 0}
    assert selectors.list_endpoints().get().waiting == 1
