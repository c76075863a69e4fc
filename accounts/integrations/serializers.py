"""What `/v1/auth/api-keys` and `/v1/tenants` send and receive (Secre's words, contract.md 5.1)."""

from datetime import timedelta

from rest_framework import serializers

from accounts.api_keys.models import ApiKey
from accounts.api_keys.scopes import SCOPES
from tenancy.doors.serializers import KnownFieldsSerializer, MomentField
from tenancy.tenants.models import Tenant


class ApiKeySerializer(serializers.ModelSerializer):
    """A key without its text. `prefix` names it in lists and logs."""

    class Meta:
        model = ApiKey
        fields = [
            *["id", "tenant_id", "name", "prefix", "scopes", "requests_per_minute", "expires_at", "last_used_at"],
            *["created_at", "revoked_at"],
        ]


class NewApiKeySerializer(serializers.Serializer):
    """The only answer that ever has the text of a key."""

    api_key = ApiKeySerializer()
    plaintext_key = serializers.CharField()


class WriteApiKeySerializer(KnownFieldsSerializer):
    """A key to make. `tenant_id` is for platform keys, which are in no clinic."""

    name = serializers.CharField(max_length=255)
    tenant_id = serializers.UUIDField(required=False)
    scopes = serializers.ListField(
        child=serializers.ChoiceField(choices=list(SCOPES)), min_length=1, max_length=20, required=False
    )
    expires_at = MomentField(required=False, allow_null=True)
    requests_per_minute = serializers.IntegerField(min_value=1, max_value=60_000, required=False)

    def key_data(self) -> dict:
        """What the service takes. Without scopes a key reads and writes patients and appointments."""
        data = {"scopes": DEFAULT_SCOPES} | dict(self.validated_data)
        data.pop("tenant_id", None)
        return data


DEFAULT_SCOPES = ("patients:write", "appointments:write", "patients:read", "appointments:read")


class RotateSerializer(KnownFieldsSerializer):
    """How long the old key lives on, in hours."""

    overlap_hours = serializers.IntegerField(min_value=0, max_value=720, required=False, default=24)
    tenant_id = serializers.UUIDField(required=False)

    @property
    def overlap(self) -> timedelta:
        return timedelta(hours=self.validated_data["overlap_hours"])


class RevokeSerializer(KnownFieldsSerializer):
    tenant_id = serializers.UUIDField(required=False)


class RevokedSerializer(serializers.Serializer):
    message = serializers.CharField()


class InstalledTenantSerializer(serializers.ModelSerializer):
    """A clinic as the operator sees it."""

    class Meta:
        model = Tenant
        fields = ["id", "slug", "name", "is_active", "time_zone", "language", "country", "created_at"]


class WriteTenantSerializer(KnownFieldsSerializer):
    """A clinic to open. Without a slug it is made from the name; without `admin_email` it has no administrator yet."""

    name = serializers.CharField(max_length=200)
    slug = serializers.CharField(max_length=40, required=False)
    admin_email = serializers.EmailField(max_length=254, required=False)
    time_zone = serializers.CharField(max_length=64, required=False)
    language = serializers.ChoiceField(choices=["en", "es"], required=False)
    country = serializers.CharField(max_length=2, required=False)


class ChangeTenantSerializer(KnownFieldsSerializer):
    name = serializers.CharField(max_length=200, required=False)
    is_active = serializers.BooleanField(required=False)
