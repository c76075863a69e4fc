"""What the API sends and receives about specialties (Doctolib)."""

from rest_framework import serializers

from clinic.patients.serializers import KnownFieldsSerializer

from .models import Specialty


class SpecialtySerializer(serializers.ModelSerializer):
    """A field of medicine as this clinic names it."""

    class Meta:
        model = Specialty
        fields = ["id", "name", "description", "is_active"]


class WriteSpecialtySerializer(KnownFieldsSerializer):
    """A specialty as Doctolib sends one."""

    name = serializers.CharField(max_length=120)
    description = serializers.CharField(max_length=500, required=False, allow_blank=True)
    is_active = serializers.BooleanField(required=False)
