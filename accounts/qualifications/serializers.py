"""Qualifications as JSON."""

from django.utils import timezone
from django.utils.translation import gettext as _
from rest_framework import serializers

from tenancy.doors.serializers import KnownFieldsSerializer

from .models import Qualification, QualificationKind


class QualificationSerializer(serializers.ModelSerializer):
    """One licence, privilege or training of a member, with whether it holds today."""

    kind = serializers.SlugField(source="kind.code")
    name = serializers.CharField(source="kind.name")
    group = serializers.CharField(source="kind.group")
    is_valid = serializers.SerializerMethodField()

    class Meta:
        model = Qualification
        fields = [
            "id", "kind", "name", "group", "number", "issuer", "valid_from", "valid_until", "is_valid",
            "recorded_at", "withdrawn_at", "withdrawn_reason",
        ]  # fmt: skip

    def get_is_valid(self, row) -> bool:
        today = timezone.localdate()
        return row.withdrawn_at is None and row.valid_from <= today <= (row.valid_until or today)


class QualificationsSerializer(serializers.Serializer):
    items = QualificationSerializer(many=True)


class WriteQualificationSerializer(KnownFieldsSerializer):
    kind = serializers.SlugField(max_length=60, help_text="The code of a kind this clinic knows")
    number = serializers.CharField(max_length=80, required=False, allow_blank=True)
    issuer = serializers.CharField(max_length=150, required=False, allow_blank=True)
    valid_from = serializers.DateField()
    valid_until = serializers.DateField(required=False, allow_null=True, help_text="The last day")

    def validate_kind(self, code):
        found = QualificationKind.objects.filter(code=code, is_active=True).first()
        if found is None:
            raise serializers.ValidationError(_("There is no such kind of qualification."), code="unknown")
        return found
