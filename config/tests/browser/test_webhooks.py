"""An administrator tells another program of everything, and sees whether it arrives."""

import re

from playwright.sync_api import expect
from standardwebhooks import Webhook

from accounts.users.tests.factories import MembershipFactory
from tenancy.events import sending
from tenancy.events.models import Delivery
from tenancy.events.tests.receivers import Receiver

from .conftest import troubles_of


def test_s25_from_the_first_webhook_to_a_delivery_sent_again(site, opens):
    receiver = Receiver()
    receiver.answer = b"<script>alert(1)</script>" + b"x" * 400
    receiver.script = [500]
    site.members["admin"] = site.work(lambda: MembershipFactory(role="admin", user__name="Ada Admin"))
    page = opens("admin")
    page.goto("/integrations/webhooks/")
    page.get_by_role("link", name="New webhook").click()
    assert troubles_of(page) == []

    page.get_by_label("Address").fill("https://10.0.0.1/")
    page.get_by_role("button", name="Make the webhook").click()
    expect(page.get_by_role("alert")).to_contain_text("not on the public internet")
    assert troubles_of(page) == []
    page.get_by_label("Address").fill(receiver.url)
    page.get_by_role("button", name="Make the webhook").click()
    secret = page.get_by_label("The secret").input_value()
    assert troubles_of(page) == []

    page.get_by_role("link", name="I have kept it").click()
    assert secret not in page.content()
    page.get_by_role("button", name="Send a test").click()
    expect(page.get_by_text("A test is on its way")).to_be_visible()
    clinic = site.work(lambda: Delivery.objects.get().tenant_id)
    sending.deliver_due([clinic])
    page.get_by_role("link", name="A test").click()
    expect(page.get_by_text("500", exact=True)).to_be_visible()
    expect(page.get_by_text(re.compile("<script>alert"))).to_be_visible()
    assert troubles_of(page) == []

    page.get_by_role("button", name="Send again").click()
    expect(page.get_by_text("It is sent again now")).to_be_visible()
    sending.deliver_due([clinic])
    page.goto("/integrations/deliveries/?state=delivered")
    expect(page.get_by_role("row")).to_have_count(2)
    assert troubles_of(page) == []
    receiver.stop()

    first, second = receiver.got
    assert first.body == second.body
    for got in (first, second):
        assert Webhook(secret).verify(got.body, got.headers)["type"] == "endpoint.test"

    page.get_by_role("link", name="A test").click()
    page.get_by_role("link", name=receiver.url).click()
    page.get_by_role("button", name="Delete this webhook").click()
    page.get_by_role("button", name="Delete the webhook").click()
    expect(page.get_by_text("No program is told of anything yet")).to_be_visible()
