"""A browser enters a clinic: what every page that signs somebody in does last.

    sign-in page      the password is right ─┬─ a second factor is set up: `hold_for_second_factor`, the challenge asks
                                             │                                     │ proved
                                             └──────────── `complete_sign_in` ─────┘
                                                                │
                       one clinic: `enter_clinic`     several, or a platform administrator: /clinics/enter/ asks which

What stands in the Django session on the way (PENDING, PROVED) names no clinic
and no Session row, so it opens nothing (security.md AU-16).
"""

import time
from dataclasses import dataclass
from datetime import UTC, datetime

from django.conf import settings
from django.contrib.auth import HASH_SESSION_KEY, login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import translation
from django.utils.crypto import constant_time_compare
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _

from tenancy.doors.addresses import client_address
from tenancy.tenants.context import tenant_context
from tenancy.tenants.models import Tenant
from tenancy.tenants.selectors import find_tenant

from . import selectors, sessions
from .models import Session, User
from .recognition import recognise_session

PENDING = "pending_sign_in"
"""The password was right, the second factor is still to be proved: {user, tenant (slug or ""), next, at, hash}."""
PENDING_SECONDS = 5 * 60

PROVED = "proved_sign_in"
"""Everything is proved, the clinic is still to be chosen: as PENDING, with `second_factor` and `until`."""
PROVED_SECONDS = 10 * 60


@dataclass(frozen=True)
class Caller:
    """Somebody who has proved who they are and stands before the choice of a clinic.

    `until`: when this sign-in is over, whichever clinic it goes on in; None for a new one.
    `here`: the clinic they are in now.
    """

    user: User
    second_factor: str
    until: datetime | None = None
    here: Tenant | None = None
    wanted: str = ""


def device_of(request: HttpRequest) -> sessions.Device:
    """What the browser calls itself, and its network address."""
    return sessions.Device(request.headers.get("User-Agent", ""), client_address(request))


def is_own_session(request: HttpRequest, session: Session) -> bool:
    """Whether the browser was signed in with the password that the person of this session has now."""
    return constant_time_compare(
        request.session.get(HASH_SESSION_KEY, ""), session.membership.user.get_session_auth_hash()
    )


# --- The way in ------------------------------------------------------------------------------------------------------


def complete_sign_in(
    request: HttpRequest, user: User, *, second_factor: str = "", tenant: str = "", wanted: str = ""
) -> HttpResponse:
    """The person is proved: let them into their clinic, or ask which; answers with where the browser goes next.

    `tenant` is the slug that was asked for, `wanted` the page. The caller stands
    outside of every clinic. Raises SignInRefused when there is no clinic to enter.
    """
    clinics = list(selectors.list_workplaces(user))
    here = find_tenant(named=tenant or None, host=request.get_host())
    chosen = next((c for c in clinics if here and c.id == here.id), clinics[0] if len(clinics) == 1 else None)
    if chosen is not None:
        enter_clinic(request, user, chosen, second_factor=second_factor)
        return redirect(next_page(request, wanted))
    if not clinics and not user.is_platform_admin:
        raise sessions.SignInRefused(_("Invalid email or password"), status=401, code="invalid_credentials")
    hold_proved(request, user, second_factor=second_factor, wanted=wanted)
    return redirect("users:choose_clinic")


def hold_for_second_factor(request: HttpRequest, user: User, *, tenant: str = "", wanted: str = "") -> None:
    """Remember that the password was right; what the browser had open before ends."""
    _begin_again(request)
    request.session[PENDING] = _held(user, tenant=tenant, wanted=wanted)


def hold_proved(
    request: HttpRequest, user: User, *, second_factor: str, wanted: str = "", until: datetime | None = None
) -> None:
    """Remember that the person is proved; what the browser had open before ends."""
    _begin_again(request)
    ends = int(until.timestamp()) if until else None
    request.session[PROVED] = _held(user, wanted=wanted) | {"second_factor": second_factor, "until": ends}


def _held(user: User, *, tenant: str = "", wanted: str = "") -> dict:
    return {
        "user": str(user.pk),
        "tenant": tenant[:40],
        "next": wanted[:2000],
        "at": int(time.time()),
        "hash": user.get_session_auth_hash(),
    }


def held_person(request: HttpRequest, key: str = PENDING) -> User | None:
    """The person a PENDING or PROVED state is about; None when there is none, or it is too old or worthless by now.

    A new password or a person who was deactivated meanwhile makes it worthless.
    """
    held = request.session.get(key)
    if not isinstance(held, dict):
        return None
    age = time.time() - held["at"]
    if not 0 <= age < (PENDING_SECONDS if key == PENDING else PROVED_SECONDS):
        return None
    user = User.objects.filter(pk=held["user"], is_active=True).first()
    return user if user and constant_time_compare(held["hash"], user.get_session_auth_hash()) else None


def find_caller(request: HttpRequest) -> Caller | None:
    """Who stands outside of the clinics and may choose one: by a live page session, or just signed in."""
    if user := held_person(request, PROVED):
        held = request.session[PROVED]
        until = datetime.fromtimestamp(held["until"], UTC) if held["until"] else None
        return Caller(user, held["second_factor"], until=until, wanted=held["next"])
    tenant_id, session_id = request.session.get("tenant_id"), request.session.get("sid")
    if not tenant_id or not session_id:
        return None
    with tenant_context(tenant_id):
        session = recognise_session(session_id)
        if session is None or not is_own_session(request, session):
            return None
        until = end_of_sign_in(request) or session.expires_at
        return Caller(session.membership.user, session.second_factor, until=until, here=session.tenant)


def speak_language_of(request: HttpRequest, user: User, tenant: Tenant | None = None) -> None:
    """Answer in the language this person has chosen, else in that of the clinic they are in, else in the browser's."""
    if language := user.language or (tenant.language if tenant else ""):
        translation.activate(language)
        request.LANGUAGE_CODE = translation.get_language()


def end_of_sign_in(request: HttpRequest) -> datetime | None:
    """When what began at the sign-in page is over, through all clinics it went on in."""
    ends = request.session.get("until")
    return datetime.fromtimestamp(ends, UTC) if ends else None


def enter_clinic(
    request: HttpRequest,
    user: User,
    tenant: Tenant,
    *,
    second_factor: str = "",
    until: datetime | None = None,
    visiting: bool = False,
) -> Session:
    """Open a browser's session in a clinic; what the browser had open before ends, and its cookie gets a new key.

    With `until` the sign-in goes on from another clinic and ends when it would
    have ended there: no number of switches makes it live longer (AU-34).
    `visiting` lets a platform administrator in. The caller stands outside of
    every clinic (middleware, CHOOSES_TENANT) and has checked the person. Raises
    SignInRefused when they are no member there.
    """
    _begin_again(request, reason_code="clinic_switched" if until else "signed_in_again")
    with tenant_context(tenant.id):
        session = sessions.open_session(
            user,
            tenant,
            kind=Session.Kind.PAGE,
            device=device_of(request),
            second_factor=second_factor,
            until=until,
            visiting=visiting,
        )
        login(request, user, backend=settings.AUTHENTICATION_BACKENDS[0])
        request.session["tenant_id"], request.session["sid"] = str(tenant.id), str(session.pk)
        request.session["until"] = int((until or session.expires_at).timestamp())
    return session


def _begin_again(request: HttpRequest, *, reason_code: str = "signed_in_again") -> None:
    if request.session.get("tenant_id") and request.session.get("sid"):
        sessions.replace_page_session(request.session["tenant_id"], request.session["sid"], reason_code=reason_code)
    request.session.flush()  # Django keeps the key when the same person signs in again


def next_page(request: HttpRequest, wanted: str) -> str:
    """`wanted` when it is a page of ours, else the first page: no open redirect (ASVS 3.7.2)."""
    safe = url_has_allowed_host_and_scheme(wanted, {request.get_host()}, require_https=request.is_secure())
    return wanted if safe else settings.LOGIN_REDIRECT_PATH
