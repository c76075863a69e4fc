"""What notifications of every room may say: nothing clinical. And that none is lost between reading and arriving."""

import re
import threading
import time

import pytest
from django.db import connection
from django.utils import translation

from accounts.notifications import composing, kinds, selectors, services
from accounts.notifications.models import Delivery, Notification
from accounts.users.tests.factories import MembershipFactory, open_clinic
from clinic.patients.tests.factories import PatientFactory
from tenancy.tenants.context import tenant_context

CANARY = "CANARY-7f3a"
PLACE = re.compile(r"%\((\w+)\)s")
# A place that could hold what somebody suffers from, or who is treated.
CLINICAL = {"patient", "patient_name", "name_of_patient", "chart", "diagnosis", "allergy", "medication", "birth_date"}

house_kinds = pytest.mark.parametrize("kind", kinds.all_kinds(), ids=lambda kind: kind.code)


@house_kinds
@pytest.mark.parametrize("language", ["en", "es"])
def test_k45_every_kind_can_be_worded_in_every_language(kind, language):
    with translation.override(language):
        places = set(PLACE.findall(f"{kind.title} {kind.body}"))
        params = {name: f"<{name}>" for name in places}
        title, body = kinds.fill(kind.title, params), kinds.fill(kind.body, params)

    assert title.strip()
    assert body.strip()
    assert "%" not in title + body
    assert len(title) <= 150, "it is the subject of a mail"
    assert "\n" not in title


@house_kinds
def test_k45_no_kind_has_a_place_for_anything_clinical(kind):
    assert not CLINICAL & set(PLACE.findall(f"{kind.title} {kind.body}"))


def test_a_notification_about_a_patient_says_nothing_of_them(clinic, nurse, doctor):
    patient = PatientFactory(by=doctor, first_name=CANARY, allergies=CANARY, medical_history=CANARY)
    kind = kinds.Kind("test_about", "care", title="A chart waits", body="%(by)s asks you.", mail="now")
    kinds._kinds[kind.code] = kind
    try:
        services.notify(
            kind, [nurse], params={"by": doctor.display_name}, about=patient, url=f"/patients/{patient.pk}/"
        )
        told = Notification.objects.get(recipient=nurse)
        [delivery] = Delivery.objects.all()
        message = composing.compose(delivery).message().as_string()
    finally:
        del kinds._kinds[kind.code]

    kept = [str(getattr(row, field.attname)) for row in (told, delivery) for field in row._meta.concrete_fields]
    assert (told.about_type, told.about_id) == ("patient", str(patient.pk))
    assert not [text for text in [message, *kept] if CANARY in text]
    assert CANARY in patient.name, "the negative control"


@pytest.mark.parametrize(
    "url", ["https://evil.example/", "//evil.example/", "/\\evil.example", "javascript:alert(1)", "x"]
)
def test_notify_refuses_links_that_leave_the_house(nurse, url):
    with pytest.raises(ValueError, match="path of this installation"):
        services.notify(kinds.all_kinds()[0], [nurse], url=url)


def test_register_refuses_two_kinds_of_one_name():
    first = kinds.all_kinds()[0]

    assert kinds.register(first) is first
    with pytest.raises(ValueError, match="two kinds"):
        kinds.register(kinds.Kind(first.code, "team", title="x", body="y"))


@pytest.mark.parametrize("wrong", [{"category": "gossip"}, {"priority": "whenever"}])
def test_a_kind_of_no_known_category_is_refused(wrong):
    with pytest.raises(ValueError, match="unknown category"):
        kinds.Kind(**{"code": "x", "category": "team", "title": "t", "body": "b"} | wrong)


def test_one_line_keeps_no_break_and_no_control_character():
    assert kinds.one_line("a\r\nb\tc\x00d\u2028e  f\u202eg", limit=11) == "a b cd e fg"


# --- CC-11 -----------------------------------------------------------------------------------------------------------


def test_cc11_mark_all_read_while_others_arrive_loses_none(committed_db):
    """Writers and a reader at once: whatever carries a number beyond the one that was shown is still unread."""
    tenant, _ = open_clinic()
    kind = kinds.all_kinds()[0]
    with tenant_context(tenant.id):
        nurse = MembershipFactory()
    stop = threading.Event()
    lost = []

    def write():
        while not stop.is_set():
            with tenant_context(tenant.id):
                services.notify(kind, [nurse])
        connection.close()

    def read():
        while not stop.is_set():
            with tenant_context(tenant.id):
                shown = selectors.newest_number(nurse)
            with tenant_context(tenant.id):
                services.mark_all_read(nurse, up_to=shown)
                beyond = Notification.objects.inbox_of(nurse).filter(number__gt=shown, read_at__isnull=False)
                below = Notification.objects.inbox_of(nurse).unread().filter(number__lte=shown)
                lost.extend([*beyond, *below])
        connection.close()

    threads = [threading.Thread(target=write), threading.Thread(target=write), threading.Thread(target=read)]
    for thread in threads:
        thread.start()
    time.sleep(2)
    stop.set()
    for thread in threads:
        thread.join()

    assert lost == []
    with tenant_context(tenant.id):
        numbers = list(Notification.objects.order_by("number").values_list("number", flat=True))
    assert len(numbers) > 10
    assert numbers == list(range(1, len(numbers) + 1))
