"""What the API sends and receives about people, their roles and groups."""

from datetime import datetime

from django.conf import settings
from django.utils.translation import gettext as _
from rest_framework import serializers

from accounts.permission_words import words_for
from accounts.permissions import bundles_of, expand_bundles
from accounts.users.serializers import CallerSerializer
from tenancy.doors.serializers import KnownFieldsSerializer, MomentField

MOST_CODES = 200


class PermissionField(serializers.CharField):
    """A permission code or one of the seed's bundle names."""

    def __init__(self, **options):
        super().__init__(max_length=60, **options)

    def to_internal_value(self, data):
        code = super().to_internal_value(data)
        try:
            expand_bundles([code])
        except ValueError:
            raise serializers.ValidationError(_("There is no permission of this name."), code="unknown") from None
        return code


def permission_list(**options):
    return serializers.ListField(child=PermissionField(), max_length=MOST_CODES, **options)


# --- People ----------------------------------------------------------------------------------------------------------


class MemberSerializer(serializers.Serializer):
    """A member of the clinic. `id` is the person's, the same in every clinic (decision X10)."""

    id = serializers.UUIDField(source="user.id")
    email = serializers.EmailField(source="user.email")
    username = serializers.CharField(source="user.username")
    name = serializers.CharField(source="user.name")
    role = serializers.SerializerMethodField(help_text="The primary one of `roles`.")
    roles = serializers.SerializerMethodField()
    phone = serializers.CharField(source="user.phone")
    specialization = serializers.CharField()
    department = serializers.CharField()
    specialties = serializers.ListField(child=serializers.CharField())
    is_active = serializers.BooleanField()
    has_second_factor = serializers.BooleanField(source="user.has_second_factor")
    last_seen_at = serializers.SerializerMethodField()
    created_at = serializers.DateTimeField(help_text="When they joined the clinic.")

    def get_role(self, member) -> str:
        return member.roles[0].code if member.roles else ""

    def get_roles(self, member) -> list[str]:
        return [role.code for role in member.roles]

    def get_last_seen_at(self, member) -> datetime | None:
        seen = self.context["last_seen"].get(member.pk)
        return serializers.DateTimeField().to_representation(seen) if seen else None


class WriteMemberSerializer(KnownFieldsSerializer):
    """What an administrator changes. `is_active` needs a `reason`."""

    specialization = serializers.CharField(required=False, allow_blank=True, max_length=120)
    department = serializers.CharField(required=False, allow_blank=True, max_length=120)
    specialties = serializers.ListField(
        required=False, child=serializers.CharField(max_length=120), max_length=30, help_text="Of a doctor."
    )
    is_active = serializers.BooleanField(required=False)
    reason = serializers.CharField(required=False, allow_blank=True, max_length=300)

    def validate(self, data):
        if "is_active" in data and not data.get("reason", "").strip():
            raise serializers.ValidationError({"reason": [_("Say why: the reason is kept in the audit trail.")]})
        return data


class ProfileSerializer(CallerSerializer):
    """Oneself. `ignored` names what was sent and is not one's own to change."""

    language = serializers.CharField(source="user.language", help_text="Empty: that of the clinic.")
    ignored = serializers.SerializerMethodField()

    def get_ignored(self, member) -> list[str]:
        return self.context.get("ignored", [])


class WriteProfileSerializer(serializers.Serializer):
    """What people change about themselves; any other key is left alone and named in `ignored`."""

    name = serializers.CharField(required=False, max_length=200)
    phone = serializers.CharField(required=False, allow_blank=True, max_length=30)
    language = serializers.ChoiceField(
        required=False, allow_blank=True, choices=[code for code, _name in settings.LANGUAGES]
    )
    specialization = serializers.CharField(
        required=False, allow_blank=True, max_length=120, help_text="Of those who work here."
    )
    department = serializers.CharField(
        required=False, allow_blank=True, max_length=120, help_text="Of those who work here."
    )


class AssignRolesSerializer(KnownFieldsSerializer):
    roles = serializers.ListField(
        child=serializers.CharField(max_length=40), min_length=1, max_length=20, help_text="Codes, such as `nurse`."
    )
    reason = serializers.CharField(required=False, allow_blank=True, max_length=300, default="")


class GrantSerializer(serializers.Serializer):
    """One permission given to or kept from one member."""

    id = serializers.UUIDField()
    permission = serializers.CharField()
    words = serializers.SerializerMethodField()
    effect = serializers.SerializerMethodField(help_text="grant or deny")
    reason = serializers.CharField()
    valid_from = serializers.DateTimeField()
    valid_until = serializers.DateTimeField(allow_null=True)
    granted_by = serializers.SerializerMethodField()
    created_at = serializers.DateTimeField()
    ended_at = serializers.DateTimeField(allow_null=True)

    def get_words(self, grant) -> str:
        return words_for(grant.permission)

    def get_effect(self, grant) -> str:
        return "deny" if grant.is_denial else "grant"

    def get_granted_by(self, grant) -> str:
        return grant.granted_by.display_name if grant.granted_by else ""


class WriteGrantSerializer(KnownFieldsSerializer):
    permission = PermissionField(help_text="A code, or a bundle such as `documents.approve`, which stands for several.")
    effect = serializers.ChoiceField(choices=["grant", "deny"], default="grant")
    reason = serializers.CharField(max_length=300)
    valid_from = MomentField(required=False, allow_null=True, default=None)
    valid_until = MomentField(required=False, allow_null=True, default=None)


class ReasonSerializer(KnownFieldsSerializer):
    reason = serializers.CharField(required=False, allow_blank=True, max_length=300, default="")


class GrantsSerializer(serializers.Serializer):
    items = GrantSerializer(many=True)


class MemberPermissionsSerializer(GrantsSerializer):
    """What a member may do now, and the single permissions that are part of the reason."""

    permissions = serializers.ListField(child=serializers.CharField())


# --- Roles -----------------------------------------------------------------------------------------------------------


class RoleSerializer(serializers.Serializer):
    """A role of the clinic. `id` is counted in the clinic; paths take it or the `uuid` (decision X10)."""

    id = serializers.IntegerField(source="number")
    uuid = serializers.UUIDField(source="pk")
    code = serializers.CharField()
    name = serializers.CharField(source="label")
    description = serializers.CharField()
    is_built_in = serializers.BooleanField()
    permissions = serializers.ListField(child=serializers.CharField())
    bundles = serializers.SerializerMethodField(help_text="The names other systems know, whose every part is there.")

    def get_bundles(self, role) -> list[str]:
        return bundles_of(role.permissions)


class WriteRoleSerializer(KnownFieldsSerializer):
    name = serializers.CharField(max_length=100)
    description = serializers.CharField(required=False, allow_blank=True, max_length=300)
    permissions = permission_list(required=False, help_text="Codes and bundle names.")
    reason = serializers.CharField(required=False, allow_blank=True, max_length=300, default="")


class RolePermissionsSerializer(KnownFieldsSerializer):
    permissions = permission_list(help_text="Codes and bundle names; replaces all of the role.")
    reason = serializers.CharField(required=False, allow_blank=True, max_length=300, default="")


class PermissionSerializer(serializers.Serializer):
    code = serializers.CharField()
    words = serializers.CharField()
    section = serializers.CharField()


class BundleSerializer(serializers.Serializer):
    name = serializers.CharField()
    permissions = serializers.ListField(child=serializers.CharField())


class PermissionsSerializer(serializers.Serializer):
    """Every permission in words, the bundles, and the pairs nobody may hold together."""

    items = PermissionSerializer(many=True)
    bundles = BundleSerializer(many=True)
    conflicts = serializers.ListField(child=serializers.ListField(child=serializers.CharField()))


# --- Groups ----------------------------------------------------------------------------------------------------------


class GroupSerializer(serializers.Serializer):
    """A group. `id` is counted in the clinic; paths take it or the `uuid`."""

    id = serializers.IntegerField(source="number")
    uuid = serializers.UUIDField(source="pk")
    name = serializers.CharField()
    description = serializers.CharField()
    type = serializers.CharField(source="kind")
    permissions = serializers.ListField(child=serializers.CharField())
    is_active = serializers.BooleanField()
    member_count = serializers.IntegerField(source="size")
    created_at = serializers.DateTimeField()


class GroupMemberSerializer(serializers.Serializer):
    user_id = serializers.UUIDField(source="membership.user_id")
    name = serializers.CharField(source="membership.user.name")
    joined_at = serializers.DateTimeField()


class WholeGroupSerializer(GroupSerializer):
    """A group with those who are in it now."""

    members = GroupMemberSerializer(many=True)


class WriteGroupSerializer(KnownFieldsSerializer):
    name = serializers.CharField(max_length=120)
    description = serializers.CharField(required=False, allow_blank=True, max_length=500, default="")
    type = serializers.CharField(
        required=False, allow_blank=True, max_length=60, default="", help_text="Such as Department, Site, Job function."
    )
    permissions = permission_list(required=False, help_text="Codes and bundle names; left alone when not sent.")


class GroupMemberIdSerializer(KnownFieldsSerializer):
    user_id = serializers.UUIDField()
