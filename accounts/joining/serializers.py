"""What the API of this room reads and says."""

from typing import ClassVar

from django.utils.translation import gettext as _
from rest_framework import serializers

from accounts.users.models import User
from accounts.users.passwords import find_problems

from .models import MOST_SPECIALTIES, Invitation


class PasswordField(serializers.CharField):
    """A password as it was typed. Its length and the rest are looked at by `check_password_of`, before any hash."""

    def __init__(self, **options):
        super().__init__(trim_whitespace=False, write_only=True, **options)


def check_password_of(user: User, password: str, *, field: str = "password") -> None:
    """Raise the field's errors where this can not be the person's new password."""
    if problems := find_problems(password, user):
        raise serializers.ValidationError({field: problems})


class WorkSerializer(serializers.Serializer):
    """What somebody's work brings along, by role: MediSecure's and Doctolib's keys."""

    phone = serializers.CharField(max_length=30, required=False, allow_blank=True)
    specialization = serializers.CharField(max_length=120, required=False, allow_blank=True, help_text="of a doctor")
    department = serializers.CharField(max_length=120, required=False, allow_blank=True, help_text="of staff")
    specialties = serializers.ListField(
        child=serializers.CharField(max_length=120), max_length=MOST_SPECIALTIES, required=False
    )


class RegisterSerializer(WorkSerializer):
    """Somebody new, in the words of either document (decision C2). Unknown keys are ignored.

    One of `name`, `full_name` and `username` is the name. `role` may stand in the query as well.
    """

    name = serializers.CharField(max_length=200, required=False)
    full_name = serializers.CharField(max_length=200, required=False, help_text="Doctolib's word for `name`.")
    username = serializers.CharField(max_length=150, required=False, help_text="Signs in beside the e-mail address.")
    email = serializers.EmailField(max_length=254)
    password = PasswordField()
    role = serializers.CharField(max_length=40, required=False, help_text="Patient, unless an administrator asks.")
    bio = serializers.CharField(max_length=2000, required=False, allow_blank=True, help_text="Accepted, not kept.")
    specialty_id = serializers.CharField(max_length=120, required=False, help_text="Doctolib's single specialty.")
    tenant = serializers.CharField(max_length=40, required=False, help_text="The clinic's short name.")
    invitation = serializers.CharField(max_length=2000, required=False, help_text="The token of an invitation's link.")
    totp_code = serializers.CharField(
        max_length=16,
        required=False,
        allow_blank=True,
        help_text="With an invitation, of somebody known who has a second factor; a recovery code will do.",
    )

    def validate(self, data):
        name = data.get("name") or data.get("full_name") or data.get("username")
        if not name:
            raise serializers.ValidationError({"name": [_("Send a name.")]})
        data["name"] = name
        user = User(email=data["email"], name=name, username=data.get("username") or data["email"])
        check_password_of(user, data["password"])
        return data

    def work(self) -> dict:
        """The fields of `invite` and `register_member`."""
        data = self.validated_data
        specialties = list(data.get("specialties", []))
        if data.get("specialty_id"):
            specialties.append(data["specialty_id"])
        return {
            "specialization": data.get("specialization", ""),
            "department": data.get("department", ""),
            "specialties": list(dict.fromkeys(specialties)),
        }


class RegisteredSerializer(serializers.Serializer):
    """Who was registered (decision C2)."""

    id = serializers.UUIDField()
    email = serializers.EmailField()
    username = serializers.CharField()
    name = serializers.CharField()
    role = serializers.CharField()


class InviteSerializer(WorkSerializer):
    """Whom to invite; `role`, or `roles` for several."""

    email = serializers.EmailField(max_length=254)
    name = serializers.CharField(max_length=200)
    role = serializers.CharField(max_length=40, required=False)
    roles = serializers.ListField(child=serializers.CharField(max_length=40), max_length=20, required=False)

    def validate(self, data):
        roles = data.pop("roles", [])
        role = data.pop("role", "")
        data["roles"] = [role, *roles] if role else roles
        if not data["roles"]:
            raise serializers.ValidationError({"role": [_("Choose at least one role.")]})
        return data


class InvitationSerializer(serializers.ModelSerializer):
    """An open invitation. Its link is in the mail and nowhere else."""

    invited_by = serializers.SerializerMethodField()
    is_expired = serializers.BooleanField()

    class Meta:
        model = Invitation
        fields: ClassVar = [
            "id", "email", "name", "roles", "phone", "specialization", "department", "specialties",
            "invited_by", "created_at", "expires_at", "is_expired",
        ]  # fmt: skip

    def get_invited_by(self, invitation) -> str:
        return invitation.invited_by.display_name if invitation.invited_by else ""


class ConfirmAddressSerializer(serializers.Serializer):
    """The token of the mail; for a registration with the password that was chosen."""

    token = serializers.CharField(max_length=2000)
    password = PasswordField(required=False, max_length=256)


class AskResetSerializer(serializers.Serializer):
    email = serializers.EmailField(max_length=254)


class SetPasswordSerializer(serializers.Serializer):
    """The two parts of the mail's link, and the new password."""

    uid = serializers.CharField(max_length=100)
    token = serializers.CharField(max_length=200)
    password = PasswordField()


class ChangePasswordSerializer(serializers.Serializer):
    current_password = PasswordField()
    new_password = PasswordField()


class SaidSerializer(serializers.Serializer):
    message = serializers.CharField()
    detail = serializers.CharField()
