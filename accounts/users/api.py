"""The JSON door of signing in: cookies for browsers, a Bearer token for programs."""

from django.conf import settings
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import status
from rest_framework.exceptions import APIException, NotAuthenticated
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from accounts.guards import PUBLIC
from accounts.permissions import Permission
from tenancy.doors.addresses import client_address
from tenancy.doors.refusals import error_body
from tenancy.tenants.context import tenant_context
from tenancy.tenants.selectors import find_tenant

from . import selectors, sessions
from .authentication import csrf_token_for, refuse_cross_site
from .credentials import ACCESS_COOKIE, CSRF_COOKIE, REFRESH_COOKIE
from .models import Session
from .serializers import (
    CallerSerializer,
    IssuedTokenSerializer,
    MessageSerializer,
    SignedInSerializer,
    SignedInUserSerializer,
    SignInSerializer,
    TokenRequestSerializer,
)
from .tokens import TokenRefused, access_seconds, issue_tokens, refresh_seconds

REFRESH_PATH = "/api/auth/refresh"


class SignInFailed(APIException):
    """A refused sign-in with the status the specifications give it."""

    def __init__(self, refused: sessions.SignInRefused):
        self.status_code = refused.status
        self.wait = refused.retry_after
        super().__init__(refused.sentence, refused.code)


class AuthViewSet(ViewSet):
    """Cookie sign-in (Quill, MediSecure) and the token endpoint (QMS)."""

    requires = {
        "login": PUBLIC,
        "token": PUBLIC,
        "refresh": PUBLIC,
        "logout": PUBLIC,
        "me": Permission.OWN_PROFILE,
    }

    @extend_schema(
        request=SignInSerializer,
        responses={200: SignedInSerializer},
        examples=[
            OpenApiExample(
                "E-mail and password",
                value={"email": "nurse@demo.example", "password": "correct horse battery", "tenant": "demo"},
                request_only=True,
            )
        ],
        summary="Sign in; tokens come as cookies only",
    )
    def login(self, request):
        given = _checked(SignInSerializer, request)
        session, member = _sign_in(request, given, given["identifier"])
        response = Response({"detail": "ok", "user": SignedInUserSerializer(member).data})
        _set_cookies(response, session)
        return response

    @extend_schema(
        request=TokenRequestSerializer,
        responses={200: IssuedTokenSerializer},
        summary="Sign in for a Bearer token",
    )
    def token(self, request):
        given = _checked(TokenRequestSerializer, request)
        session, member = _sign_in(request, given, given["username"])
        access, _refresh = issue_tokens(session)
        user = SignedInUserSerializer(member).data
        return Response({"access_token": access, "token_type": "bearer", "expires_in": access_seconds(), "user": user})

    @extend_schema(request=None, responses={200: MessageSerializer}, summary="Renew all three cookies")
    def refresh(self, request):
        refuse_cross_site(request)
        token = request.COOKIES.get(REFRESH_COOKIE, "")
        if not token:
            return _signed_out_response(_("No refresh token"))
        try:
            tenant = sessions.tenant_of_refresh(token)
            with tenant_context(tenant.id):
                session = sessions.refresh_session(token)
        except TokenRefused:
            return _signed_out_response(_("Bad refresh token"))
        if session is None:
            return _signed_out_response(_("Bad refresh token"))
        response = Response({"message": _("Token refreshed"), "detail": "refreshed"})
        with tenant_context(tenant.id):
            _set_cookies(response, session)
        return response

    @extend_schema(request=None, responses={200: MessageSerializer}, summary="End the session and clear the cookies")
    def logout(self, request):
        if request.member is None:
            return _signed_out_response(_("Not authenticated"))
        sessions.revoke_session(request.sign_in, by=request.member)
        response = Response({"message": _("Logged out successfully"), "detail": "ok"})
        _clear_cookies(response)
        return response

    @extend_schema(responses={200: CallerSerializer}, summary="Who am I")
    def me(self, request):
        return Response(CallerSerializer(request.member).data)


def _checked(serializer_class, request) -> dict:
    serializer = serializer_class(data=request.data)
    serializer.is_valid(raise_exception=True)
    return serializer.validated_data


def _sign_in(request, given, identifier):
    device = sessions.Device(request.headers.get("User-Agent", ""), client_address(request))
    tenant = find_tenant(named=given.get("tenant"), header=request.headers.get("X-Tenant"), host=request.get_host())
    try:
        user = sessions.check_password(
            identifier, given["password"], device=device, otp_code=given.get("totp_code", "")
        )
        tenant = tenant or _only_workplace(user, given, request)
        with tenant_context(tenant.id):
            session = sessions.open_session(
                user, tenant, kind=Session.Kind.TOKEN, device=device, second_factor=sessions.factor_used(user)
            )
            member = session.membership
            member.tenant = tenant
            member.permissions  # noqa: B018  (read while the clinic is open; the answer needs them)
    except sessions.SignInRefused as refused:
        sessions.record_failed_sign_in(identifier, refused=refused, device=device, tenant=tenant)
        raise SignInFailed(refused) from None
    return session, member


def _only_workplace(user, given, request):
    """The one clinic of a person who named none. Naming a clinic that is not there gets the usual refusal."""
    workplaces = list(selectors.list_workplaces(user)[:2])
    named = given.get("tenant") or request.headers.get("X-Tenant")
    if len(workplaces) == 1 and not named:
        return workplaces[0]
    if workplaces and not named:
        raise sessions.SignInRefused(
            _("You work in several clinics: name one as `tenant`."), status=400, code="tenant_required"
        )
    raise sessions.SignInRefused(_("Invalid email or password"), status=401, code="invalid_credentials")


def _signed_out_response(sentence):
    """401 that also clears the cookies, so that a browser does not send dead ones for ever (decision C4)."""
    failed = NotAuthenticated(sentence)
    response = Response(error_body(sentence, failed.default_code), status=status.HTTP_401_UNAUTHORIZED)
    response["WWW-Authenticate"] = 'Bearer realm="carewright"'
    _clear_cookies(response)
    return response


def _set_cookies(response, session):
    access, refresh = issue_tokens(session)
    shared = {"secure": settings.TOKEN_COOKIES_SECURE, "samesite": "Strict"}
    response.set_cookie(ACCESS_COOKIE, access, max_age=access_seconds(), httponly=True, path="/", **shared)
    response.set_cookie(REFRESH_COOKIE, refresh, max_age=refresh_seconds(), httponly=True, path=REFRESH_PATH, **shared)
    response.set_cookie(CSRF_COOKIE, csrf_token_for(session), max_age=refresh_seconds(), path="/", **shared)


def _clear_cookies(response):
    shared = {"secure": settings.TOKEN_COOKIES_SECURE, "samesite": "Strict", "max_age": 0}
    response.set_cookie(ACCESS_COOKIE, "", httponly=True, path="/", **shared)
    response.set_cookie(REFRESH_COOKIE, "", httponly=True, path=REFRESH_PATH, **shared)
    response.set_cookie(CSRF_COOKIE, "", path="/", **shared)
