"""The HTML door of webhooks. A new secret stands on the page that answers its making, and is gone after that."""

from datetime import datetime, time, timedelta

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST, require_safe

from accounts.guards import requires
from accounts.permissions import Permission
from tenancy.doors.paging import PageQuery, paginate
from tenancy.doors.query import Choice, Date, Identifier, Text
from tenancy.doors.refusals import FieldsRefused
from tenancy.events import registry, selectors, services
from tenancy.events.models import Delivery
from tenancy.rules import RuleBroken

from . import webhook_presenting as presenting
from .webhook_forms import ResendForm, RotateSecretForm, WebhookForm

SHOWN = 5


@requires(Permission.INTEGRATION_MANAGE)
@require_safe
def webhooks(request):
    """Every webhook of the clinic."""
    rows = [presenting.webhook_row(endpoint) for endpoint in selectors.list_endpoints()]
    return render(request, "integrations/webhooks.html", {"rows": rows})


@requires(Permission.INTEGRATION_MANAGE)
def create_webhook(request):
    """Make a webhook. The answer shows its secret."""
    form = WebhookForm(request.POST or None, initial={"everything": True})
    if request.method == "POST" and form.is_valid():
        made = _done(form, services.create_endpoint, by=request.member, **form.webhook_data())
        if made:
            return _show_secret(request, *made)
    context = {"form": form, "links": _links(), "here": _("New webhook"), "back_url": reverse("integrations:webhooks")}
    return render(request, "integrations/webhook_form.html", context, status=422 if form.errors else 200)


@requires(Permission.INTEGRATION_MANAGE)
def change_webhook(request, webhook_id):
    endpoint = selectors.get_endpoint(webhook_id)
    form = WebhookForm(request.POST or None, endpoint=endpoint)
    back = reverse("integrations:webhook", args=[endpoint.pk])
    is_sent = request.method == "POST" and form.is_valid()
    if is_sent and _done(form, services.change_endpoint, endpoint, by=request.member, **form.webhook_data()):
        messages.success(request, _("The webhook is changed."))
        return redirect(back)
    links = [*_links(), (back, str(endpoint))]
    context = {"form": form, "links": links, "here": _("Change"), "back_url": back, "endpoint": endpoint}
    return render(request, "integrations/webhook_form.html", context, status=422 if form.errors else 200)


@requires(Permission.INTEGRATION_MANAGE)
@require_safe
def webhook_detail(request, webhook_id):
    """One webhook: how it goes, its last deliveries, and what can be done with it."""
    return _page(request, selectors.get_endpoint(webhook_id))


@requires(Permission.INTEGRATION_MANAGE)
@require_POST
def rotate_secret(request, webhook_id):
    """Make the next secret. The answer shows it."""
    endpoint = selectors.get_endpoint(webhook_id)
    form = RotateSecretForm(request.POST)
    if not form.is_valid():
        return _page(request, endpoint, status=422, rotate_form=form)
    return _show_secret(request, *services.rotate_secret(endpoint, by=request.member, overlap=form.overlap))


@requires(Permission.INTEGRATION_MANAGE)
@require_POST
def pause_webhook(request, webhook_id):
    return _act(request, webhook_id, services.pause_endpoint, _("Paused. What happens meanwhile is put aside."))


@requires(Permission.INTEGRATION_MANAGE)
@require_POST
def resume_webhook(request, webhook_id):
    return _act(request, webhook_id, services.resume_endpoint, _("It goes on. What waited is sent now."))


@requires(Permission.INTEGRATION_MANAGE)
@require_POST
def test_webhook(request, webhook_id):
    said = _("A test is on its way. Its delivery stands below in a moment.")
    return _act(request, webhook_id, services.send_test_event, said)


@requires(Permission.INTEGRATION_MANAGE)
@require_POST
def delete_webhook(request, webhook_id):
    endpoint = selectors.get_endpoint(webhook_id)
    services.delete_endpoint(endpoint, by=request.member)
    messages.success(request, _("The webhook is gone. What waited for it is not sent."))
    return redirect("integrations:webhooks")


@requires(Permission.INTEGRATION_MANAGE)
@require_POST
def resend_range(request, webhook_id):
    """Send what happened in a span of time again."""
    endpoint = selectors.get_endpoint(webhook_id)
    form = ResendForm(request.POST)
    many = None
    if form.is_valid():
        many = _done(form, services.resend_range, endpoint, by=request.member, **form.span())
    if many is None:
        return _page(request, endpoint, status=422, resend_form=form)
    said = ngettext("%(many)s event is sent again.", "%(many)s events are sent again.", many) % {"many": many}
    messages.success(request, said if many else _("There was nothing to send again."))
    return redirect("integrations:webhook", endpoint.pk)


# --- The log ---------------------------------------------------------------------------------------------------------


class DeliveryQuery(PageQuery):
    """`/integrations/deliveries/?webhook=…&state=failed&type=patient.created&day=2026-03-14`"""

    sorts = {"since": ("since",)}
    default_sort = "since desc"

    webhook = Identifier()
    state = Choice(["", *Delivery.State.values], default="")
    type = Text(max_length=60)
    day = Date()


@requires(Permission.INTEGRATION_MANAGE)
@require_safe
def deliveries(request):
    """What was sent where, and what became of it, the newest first."""
    try:
        query = DeliveryQuery.read(_without_empty(request))
    except FieldsRefused:
        return redirect("integrations:deliveries")
    endpoint = selectors.get_endpoint(query.webhook) if query.webhook else None
    since, until = _span_of(query.day) if query.day else (None, None)
    found = selectors.list_deliveries(endpoint, state=query.state, type=query.type or "", since=since, until=until)
    try:
        page = paginate(found, query)
    except FieldsRefused:
        return redirect("integrations:deliveries")
    context = {
        "rows": [presenting.delivery_row(delivery) for delivery in page.items],
        "page": page,
        "query": query,
        "endpoints": selectors.list_endpoints(),
        "states": Delivery.State.choices,
        "types": [(known.code, known.words) for known in [*registry.all_types(), registry.TEST]],
        "is_filtered": bool(endpoint or query.state or query.type or query.day),
    }
    return render(request, "integrations/deliveries.html", context)


@requires(Permission.INTEGRATION_MANAGE)
@require_safe
def delivery_detail(request, delivery_id):
    """One delivery: what was sent, and every try."""
    delivery = selectors.get_delivery(delivery_id)
    tries = [(attempt, presenting.attempt_words(attempt)) for attempt in delivery.log.all()]
    context = presenting.delivery_row(delivery) | {"tries": tries, "links": _links(with_log=True)}
    return render(request, "integrations/delivery.html", context)


@requires(Permission.INTEGRATION_MANAGE)
@require_POST
def resend_delivery(request, delivery_id):
    delivery = selectors.get_delivery(delivery_id)
    try:
        services.resend(delivery, by=request.member)
        messages.success(request, _("It is sent again now."))
    except RuleBroken as broken:
        messages.error(request, broken.sentence)
    return redirect("integrations:delivery", delivery.pk)


# --- Parts -----------------------------------------------------------------------------------------------------------


def _without_empty(request):
    """The filters of the page send what was left open as empty; that is the same as not sent."""
    given = request.GET.copy()
    for name in [name for name, value in given.items() if not value]:
        del given[name]
    request.GET = given
    return request


def _span_of(day):
    """From midnight to midnight where the clinic is."""
    midnight = timezone.make_aware(datetime.combine(day, time.min))
    return midnight, timezone.make_aware(datetime.combine(day + timedelta(days=1), time.min))


def _done(form, service, *args, **kwargs):
    """What a service answers, or None with the reason on the form."""
    try:
        return service(*args, **kwargs)
    except RuleBroken as broken:
        form.add_error(None, broken.sentence)
    except ValidationError as refused:
        for name, sentences in refused.message_dict.items():
            form.add_error(name if name in form.fields else None, sentences)
    return None


def _act(request, webhook_id, service, said):
    endpoint = selectors.get_endpoint(webhook_id)
    try:
        service(endpoint, by=request.member)
        messages.success(request, said)
    except RuleBroken as broken:
        messages.error(request, broken.sentence)
    return redirect("integrations:webhook", endpoint.pk)


def _show_secret(request, endpoint, secret):
    context = {"endpoint": endpoint, "secret": secret, "links": _links()}
    return render(request, "integrations/webhook_secret.html", context)


def _page(request, endpoint, *, status=200, rotate_form=None, resend_form=None):
    newest = selectors.list_deliveries(endpoint)[:SHOWN]
    context = presenting.webhook_row(endpoint) | {
        "deliveries": [presenting.delivery_row(delivery) for delivery in newest],
        "counts": selectors.count_deliveries(endpoint),
        "rotate_form": rotate_form or RotateSecretForm(),
        "resend_form": resend_form or ResendForm(),
        "form": rotate_form or resend_form,
        "links": _links(),
    }
    return render(request, "integrations/webhook.html", context, status=status)


def _links(*, with_log=False):
    if with_log:
        return [(reverse("integrations:deliveries"), _("Deliveries"))]
    return [(reverse("integrations:webhooks"), _("Webhooks"))]
