from rest_framework import serializers

from .kinds import CATEGORIES, PRIORITIES
from .rendering import render_for_list


class NotificationSerializer(serializers.Serializer):
    """The contract's notification (K44): `id` counts in the clinic, `uuid` names it everywhere (decision X10)."""

    id = serializers.IntegerField(source="number")
    uuid = serializers.UUIDField(source="pk")
    subject = serializers.CharField()
    body = serializers.CharField()
    created_at = serializers.DateTimeField()
    resource_type = serializers.CharField(source="about_type", help_text="Such as `document`; may be empty.")
    resource_id = serializers.CharField(source="about_id")
    url = serializers.CharField(help_text="A path of this installation; may be empty.")
    category = serializers.ChoiceField(choices=list(CATEGORIES))
    priority = serializers.ChoiceField(choices=list(PRIORITIES))
    is_read = serializers.BooleanField()
    read_at = serializers.DateTimeField(allow_null=True)

    def to_representation(self, notification):
        words = render_for_list(notification)
        notification.subject, notification.body = words.title, words.body
        return super().to_representation(notification)


class MarkAllReadSerializer(serializers.Serializer):
    """All that is there by now, or all up to the newest that was shown."""

    up_to = serializers.IntegerField(
        required=False, min_value=0, max_value=2_147_483_647, help_text="The highest `id` that was shown."
    )


class CountSerializer(serializers.Serializer):
    count = serializers.IntegerField(help_text="How many were unread before.")
