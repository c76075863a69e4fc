"""The JSON door: set up, confirm and switch off the authenticator; new recovery codes; a lost one reset."""

from contextlib import contextmanager

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.exceptions import APIException
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from accounts.permissions import Permission
from accounts.users.authentication import refuse_cross_site
from tenancy.rules import NotAllowed

from . import selectors, services
from .serializers import (
    CodeSerializer,
    DoneSerializer,
    EnabledSerializer,
    ProofSerializer,
    ProvisionSerializer,
    RecoveryCodesSerializer,
    ResetSerializer,
)


class Refused(APIException):
    """A wrong code is a bad request (contract.md 1.1), too many of them a 429."""

    def __init__(self, refused: services.CodeRefused):
        self.status_code = 429 if refused.retry_after else 400
        self.wait = refused.retry_after
        super().__init__(refused.sentence, refused.code)


@contextmanager
def _answered():
    try:
        yield
    except services.CodeRefused as refused:
        raise Refused(refused) from None
    except services.ProofNeeded as needed:
        raise NotAllowed(needed.sentence, code=needed.code) from None


class TotpViewSet(ViewSet):
    """`/api/auth/totp/…`, about the caller's own account."""

    requires = {
        "setup": Permission.OWN_PROFILE,
        "verify": Permission.OWN_PROFILE,
        "disable": Permission.OWN_PROFILE,
        "renew_recovery_codes": Permission.OWN_PROFILE,
    }
    while_enrolling = {"setup", "verify"}
    keyless = dict.fromkeys(
        ("setup", "verify", "disable", "renew_recovery_codes"),
        "Proves a person at this moment; what opens an account is kept nowhere.",
    )

    @extend_schema(
        request=None,
        responses={200: ProvisionSerializer},
        summary="Begin to set up an authenticator; nothing is asked of a sign-in until it is verified",
    )
    def setup(self, request):
        return Response({"provision_uri": services.begin_authenticator(request.member.user).provision_uri})

    @extend_schema(
        request=CodeSerializer,
        responses={200: EnabledSerializer},
        examples=[OpenApiExample("The code the app shows", value={"code": "492039"}, request_only=True)],
        summary="Put the authenticator into use by its first code; ends the other sessions",
    )
    def verify(self, request):
        given = _checked(CodeSerializer, request)
        with _answered():
            codes = services.confirm_authenticator(
                session=request.sign_in, code=given["code"], password=given.get("password", "")
            )
        return Response({"detail": "enabled", "recovery_codes": codes})

    @extend_schema(
        request=ProofSerializer,
        responses={200: DoneSerializer},
        examples=[OpenApiExample("With a current code", value={"code": "492039"}, request_only=True)],
        summary="Erase the authenticator; cookie callers send X-CSRF-Token",
    )
    def disable(self, request):
        _refuse_without_header(request)
        given = _checked(ProofSerializer, request)
        with _answered():
            services.disable_authenticator(session=request.sign_in, **given)
        return Response({"detail": "disabled"})

    @extend_schema(
        request=ProofSerializer,
        responses={200: RecoveryCodesSerializer},
        examples=[OpenApiExample("With a current code", value={"code": "492039"}, request_only=True)],
        summary="Ten new recovery codes; the earlier ones are worthless",
    )
    def renew_recovery_codes(self, request):
        _refuse_without_header(request)
        given = _checked(ProofSerializer, request)
        with _answered():
            codes = services.renew_recovery_codes(session=request.sign_in, is_recent_enough=True, **given)
        return Response({"recovery_codes": codes})


class ResetViewSet(ViewSet):
    """`/api/users/{id}/second-factor/reset`: for somebody who has lost theirs."""

    requires = {"reset": Permission.USER_MANAGE}

    @extend_schema(
        request=ResetSerializer,
        responses={200: DoneSerializer},
        examples=[OpenApiExample("Lost", value={"reason": "Lost the telephone; seen in person."}, request_only=True)],
        summary="Take every second factor from a member, who sets up a new one at the next sign-in",
    )
    def reset(self, request, pk):
        member = selectors.get_member_of(pk)
        given = _checked(ResetSerializer, request)
        services.reset_second_factor(member, by=request.member, reason=given["reason"])
        return Response({"detail": "reset"})


def _checked(serializer_class, request) -> dict:
    serializer = serializer_class(data=request.data)
    serializer.is_valid(raise_exception=True)
    return serializer.validated_data


def _refuse_without_header(request):
    """Decision X5: what weakens an account needs the CSRF header whenever a cookie vouches for the caller."""
    if request.auth.kind == "cookie":
        refuse_cross_site(request, header_required=True)
