"""The HTML door: inbox, bell, preferences, mails that did not arrive, and the mails of the demo."""

from django.contrib import messages
from django.http import Http404
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from accounts.guards import public, requires
from accounts.permissions import Permission
from tenancy.doors.paging import PageQuery, paginate
from tenancy.doors.query import Choice
from tenancy.doors.refusals import FieldsRefused
from tenancy.rules import RuleBroken

from . import mailbox, selectors, services
from .forms import PreferencesForm
from .kinds import CATEGORIES, find_kind, find_mail_kind
from .models import Delivery
from .rendering import render_for_list

SHOWN = {"all": None, "unread": True, "read": False}


class InboxQuery(PageQuery):
    """`/notifications/?show=unread`: unread ones first, then newest first."""

    sorts = {"unread": ("is_new", "number")}
    default_sort = "unread desc"

    show = Choice(SHOWN, default="all")


@requires(Permission.OWN_PROFILE)
@require_safe
def inbox(request):
    try:
        query = InboxQuery.read(request)
        newest = selectors.newest_number(request.member)  # before the list: what comes in between is not on it
        found = selectors.list_notifications(by=request.member, unread=SHOWN[query.show])
        page = paginate(found, query)
    except FieldsRefused:
        return redirect("notifications:inbox")
    address, unread = reverse("notifications:inbox"), selectors.count_unread(request.member)
    labels = {"all": _("All"), "unread": _("Unread"), "read": _("Read")}
    context = {
        "rows": [(notification, render_for_list(notification)) for notification in page.items],
        "page": page,
        "show": query.show,
        "unread": unread,
        "newest": newest,
        "tabs": [
            {"url": f"{address}?{urlencode({'show': show})}", "label": label, "is_here": show == query.show}
            for show, label in labels.items()
        ],
    }
    return render(request, "notifications/inbox.html", context)


@requires(Permission.OWN_PROFILE)
@require_safe
def count(request):
    """What stands in the bell; the page asks for it once a minute."""
    return render(request, "notifications/_count.html", {"unread": selectors.count_unread(request.member)})


@requires(Permission.OWN_PROFILE)
@require_safe
def open_notification(request, notification_id):
    """Go to what it is about. Mails link here, too; whoever comes here has read it."""
    notification = services.mark_read(selectors.get_notification(notification_id, by=request.member))
    return redirect(notification.url or reverse("notifications:inbox"))


@requires(Permission.OWN_PROFILE)
@require_POST
def mark_read(request, notification_id):
    services.mark_read(selectors.get_notification(notification_id, by=request.member))
    return _back_to_inbox(request)


@requires(Permission.OWN_PROFILE)
@require_POST
def mark_all_read(request):
    """All up to the newest that the page has shown; what came since stays unread (CC-11)."""
    newest = request.POST.get("up_to", "")
    if not newest.isdecimal() or len(newest) > 9:
        return _back_to_inbox(request)
    services.mark_all_read(request.member, up_to=int(newest))
    messages.success(request, _("All are marked as read."))
    return _back_to_inbox(request)


def _back_to_inbox(request):
    show = request.POST.get("show", "")
    kept = f"?{urlencode({'show': show})}" if show in SHOWN and show != "all" else ""
    return redirect(reverse("notifications:inbox") + kept)


@requires(Permission.OWN_PROFILE)
def preferences(request):
    """When mail is wanted, category by category. The inbox always has everything."""
    form = PreferencesForm(request.POST or None, choices=selectors.list_choices(request.member))
    if request.method == "POST" and form.is_valid():
        services.choose_mail(request.member, modes=form.cleaned_data)
        messages.success(request, _("Your choice is saved."))
        return redirect("notifications:preferences")
    context = {"form": form, "hour": services.DIGEST_HOUR, "address": request.member.user.email}
    return render(request, "notifications/preferences.html", context, status=422 if form.errors else 200)


# --- Mail ------------------------------------------------------------------------------------------------------------


class UndeliveredQuery(PageQuery):
    sorts = {"created_at": ("created_at",)}
    default_sort = "created_at desc"


@requires(Permission.ADMIN_SITE)
@require_safe
def undelivered(request):
    """Mails that were given up: to whom, why, and one button to begin again."""
    try:
        page = paginate(selectors.list_undelivered(), UndeliveredQuery.read(request))
    except FieldsRefused:
        return redirect("notifications:undelivered")
    rows = [(delivery, _subject_of(delivery)) for delivery in page.items]
    return render(request, "notifications/undelivered.html", {"rows": rows, "page": page})


def _subject_of(delivery):
    """What a mail was about, as far as an administrator needs to know."""
    if delivery.channel == Delivery.Channel.DIGEST:
        return delivery.get_channel_display()
    if kind := find_kind(delivery.kind):
        return CATEGORIES[kind.category]
    kind = find_mail_kind(delivery.kind)
    return (kind and kind.label) or delivery.kind


@requires(Permission.ADMIN_SITE)
@require_POST
def retry_delivery(request, delivery_id):
    try:
        services.retry_delivery(selectors.get_delivery(delivery_id), by=request.member)
        messages.success(request, _("The mail is tried again now."))
    except RuleBroken as broken:
        messages.error(request, broken.sentence)
    return redirect("notifications:undelivered")


@public("Only in the demonstration, which has no real patients: shows a newcomer the mail nobody sends.")
@require_safe
def mails(request):
    if not mailbox.is_open():
        raise Http404
    return render(request, "notifications/mails.html", {"mails": mailbox.list_mails()})


@public("Only in the demonstration, like the list.")
@require_safe
def mail(request, name):
    found = mailbox.find_mail(name) if mailbox.is_open() else None
    if found is None:
        raise Http404
    parts = mailbox.text_and_links(found.text)
    return render(request, "notifications/mail.html", {"mail": found, "parts": parts})
