"""A browser enters a clinic: what every page that signs somebody in does last."""

from django.conf import settings
from django.contrib.auth import login
from django.http import HttpRequest
from django.utils.http import url_has_allowed_host_and_scheme

from tenancy.doors.addresses import client_address
from tenancy.tenants.context import tenant_context
from tenancy.tenants.models import Tenant

from . import sessions
from .models import Session, User


def device_of(request: HttpRequest) -> sessions.Device:
    """What the browser calls itself, and its network address."""
    return sessions.Device(request.headers.get("User-Agent", ""), client_address(request))


def enter_clinic(request: HttpRequest, user: User, tenant: Tenant, *, second_factor: str = "") -> Session:
    """Open a browser's session in a clinic; what the browser had open before ends, and its cookie gets a new key.

    The caller stands outside of every clinic (middleware, CHOOSES_TENANT) and
    has checked the person. Raises SignInRefused when they are no member there.
    """
    if request.session.get("tenant_id") and request.session.get("sid"):
        sessions.replace_page_session(request.session["tenant_id"], request.session["sid"])
    request.session.flush()  # Django keeps the key when the same person signs in again
    with tenant_context(tenant.id):
        session = sessions.open_session(
            user, tenant, kind=Session.Kind.PAGE, device=device_of(request), second_factor=second_factor
        )
        login(request, user, backend=settings.AUTHENTICATION_BACKENDS[0])
        request.session["tenant_id"], request.session["sid"] = str(tenant.id), str(session.pk)
    return session


def next_page(request: HttpRequest, wanted: str) -> str:
    """`wanted` when it is a page of ours, else the first page: no open redirect (ASVS 3.7.2)."""
    safe = url_has_allowed_host_and_scheme(wanted, {request.get_host()}, require_https=request.is_secure())
    return wanted if safe else settings.LOGIN_REDIRECT_PATH
