"""The JSON door of signing in: cookies for browsers, a Bearer token for programs."""

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

from . import cookies, proof, selectors, sessions
from .authentication import refuse_cross_site
from .credentials import REFRESH_COOKIE
from .models import Session
from .serializers import (
    BearerTokenSerializer,
    CallerSerializer,
    DetailSerializer,
    IssuedTokenSerializer,
    MessageSerializer,
    SignedInSerializer,
    SignedInUserSerializer,
    SignInSerializer,
    TokenRequestSerializer,
)
from .tokens import SessionOver, TokenExpired, TokenRefused, access_seconds, issue_tokens

SIGN_IN_EXAMPLE = OpenApiExample(
    "E-mail and password",
    value={"email": "nurse@demo.example", "password": "correct horse battery", "tenant": "demo"},
    request_only=True,
)


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
    while_enrolling = {"logout", "me"}
    keyless = {
        "login": "Every sign-in is a new one, and its cookies are kept nowhere.",
        "token": "Every sign-in is a new one, and its token is kept nowhere.",
        "refresh": "Renewing has a rule of its own for two tabs at once.",
        "logout": "Ending a session again ends nothing more.",
    }

    @extend_schema(
        request=SignInSerializer,
        responses={200: SignedInSerializer},
        examples=[SIGN_IN_EXAMPLE],
        summary="Sign in; tokens come as cookies only",
    )
    def login(self, request):
        given = _checked(SignInSerializer, request)
        session, member = _sign_in(request, given, given["identifier"])
        response = Response({"detail": "ok", "user": SignedInUserSerializer(member).data})
        cookies.set_cookies(response, session)
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
        try:
            session = _renew(request)
        except NotAuthenticated as refused:
            # Quill knows two sentences only.
            sentence = refused.detail if refused.get_codes() == "no_token" else _("Bad refresh token")
            return _signed_out_response(sentence, cookies.clear_cookies)
        response = Response({"message": _("Token refreshed"), "detail": "refreshed"})
        with tenant_context(session.tenant_id):
            cookies.set_cookies(response, session)
        return response

    @extend_schema(request=None, responses={200: MessageSerializer}, summary="End the session and clear the cookies")
    def logout(self, request):
        if request.member is None:
            return _signed_out_response(_("Not authenticated"), cookies.clear_cookies)
        sessions.revoke_session(request.sign_in, by=request.member)
        response = Response({"message": _("Logged out successfully"), "detail": "ok"})
        cookies.clear_cookies(response)
        return response

    @extend_schema(responses={200: CallerSerializer}, summary="Who am I")
    def me(self, request):
        return Response(CallerSerializer(request.member).data)


class TokenAuthViewSet(ViewSet):
    """The token flavour of Doctolib: the access token in the body, the refresh token in a cookie (decision C9)."""

    requires = AuthViewSet.requires
    while_enrolling = AuthViewSet.while_enrolling
    keyless = {action: AuthViewSet.keyless[action] for action in ("login", "refresh", "logout")}

    @extend_schema(
        request=SignInSerializer,
        responses={200: BearerTokenSerializer},
        examples=[SIGN_IN_EXAMPLE],
        summary="Sign in for a Bearer token that can be renewed",
    )
    def login(self, request):
        given = _checked(SignInSerializer, request)
        session, _member = _sign_in(request, given, given["identifier"])
        return _bearer_response(session)

    @extend_schema(
        request=None, responses={200: BearerTokenSerializer}, summary="A new access token and a new refresh cookie"
    )
    def refresh(self, request):
        try:
            return _bearer_response(_renew(request))
        except NotAuthenticated as refused:
            return _signed_out_response(refused.detail, cookies.clear_refresh_cookie)

    @extend_schema(request=None, responses={200: DetailSerializer}, summary="End the session; its tokens are dead")
    def logout(self, request):
        if request.member is None:
            return _signed_out_response(_("Not authenticated"), cookies.clear_refresh_cookie)
        sessions.revoke_session(request.sign_in, by=request.member)
        response = Response({"detail": _("Logout Successfully!")})
        cookies.clear_refresh_cookie(response)
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
    try:
        user = proof.check_password(identifier, given["password"], device=device, otp_code=given.get("totp_code", ""))
        tenant = _named_tenant(request, given) or _only_workplace(user, given, request)
        with tenant_context(tenant.id):
            session = sessions.open_session(
                user, tenant, kind=Session.Kind.TOKEN, device=device, second_factor=sessions.factor_used(user)
            )
            member = session.membership
            member.tenant = tenant
            member.permissions  # noqa: B018  (read while the clinic is open; the answer needs them)
    except sessions.SignInRefused as refused:
        if refused.status != status.HTTP_503_SERVICE_UNAVAILABLE:
            tenant = _named_tenant(request, given)
            sessions.record_failed_sign_in(identifier, refused=refused, device=device, tenant=tenant)
        raise SignInFailed(refused) from None
    return session, member


def _named_tenant(request, given):
    return find_tenant(named=given.get("tenant"), header=request.headers.get("X-Tenant"), host=request.get_host())


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


def _renew(request):
    """The session with a new refresh token. Raises NotAuthenticated with the reason (D12)."""
    refuse_cross_site(request)
    token = request.COOKIES.get(REFRESH_COOKIE, "")
    if not token:
        raise NotAuthenticated(_("No refresh token"), "no_token")
    try:
        tenant = sessions.tenant_of_refresh(token)
        with tenant_context(tenant.id):
            session = sessions.refresh_session(token)
    except TokenExpired:
        raise NotAuthenticated(_("Refresh token expired")) from None
    except SessionOver:
        session = None
    except TokenRefused:
        raise NotAuthenticated(_("Bad refresh token")) from None
    if session is None:
        raise NotAuthenticated(_("Refresh token revoked"))
    return session


def _bearer_response(session):
    with tenant_context(session.tenant_id):
        access, refresh = issue_tokens(session)
    response = Response({"access_token": access, "token_type": "Bearer"})
    cookies.set_refresh_cookie(response, refresh)
    return response


def _signed_out_response(sentence, clear):
    """401 that also clears the cookies, so that a browser does not send dead ones for ever (decision C4)."""
    body = error_body(sentence, NotAuthenticated.default_code)
    response = Response(body, status=status.HTTP_401_UNAUTHORIZED)
    response["WWW-Authenticate"] = 'Bearer realm="carewright"'
    clear(response)
    return response
