"""The JSON door: invitations, registration, confirmed addresses, passwords."""

from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework import serializers, status
from rest_framework.exceptions import NotAuthenticated, Throttled
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet, ViewSet

from accounts.guards import PUBLIC
from accounts.permissions import ROLE_ALIASES, Permission
from accounts.users import proof
from accounts.users.api import SignInFailed
from accounts.users.authentication import refuse_cross_site
from accounts.users.limits import MemberThrottle
from accounts.users.models import User
from accounts.users.services import Taken
from accounts.users.sessions import Device, SignInRefused
from tenancy.doors.addresses import client_address
from tenancy.doors.etags import check_if_match, digest_of, etag_for
from tenancy.doors.limits import RedisThrottle
from tenancy.doors.paging import PageQuery, paginate
from tenancy.doors.query import Query, Text
from tenancy.doors.schema import page_of
from tenancy.rules import NotAllowed
from tenancy.tenants.context import tenant_context
from tenancy.tenants.models import Tenant
from tenancy.tenants.selectors import find_tenant

from . import limits, links, selectors
from .evenly import evenly
from .models import Invitation
from .serializers import (
    AskResetSerializer,
    ChangePasswordSerializer,
    ConfirmAddressSerializer,
    InvitationSerializer,
    InviteSerializer,
    RegisteredSerializer,
    RegisterSerializer,
    SaidSerializer,
    SetPasswordSerializer,
    check_password_of,
)
from .services import addresses, invitations, passwords, registration


class RegisterThrottle(RedisThrottle):
    """Five tries an hour from one network address; administrators at work are not counted here."""

    limit = limits.REGISTER

    def key_for(self, request):
        return None if request.member else client_address(request)


class AskResetThrottle(RedisThrottle):
    limit = limits.ASK_RESET

    def key_for(self, request):
        return client_address(request)


class RegisterQuery(Query):
    """`?role=` is Doctolib's."""

    role = Text(max_length=40, description="As in the body.")


class RegistrationViewSet(ViewSet):
    """Making an account: an administrator any, everybody else a patient's where the clinic allows it (C2, M3, D6)."""

    requires = {"register": PUBLIC, "confirm_email": PUBLIC}
    queries = {"register": RegisterQuery}
    keyless = {"confirm_email": "A link from a mail works once; nobody is signed in."}

    def get_throttles(self):
        extra = [RegisterThrottle()] if self.action == "register" else []
        return [MemberThrottle(), *extra]

    @extend_schema(
        request=RegisterSerializer,
        responses={201: RegisteredSerializer},
        parameters=[OpenApiParameter("X-Tenant", str, OpenApiParameter.HEADER, description="The clinic's short name.")],
        examples=[
            OpenApiExample(
                "A doctor, by an administrator",
                value={
                    "name": "Dario Restrepo",
                    "email": "dario@riverside.example",
                    "password": "seventeen green kettles",
                    "role": "doctor",
                    "specialization": "Cardiology",
                },
                request_only=True,
            )
        ],
        summary="Register somebody",
    )
    def register(self, request):
        role = self._role(request)
        given = RegisterSerializer(data=request.data)
        if request.member:
            _need_administrator(request, given)
        elif role != registration.SELF_REGISTERED_ROLE and not _has_invitation(request):
            _refuse_role(request)
        given.is_valid(raise_exception=True)
        data = given.validated_data
        try:
            if request.member:
                answer = self._by_administrator(request, given, role)
            elif data.get("invitation"):
                answer = _by_invitation(request, data)
            else:
                answer = _by_themself(request, data)
        except Taken as taken:
            raise serializers.ValidationError({taken.field: [taken.sentence]}) from None
        return Response(RegisteredSerializer(answer).data, status=status.HTTP_201_CREATED)

    def _role(self, request) -> str:
        in_query = RegisterQuery.read(request).role
        in_body = request.data.get("role") if isinstance(request.data, dict) else None
        if in_body is not None and not (isinstance(in_body, str) and in_body.strip()):
            raise serializers.ValidationError({"role": [_("This is no role.")]})
        if in_query and in_body and in_query != in_body:
            raise serializers.ValidationError({"role": [_("The address and the body name different roles.")]})
        role = (in_body or in_query or registration.SELF_REGISTERED_ROLE).strip()
        return ROLE_ALIASES.get(role, role)

    def _by_administrator(self, request, given, role):
        data = given.validated_data
        _need_specialty(request, role, given.work())
        try:
            member = registration.register_member(
                by=request.member,
                email=data["email"],
                name=data["name"],
                password=data["password"],
                username=data.get("username", ""),
                phone=data.get("phone", ""),
                roles=[role],
                **given.work(),
            )
        except registration.RuleBroken as broken:
            if broken.code == "unknown_role":
                raise serializers.ValidationError({"role": [broken.sentence]}) from None
            raise
        return _answer(member.user, role)

    @extend_schema(
        request=ConfirmAddressSerializer, responses={200: SaidSerializer}, summary="Confirm an e-mail address"
    )
    def confirm_email(self, request):
        given = _checked(ConfirmAddressSerializer, request)
        try:
            claim = links.read_address(given["token"])
            with tenant_context(_open_tenant(claim.tenant_id).id):
                addresses.confirm_address(claim, password=given.get("password", ""))
        except links.LinkRefused as refused:
            raise _bad("token", refused) from None
        except addresses.PasswordNeeded as needed:
            raise _bad("password", needed) from None
        return _said(_("Your address is confirmed."), "confirmed")


def _need_administrator(request, given):
    if request.must_enrol:
        raise NotAllowed(_("Set up your second factor first."), code="two_factor_enrolment_required")
    if not request.member.may(Permission.USER_MANAGE):
        raise NotAllowed(_("Only administrators register people."))


def _has_invitation(request) -> bool:
    return isinstance(request.data, dict) and bool(request.data.get("invitation"))


def _refuse_role(request):
    if request.credential:  # sent, and not good any more: renewing it may help
        raise NotAuthenticated
    raise NotAllowed(_("Only an administrator, or an invitation, gives this role."))


def _need_specialty(request, role, work):
    """Doctolib's rule, at its own address: a doctor has a specialty."""
    if (
        role == "doctor"
        and request.path_info.startswith("/api/v1/")
        and not (work["specialties"] or work["specialization"])
    ):
        raise serializers.ValidationError({"specialty_id": [_("A doctor needs a specialty.")]})


def _by_themself(request, data):
    if request.credential and request.credential.kind == "bearer":
        raise NotAuthenticated
    tenant = find_tenant(named=data.get("tenant"), header=request.headers.get("X-Tenant"), host=request.get_host())
    if tenant is None:
        raise NotAllowed(_("This clinic does not offer registration. Ask its reception for an invitation."))
    with tenant_context(tenant.id):
        user = registration.register_patient(
            tenant,
            email=data["email"],
            name=data["name"],
            password=data["password"],
            username=data.get("username", ""),
            phone=data.get("phone", ""),
        )
    return _answer(user, registration.SELF_REGISTERED_ROLE)


def _by_invitation(request, data):
    """The link's roles and address count, whatever the body says; somebody known sends their own password."""
    try:
        claim = links.read_invitation(data["invitation"])
        tenant = _open_tenant(claim.tenant_id)
        try:
            with tenant_context(tenant.id):
                invitation = selectors.find_invited(claim)
                if invitation.email_key != selectors.identity_key(data["email"]):
                    raise serializers.ValidationError({"email": [_("The invitation was sent to another address.")]})
                user = selectors.find_person(invitation.email)
            # Outside of the clinic's transaction, which a refusal takes back with every failure that was counted.
            is_new = user is None or selectors.awaits_confirmation(user)
            user = None if is_new else _prove(request, user, data)
            with tenant_context(tenant.id):
                member = _accept(claim, user, data)
                return _answer(member.user, member.roles[0].code)
        except links.LinkRefused as refused:
            invitations.note_refused_link(claim, refused)
            raise
    except links.LinkRefused as refused:
        raise _bad("invitation", refused) from None


def _accept(claim, user, data):
    if user is None:
        return invitations.accept_as_new(claim, name=data["name"], password=data["password"])
    return invitations.accept_as_known(claim, user)


def _prove(request, user, data) -> User:
    """The person, by password and by second factor where they have one. Answers as signing in does."""
    device = Device(request.headers.get("User-Agent", ""), client_address(request))
    try:
        user = proof.prove_password(user.email, data["password"], device=device)
        if user.has_second_factor:
            proof.prove_second_factor(user, data.get("totp_code", ""), device=device)
    except SignInRefused as refused:
        if refused.status == status.HTTP_401_UNAUTHORIZED:
            raise NotAuthenticated(refused.sentence, refused.code) from None
        raise SignInFailed(refused) from None
    return user


def _answer(user, role) -> dict:
    return {"id": user.pk, "email": user.email, "username": user.username, "name": user.name, "role": role}


class PasswordViewSet(ViewSet):
    """A password forgotten, set by a link, changed (D21)."""

    requires = {"reset": PUBLIC, "confirm_reset": PUBLIC, "change": Permission.OWN_PROFILE}
    while_enrolling = {"change"}
    keyless = {
        "reset": "Nobody is signed in, and the answer is the same for everybody.",
        "confirm_reset": "A link from a mail works once; nobody is signed in.",
        "change": "Ends the caller's own session, and a second time the old password is wrong.",
    }

    def get_throttles(self):
        extra = [AskResetThrottle()] if self.action == "reset" else []
        return [MemberThrottle(), *extra]

    @extend_schema(
        request=AskResetSerializer,
        responses={202: SaidSerializer},
        summary="Have the link to set a new password mailed",
        description="The same answer in the same time, whether or not somebody has this address.",
    )
    def reset(self, request):
        email = _checked(AskResetSerializer, request)["email"]
        with evenly():
            passwords.ask_password_reset(email)
        sentence = _("If somebody has this address here, a mail with a link is on its way.")
        return _said(sentence, "accepted", status.HTTP_202_ACCEPTED)

    @extend_schema(request=SetPasswordSerializer, responses={200: SaidSerializer}, summary="Set a password by a link")
    def confirm_reset(self, request):
        given = _checked(SetPasswordSerializer, request)
        try:
            check_password_of(selectors.find_by_password_link(given["uid"], given["token"]), given["password"])
            passwords.set_password_by_link(given["uid"], given["token"], password=given["password"])
        except links.LinkRefused as refused:
            raise _bad("token", refused) from None
        return _said(_("Your new password is set. Sign in with it."), "password_set")

    @extend_schema(
        request=ChangePasswordSerializer,
        responses={200: SaidSerializer},
        parameters=[
            OpenApiParameter("X-CSRF-Token", str, OpenApiParameter.HEADER, description="Always needed with cookies.")
        ],
        summary="Change one's own password; every session ends",
    )
    def change(self, request):
        if request.credential and request.credential.kind == "cookie":
            refuse_cross_site(request, header_required=True)
        given = _checked(ChangePasswordSerializer, request)
        check_password_of(request.member.user, given["new_password"], field="new_password")
        try:
            passwords.change_password(request.member, current=given["current_password"], password=given["new_password"])
        except passwords.WrongPassword as wrong:
            raise _bad("current_password", wrong) from None
        except SignInRefused as refused:
            raise Throttled(wait=refused.retry_after, detail=refused.sentence) from None
        except passwords.RuleBroken as broken:
            raise _bad("new_password", broken) from None
        return _said(_("Your password is changed. Sign in again, everywhere."), "password_changed")


class InvitationQuery(PageQuery):
    sorts = {"created_at": ()}
    default_sort = "created_at desc"


class InvitationViewSet(GenericViewSet):
    """Open invitations of the clinic."""

    queryset = Invitation.objects.none()
    serializer_class = InvitationSerializer
    versioned = True
    requires = {
        "list": Permission.USER_MANAGE,
        "create": Permission.USER_MANAGE,
        "destroy": Permission.USER_MANAGE,
        "resend": Permission.USER_MANAGE,
    }
    queries = {"list": InvitationQuery}

    def get_queryset(self):
        return selectors.list_open_invitations()

    @extend_schema(responses={200: page_of(InvitationSerializer)}, summary="Invitations nobody has answered yet")
    def list(self, request):
        page = paginate(self.get_queryset().order_by(), InvitationQuery.read(request))
        return Response(page.envelope(InvitationSerializer(page.items, many=True).data))

    @extend_schema(
        request=InviteSerializer,
        responses={201: InvitationSerializer},
        examples=[
            OpenApiExample(
                "A nurse",
                value={"email": "nora@riverside.example", "name": "Nora Arango", "role": "nurse"},
                request_only=True,
            )
        ],
        summary="Invite somebody by mail",
    )
    def create(self, request):
        data = _checked(InviteSerializer, request)
        try:
            invitation = invitations.invite(by=request.member, **data)
        except invitations.RuleBroken as broken:
            if broken.code == "unknown_role":
                raise serializers.ValidationError({"role": [broken.sentence]}) from None
            raise
        return self._answer(invitation, status.HTTP_201_CREATED)

    @extend_schema(request=None, responses={200: InvitationSerializer}, summary="Send it again, with a new link")
    def resend(self, request, pk):
        invitation = invitations.resend_invitation(selectors.get_invitation(pk), by=request.member)
        return self._answer(invitation)

    @extend_schema(responses={204: None}, summary="Withdraw an invitation")
    def destroy(self, request, pk):
        invitation = selectors.get_invitation(pk)
        if "If-Match" in request.headers:
            invitation = invitations.lock_invitation(invitation)
            check_if_match(request, self._version(invitation))
        invitations.withdraw_invitation(invitation, by=request.member)
        return Response(status=status.HTTP_204_NO_CONTENT)

    def _version(self, invitation):
        """Of what was written; that it expires is no change."""
        return digest_of(InvitationSerializer(invitation).data | {"is_expired": None})

    def _answer(self, invitation, code=status.HTTP_200_OK):
        body = InvitationSerializer(invitation).data
        return Response(body, status=code, headers={"ETag": etag_for(self._version(invitation))})


def _open_tenant(tenant_id) -> Tenant:
    tenant = Tenant.objects.filter(pk=tenant_id, is_active=True).first()
    if tenant is None:
        raise links.invalid()
    return tenant


def _checked(serializer_class, request) -> dict:
    serializer = serializer_class(data=request.data)
    serializer.is_valid(raise_exception=True)
    return serializer.validated_data


def _bad(field, broken) -> serializers.ValidationError:
    """400 with the field a rule is about, and the rule's own code."""
    return serializers.ValidationError({field: [serializers.ErrorDetail(broken.sentence, broken.code)]})


def _said(sentence, word, code=status.HTTP_200_OK) -> Response:
    return Response({"message": sentence, "detail": word}, status=code)
