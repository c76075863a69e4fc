"""Getting events out: real rows, real commits, real HTTP."""

import json
import threading
import time
from datetime import timedelta

import pytest
import time_machine
from django.db import connection
from django.utils import timezone
from standardwebhooks import Webhook

from tenancy.events import registry, sending, services, tasks, transport
from tenancy.events.models import Attempt, Delivery, Endpoint, Event
from tenancy.events.schedule import PAUSES
from tenancy.tenants.context import NoTenant, tenant_context

from .factories import SECRETS, Thing, make_tenant, open_endpoint
from .receivers import Receiver, raw_server

CREATED = "patient.created"


@pytest.fixture
def tenant(committed_db):
    """A clinic of this test's own with committed rows."""
    return make_tenant()


@pytest.fixture
def receiver():
    receiver = Receiver()
    yield receiver
    receiver.stop()


@pytest.fixture
def stopped(monkeypatch):
    """Endpoints that administrators were told of."""
    told = []
    monkeypatch.setattr(registry, "_on_stop", [lambda endpoint: told.append((endpoint.state, endpoint.why))])
    return told


def listen(tenant, receiver, **options):
    with tenant_context(tenant.id):
        return open_endpoint(receiver if isinstance(receiver, str) else receiver.url, **options)


def happen(tenant, many=1):
    """So many events of one thing; the thing."""
    with tenant_context(tenant.id):
        patient = Thing()
        for _ in range(many):
            services.emit(CREATED, patient, by=None)
    return patient


def send(*tenants):
    return sending.deliver_due([tenant.id for tenant in tenants])


def deliveries(tenant, *fields):
    with tenant_context(tenant.id):
        return list(
            Delivery.objects.order_by("event__sequence", "event_id").values_list(*fields or ("state", "attempts"))
        )


def endpoint_of(tenant):
    with tenant_context(tenant.id):
        return Endpoint.objects.get()


def make_due(tenant):
    with tenant_context(tenant.id):
        Delivery.objects.filter(state="waiting").update(next_try_at=timezone.now())
        Endpoint.objects.update(rests_until=None)


# --- One event -------------------------------------------------------------------------------------------------------


def test_s25_an_event_arrives_signed_and_thin(tenant, receiver):
    endpoint = listen(tenant, receiver)
    patient = happen(tenant)

    assert send(tenant) == 1

    [got] = receiver.got
    with tenant_context(tenant.id):
        event, attempt = Event.objects.get(), Attempt.objects.get()
    said = Webhook(SECRETS[endpoint.pk]).verify(got.body, got.headers)
    assert got.headers["webhook-id"] == said["id"] == str(event.pk)
    assert got.body.decode() == event.body
    assert (said["type"], said["data"]["id"], said["data"]["sequence"]) == (CREATED, str(patient.pk), 1)
    assert deliveries(tenant) == [("delivered", 1)]
    assert (attempt.number, attempt.status, attempt.error, attempt.answer) == (1, 200, "", "ok")
    row = endpoint_of(tenant)
    assert (row.failures_in_row, row.lease_id, row.interruptions) == (0, None, 0)
    assert row.last_success_at is not None


def test_wh13_tries_share_id_and_bytes_and_sign_their_own_time(tenant, receiver):
    endpoint = listen(tenant, receiver)
    receiver.script = [500, 503, 404]
    happen(tenant)

    for _ in range(4):
        send(tenant)
        make_due(tenant)
        time.sleep(1.05)

    assert [got.headers["webhook-id"] for got in receiver.got] == [receiver.got[0].headers["webhook-id"]] * 4
    assert len({got.body for got in receiver.got}) == 1
    assert len({got.headers["webhook-timestamp"] for got in receiver.got}) == 4
    for got in receiver.got:
        Webhook(SECRETS[endpoint.pk]).verify(got.body, got.headers)
    assert deliveries(tenant) == [("delivered", 4)]
    with tenant_context(tenant.id):
        assert list(Attempt.objects.order_by("number").values_list("number", "status", "error")) == [
            (1, 500, "status"), (2, 503, "status"), (3, 404, "status"), (4, 200, ""),
        ]  # fmt: skip


def test_wh14_a_quick_receiver_gets_them_in_order(tenant, receiver):
    listen(tenant, receiver)
    happen(tenant, 60)

    assert send(tenant) == 60

    assert [json.loads(got.body)["data"]["sequence"] for got in receiver.got] == list(range(1, 61))
    assert receiver.most_at_work == 1


def test_cc12_a_rotation_while_sending_leaves_every_body_verifiable(tenant, receiver):
    endpoint = listen(tenant, receiver)
    receiver.delay = 0.02
    happen(tenant, 60)
    sender = threading.Thread(target=lambda: (send(tenant), connection.close()))
    sender.start()
    receiver.arrived.wait(10)
    with tenant_context(tenant.id):
        _, new = services.rotate_secret(endpoint, by=None)
    sender.join()
    old, accepted = SECRETS[endpoint.pk], []
    for got in receiver.got:
        signatures = got.headers["webhook-signature"].split(" ")
        known = [secret for secret in (old, new) if _accepts(secret, got)]
        assert known
        accepted.append((len(signatures), known))

    assert len(receiver.got) == 60
    assert accepted[0] == (1, [old])
    assert accepted[-1] == (2, [old, new])


def _accepts(secret, got):
    try:
        Webhook(secret).verify(got.body, got.headers)
    except Exception:
        return False
    return True


# --- The schedule ----------------------------------------------------------------------------------------------------


def test_wh12_ten_tries_over_three_days_then_paused_and_told(tenant, receiver, stopped):
    listen(tenant, receiver)
    receiver.status = 500
    happen(tenant)
    waits = []
    with time_machine.travel(timezone.now(), tick=True) as clock:
        began = timezone.now()
        for _ in range(10):
            at = timezone.now()
            send(tenant)
            [(state, next_try)] = deliveries(tenant, "state", "next_try_at")
            if state == "waiting":
                waits.append((next_try - at).total_seconds())
                clock.move_to(next_try + timedelta(seconds=0.1))
        took = timezone.now() - began

    assert len(receiver.got) == 10
    for wait, pause in zip(waits, PAUSES, strict=True):
        planned = pause.total_seconds()
        assert 0.9 * planned - 1 <= wait <= 1.1 * planned + 2
    assert timedelta(hours=67) < took < timedelta(hours=84)
    assert deliveries(tenant) == [("failed", 10)]
    assert stopped == [("paused", "failing")]
    assert endpoint_of(tenant).state == "paused"


def test_wh12_one_event_that_is_refused_does_not_pause_an_endpoint_that_takes_others(tenant, receiver, stopped):
    listen(tenant, receiver)
    happen(tenant)
    with tenant_context(tenant.id):
        Delivery.objects.update(attempts=9)
    happen(tenant)
    receiver.script = [400, 200]
    send(tenant)
    assert stopped == [("paused", "failing")], "nothing had arrived there yet"

    with tenant_context(tenant.id):
        services.resume_endpoint(Endpoint.objects.get(), by=None)
    send(tenant)
    happen(tenant)
    with tenant_context(tenant.id):
        late = Delivery.objects.get(state="waiting")
        Delivery.objects.filter(pk=late.pk).update(attempts=9, since=timezone.now() - timedelta(days=3))
    receiver.script = [400]
    send(tenant)

    assert sorted(state for state, _ in deliveries(tenant)) == ["delivered", "failed", "failed"]
    assert len(stopped) == 1


def test_wh12_410_switches_off_and_drops_what_waits(tenant, receiver, stopped):
    listen(tenant, receiver)
    receiver.status = 410
    happen(tenant, 3)

    send(tenant)

    assert [state for state, _ in deliveries(tenant)] == ["failed", "dropped", "dropped"]
    assert len(receiver.got) == 1
    row = endpoint_of(tenant)
    assert (row.state, row.why) == ("disabled", "gone")
    assert stopped == [("disabled", "gone")]


@pytest.mark.parametrize("status", [429, 503])
def test_wh12_retry_after_is_honoured_by_the_whole_endpoint(tenant, receiver, status):
    listen(tenant, receiver)
    receiver.status, receiver.headers = status, {"Retry-After": "600"}
    happen(tenant, 3)

    send(tenant)

    assert len(receiver.got) == 1, "who is asked to wait does not come with the next"
    rests = endpoint_of(tenant).rests_until - timezone.now()
    assert timedelta(seconds=580) < rests <= timedelta(seconds=600)
    tried = [at for at, tries in deliveries(tenant, "next_try_at", "attempts") if tries]
    assert timedelta(seconds=580) < tried[0] - timezone.now() <= timedelta(seconds=600)


# --- One dead endpoint -----------------------------------------------------------------------------------------------


def test_wh15_a_dead_endpoint_with_a_thousand_waiting_holds_up_nobody(tenant, receiver, monkeypatch):
    monkeypatch.setattr(transport, "TOTAL_SECONDS", 4)
    other = make_tenant("Harbor Clinic")
    listen(other, receiver)
    with raw_server(lambda connection: time.sleep(30)) as port:
        listen(tenant, f"http://127.0.0.1:{port}/")
        happen(tenant, 1000)
        happen(other)
        round_ = threading.Thread(target=lambda: (send(tenant, other), connection.close()))
        round_.start()
        assert receiver.arrived.wait(5)
        receiver.arrived.clear()
        # While that round hangs on the dead endpoint, the other clinic goes on; nobody rings for it.
        happened = time.monotonic()
        happen(other)
        assert receiver.arrived.wait(8)
        delay = time.monotonic() - happened
        with tenant_context(tenant.id):
            Endpoint.objects.update(state="paused")
        round_.join(30)

    assert delay < 5
    tried = [tries for _, tries in deliveries(tenant) if tries]
    assert len(tried) <= 2, "the others wait for whether it answers"


def test_wh15_after_five_failures_one_delivery_finds_out(tenant, receiver):
    listen(tenant, receiver)
    receiver.status = 500
    happen(tenant, 40)
    send(tenant)
    first = len(receiver.got)
    with tenant_context(tenant.id):
        Endpoint.objects.update(rests_until=None)
    send(tenant)
    second = len(receiver.got)
    receiver.status = 200
    make_due(tenant)
    send(tenant)

    assert first == 25, "what was claimed together"
    assert second == first + 1
    assert {state for state, _ in deliveries(tenant)} == {"delivered"}


def test_wh15_one_endpoint_has_one_pair_of_hands(tenant, receiver):
    listen(tenant, receiver)
    receiver.delay = 0.05
    happen(tenant, 20)

    rounds = [threading.Thread(target=lambda: (send(tenant), connection.close())) for _ in range(4)]
    for thread in rounds:
        thread.start()
    for thread in rounds:
        thread.join()

    assert receiver.most_at_work == 1
    assert len(receiver.ids) == len(set(receiver.ids)) == 20


def test_fa09_many_slow_endpoints_go_side_by_side(tenant):
    receivers = [Receiver() for _ in range(12)]
    for receiver in receivers:
        receiver.delay = 1.0
        listen(tenant, receiver)
    happen(tenant)

    began = time.monotonic()
    assert send(tenant) == 12
    took = time.monotonic() - began
    for receiver in receivers:
        receiver.stop()

    assert took < 6


# --- Stopped ---------------------------------------------------------------------------------------------------------


def test_wh17_what_was_queued_for_a_deleted_endpoint_is_not_delivered(tenant, receiver):
    endpoint = listen(tenant, receiver)
    happen(tenant, 2)
    with tenant_context(tenant.id):
        services.delete_endpoint(endpoint, by=None)

    send(tenant)

    assert receiver.got == []
    assert [state for state, _ in deliveries(tenant)] == ["dropped", "dropped"]


def test_wh17_an_endpoint_deleted_in_the_middle_of_a_trip_gets_no_more(tenant, receiver):
    endpoint = listen(tenant, receiver)
    receiver.delay = 0.5
    happen(tenant, 20)
    sender = threading.Thread(target=lambda: (send(tenant), connection.close()))
    sender.start()
    receiver.arrived.wait(10)
    with tenant_context(tenant.id):
        services.delete_endpoint(endpoint, by=None)
    sender.join()

    assert len(receiver.got) < 8


def test_wh17_a_suspended_clinic_sends_nothing(tenant, receiver):
    listen(tenant, receiver)
    happen(tenant)
    type(tenant).objects.filter(pk=tenant.pk).update(is_active=False)

    tasks.deliver(str(tenant.id))
    tasks.deliver_everywhere()

    assert receiver.got == []
    assert deliveries(tenant) == [("waiting", 0)]


def test_a_paused_endpoint_gets_what_happened_meanwhile_when_it_goes_on(tenant, receiver):
    endpoint = listen(tenant, receiver)
    with tenant_context(tenant.id):
        endpoint = services.pause_endpoint(endpoint, by=None)
    happen(tenant, 2)
    send(tenant)
    assert receiver.got == []

    with tenant_context(tenant.id):
        services.resume_endpoint(endpoint, by=None)
    send(tenant)

    assert len(receiver.got) == 2


def test_a_secret_that_can_not_be_opened_pauses_and_tells(tenant, receiver, stopped, settings):
    listen(tenant, receiver)
    happen(tenant)
    settings.SECRET_KEY = "another key, as after a restore without the old one"

    send(tenant)

    assert receiver.got == []
    assert stopped == [("paused", "sealed")]
    assert deliveries(tenant) == [("waiting", 0)]


def test_wh01_an_address_that_has_turned_inside_is_refused_at_sending(tenant, receiver, settings):
    listen(tenant, receiver)
    happen(tenant)
    settings.WEBHOOK_LOOPBACK = False

    send(tenant)

    assert receiver.got == []
    with tenant_context(tenant.id):
        assert Attempt.objects.get().error == "address"


# --- Once at least ---------------------------------------------------------------------------------------------------


def test_fa10_the_same_task_three_times_sends_once(tenant, receiver):
    listen(tenant, receiver)
    happen(tenant)

    for _ in range(3):
        tasks.deliver(str(tenant.id))
        tasks.deliver_everywhere()

    assert len(receiver.got) == 1


def test_fa02_what_a_dead_worker_had_claimed_is_sent_when_its_lease_is_over(tenant, receiver):
    listen(tenant, receiver)
    happen(tenant, 3)
    [trip] = sending._claim(tenant.id, 16, 16)  # and dies

    send(tenant)
    held = len(receiver.got)
    with time_machine.travel(timezone.now() + sending.LEASE, tick=True):
        send(tenant)

    assert (held, len(trip.parcels), len(receiver.got)) == (0, 3, 3)
    assert timedelta(seconds=30) > sending.LEASE + timedelta(seconds=5)


def test_fa11_a_delivery_that_kills_workers_is_parked_and_others_go_on(tenant, receiver):
    listen(tenant, receiver)
    happen(tenant, 2)
    for _ in range(2 * sending.MOST_INTERRUPTIONS):
        sending._claim(tenant.id, 16, 16)  # and dies
        with tenant_context(tenant.id):
            Endpoint.objects.update(lease_until=None)

    send(tenant)

    assert [state for state, _ in deliveries(tenant)].count("failed") == 1
    assert len(receiver.got) == 1
    assert endpoint_of(tenant).interruptions == 0


def test_fa11_a_bug_of_ours_is_a_try_that_failed(tenant, receiver, monkeypatch):
    listen(tenant, receiver)
    happen(tenant)
    monkeypatch.setattr(sending.signing, "headers_for", lambda *a, **k: 1 / 0)

    send(tenant)

    assert deliveries(tenant) == [("waiting", 1)]
    with tenant_context(tenant.id):
        assert Attempt.objects.get().answer == "ZeroDivisionError"


def test_resend_sends_the_same_id_and_bytes(tenant, receiver):
    listen(tenant, receiver)
    happen(tenant)
    send(tenant)
    with tenant_context(tenant.id):
        services.resend(Delivery.objects.get(), by=None)
    send(tenant)

    assert len(receiver.got) == 2
    assert receiver.got[0].body == receiver.got[1].body
    assert len(set(receiver.ids)) == 1


def test_deliver_refuses_to_run_without_a_clinic(committed_db):
    with pytest.raises(NoTenant):
        tasks.deliver("")


def test_wh15_a_round_whose_time_is_over_goes_on_for_others_while_one_is_slow(tenant, receiver, monkeypatch):
    monkeypatch.setattr(transport, "TOTAL_SECONDS", 6)
    monkeypatch.setattr(sending, "ROUND_SECONDS", 1.0)
    other = make_tenant("Harbor Clinic")
    listen(other, receiver)
    with raw_server(lambda connection: time.sleep(30)) as port:
        listen(tenant, f"http://127.0.0.1:{port}/")
        happen(tenant, 3)
        round_ = threading.Thread(target=lambda: (send(tenant), connection.close()))
        round_.start()
        time.sleep(2.5)
        happened = time.monotonic()
        happen(other)
        assert receiver.arrived.wait(5)
        delay = time.monotonic() - happened
        round_.join(30)

    assert delay < 5
    assert [tries for _, tries in deliveries(tenant) if tries] == [1]


def test_fa09_many_endpoints_that_hang_leave_threads_for_those_that_answer(tenant, receiver, monkeypatch):
    monkeypatch.setattr(transport, "TOTAL_SECONDS", 5)
    monkeypatch.setattr(sending, "SENDERS", 6)
    monkeypatch.setattr(sending, "MOST_AILING", 3)
    clinics = [make_tenant() for _ in range(5)]
    with raw_server(lambda connection: time.sleep(30)) as port:
        for clinic in clinics:
            for _ in range(2):
                listen(clinic, f"http://127.0.0.1:{port}/")
            happen(clinic)
            with tenant_context(clinic.id):
                Endpoint.objects.update(failures_in_row=1)
        listen(tenant, receiver)
        round_ = threading.Thread(target=lambda: (send(*clinics), connection.close()))
        round_.start()
        time.sleep(1)
        happened = time.monotonic()
        happen(tenant)
        assert receiver.arrived.wait(4.5)
        delay = time.monotonic() - happened
        for clinic in clinics:
            with tenant_context(clinic.id):
                Endpoint.objects.update(state="paused")
        round_.join(60)

    assert delay < 4
