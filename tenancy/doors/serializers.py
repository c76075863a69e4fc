"""What serializers of several rooms are made of."""

from datetime import UTC, datetime

from django.utils.translation import gettext as _
from rest_framework import serializers

EARLIEST, LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)


class KnownFieldsSerializer(serializers.Serializer):
    """Refuses keys it does not know by name, so that nothing sent is dropped in silence."""

    def to_internal_value(self, data):
        unknown = set(data) - set(self.fields) if isinstance(data, dict) else ()
        if unknown:
            raise serializers.ValidationError(
                {str(key)[:100]: [_("There is no such field.")] for key in sorted(unknown)}
            )
        return super().to_internal_value(data)


class MomentField(serializers.DateTimeField):
    """A point in time of this century or the next: others overflow when a clock is put on them."""

    def to_internal_value(self, value):
        try:
            moment = super().to_internal_value(value)
        except OverflowError:
            moment = LATEST
        if not EARLIEST <= moment < LATEST:
            raise serializers.ValidationError(_("The year has to lie between 2000 and 2199."), code="range")
        return moment
