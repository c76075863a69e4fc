"""What serializers of several rooms are made of."""

from django.utils.translation import gettext as _
from rest_framework import serializers


class KnownFieldsSerializer(serializers.Serializer):
    """Refuses keys it does not know by name, so that nothing sent is dropped in silence."""

    def to_internal_value(self, data):
        unknown = set(data) - set(self.fields) if isinstance(data, dict) else ()
        if unknown:
            raise serializers.ValidationError(
                {str(key)[:100]: [_("There is no such field.")] for key in sorted(unknown)}
            )
        return super().to_internal_value(data)
