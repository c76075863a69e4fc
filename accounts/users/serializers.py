"""What the sign-in API reads and says."""

from django.utils.translation import gettext as _
from rest_framework import serializers


class SignInSerializer(serializers.Serializer):
    """`email` or `username`, `password`, optional `totp_code` and `tenant` (slug). Decision C1."""

    email = serializers.CharField(required=False, max_length=254, help_text="E-mail address; or send `username`.")
    username = serializers.CharField(required=False, max_length=254, help_text="User name; or send `email`.")
    password = serializers.CharField(max_length=256, trim_whitespace=False, write_only=True)
    totp_code = serializers.CharField(required=False, allow_blank=True, max_length=16)
    tenant = serializers.CharField(required=False, max_length=40, help_text="The clinic's short name.")

    def validate(self, data):
        if bool(data.get("email")) == bool(data.get("username")):
            raise serializers.ValidationError({"email": [_("Send either email or username.")]})
        return {**data, "identifier": data.get("email") or data.get("username")}


class TokenRequestSerializer(serializers.Serializer):
    """`username` (an e-mail address will do) and `password`. QMS document, `POST /api/auth/token`."""

    username = serializers.CharField(max_length=254)
    password = serializers.CharField(max_length=256, trim_whitespace=False, write_only=True)
    totp_code = serializers.CharField(required=False, allow_blank=True, max_length=16)
    tenant = serializers.CharField(required=False, max_length=40)


class TenantSerializer(serializers.Serializer):
    id = serializers.UUIDField()
    slug = serializers.CharField()
    name = serializers.CharField()
    time_zone = serializers.CharField()


class CallerSerializer(serializers.Serializer):
    """Who is calling: identity, primary role and all roles, permissions, clinic. Decision C5."""

    id = serializers.UUIDField(source="user.id")
    email = serializers.EmailField(source="user.email")
    username = serializers.CharField(source="user.username")
    name = serializers.CharField(source="user.name")
    role = serializers.SerializerMethodField()
    roles = serializers.SerializerMethodField()
    permissions = serializers.SerializerMethodField()
    phone = serializers.CharField(source="user.phone")
    specialization = serializers.CharField()
    department = serializers.CharField()
    tenant = TenantSerializer()
    created_at = serializers.DateTimeField(source="user.created_at")

    def get_role(self, member) -> str:
        return member.roles[0].code if member.roles else ""

    def get_roles(self, member) -> list[str]:
        return [role.code for role in member.roles]

    def get_permissions(self, member) -> list[str]:
        return sorted(member.permissions)


class SignedInUserSerializer(CallerSerializer):
    """The short form that signing in answers."""

    tenant = serializers.CharField(source="tenant.slug")
    permissions = phone = specialization = department = created_at = None


class SignedInSerializer(serializers.Serializer):
    detail = serializers.CharField(default="ok")
    user = SignedInUserSerializer()


class IssuedTokenSerializer(serializers.Serializer):
    access_token = serializers.CharField()
    token_type = serializers.CharField(default="bearer")
    expires_in = serializers.IntegerField(help_text="seconds")
    user = SignedInUserSerializer()


class BearerTokenSerializer(serializers.Serializer):
    """What `/api/v1/auth` answers; the refresh token comes as a cookie (Doctolib document)."""

    access_token = serializers.CharField()
    token_type = serializers.CharField(default="Bearer")


class DetailSerializer(serializers.Serializer):
    detail = serializers.CharField()


class MessageSerializer(serializers.Serializer):
    message = serializers.CharField()
    detail = serializers.CharField(required=False)
