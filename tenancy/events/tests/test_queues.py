"""Events into a queue on Amazon SQS, as moto plays it (S25)."""

import json

import boto3
import pytest
from moto import mock_aws
from standardwebhooks import Webhook

from tenancy.events import queues, sending, services
from tenancy.events.models import Attempt, Delivery, Endpoint
from tenancy.tenants.context import tenant_context

from .factories import Thing, make_tenant


@pytest.fixture
def amazon(monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    queues._client.cache_clear()
    with mock_aws():
        yield boto3.client("sqs", region_name="eu-west-1")
    queues._client.cache_clear()


@pytest.fixture(params=["events", "events.fifo"])
def queue(amazon, settings, request):
    attributes = {"FifoQueue": "true"} if request.param.endswith(".fifo") else {}
    settings.EVENT_QUEUE_URL = amazon.create_queue(QueueName=request.param, Attributes=attributes)["QueueUrl"]
    return settings.EVENT_QUEUE_URL


@pytest.fixture
def tenant(committed_db):
    return make_tenant()


def received(amazon, queue):
    answer = amazon.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, MessageAttributeNames=["All"])
    return answer.get("Messages", [])


def test_s25_an_event_gets_into_the_queue_signed(tenant, amazon, queue):
    with tenant_context(tenant.id):
        endpoint, secret = services.create_endpoint(by=None, kind="queue")
        thing = Thing()
        services.emit("patient.created", thing, by=None)
        services.emit("patient.updated", thing, by=None)

    assert sending.deliver_due([tenant.id]) == 2

    messages = received(amazon, queue)
    assert endpoint.url == queue
    assert sorted(json.loads(message["Body"])["data"]["sequence"] for message in messages) == [1, 2]
    for message in messages:
        headers = {name: value["StringValue"] for name, value in message["MessageAttributes"].items()}
        Webhook(secret).verify(message["Body"], headers)
    with tenant_context(tenant.id):
        assert {delivery.state for delivery in Delivery.objects.all()} == {"delivered"}


def test_s26_a_queue_that_is_not_there_is_tried_again(tenant, amazon, settings):
    settings.EVENT_QUEUE_URL = "https://sqs.eu-west-1.amazonaws.com/123456789012/nowhere"
    with tenant_context(tenant.id):
        services.create_endpoint(by=None, kind="queue")
        services.emit("patient.created", Thing(), by=None)

    sending.deliver_due([tenant.id])

    with tenant_context(tenant.id):
        attempt = Attempt.objects.get()
        assert (attempt.error, attempt.status) == ("connection", None)
        assert "NonExistentQueue" in attempt.answer or "QueueDoesNotExist" in attempt.answer
        assert Delivery.objects.get().state == "waiting"
        assert Endpoint.objects.get().failures_in_row == 1


def test_the_region_stands_in_the_address():
    assert queues._region_of("https://sqs.eu-west-1.amazonaws.com/1/x") == "eu-west-1"
    assert queues._region_of("http://localhost:9324/queue/x") is None
