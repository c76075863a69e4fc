"""Getting mail out: real rows, real commits, a real SMTP conversation."""

import smtplib
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.utils import timezone, translation

from accounts.notifications import kinds, notices, sending, services, tasks
from accounts.notifications.kinds import Composed, Kind, MailKind
from accounts.notifications.models import Delivery, Notification, Preference
from accounts.users.tests.factories import MembershipFactory, open_clinic
from tenancy.rules import RuleBroken
from tenancy.tenants.context import NoTenant, tenant_context
from tenancy.tenants.models import Tenant

from .mail_server import MailServer, free_port

TOLD = Kind("test_told", "team", title="Told: %(what)s", body="%(who)s did %(what)s.", mutable=True)
DAILY = Kind("test_daily", "team", title="Daily: %(what)s", body="%(what)s.", mail="digest")
POISON = Kind("test_poison", "team", title="Poison", body="100% wrong %(what)d", mutable=True)
INVITED = MailKind("test_invited", lambda delivery: Composed(f"Come, {delivery.about_id}", "Come in."))
POINTLESS = MailKind("test_pointless", lambda delivery: None)


@pytest.fixture(autouse=True)
def known_kinds(monkeypatch):
    for kind in (TOLD, DAILY, POISON):
        monkeypatch.setitem(kinds._kinds, kind.code, kind)
    for kind in (INVITED, POINTLESS):
        monkeypatch.setitem(kinds._mail_kinds, kind.code, kind)


@pytest.fixture
def house(committed_db):
    """A clinic of this test's own with committed rows: (tenant, administrator)."""
    return open_clinic(name="Riverside Clinic")


@pytest.fixture
def tenant(house):
    return house[0]


@pytest.fixture
def nurse(tenant):
    with tenant_context(tenant.id):
        return MembershipFactory(role="nurse", user__name="Nora Nurse")


@pytest.fixture
def server(settings):
    server = MailServer().start()
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_TIMEOUT = "127.0.0.1", server.port, 2
    yield server
    server.stop()


def tell(tenant, *members, kind=TOLD, **options):
    options = {"params": {"who": "Ada", "what": "things"}} | options
    with tenant_context(tenant.id):
        services.notify(kind, members, **options)


def mails(tenant):
    with tenant_context(tenant.id):
        return list(Delivery.objects.order_by("created_at", "pk"))


def states(tenant):
    return [(delivery.state, delivery.attempts, delivery.last_error) for delivery in mails(tenant)]


def make_due(tenant):
    with tenant_context(tenant.id):
        Delivery.objects.filter(state="waiting").update(next_try_at=timezone.now())


# --- One mail --------------------------------------------------------------------------------------------------------


def test_k45_d20_a_notification_reaches_its_member_by_mail(tenant, nurse, server):
    tell(tenant, nurse, url="/people/")

    assert sending.deliver_due(tenant.id) == 1

    [message] = server.accepted
    with tenant_context(tenant.id):
        told = Notification.objects.get(recipient=nurse)
    assert message["From"] == "Riverside Clinic <no-reply@localhost>"
    assert message["To"] == nurse.user.email
    assert message["Subject"] == "Told: things"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Message-ID"] == f"<{told.delivery_id}@localhost>"
    text = message.get_content()
    assert "Hello Nora Nurse," in text
    assert "Ada did things." in text
    assert f"http://localhost:8000/notifications/{told.pk}/" in text
    [delivery] = mails(tenant)
    assert (delivery.state, delivery.attempts, delivery.interruptions) == ("sent", 1, 0)
    assert delivery.sent_at is not None


def test_k45_a_mail_to_an_address_is_written_when_it_leaves(tenant, server):
    with tenant_context(tenant.id):
        services.send_mail(INVITED, to="new@example.org", about_id="17")
        services.send_mail(POINTLESS, to="old@example.org", about_id="18")

    sending.deliver_due(tenant.id)

    [message] = server.accepted
    assert (message["To"], message["Subject"]) == ("new@example.org", "Come, 17")
    assert "Choose what you are mailed" not in message.get_content()
    assert sorted(delivery.state for delivery in mails(tenant)) == ["dropped", "sent"]


def test_d20_mail_speaks_the_language_of_its_reader(tenant, nurse, server):
    kind = Kind("test_greeting", "team", title=kinds._("Your account"), body="…")
    kinds._kinds[kind.code] = kind
    with tenant_context(tenant.id):
        nurse.user.language = "es"
        nurse.user.save()
        with translation.override("es"):
            expected = str(kind.title)
    try:
        tell(tenant, nurse, kind=kind)
        sending.deliver_due(tenant.id)
    finally:
        del kinds._kinds[kind.code]

    [message] = server.accepted
    assert message["Content-Language"] == "es"
    assert message["Subject"] == expected


def test_mail_of_a_member_who_left_is_dropped(tenant, nurse, server):
    tell(tenant, nurse)
    with tenant_context(tenant.id):
        type(nurse).objects.filter(pk=nurse.pk).update(is_active=False)

    sending.deliver_due(tenant.id)

    assert server.asked == []
    assert states(tenant) == [("dropped", 1, "")]


@pytest.mark.parametrize("text", ["Eve\r\nBcc: all@example.org", "Eve\nX-Evil: 1", "Eve\x0bBcc: x", "Eve\u2028Bcc: x"])
def test_asvs_1_3_11_line_breaks_add_no_header(committed_db, server, text):
    tenant, _ = open_clinic(name=f"Clinic {text}"[:200])
    with tenant_context(tenant.id):
        nurse = MembershipFactory(user__name=f"Nora {text}")
    tell(tenant, nurse, params={"who": text, "what": text})

    sending.deliver_due(tenant.id)

    [message] = server.accepted
    assert message["Bcc"] is None
    assert message["X-Evil"] is None
    assert message["To"] == nurse.user.email
    assert "Eve Bcc" in message["Subject"] or "Eve X-Evil" in message["Subject"]


def test_links_never_come_from_a_request(tenant, nurse, server, settings):
    settings.PUBLIC_URL = "https://clinic.example.org"
    tell(tenant, nurse)

    sending.deliver_due(tenant.id)

    assert "https://clinic.example.org/notifications/" in server.accepted[0].get_content()
    assert server.accepted[0]["Message-ID"].endswith("@clinic.example.org>")


# --- A server that refuses, delays, is away --------------------------------------------------------------------------


def test_fa15_a_refused_recipient_fails_at_once_and_administrators_hear_of_it(house, nurse, server):
    tenant, administrator = house
    server.answers[nurse.user.email] = f"550 5.1.1 <{nurse.user.email}>: no such user"
    tell(tenant, nurse)
    tell(tenant, nurse)

    sending.deliver_due(tenant.id)

    assert states(tenant) == [("failed", 1, "550 5.1.1"), ("failed", 1, "550 5.1.1")]
    with tenant_context(tenant.id):
        [notice] = Notification.objects.filter(kind=notices.MAIL_FAILED.code)
    assert notice.recipient_id == administrator.pk
    assert notice.url == "/notifications/undelivered/"


def test_fa15_greylisting_is_tried_again(tenant, nurse, server):
    server.once[nurse.user.email] = "451 4.7.1 Greylisted, come back later"
    tell(tenant, nurse)

    sending.deliver_due(tenant.id)
    [first] = mails(tenant)
    make_due(tenant)
    sending.deliver_due(tenant.id)

    assert (first.state, first.attempts, first.last_error) == ("waiting", 1, "451 4.7.1")
    assert timedelta(seconds=5) < first.next_try_at - timezone.now() < timedelta(seconds=13)
    assert states(tenant) == [("sent", 2, "")]
    assert len(server.accepted) == 1


def test_fa15_a_server_that_is_away_ends_the_round_and_loses_nothing(tenant, nurse, server, settings):
    settings.EMAIL_PORT = free_port()
    for _ in range(5):
        tell(tenant, nurse)

    assert sending.deliver_due(tenant.id) == 0
    tried = [delivery.attempts for delivery in mails(tenant)]
    settings.EMAIL_PORT = server.port
    make_due(tenant)

    assert sorted(tried) == [0, 0, 0, 0, 1]
    assert sending.deliver_due(tenant.id) == 5
    assert len(server.accepted) == 5


def test_fa15_a_slow_server_is_left_after_the_time_out(tenant, nurse, server):
    server.delay = 5
    tell(tenant, nurse)

    started = time.monotonic()
    sending.deliver_due(tenant.id)

    assert time.monotonic() - started < 4.5
    [delivery] = mails(tenant)
    assert (delivery.state, delivery.attempts) == ("waiting", 1)
    assert delivery.last_error.startswith("The mail server did not answer")


def test_fa15_mail_is_given_up_after_three_days(tenant, nurse, server):
    server.answers[nurse.user.email] = "452 4.2.2 Mailbox full"
    tell(tenant, nurse)
    with tenant_context(tenant.id):
        Delivery.objects.update(created_at=timezone.now() - timedelta(days=3, minutes=1), attempts=80)

    sending.deliver_due(tenant.id)

    assert states(tenant) == [("failed", 81, "452 4.2.2")]


def test_retry_delivery_begins_anew(house, nurse, server):
    tenant, administrator = house
    server.answers[nurse.user.email] = "550 5.1.1 no"
    tell(tenant, nurse)
    sending.deliver_due(tenant.id)
    server.answers.clear()
    [delivery] = mails(tenant)

    with tenant_context(tenant.id):
        services.retry_delivery(delivery, by=administrator)
    sending.deliver_due(tenant.id)

    assert states(tenant) == [("sent", 1, "")]
    with tenant_context(tenant.id), pytest.raises(RuleBroken):
        services.retry_delivery(delivery, by=administrator)


def test_no_answer_of_a_server_is_kept_in_its_words(tenant, nurse, server):
    server.answers[nurse.user.email] = f"451 {nurse.user.email} CANARY"
    tell(tenant, nurse)

    sending.deliver_due(tenant.id)

    assert states(tenant) == [("waiting", 1, "451")]


REFUSED, RETRY, AWAY = sending.Verdict.REFUSED, sending.Verdict.RETRY, sending.Verdict.SERVER_AWAY


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        (smtplib.SMTPRecipientsRefused({"a@b.c": (550, b"5.1.1 no")}), REFUSED),
        (smtplib.SMTPRecipientsRefused({"a@b.c": (451, b"4.7.1 later")}), RETRY),
        (smtplib.SMTPDataError(554, b"5.7.1 spam"), REFUSED),
        (smtplib.SMTPDataError(452, b"full"), RETRY),
        (smtplib.SMTPSenderRefused(553, b"not you", "a@b.c"), RETRY),
        (smtplib.SMTPAuthenticationError(535, b"no"), AWAY),
        (smtplib.SMTPServerDisconnected("gone"), AWAY),
        (ConnectionRefusedError(), AWAY),
        (TimeoutError(), AWAY),
        (ValueError("bad address"), REFUSED),
    ],
)
def test_judge_tells_what_may_pass_later(error, verdict):
    assert sending.judge(error).verdict is verdict


def test_pause_after_grows_to_half_an_hour():
    pauses = [sending.pause_after(tries).total_seconds() for tries in (1, 2, 4, 9, 200)]

    for pause, middle in zip(pauses, (10, 20, 80, 1800, 1800), strict=True):
        assert 0.8 * middle <= pause <= 1.2 * middle


# --- Once each -------------------------------------------------------------------------------------------------------


def test_fa10_the_same_task_three_times_sends_one_mail(tenant, nurse, server):
    tell(tenant, nurse)

    for _ in range(3):
        tasks.deliver(str(tenant.id))

    assert server.recipients == [nurse.user.email]


def test_fa17_two_pollers_at_once_send_one_mail_each(tenant, server):
    with tenant_context(tenant.id):
        members = [MembershipFactory() for _ in range(12)]
    tell(tenant, *members)
    server.delay = 0.05

    def poll():
        try:
            tasks.deliver(str(tenant.id))
        finally:
            connection.close()

    pollers = [threading.Thread(target=poll) for _ in range(4)]
    for poller in pollers:
        poller.start()
    for poller in pollers:
        poller.join()
    assert len(set(server.recipients)) == len(server.recipients), "nobody got it twice"

    # On a slow machine a try may have been put off; it is due again, and comes once.
    make_due(tenant)
    tasks.deliver(str(tenant.id))

    assert server.recipients == sorted(member.user.email for member in members)


def test_fa17_a_mail_that_is_being_sent_is_left_alone_by_others(tenant, nurse, server):
    """Also when its try takes longer than the pause before the next."""
    tell(tenant, nurse)
    server.delay = 1.5

    def poll():
        sending.deliver_due(tenant.id)
        connection.close()

    first = threading.Thread(target=poll)
    first.start()
    assert server.in_data.wait(5)
    with tenant_context(tenant.id):
        busy = Delivery.objects.due(timezone.now() + timedelta(days=1)).select_for_update(skip_locked=True).first()
    first.join()

    assert busy is None
    assert len(server.accepted) == 1


def test_fa11_a_kind_that_raises_is_parked_and_others_go_on(house, nurse, server):
    tenant, administrator = house
    tell(tenant, nurse, kind=POISON)
    tell(tenant, nurse)

    for _ in range(sending.MOST_BROKEN_TRIES):
        sending.deliver_due(tenant.id)
        make_due(tenant)

    assert [message["Subject"] for message in server.accepted] == ["Told: things"]
    assert states(tenant) == [("failed", 5, "Could not be written (ValueError)."), ("sent", 1, "")]
    with tenant_context(tenant.id):
        assert Notification.objects.filter(kind="mail_failed", recipient=administrator).count() == 1


def test_fa11_a_mail_of_an_unknown_kind_is_parked(tenant, server):
    with tenant_context(tenant.id):
        Delivery.objects.create(channel="mail", address="a@example.org", kind="from_the_future", attempts=4)

    sending.deliver_due(tenant.id)

    assert states(tenant) == [("failed", 5, "Could not be written (LookupError).")]


def test_fa11_a_mail_that_kills_workers_is_parked(tenant, nurse, server):
    tell(tenant, nurse)
    with tenant_context(tenant.id):
        for _ in range(sending.MOST_INTERRUPTIONS):
            sending._claim()  # and dies
            Delivery.objects.update(next_try_at=timezone.now())

    sending.deliver_due(tenant.id)

    assert server.asked == []
    assert states(tenant) == [("failed", 5, "The worker ended each time it tried.")]


def test_fa02_what_a_dead_worker_had_claimed_is_due_again_within_seconds(tenant, nurse, server):
    tell(tenant, nurse)
    with tenant_context(tenant.id):
        sending._claim()  # and dies

    [claimed] = mails(tenant)

    assert claimed.state == "waiting"
    assert claimed.next_try_at - timezone.now() < timedelta(seconds=13)


def test_deliver_refuses_to_run_without_a_clinic(committed_db):
    with pytest.raises(NoTenant):
        tasks.deliver("")


def test_a_closed_clinic_sends_nothing(tenant, nurse, server):
    tell(tenant, nurse)
    type(tenant).objects.filter(pk=tenant.pk).update(is_active=False)

    tasks.deliver(str(tenant.id))
    tasks.deliver_everywhere()

    assert nurse.user.email not in server.asked


# --- The daily summary -----------------------------------------------------------------------------------------------


def test_k45_the_summary_names_what_is_unread_once(tenant, nurse, server):
    for what in ("one", "two", "three"):
        tell(tenant, nurse, kind=DAILY, params={"what": what})
    with tenant_context(tenant.id):
        services.mark_read(Notification.objects.get(params__what="two"))
    assert sending.deliver_due(tenant.id) == 0
    make_due(tenant)

    sending.deliver_due(tenant.id)

    [message] = server.accepted
    assert message["Subject"] == "2 new notifications"
    text = message.get_content()
    assert "* Daily: one\n* Daily: three\n" in text
    assert "two" not in text


def test_k45_a_summary_with_nothing_to_say_stays_quiet(tenant, nurse, server):
    tell(tenant, nurse, kind=DAILY)
    with tenant_context(tenant.id):
        services.mark_all_read(nurse)
    make_due(tenant)

    sending.deliver_due(tenant.id)

    assert server.asked == []
    assert [delivery.state for delivery in mails(tenant)] == ["dropped"]


def test_k45_a_summary_survives_one_notification_that_cannot_be_worded(tenant, nurse, server):
    with tenant_context(tenant.id):
        services.choose_mail(nurse, modes={"team": "digest"})
    tell(tenant, nurse, kind=POISON)
    tell(tenant, nurse, kind=DAILY)
    make_due(tenant)

    sending.deliver_due(tenant.id)

    assert "* A notification\n* Daily: things" in server.accepted[0].get_content()


def test_a_summary_that_left_while_we_waited_is_followed_by_the_next(tenant, nurse):
    tell(tenant, nurse, kind=DAILY)
    with tenant_context(tenant.id):
        Delivery.objects.update(state="sent")

    tell(tenant, nurse, kind=DAILY)

    first, second = mails(tenant)
    assert second.due_on == first.due_on + timedelta(days=1)


@pytest.mark.parametrize(
    ("zone", "now", "expected"),
    [
        ("America/Bogota", datetime(2026, 3, 14, 11, 59, tzinfo=UTC), "2026-03-14T12:00:00"),
        ("America/Bogota", datetime(2026, 3, 14, 12, 0, tzinfo=UTC), "2026-03-15T12:00:00"),
        ("Europe/London", datetime(2026, 3, 28, 23, 0, tzinfo=UTC), "2026-03-29T06:00:00"),  # the clocks change
        ("Asia/Kathmandu", datetime(2026, 12, 31, 1, 15, tzinfo=UTC), "2027-01-01T01:15:00"),
    ],
)
def test_next_digest_is_seven_in_the_morning_of_the_clinic(zone, now, expected):
    _day, due = services.next_digest(Tenant(time_zone=zone), now)

    assert due.astimezone(UTC).isoformat() == f"{expected}+00:00"


# --- What somebody wants to hear -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "mutable", "expected"),
    [
        ("now", True, [("mail", None)]),
        ("digest", True, ["digest"]),
        ("off", True, []),
        ("usual", True, [("mail", None)]),
        ("off", False, [("mail", None)]),
    ],
)
def test_k45_mail_follows_the_preference_where_the_kind_leaves_one(
    clinic, nurse_here, monkeypatch, mode, mutable, expected
):
    kind = Kind("test_choice", "care", title="t", body="b", mutable=mutable)
    services.choose_mail(nurse_here, modes={"care": mode})

    services.notify(kind, [nurse_here])

    written = [
        "digest" if delivery.due_on else (delivery.channel, delivery.due_on) for delivery in Delivery.objects.all()
    ]
    assert written == expected
    assert Notification.objects.filter(recipient=nurse_here).count() == 1


@pytest.fixture
def nurse_here(clinic):
    return MembershipFactory(role="nurse")


def test_choose_mail_keeps_one_choice_a_category(nurse_here):
    services.choose_mail(nurse_here, modes={"care": "off", "team": "now"})
    services.choose_mail(nurse_here, modes={"care": "digest"})

    chosen = Preference.objects.order_by("category").values_list("category", "mode")
    assert list(chosen) == [("care", "digest"), ("team", "now")]
