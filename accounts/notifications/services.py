"""Telling people, and what they do with it.

`notify` and `send_mail` are the two ways in for every room. Both only write
rows, in the caller's transaction: what is rolled back was never told, and what
is committed is told even when the broker is dead (decision "rows first").
"""

import datetime
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from django.db import models, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from tenancy.audit import services as audit
from tenancy.rules import RuleBroken
from tenancy.tenants.context import current_tenant_id
from tenancy.tenants.models import Tenant
from tenancy.tenants.numbering import next_number

from . import links, selectors, tasks
from .kinds import Kind, MailKind, one_line
from .models import Delivery, Notification, Preference
from .notices import MAIL_FAILED

DIGEST_HOUR = 7
LONGEST_VALUE = 200
DIGEST = "digest"


@transaction.atomic
def notify(
    kind: Kind,
    recipients: Iterable[Any],
    *,
    params: Mapping[str, Any] | None = None,
    url: str = "",
    about: models.Model | None = None,
    event: str = "",
) -> None:
    """Tell some members something. Call it last in a service: the clinic's counter is held until the commit.

    `recipients` are Memberships of this clinic, each told once; `params` fill the
    places of the kind's texts and hold no clinical detail; `url` is a path of
    ours; `about` is remembered by type and id only. With an `event` the same
    member is never told of it twice, whoever repeats the call.
    Raises ValueError for a `url` that leaves the installation.
    """
    if url and not links.is_path(url):
        raise ValueError("A notification links to a path of this installation.")
    members = {member.pk: member for member in recipients}
    if event:
        told = Notification.objects.filter(recipient__in=members, event=event).values_list("recipient_id", flat=True)
        members = {pk: member for pk, member in members.items() if pk not in set(told)}
    if not members:
        return
    first = next_number("notification", count=len(members))
    rows = [
        Notification(
            number=number,
            recipient_id=pk,
            kind=kind.code,
            category=kind.category,
            priority=kind.priority,
            params=_clean(params),
            url=url,
            about_type=audit.type_name(about) if about is not None else "",
            about_id=str(about.pk) if about is not None else "",
            event=event,
            in_inbox=kind.inbox,
        )
        for number, pk in enumerate(members, start=first)
    ]
    _plan_mails(kind, rows)
    Notification.objects.bulk_create(rows, ignore_conflicts=bool(event))
    _wake_worker()


def send_mail(
    kind: MailKind, *, to: str, language: str = "", about_id: str, params: Mapping[str, Any] | None = None
) -> None:
    """Send a mail to an address that may belong to no member. Words and links are made when it leaves (`compose`).

    One row in the caller's transaction.
    """
    Delivery.objects.create(
        channel=Delivery.Channel.MAIL,
        address=to,
        kind=kind.code,
        about_id=about_id,
        params=_clean(params),
        language=language,
    )
    _wake_worker()


def _clean(params: Mapping[str, Any] | None) -> dict[str, str]:
    """Values as one line each: a name with a line break must not add one to a mail."""
    return {name: one_line(str(value), limit=LONGEST_VALUE) for name, value in (params or {}).items()}


def _wake_worker() -> None:
    tenant_id = str(current_tenant_id())
    transaction.on_commit(partial(tasks.wake, tenant_id))


# --- Mail that goes along --------------------------------------------------------------------------------------------


def _plan_mails(kind: Kind, rows: list[Notification]) -> None:
    """Write the deliveries of those who want one, and point their notifications at them."""
    modes = _mail_modes(kind, [row.recipient_id for row in rows])
    now_rows = [row for row in rows if modes[row.recipient_id] == Preference.Mode.NOW]
    for row in now_rows:
        row.delivery = Delivery(channel=Delivery.Channel.MAIL, recipient_id=row.recipient_id, kind=kind.code)
    Delivery.objects.bulk_create([row.delivery for row in now_rows if row.delivery])
    later = [row for row in rows if modes[row.recipient_id] == Preference.Mode.DIGEST]
    if later:
        digests = _digests_of([row.recipient_id for row in later])
        for row in later:
            row.delivery = digests[row.recipient_id]


def _mail_modes(kind: Kind, recipient_ids: list[Any]) -> dict[Any, str]:
    """`now`, `digest` or `off` for each recipient: their own choice where the kind leaves one."""
    usual = Preference.Mode.OFF.value if kind.mail == "no" else kind.mail
    modes = dict.fromkeys(recipient_ids, usual)
    if kind.mutable and kind.mail != "no":
        chosen = Preference.objects.filter(
            membership__in=recipient_ids, category=kind.category, channel=Preference.Channel.MAIL
        ).exclude(mode=Preference.Mode.USUAL)
        modes.update(chosen.values_list("membership_id", "mode"))
    return modes


def _digests_of(recipient_ids: list[Any]) -> dict[Any, Delivery]:
    """The next summary of each recipient, made where there is none, and locked.

    The lock keeps the worker from sending it before our rows are in it. One that
    left while we waited for the lock is followed by that of the day after.
    """
    due_on, due_at = next_digest(Tenant.objects.get(pk=current_tenant_id()), timezone.now())
    found: dict[Any, Delivery] = {}
    while missing := [pk for pk in recipient_ids if pk not in found]:
        made = [
            Delivery(channel=Delivery.Channel.DIGEST, recipient_id=pk, kind=DIGEST, due_on=due_on, next_try_at=due_at)
            for pk in missing
        ]
        Delivery.objects.bulk_create(made, ignore_conflicts=True)
        days = Delivery.objects.filter(recipient__in=missing, due_on=due_on).order_by("pk").select_for_update()
        found |= {day.recipient_id: day for day in days if day.state == Delivery.State.WAITING}
        due_on, due_at = due_on + datetime.timedelta(days=1), due_at + datetime.timedelta(days=1)
    return found


def next_digest(tenant: Tenant, now: datetime.datetime) -> tuple[datetime.date, datetime.datetime]:
    """The day and moment of the next summary: seven in the morning where the clinic is."""
    local = now.astimezone(tenant.zone)
    day = local.date() if local.hour < DIGEST_HOUR else local.date() + datetime.timedelta(days=1)
    return day, datetime.datetime.combine(day, datetime.time(DIGEST_HOUR), tzinfo=tenant.zone)


# --- What a reader does ----------------------------------------------------------------------------------------------


def mark_read(notification: Notification) -> Notification:
    """Note that its recipient has seen it. The first time counts; again changes nothing."""
    Notification.objects.filter(pk=notification.pk).unread().update(read_at=timezone.now())
    notification.refresh_from_db(fields=["read_at"])
    return notification


def mark_all_read(member: Any, *, up_to: int | None = None) -> int:
    """Mark what this member has in the inbox as read; how many there were.

    `up_to` is the highest number that was shown: numbers are given out in the
    order of commits, so one that arrives between looking and pressing stays
    unread (CC-11). Without it, what is committed by now.
    """
    unread = Notification.objects.inbox_of(member).unread()
    if up_to is not None:
        unread = unread.filter(number__lte=up_to)
    return unread.update(read_at=timezone.now())


@transaction.atomic
def choose_mail(member: Any, *, modes: Mapping[str, str]) -> None:
    """Keep how a member wants mail, category by category: `now`, `digest`, `off` or `usual`."""
    Preference.objects.bulk_create(
        [
            Preference(membership=member, category=category, channel=Preference.Channel.MAIL, mode=mode)
            for category, mode in modes.items()
        ],
        update_conflicts=True,
        unique_fields=["tenant", "membership", "category", "channel"],
        update_fields=["mode"],
    )


# --- Mail that did not arrive ----------------------------------------------------------------------------------------


def tell_of_failed_mail(delivery: Delivery) -> None:
    """Tell the clinic's administrators, once a day however many fail; the list page names them."""
    today = timezone.now().astimezone(Tenant.objects.get(pk=current_tenant_id()).zone).date()
    notify(
        MAIL_FAILED,
        selectors.list_administrators(),
        url="/notifications/undelivered/",
        about=delivery,
        event=f"mail_failed:{today.isoformat()}",
    )


@transaction.atomic
def retry_delivery(delivery: Delivery, *, by: Any) -> Delivery:
    """Begin again with a mail that was given up, as if it were new. Raises RuleBroken for any other."""
    delivery = Delivery.objects.select_for_update().get(pk=delivery.pk)
    if delivery.state != Delivery.State.FAILED:
        raise RuleBroken(_("This mail is not waiting to be tried again."))
    delivery.state, delivery.attempts, delivery.interruptions = Delivery.State.WAITING, 0, 0
    delivery.created_at = delivery.next_try_at = timezone.now()
    delivery.save(update_fields=["state", "attempts", "interruptions", "created_at", "next_try_at"])
    audit.record("mail_retried", delivery, by=by)
    _wake_worker()
    return delivery
