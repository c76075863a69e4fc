"""What the API sends and receives about locations, rooms and devices."""

import zoneinfo

from django.utils.translation import gettext as _
from rest_framework import serializers

from clinic.patients.serializers import KnownFieldsSerializer

from .models import Location, Resource


class TimeZoneField(serializers.CharField):
    """A name of the tz database, `America/Bogota`."""

    def to_internal_value(self, data):
        name = super().to_internal_value(data)
        if name not in zoneinfo.available_timezones():
            raise serializers.ValidationError(_("Send a time zone such as America/Bogota."))
        return name


class LocationSerializer(serializers.ModelSerializer):
    """A house where visits happen. All its times are meant by its clock."""

    class Meta:
        model = Location
        fields = ["id", "name", "time_zone", "address", "phone", "is_active"]


class WriteLocationSerializer(KnownFieldsSerializer):
    name = serializers.CharField(max_length=120)
    time_zone = TimeZoneField(max_length=64)
    address = serializers.CharField(max_length=300, required=False, allow_blank=True)
    phone = serializers.CharField(max_length=30, required=False, allow_blank=True)
    is_active = serializers.BooleanField(required=False)


class RoomSerializer(serializers.ModelSerializer):
    """A room or device that one visit at a time can have."""

    location_id = serializers.UUIDField()

    class Meta:
        model = Resource
        fields = ["id", "location_id", "kind", "name", "category", "is_active"]


class WriteRoomSerializer(KnownFieldsSerializer):
    """`category` is what appointment types ask for, such as `ultrasound`. A room stays at its location."""

    location_id = serializers.UUIDField()
    kind = serializers.ChoiceField(choices=Resource.Kind.choices, required=False)
    name = serializers.CharField(max_length=120)
    category = serializers.CharField(max_length=60, required=False, allow_blank=True)
    is_active = serializers.BooleanField(required=False)
