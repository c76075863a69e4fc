"""The HTML door of drafts: keep one, let one go. drafts.js knocks every few seconds while somebody types."""

from django.http import Http404, JsonResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from accounts.guards import public
from tenancy.rules import RuleBroken

from . import services
from .restoring import FIELD, page_of, values_of


@public("Keeps the caller's own words; also in the seconds after their session fell asleep. It shows nothing.")
@require_POST
def save_draft(request):
    """The fields of a form, and `draft`, the path of its page. Answers with the sentence for the line below it."""
    owner = request.member or request.asleep
    if owner is None:
        return JsonResponse({"detail": _("Please sign in again.")}, status=401)
    key = page_of(request.POST.get(FIELD, ""))
    if not key:
        return JsonResponse({"detail": _("There is no such page.")}, status=400)
    try:
        draft = services.save_draft(by=owner, key=key, values=values_of(request.POST))
    except RuleBroken as broken:
        return JsonResponse({"detail": broken.sentence}, status=413)
    at = date_format(timezone.localtime(draft.updated_at, owner.tenant.zone), "H:i")
    return JsonResponse({"sentence": _("Draft saved %(time)s") % {"time": at}})


@public("Removes the caller's own words and nobody else's.")
@require_POST
def discard_draft(request):
    """Let the draft of one page go and show the page as it is."""
    key = page_of(request.POST.get(FIELD, ""))
    if request.member is None or not key:
        raise Http404
    services.discard_draft(by=request.member, key=key)
    return redirect(key)
