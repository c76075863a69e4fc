"""The first question of every request: may this role ever?

Pages wear `@requires(Permission.X)` or `@public("why")`; viewsets carry a
`requires` table, action by action, and may name actions open `while_enrolling`
a second factor. A page or action that names nothing is
refused, and a house rule test fails.
"""

import re
from functools import wraps
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.shortcuts import redirect
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from rest_framework.exceptions import NotAuthenticated
from rest_framework.permissions import BasePermission

from tenancy.rules import NotAllowed

FOR_SERVERS = re.compile(r"^/(v1|fhir)(/|$)")
"""Doors for other servers: they take keys, and tokens of members, but no cookies. The other doors take no keys."""

PUBLIC = "public"
"""In a `requires` table: this action needs nobody to be signed in."""


def requires(*permissions: str, while_enrolling: bool = False):
    """A page for members who have any of these permissions; others see 403, strangers the sign-in page.

    Who is late with a second factor is led to set it up, but for the pages that
    say `while_enrolling` (decision "Second factor").
    """

    def decorate(page):
        @wraps(page)
        def guarded(request, *args, **kwargs):
            member = request.member
            if member is None:
                return redirect_to_login(_come_back_to(request), settings.LOGIN_URL)
            if request.must_enrol and not while_enrolling:
                return redirect(settings.ENROLMENT_URL)
            if not any(member.may(permission) for permission in permissions):
                raise PermissionDenied
            return page(request, *args, **kwargs)

        guarded.required_permissions = tuple(str(permission) for permission in permissions)
        return guarded

    return decorate


def _come_back_to(request) -> str:
    """The page to show after signing in. What a button sent can not be asked for again: the page it stood on can."""
    origin = request.headers.get("Referer", "")
    if request.method in {"GET", "HEAD"} or not url_has_allowed_host_and_scheme(origin, {request.get_host()}):
        return request.get_full_path()
    page = urlsplit(origin)
    return f"{page.path}?{page.query}" if page.query else page.path


def public(reason: str):
    """A page anybody may open; `reason` says why, for the one who reads the list of them."""

    def decorate(page):
        page.public_reason = reason
        return page

    return decorate


def named_permissions(view) -> tuple[str, ...] | None:
    """What the current action of a viewset asks for; None when its table does not name it."""
    table = getattr(view, "requires", {})
    named = table.get(getattr(view, "action", None))
    if named is None:
        return None
    return (str(named),) if isinstance(named, str) else tuple(str(permission) for permission in named)


class HasNamedPermission(BasePermission):
    """The API's guard: the caller's role gives one of the permissions in `requires[action]`."""

    def has_permission(self, request, view):
        if request.method == "OPTIONS" or getattr(view, "action", None) is None:
            return True  # answered 405, or with the allowed methods
        named = named_permissions(view)
        if named is None:
            # config/tests/test_house_rules.py finds such an action before anybody meets it.
            raise NotAllowed(_("You may not do this."))
        if named == (PUBLIC,):
            return True
        if request.member is None:
            raise _who_are_you(request)
        if request.must_enrol and view.action not in getattr(view, "while_enrolling", ()):
            raise NotAllowed(_("Set up your second factor first."), code="two_factor_enrolment_required")
        return any(request.member.may(permission) for permission in named)


def _who_are_you(request) -> NotAuthenticated:
    """401, for servers in the words of contract.md 5.1."""
    if not FOR_SERVERS.match(request.path_info):
        return NotAuthenticated()
    if request.headers.get("X-Api-Key"):
        return NotAuthenticated(_("Invalid API key"))
    return NotAuthenticated(_("API key required. Provide X-Api-Key header."))
