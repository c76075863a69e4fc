"""What the API of the second factor reads and says (Q8 to Q10, contract.md 1.1)."""

from rest_framework import serializers


class ProvisionSerializer(serializers.Serializer):
    provision_uri = serializers.CharField(help_text="`otpauth://totp/…`, to be drawn as a QR code.")


class CodeSerializer(serializers.Serializer):
    """`code` has six digits. `password` is needed where the sign-in is more than 15 minutes ago."""

    code = serializers.CharField(max_length=16)
    password = serializers.CharField(
        required=False, allow_blank=True, max_length=256, trim_whitespace=False, write_only=True
    )


class ProofSerializer(serializers.Serializer):
    """A current code or the password. Neither is needed within five minutes of proving a second factor."""

    code = serializers.CharField(required=False, allow_blank=True, max_length=40)
    password = serializers.CharField(
        required=False, allow_blank=True, max_length=256, trim_whitespace=False, write_only=True
    )


class EnabledSerializer(serializers.Serializer):
    detail = serializers.CharField(default="enabled")
    recovery_codes = serializers.ListField(
        child=serializers.CharField(), help_text="Ten, shown this once; empty where the person has some already."
    )


class RecoveryCodesSerializer(serializers.Serializer):
    recovery_codes = serializers.ListField(child=serializers.CharField(), help_text="Ten, shown this once.")


class DoneSerializer(serializers.Serializer):
    detail = serializers.CharField()


class ResetSerializer(serializers.Serializer):
    reason = serializers.CharField(max_length=300, help_text="Kept in the audit trail.")
