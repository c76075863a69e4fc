"""The JSON door of the inbox: K44."""

import pytest
from django.utils.translation import gettext_lazy as _

from accounts.notifications import kinds, services
from accounts.notifications.models import Notification
from accounts.users.tests.factories import MembershipFactory
from tenancy.tenants.context import tenant_context
from tenancy.tenants.tests.contexts import outside_tenant

KIND = kinds.Kind("test_api", "quality", title="News: %(what)s", body=_("Save"), priority="high", mail="no")


@pytest.fixture(autouse=True)
def known_kinds(monkeypatch):
    monkeypatch.setitem(kinds._kinds, KIND.code, KIND)


@pytest.fixture
def told(nurse):
    """Three notifications of the nurse, the oldest first."""
    for what in ("one", "two", "three"):
        services.notify(KIND, [nurse], params={"what": what}, url="/patients/", about=nurse)
    return list(Notification.objects.order_by("number"))


def test_k44_list_is_the_contracts_envelope(told, nurse, api_client):
    answer = api_client(nurse).get("/api/notifications/?page_size=2").json()

    assert {name: value for name, value in answer.items() if name not in {"items", "next_cursor"}} == {
        "page": 1,
        "page_size": 2,
        "total": 3,
        "pages": 2,
    }
    assert answer["next_cursor"]
    newest = told[-1]
    assert answer["items"][0] == {
        "id": newest.number,
        "uuid": str(newest.pk),
        "subject": "News: three",
        "body": "Save",
        "created_at": newest.created_at.isoformat().replace("+00:00", "Z"),
        "resource_type": "membership",
        "resource_id": str(nurse.pk),
        "url": "/patients/",
        "category": "quality",
        "priority": "high",
        "is_read": False,
        "read_at": None,
    }


def test_k44_list_pages_by_cursor_to_the_end(told, nurse, api_client):
    client = api_client(nurse)
    first = client.get("/api/notifications?page_size=2").json()

    second = client.get(f"/api/notifications?page_size=2&cursor={first['next_cursor']}").json()

    assert [item["id"] for item in first["items"] + second["items"]] == [row.number for row in reversed(told)]


def test_k44_list_filters_by_unread(told, nurse, api_client):
    services.mark_read(told[0])
    client = api_client(nurse)

    unread = client.get("/api/notifications/?unread=true").json()["items"]
    read = client.get("/api/notifications/?unread=false").json()["items"]

    assert [item["subject"] for item in unread] == ["News: three", "News: two"]
    assert [item["subject"] for item in read] == ["News: one"]
    assert client.get("/api/notifications/?unread=perhaps").status_code == 400


def test_k44_words_are_in_the_readers_language(told, nurse, api_client):
    nurse.user.language = "es"
    nurse.user.save()

    [item, *_rest] = api_client(nurse).get("/api/notifications/").json()["items"]

    assert item["body"] == "Guardar"


@pytest.mark.parametrize("key", ["number", "pk"])
@pytest.mark.parametrize("slash", ["", "/"])
def test_k44_mark_read_takes_number_and_uuid_and_repeats(told, nurse, api_client, key, slash):
    client = api_client(nurse)
    path = f"/api/notifications/{getattr(told[1], key)}/mark-read{slash}"

    first, second = client.post(path), client.post(path)

    assert (first.status_code, second.status_code) == (200, 200)
    assert first.json()["is_read"] is True
    assert first.json() == second.json()
    assert Notification.objects.unread().count() == 2


def test_k44_another_ones_notification_is_not_there(told, doctor, stranger, api_client):
    for member in (doctor, stranger):
        for key in (told[0].number, told[0].pk):
            answer = api_client(member).post(f"/api/notifications/{key}/mark-read")
            assert answer.status_code == 404
    assert api_client(doctor).get("/api/notifications/").json()["items"] == []
    assert Notification.objects.unread().count() == 3


@pytest.mark.parametrize("key", ["0", "999999999", "9999999999", "-1", "x", "00000000-0000-0000-0000-000000000000"])
def test_k44_an_unknown_id_is_404(told, nurse, api_client, key):
    assert api_client(nurse).post(f"/api/notifications/{key}/mark-read").status_code == 404


def test_k44_mark_all_read_counts_only_ones_own(told, nurse, doctor, api_client):
    services.notify(KIND, [doctor])
    client = api_client(nurse)

    first = client.post("/api/notifications/mark-all-read")
    second = client.post("/api/notifications/mark-all-read/")

    assert (first.json(), second.json()) == ({"count": 3}, {"count": 0})
    assert Notification.objects.unread().get().recipient_id == doctor.pk


def test_cc11_mark_all_read_leaves_what_came_after_looking(told, nurse, api_client):
    client = api_client(nurse)
    shown = client.get("/api/notifications/").json()["items"][0]["id"]
    services.notify(KIND, [nurse], params={"what": "later"})

    answer = client.post("/api/notifications/mark-all-read", {"up_to": shown})

    assert answer.json() == {"count": 3}
    assert Notification.objects.unread().get().params == {"what": "later"}


@pytest.mark.parametrize("up_to", ["x", -1, 2_147_483_648, [], None, 1.5])
def test_mark_all_read_refuses_what_is_no_number(told, nurse, api_client, up_to):
    answer = api_client(nurse).post("/api/notifications/mark-all-read", {"up_to": up_to})

    assert answer.status_code == 400
    assert Notification.objects.unread().count() == 3


def test_mark_read_by_cookie_from_another_site_changes_nothing(told, nurse, cookie_client):
    client = cookie_client(nurse)

    assert client.post("/api/notifications/mark-all-read", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert Notification.objects.unread().count() == 3
    assert client.post("/api/notifications/mark-all-read").status_code == 200


def test_notifications_of_another_clinic_never_reach_a_person_of_both(told, nurse, other_clinic, api_client):
    """TI-H20: the same person, the other clinic's session."""
    with outside_tenant(), tenant_context(other_clinic.id):
        there = MembershipFactory(user=nurse.user)
        there.permissions

    assert api_client(there).get("/api/notifications/").json()["items"] == []


def test_list_asks_as_much_for_one_as_for_three(nurse, doctor, api_client, django_assert_num_queries):
    services.notify(KIND, [nurse])
    for _number in range(3):
        services.notify(KIND, [doctor])
    one, three = api_client(nurse), api_client(doctor)
    with django_assert_num_queries(8, exact=False) as few:
        one.get("/api/notifications/")

    with django_assert_num_queries(len(few)):
        three.get("/api/notifications/")
