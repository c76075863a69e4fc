"""Telling people: one function, rows in the caller's transaction."""

import pytest
from django.utils.translation import gettext_lazy as _

from accounts.notifications import kinds, services
from accounts.notifications.models import Delivery, Notification

ROLE_GIVEN = kinds.Kind(
    "test_role_given", "security", title=_("Role changed"), body="%(by)s gave you %(role)s.", mutable=False
)


@pytest.fixture(autouse=True)
def known_kinds(monkeypatch):
    monkeypatch.setitem(kinds._kinds, ROLE_GIVEN.code, ROLE_GIVEN)


def test_k44_notify_writes_a_row_for_each_recipient(nurse, doctor):
    services.notify(ROLE_GIVEN, [nurse, doctor, nurse], params={"by": "Ada", "role": "Nurse"}, url="/account/")

    told = Notification.objects.order_by("number")
    assert [(row.recipient_id, row.params, row.url) for row in told] == [
        (nurse.pk, {"by": "Ada", "role": "Nurse"}, "/account/"),
        (doctor.pk, {"by": "Ada", "role": "Nurse"}, "/account/"),
    ]
    assert [row.number for row in told] == [1, 2]
    assert Delivery.objects.filter(notifications__in=told, state="waiting").count() == 2


def test_notify_tells_one_event_once(nurse, doctor):
    services.notify(ROLE_GIVEN, [nurse], event="role:1")
    services.notify(ROLE_GIVEN, [nurse, doctor], event="role:1")
    services.notify(ROLE_GIVEN, [nurse], event="role:2")

    assert Notification.objects.filter(recipient=nurse).count() == 2
    assert Notification.objects.filter(recipient=doctor).count() == 1
    assert Delivery.objects.count() == 3
