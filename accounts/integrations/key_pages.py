"""The HTML door of API keys. A new key's text stands on the page that answers its making, and is gone after that."""

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from accounts.api_keys import selectors, services
from accounts.guards import requires
from accounts.permissions import Permission
from tenancy.rules import NotAllowed, RuleBroken

from . import presenting
from .forms import KeyForm, RotateForm


@requires(Permission.INTEGRATION_MANAGE)
@require_safe
def keys(request):
    """Every key of the clinic: those in use first, then those that are over."""
    now = timezone.now()
    rows = [presenting.key_row(key, now) for key in selectors.list_keys()]
    rows.sort(key=lambda row: not row["is_live"])
    return render(request, "integrations/keys.html", {"rows": rows})


@requires(Permission.INTEGRATION_MANAGE)
def create_key(request):
    """Make a key. The answer shows its text."""
    form = KeyForm(request.POST or None, initial={"scopes": ["patients:read", "appointments:read"]})
    made = _made(form, services.create_key, lambda: form.key_data(), request)
    if made:
        return _show(request, *made)
    context = {"form": form, "links": _links(), "back_url": reverse("integrations:keys")}
    return render(request, "integrations/key_form.html", context, status=422 if request.method == "POST" else 200)


@requires(Permission.INTEGRATION_MANAGE)
@require_safe
def key_detail(request, key_id):
    """One key: what it may, when it was used, and the ways to end it."""
    return _page(request, selectors.get_key(key_id), RotateForm())


@requires(Permission.INTEGRATION_MANAGE)
@require_POST
def rotate_key(request, key_id):
    """Make the next key. The answer shows its text."""
    key = selectors.get_key(key_id)
    form = RotateForm(request.POST)
    made = _made(form, services.rotate_key, lambda: {"overlap": form.overlap}, request, key)
    if not made:
        return _page(request, key, form, status=422)
    return _show(request, *made, old=selectors.get_key(key_id))


@requires(Permission.INTEGRATION_MANAGE)
@require_POST
def revoke_key(request, key_id):
    key = services.revoke_key(selectors.get_key(key_id), by=request.member)
    messages.success(request, _("%(name)s is revoked: it is refused from now on.") % {"name": key})
    return redirect("integrations:keys")


def _made(form, service, data, request, *args):
    """The new key and its text, or None with the reason on the form."""
    if request.method != "POST" or not form.is_valid():
        return None
    try:
        return service(*args, by=request.member, **data())
    except (RuleBroken, NotAllowed) as refused:
        form.add_error(None, refused.sentence)
    except ValidationError as refused:
        form.add_error(None, refused.messages)
    return None


def _show(request, key, plaintext, *, old=None):
    context = {"key": key, "plaintext": plaintext, "old": old, "links": _links()}
    return render(request, "integrations/key_made.html", context)


def _page(request, key, form, status=200):
    context = presenting.key_row(key, timezone.now()) | {"form": form, "links": _links()}
    context["replaced_by"] = key.replaced_by
    return render(request, "integrations/key.html", context, status=status)


def _links():
    return [(reverse("integrations:keys"), _("API keys"))]
