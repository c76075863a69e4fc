"""A delivery as the mail it becomes, in the reader's language and the clinic's time."""

from email.utils import formataddr, parseaddr
from urllib.parse import urlsplit

from django.conf import settings
from django.core.mail import EmailMessage
from django.template.defaultfilters import date as format_date
from django.utils import timezone, translation
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from tenancy.tenants.context import current_tenant_id
from tenancy.tenants.models import Tenant

from .kinds import Composed, find_mail_kind, one_line
from .links import absolute
from .models import Delivery
from .rendering import render, render_for_list

INBOX, PREFERENCES = "/notifications/", "/account/notifications/"
LONGEST_SUBJECT = 150


def compose(delivery: Delivery) -> EmailMessage | None:
    """The mail of a delivery, or None where there is nothing to say to anybody any more.

    Raises what a kind's own words raise: its delivery is parked after some tries.
    """
    tenant = Tenant.objects.get(pk=current_tenant_id())
    member = _recipient(delivery)
    if delivery.recipient_id and member is None:
        return None  # left, or may not sign in any more
    language = (member.user.language if member else delivery.language) or tenant.language
    with translation.override(language), timezone.override(tenant.zone):
        words = _words(delivery, member)
        if words is None:
            return None
        return EmailMessage(
            subject=one_line(words.subject, limit=LONGEST_SUBJECT),
            body=f"{words.text.rstrip()}\n\n-- \n{_foot(tenant, member)}\n",
            from_email=_sender(tenant),
            to=[member.user.email if member else delivery.address],
            attachments=list(words.files),
            headers={
                "Message-ID": message_id(delivery),
                "Auto-Submitted": "auto-generated",
                "X-Auto-Response-Suppress": "All",
                "Content-Language": translation.get_language() or settings.LANGUAGE_CODE,
            },
        )


def message_id(delivery: Delivery) -> str:
    """Always the same for one delivery: where a crash has sent it twice, mail programs show it once."""
    return f"<{delivery.pk}@{urlsplit(settings.PUBLIC_URL).hostname}>"


def _recipient(delivery):
    """The member a delivery is for, while they are one."""
    members = Delivery._meta.get_field("recipient").related_model.objects
    return members.active().select_related("user").filter(pk=delivery.recipient_id).first()


def _words(delivery, member) -> Composed | None:
    if member is None:
        kind = find_mail_kind(delivery.kind)
        if kind is None:
            raise LookupError(f"There is no kind of mail called {delivery.kind}.")
        return kind.compose(delivery)
    told = list(delivery.notifications.order_by("number"))
    if delivery.channel == Delivery.Channel.DIGEST:
        unread = [notification for notification in told if not notification.is_read]
        return _digest(unread, delivery, member) if unread else None
    return _single(told[0], member) if told else None


def _single(notification, member) -> Composed:
    words = render(notification)
    path = f"{INBOX}{notification.pk}/"
    return Composed(words.title, f"{_greeting(member)}\n\n{words.body}\n\n{_('Open it here:')}\n{absolute(path)}")


def _digest(notifications, delivery, member) -> Composed:
    """A day in one mail: titles only; the words stand in the inbox."""
    count = len(notifications)
    subject = ngettext("%(count)d new notification", "%(count)d new notifications", count) % {"count": count}
    day = format_date(delivery.due_on, "DATE_FORMAT")
    lead = _("What is new for you, up to this morning, %(day)s:") % {"day": day}
    lines = "\n".join(f"* {render_for_list(notification).title}" for notification in notifications)
    return Composed(subject, f"{_greeting(member)}\n\n{lead}\n\n{lines}\n\n{_('Read them here:')}\n{absolute(INBOX)}")


def _greeting(member) -> str:
    return _("Hello %(name)s,") % {"name": one_line(member.user.name)}


def _foot(tenant, member) -> str:
    lines = [_("%(clinic)s, sent by Carewright. Please do not answer this mail.") % {"clinic": one_line(tenant.name)}]
    if member:
        lines.append(_("Choose what you are mailed: %(link)s") % {"link": absolute(PREFERENCES)})
    return "\n".join(lines)


def _sender(tenant) -> str:
    """The clinic's name before the installation's address."""
    return formataddr((one_line(tenant.name), parseaddr(settings.DEFAULT_FROM_EMAIL)[1]))
