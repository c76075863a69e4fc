"""What the API sends and receives about patients: MediSecure's words and casing, Quill's demographics."""

from typing import Any, ClassVar

import orjson
from django.utils.translation import gettext as _
from rest_framework import serializers

from clinic.names import Name, split_name
from tenancy.doors.serializers import KnownFieldsSerializer

from .models import EmergencyAccess, Gender, Patient


class PatientRowSerializer(serializers.ModelSerializer):
    """One row of the list: MediSecure's fields, and the patient's repository (decision C6)."""

    name = serializers.CharField()
    phone = serializers.SerializerMethodField()
    dateOfBirth = serializers.DateField(source="birth_date", allow_null=True)
    gender = serializers.CharField(source="gender.word", help_text="male, female, other or unknown")
    address = serializers.CharField(source="full_address")
    repo = serializers.CharField()
    restricted = serializers.BooleanField(
        source="is_restricted",
        required=False,
        help_text="Only there when it is true: the chart is open to few; the others see its name and nothing else.",
    )

    class Meta:
        model = Patient
        fields = [
            *["id", "name", "email", "phone", "dateOfBirth", "gender", "address", "created_at", "repo", "restricted"]
        ]

    def get_phone(self, patient) -> str:
        return patient.phone or patient.cell_phone

    def to_representation(self, instance):
        """MediSecure's fields and no other for charts that are not restricted."""
        row = super().to_representation(instance)
        if not instance.is_restricted:
            del row["restricted"]
        return row


class PatientSerializer(PatientRowSerializer):
    """One patient whole. `version` is also the ETag."""

    bloodType = serializers.CharField(source="blood_type")
    allergies = serializers.CharField()
    medicalHistory = serializers.CharField(source="medical_history")

    class Meta(PatientRowSerializer.Meta):
        fields = [*PatientRowSerializer.Meta.fields, "bloodType", "allergies", "medicalHistory"]


class WritePatientSerializer(KnownFieldsSerializer):
    """A patient as MediSecure sends one. Unknown keys are refused by name; "" means not known."""

    names_sent: ClassVar = dict.fromkeys(vars(Name()), "name") | {
        "birth_date": "dateOfBirth",
        "blood_type": "bloodType",
        "medical_history": "medicalHistory",
    }

    name = serializers.CharField(max_length=480)
    email = serializers.EmailField(max_length=254, allow_blank=True)
    phone = serializers.CharField(max_length=30, allow_blank=True)
    dateOfBirth = serializers.DateField(source="birth_date", allow_null=True)
    gender = serializers.ChoiceField(choices=["male", "female", "other", "unknown"])
    address = serializers.CharField(max_length=300, allow_blank=True)
    bloodType = serializers.ChoiceField(
        source="blood_type", choices=Patient.BloodType.values, required=False, allow_blank=True
    )
    allergies = serializers.CharField(max_length=2000, required=False, allow_blank=True)
    medicalHistory = serializers.CharField(source="medical_history", max_length=20000, required=False, allow_blank=True)

    def patient_data(self) -> dict:
        """What the service takes: the name in its four parts, the gender as its row."""
        data = dict(self.validated_data)
        if "address" in data:
            # One line here; in parts it would be said twice when it is read again.
            data |= {"city": "", "region": "", "postal_code": "", "country": ""}
        if "name" in data:
            data |= vars(split_name(data.pop("name")))
        if "gender" in data:
            data["gender"] = Gender.objects.get(word=data["gender"])
        return data


class KeptObjectField(serializers.DictField):
    """An object that is kept as it comes: at most 20,000 bytes as JSON, at most 5 levels, itself the first."""

    most_bytes = 20_000
    most_levels = 5

    def to_internal_value(self, data):
        data = super().to_internal_value(data)
        if _is_deeper(data, self.most_levels):
            raise serializers.ValidationError(_("This is nested too deeply: at most %d levels.") % self.most_levels)
        if len(orjson.dumps(data)) > self.most_bytes:
            raise serializers.ValidationError(_("This is too long: at most %d bytes as JSON.") % self.most_bytes)
        return data


def _is_deeper(value: Any, levels: int) -> bool:
    if not isinstance(value, dict | list):
        return False
    children = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_is_deeper(child, levels - 1) for child in children)


class DemographicsSerializer(KnownFieldsSerializer):
    """Quill's demographics; all keys optional, the whole is replaced."""

    names_sent: ClassVar = {
        "first_name": "given_name",
        "second_name": "given_name",
        "first_last_name": "family_name",
        "second_last_name": "family_name",
        "birth_date": "date_of_birth",
        "phone": "contact",
        "email": "contact",
    }

    given_name = serializers.CharField(max_length=240, required=False, allow_blank=True, allow_null=True)
    family_name = serializers.CharField(max_length=240, required=False, allow_blank=True, allow_null=True)
    date_of_birth = serializers.DateField(required=False, allow_null=True)
    sex = serializers.ChoiceField(
        choices=["male", "female", "other", "unknown", "M", "F", "O", "N"], required=False, allow_null=True
    )
    address = KeptObjectField(required=False, allow_null=True)
    contact = KeptObjectField(required=False, allow_null=True)
    meta = KeptObjectField(required=False, allow_null=True)

    def demographics_data(self) -> dict:
        """What the service takes: `sex` as a row of the gender list."""
        data = dict(self.validated_data)
        sex = data.pop("sex", None)
        if sex:
            column = "code" if len(sex) == 1 else "word"
            data["gender"] = Gender.objects.get(**{column: sex})
        return data


class StoredDemographicsSerializer(serializers.Serializer):
    repo = serializers.CharField()
    path = serializers.CharField()


class RawDemographicsSerializer(serializers.Serializer):
    repo = serializers.CharField()
    content = serializers.CharField(help_text="JSON text")


class RepositoryRowSerializer(serializers.Serializer):
    repo = serializers.CharField()
    restricted = serializers.BooleanField(required=False)
    demographics = serializers.DictField(allow_null=True)


class ArchiveSerializer(serializers.Serializer):
    reason = serializers.CharField(max_length=300)


class LookSerializer(serializers.Serializer):
    name = serializers.CharField()
    at = serializers.DateTimeField()
    kind = serializers.CharField()
    reason = serializers.CharField()


class BreakGlassSerializer(KnownFieldsSerializer):
    """Why somebody opens a chart that is restricted."""

    reason_code = serializers.ChoiceField(choices=EmergencyAccess.Reason.values)
    reason = serializers.CharField(min_length=10, max_length=500)

    def validate_reason(self, text):
        words = " ".join(text.split())
        if len(words) < 10:
            raise serializers.ValidationError(_("Say in at least 10 characters why you open this chart."))
        return words


class EmergencyAccessSerializer(serializers.ModelSerializer):
    class Meta:
        model = EmergencyAccess
        fields = ["opened_at", "expires_at", "reason_code", "reason"]
