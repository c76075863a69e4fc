"""Drafts of forms that are sent: gone when it worked, kept when the session was asleep."""

from contextlib import suppress
from urllib.parse import urlencode

from django.conf import settings
from django.http import HttpResponseRedirect
from django.urls import reverse

from tenancy.rules import RuleBroken

from . import services
from .restoring import FIELD, page_of, values_of


class DraftMiddleware:
    """Stands behind MemberMiddleware, so it works inside the caller's clinic.

    A form with the field `draft` that is answered by a redirect was saved: its
    draft goes. One that arrives after the session fell asleep, or from somebody
    who has to set up a second factor first, is not lost: its words become the
    member's draft, and stand in the form again after signing in. That works
    without script, and only for a form that passed the CSRF check, which has
    looked at it before `process_view` is asked. A form that fails it though the
    browser vouches that it is from our own page was opened before the last
    sign-in (another tab): nothing is done, its words are kept, and the page is
    shown again with them and a token that is good.
    """

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        request.draft_sent = ""
        response = self.get_response(request)
        if response.status_code == 403 and _is_stale_form(request):
            return self._keep_stale(request) or response
        if request.draft_sent and response.status_code in {302, 303}:
            services.discard_draft(by=request.member, key=request.draft_sent)
        return response

    def _keep_stale(self, request):
        owner = request.member or request.asleep
        key = page_of(request.POST.get(FIELD, "")) if owner else ""
        if not key:
            return None
        with suppress(RuleBroken):
            services.save_draft(by=owner, key=key, values=values_of(request.POST))
        return HttpResponseRedirect(key)

    def process_view(self, request, view, args, kwargs):
        owner = request.member or request.asleep
        is_ours = "drafts" in request.resolver_match.namespaces
        if request.method != "POST" or owner is None or request.credential or is_ours:
            return None
        key = page_of(request.POST.get(FIELD, ""))
        if not key:
            return None
        if request.member and not request.must_enrol:
            request.draft_sent = key
            return None
        with suppress(RuleBroken):  # more than any form of ours sends
            services.save_draft(by=owner, key=key, values=values_of(request.POST))
        if request.must_enrol:
            return None
        return HttpResponseRedirect(f"{reverse(settings.LOGIN_URL)}?{urlencode({'locked': '', 'next': key})}")


def _is_stale_form(request) -> bool:
    """Whether the CSRF check refused a form that the browser says came from a page of ours (Fetch Metadata)."""
    match = request.resolver_match
    return (
        request.method == "POST"
        and not getattr(request, "csrf_processing_done", False)
        and request.headers.get("Sec-Fetch-Site") == "same-origin"
        and request.credential is None
        and match is not None
        and "drafts" not in match.namespaces
    )
