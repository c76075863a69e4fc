"""The JSON doors for keys and, with a platform key, for clinics: `/v1/auth/api-keys`, `/v1/tenants` (S2, S3)."""

from contextlib import nullcontext

from django.db import transaction
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from accounts.api_keys import selectors, services
from accounts.api_keys.models import PLATFORM, ApiKey
from accounts.permissions import Permission
from tenancy.doors.etags import check_if_match, digest_of, etag_for, not_modified
from tenancy.doors.paging import PageQuery, paginate
from tenancy.doors.query import Boolean, Identifier, NoQuery, Query
from tenancy.doors.refusals import FieldsRefused, problem
from tenancy.doors.schema import page_of
from tenancy.tenants.context import tenant_context
from tenancy.tenants.models import Tenant

from . import clinics
from .serializers import (
    ApiKeySerializer,
    ChangeTenantSerializer,
    InstalledTenantSerializer,
    NewApiKeySerializer,
    RevokedSerializer,
    RevokeSerializer,
    RotateSerializer,
    WriteApiKeySerializer,
    WriteTenantSerializer,
)


class KeyQuery(PageQuery):
    """Newest first. `tenant_id` is for platform keys, which are in no clinic."""

    sorts = {"created_at": ("created_at",)}
    default_sort = "created_at desc"

    tenant_id = Identifier(description="The clinic; only for platform keys")


class OneKeyQuery(Query):
    tenant_id = Identifier(description="The clinic; only for platform keys")


class ApiKeyViewSet(GenericViewSet):
    """The clinic's API keys. A key's text is in the answer that makes it, and nowhere else."""

    queryset = ApiKey.objects.none()
    serializer_class = ApiKeySerializer
    versioned = {"retrieve"}
    requires = dict.fromkeys(
        ("list", "retrieve", "create", "rotate", "revoke"), (str(Permission.INTEGRATION_MANAGE), PLATFORM)
    )
    queries = {"list": KeyQuery, "retrieve": OneKeyQuery}

    @extend_schema(responses={200: page_of(ApiKeySerializer)}, summary="List the keys of the clinic")
    def list(self, request):
        query = KeyQuery.read(request)
        with self._clinic(query.tenant_id, "query"):
            page = paginate(selectors.list_keys(), query)
            return Response(page.envelope(ApiKeySerializer(page.items, many=True).data))

    @extend_schema(responses={200: ApiKeySerializer}, summary="One key, without its text")
    def retrieve(self, request, pk):
        with self._clinic(OneKeyQuery.read(request).tenant_id, "query"):
            body = ApiKeySerializer(selectors.get_key(pk)).data
            version = digest_of(body | {"last_used_at": None})  # being used is no change
            return not_modified(request, version) or Response(body, headers={"ETag": etag_for(version)})

    @extend_schema(
        request=WriteApiKeySerializer,
        responses={201: NewApiKeySerializer},
        examples=[
            OpenApiExample(
                "A chatbot's key",
                value={"name": "n8n", "scopes": ["patients:read", "appointments:write"]},
                request_only=True,
            )
        ],
        summary="Make a key; its text is shown this once",
    )
    def create(self, request):
        given = self._checked(WriteApiKeySerializer)
        with self._clinic(given.validated_data.get("tenant_id"), "body"):
            return self._new(*services.create_key(by=request.member, **given.key_data()))

    @extend_schema(
        request=RotateSerializer,
        responses={201: NewApiKeySerializer},
        examples=[OpenApiExample("A day to change over", value={"overlap_hours": 24}, request_only=True)],
        summary="Make the next key; the old one lives on for the overlap",
    )
    @action(detail=True, methods=["post"])
    def rotate(self, request, pk):
        given = self._checked(RotateSerializer)
        with self._clinic(given.validated_data.get("tenant_id"), "body"):
            key = selectors.get_key(pk)
            return self._new(*services.rotate_key(key, by=request.member, overlap=given.overlap))

    @extend_schema(request=RevokeSerializer, responses={200: RevokedSerializer}, summary="End a key at once")
    @action(detail=True, methods=["post"])
    def revoke(self, request, pk):
        given = self._checked(RevokeSerializer)
        with self._clinic(given.validated_data.get("tenant_id"), "body"):
            services.revoke_key(selectors.get_key(pk), by=request.member)
        return Response({"message": _("API key revoked successfully")})

    def _clinic(self, tenant_id, where):
        """The clinic whose keys are meant: one's own, or the one a platform key names. 400 for any other."""
        member = self.request.member
        mine = None if member.may(PLATFORM) else self.request.tenant.pk
        if mine is not None and tenant_id in (None, mine):
            return nullcontext()
        clinic = Tenant.objects.filter(pk=tenant_id, is_active=True).first() if mine is None and tenant_id else None
        if clinic is None:
            sentence = _("Invalid or inactive tenant")
            raise FieldsRefused([problem(where, "tenant_id", msg=sentence, type="tenant")])
        return tenant_context(clinic.pk)

    def _checked(self, serializer_class):
        given = serializer_class(data=self.request.data)
        given.is_valid(raise_exception=True)
        return given

    def _new(self, key, plaintext):
        return Response(
            {"api_key": ApiKeySerializer(key).data, "plaintext_key": plaintext}, status=status.HTTP_201_CREATED
        )


class TenantQuery(PageQuery):
    """By name; `active=true` leaves out those that are closed."""

    sorts = {"name": ("name",), "created_at": ("created_at",)}
    default_sort = "name asc"

    active = Boolean(description="Only open ones (true) or closed ones (false)")


class TenantViewSet(GenericViewSet):
    """Clinics, for the operator's platform key. Nothing in here shows what is in one."""

    queryset = Tenant.objects.none()
    serializer_class = InstalledTenantSerializer
    versioned = True
    requires = dict.fromkeys(("list", "retrieve", "create", "partial_update"), PLATFORM)
    queries = {"list": TenantQuery, "retrieve": NoQuery}

    @extend_schema(responses={200: page_of(InstalledTenantSerializer)}, summary="List the clinics of this installation")
    def list(self, request):
        query = TenantQuery.read(request)
        page = paginate(clinics.list_clinics(is_active=query.active), query)
        return Response(page.envelope(InstalledTenantSerializer(page.items, many=True).data))

    @extend_schema(responses={200: InstalledTenantSerializer}, summary="One clinic")
    def retrieve(self, request, pk):
        clinic = clinics.get_clinic(pk)
        return not_modified(request, self._version(clinic)) or self._answer(clinic)

    @extend_schema(
        request=WriteTenantSerializer,
        responses={201: InstalledTenantSerializer},
        examples=[
            OpenApiExample(
                "A clinic",
                value={"name": "Hillside Clinic", "time_zone": "America/Bogota", "admin_email": "ada@example.com"},
                request_only=True,
            )
        ],
        summary="Open a clinic",
    )
    def create(self, request):
        given = WriteTenantSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        clinic = clinics.open_clinic(by=request.member, **given.validated_data)
        return self._answer(clinic, status.HTTP_201_CREATED)

    @extend_schema(
        request=ChangeTenantSerializer(partial=True),
        responses={200: InstalledTenantSerializer},
        examples=[OpenApiExample("Close it", value={"is_active": False}, request_only=True)],
        summary="Rename, close or open a clinic",
    )
    def partial_update(self, request, pk):
        clinic = clinics.get_clinic(pk)
        given = ChangeTenantSerializer(data=request.data, partial=True)
        given.is_valid(raise_exception=True)
        with transaction.atomic():  # a platform key is in no clinic, and so in no transaction
            if "If-Match" in request.headers:
                clinic = clinics.get_clinic(pk, lock=True)
                check_if_match(request, self._version(clinic))
            return self._answer(clinics.change_clinic(clinic, by=request.member, **given.validated_data))

    def _version(self, clinic):
        return digest_of(InstalledTenantSerializer(clinic).data)

    def _answer(self, clinic, code=status.HTTP_200_OK):
        body = InstalledTenantSerializer(clinic).data
        return Response(body, status=code, headers={"ETag": etag_for(digest_of(body))})
