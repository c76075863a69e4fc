"""The pages: bell, inbox, preferences, mail that failed, the mails of the demo."""

import re

import pytest
from django.core import mail as django_mail
from django.utils import timezone

from accounts.notifications import kinds, mailbox, services
from accounts.notifications.models import Delivery, Notification, Preference
from accounts.users.models import Session
from tenancy.tenants.tests.contexts import outside_tenant

KIND = kinds.Kind("test_page", "care", title="News: %(what)s", body="Look at it.", priority="urgent", mail="now")


@pytest.fixture(autouse=True)
def known_kinds(monkeypatch):
    monkeypatch.setitem(kinds._kinds, KIND.code, KIND)


@pytest.fixture
def told(nurse):
    for what in ("one", "two", "three"):
        services.notify(KIND, [nurse], params={"what": what}, url="/account/notifications/")
    return list(Notification.objects.order_by("number"))


def html_of(answer):
    return answer.content.decode()


# --- The bell --------------------------------------------------------------------------------------------------------


def test_k44_the_bell_says_how_many_are_unread(told, nurse, page_client):
    client = page_client(nurse)

    assert "Notifications, 3 unread" in html_of(client.get("/"))
    services.mark_all_read(nurse)
    assert "Notifications, none unread" in html_of(client.get("/"))


def test_the_bell_stops_counting_at_99(nurse, page_client):
    row = {"recipient": nurse, "kind": KIND.code, "category": "care", "priority": "low"}
    Notification.objects.bulk_create([Notification(number=number, **row) for number in range(1, 150)])

    assert "99+" in html_of(page_client(nurse).get("/notifications/count/"))


def test_the_count_asked_for_by_the_page_itself_is_no_activity(told, nurse, page_client):
    client = page_client(nurse)
    long_ago = timezone.now() - timezone.timedelta(minutes=10)
    Session.objects.filter(pk=client.sign_in.pk).update(last_seen_at=long_ago)

    answer = client.get("/notifications/count/", headers={"X-Background": "1", "HX-Request": "true"})

    assert "3 unread" in html_of(answer)
    assert "<html" not in html_of(answer)
    assert Session.objects.get(pk=client.sign_in.pk).last_seen_at == long_ago
    client.get("/notifications/count/")  # the negative control: without the header it is
    assert Session.objects.get(pk=client.sign_in.pk).last_seen_at > long_ago


def test_the_bell_costs_one_look(told, nurse, page_client, django_assert_num_queries):
    client = page_client(nurse)

    with django_assert_num_queries(20, exact=False) as queries:
        client.get("/account/notifications/")

    asked = [query["sql"] for query in queries if 'FROM "notifications_notification"' in query["sql"]]
    assert len(asked) == 1
    assert "LIMIT 100" in asked[0]


# --- The inbox -------------------------------------------------------------------------------------------------------


def test_k44_inbox_shows_unread_first_and_priority_as_a_word(told, nurse, page_client):
    services.mark_read(told[2])

    html = html_of(page_client(nurse).get("/notifications/"))

    assert [html.index(f">News: {what}<") for what in ("two", "one", "three")] == sorted(
        html.index(f">News: {what}<") for what in ("one", "two", "three")
    )
    assert "Urgent" in html


@pytest.mark.parametrize(("show", "expected"), [("unread", {"one", "two"}), ("read", {"three"})])
def test_k44_inbox_filters(told, nurse, page_client, show, expected):
    services.mark_read(told[2])

    html = html_of(page_client(nurse).get(f"/notifications/?show={show}"))

    assert {what for what in ("one", "two", "three") if f"News: {what}" in html} == expected


def test_inbox_with_a_query_that_makes_no_sense_is_shown_whole(nurse, page_client):
    assert page_client(nurse).get("/notifications/?show=hidden")["Location"] == "/notifications/"


def test_inbox_says_when_there_is_nothing(nurse, page_client):
    client = page_client(nurse)

    assert "No notifications yet" in html_of(client.get("/notifications/"))
    assert "Nothing unread" in html_of(client.get("/notifications/?show=unread"))


def test_inbox_survives_a_row_nobody_can_word(told, nurse, page_client):
    Notification.objects.filter(pk=told[0].pk).update(kind="from_the_future")

    html = html_of(page_client(nurse).get("/notifications/"))

    assert "Its text can not be shown" in html
    assert "News: three" in html


def test_inbox_asks_as_much_for_one_as_for_three(nurse, doctor, page_client, django_assert_num_queries):
    services.notify(KIND, [nurse])
    for _number in range(3):
        services.notify(KIND, [doctor])
    one, three = page_client(nurse), page_client(doctor)
    with django_assert_num_queries(20, exact=False) as few:
        one.get("/notifications/")

    with django_assert_num_queries(len(few)):
        three.get("/notifications/")


def test_k44_opening_one_reads_it_and_goes_where_it_is_about(told, nurse, page_client):
    answer = page_client(nurse).get(f"/notifications/{told[0].pk}/")

    assert answer["Location"] == "/account/notifications/"
    assert Notification.objects.get(pk=told[0].pk).is_read


def test_k44_one_button_marks_one_as_read(told, nurse, page_client):
    answer = page_client(nurse).post(f"/notifications/{told[0].pk}/read/", {"show": "unread"})

    assert answer["Location"] == "/notifications/?show=unread"
    assert [row.is_read for row in Notification.objects.order_by("number")] == [True, False, False]


@pytest.mark.parametrize("who", ["doctor", "stranger"])
def test_another_ones_notification_is_not_there(told, page_client, request, who):
    client = page_client(request.getfixturevalue(who))

    assert client.get(f"/notifications/{told[0].pk}/").status_code == 404
    assert client.post(f"/notifications/{told[0].pk}/read/").status_code == 404
    assert Notification.objects.unread().count() == 3


def test_cc11_mark_all_read_reaches_what_the_page_has_shown(told, nurse, page_client):
    client = page_client(nurse)
    newest = re.search(r'name="up_to" value="(\d+)"', html_of(client.get("/notifications/")))[1]
    services.notify(KIND, [nurse], params={"what": "later"})

    client.post("/notifications/read/", {"up_to": newest})

    assert Notification.objects.unread().get().params == {"what": "later"}


@pytest.mark.parametrize("up_to", ["", "x", "9999999999", "-1", "1e3", "٣"])
def test_mark_all_read_ignores_what_is_no_number(told, nurse, page_client, up_to):
    assert page_client(nurse).post("/notifications/read/", {"up_to": up_to}).status_code == 302
    assert Notification.objects.unread().count() in {3, 0 if up_to == "٣" else 3}


def test_the_inbox_is_closed_to_who_is_not_signed_in(told, client):
    for path in ("/notifications/", "/notifications/count/", "/account/notifications/", "/notifications/undelivered/"):
        assert client.get(path)["Location"].startswith("/sign-in/")


# --- Preferences -----------------------------------------------------------------------------------------------------


def test_k45_preferences_are_kept_and_shown(nurse, page_client):
    client = page_client(nurse)
    page = html_of(client.get("/account/notifications/"))
    names = set(re.findall(r'name="(\w+)" value="usual"', page))

    answer = client.post("/account/notifications/", dict.fromkeys(names, "off"))

    assert "care" in names
    assert answer["Location"] == "/account/notifications/"
    assert set(Preference.objects.filter(membership=nurse).values_list("mode", flat=True)) == {"off"}
    assert len(re.findall(r'value="off"[^>]*checked', html_of(client.get("/account/notifications/")))) == len(names)


@pytest.mark.parametrize("mode", ["", "loud", "now\x00"])
def test_preferences_refuse_other_words(nurse, page_client, mode):
    answer = page_client(nurse).post("/account/notifications/", {"care": mode})

    assert answer.status_code == 422
    assert Preference.objects.count() == 0


# --- Mail that was not delivered -------------------------------------------------------------------------------------


@pytest.fixture
def failed(nurse):
    return Delivery.objects.create(
        channel="mail", recipient=nurse, kind=KIND.code, state="failed", attempts=1, last_error="550 5.1.1"
    )


def test_an_administrator_sees_what_failed_and_tries_again(failed, admin, page_client):
    client = page_client(admin)
    html = html_of(client.get("/notifications/undelivered/"))

    answer = client.post(f"/notifications/undelivered/{failed.pk}/retry/")

    assert "Nora Nurse" in html
    assert "550 5.1.1" in html
    assert "Patients and care" in html
    assert answer.status_code == 302
    assert Delivery.objects.get().state == "waiting"
    assert "Every mail was delivered" in html_of(client.get("/notifications/undelivered/"))


def test_trying_again_what_did_not_fail_says_so(failed, admin, page_client):
    Delivery.objects.update(state="sent")

    answer = page_client(admin).post(f"/notifications/undelivered/{failed.pk}/retry/", follow=True)

    assert "not waiting to be tried again" in html_of(answer)


def test_what_failed_is_for_administrators_of_this_clinic(failed, nurse, strange_admin, page_client):
    assert page_client(nurse).get("/notifications/undelivered/").status_code == 403
    assert page_client(nurse).post(f"/notifications/undelivered/{failed.pk}/retry/").status_code == 403
    assert page_client(strange_admin).post(f"/notifications/undelivered/{failed.pk}/retry/").status_code == 404
    assert "Nora Nurse" not in html_of(page_client(strange_admin).get("/notifications/undelivered/"))


# --- The mails of the demo -------------------------------------------------------------------------------------------


@pytest.fixture
def folder(settings, tmp_path):
    settings.DEMO = True
    settings.EMAIL_BACKEND = "accounts.notifications.mailbox.MailboxBackend"
    settings.EMAIL_FILE_PATH = str(tmp_path / "mails")
    return tmp_path / "mails"


def send(name="1", text="Follow http://localhost:8000/join/abc/.\nNot http://evil.example/x.", **fields):
    fields = {"subject": "You <are> invited", "to": ["ana@example.org"]} | fields
    message = django_mail.EmailMessage(body=text, headers={"Message-ID": f"<mail-{name}@localhost>"}, **fields)
    message.send()


def test_the_demo_shows_its_mails_newest_first(folder, client):
    send("1", subject="First")
    send("2", subject="Second")
    send("2", subject="Second")  # once more around a crash

    html = html_of(client.get("/mails/"))

    assert html.count("Second") == 1
    assert html.index("Second") < html.index("First")
    assert "ana@example.org" in html


def test_the_demo_shows_a_mail_with_its_link(folder, client):
    send(text="Follow http://localhost:8000/join/abc/.\nNot http://evil.example/x <script>alert(1)</script>")

    html = html_of(client.get("/mails/mail-1/"))

    assert '<a href="/join/abc/">http://localhost:8000/join/abc/</a>.' in html
    assert 'href="http://evil' not in html
    assert "<script>alert" not in html
    assert "You &lt;are&gt; invited" in html


@pytest.mark.parametrize("name", ["mail-2", "..", "etc-passwd", "x" * 200])
def test_there_is_no_other_mail(folder, client, name):
    send()

    assert client.get(f"/mails/{name}/").status_code == 404


def test_mails_are_closed_outside_of_the_demo(folder, client, settings):
    send()
    assert client.get("/mails/").status_code == 200

    settings.DEMO = False
    assert client.get("/mails/").status_code == 404
    assert client.get("/mails/mail-1/").status_code == 404
    settings.DEMO, settings.EMAIL_BACKEND = True, "django.core.mail.backends.smtp.EmailBackend"
    assert client.get("/mails/").status_code == 404


def test_sign_in_page_leads_to_the_mails_of_the_demo(folder, client, db):
    assert 'href="/mails/"' in html_of(client.get("/sign-in/"))


def test_the_folder_keeps_the_newest(folder, monkeypatch):
    monkeypatch.setattr(mailbox, "KEPT", 3)

    for number in range(5):
        send(str(number))

    assert len(list(folder.iterdir())) == 3
    assert mailbox.find_mail("mail-4")


def test_mails_of_the_demo_are_for_their_owner_only(folder):
    send()

    assert [file.stat().st_mode & 0o777 for file in folder.iterdir()] == [0o600]
    assert folder.stat().st_mode & 0o777 == 0o700


def test_the_demo_without_a_mail_says_so(folder, client):
    with outside_tenant():
        assert "No mail yet" in html_of(client.get("/mails/"))
