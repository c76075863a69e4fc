"""What `/v1/webhooks` and `/v1/webhook-deliveries` send and receive."""

from datetime import timedelta

from rest_framework import serializers

from tenancy.doors.serializers import KnownFieldsSerializer, MomentField
from tenancy.events.models import Attempt, Delivery, Endpoint
from tenancy.events.registry import ALL


class WebhookSerializer(serializers.ModelSerializer):
    """A webhook without its secret. `why` says why it is not active; `waiting` how many deliveries wait."""

    waiting = serializers.IntegerField(default=0)
    event_types = serializers.ListField(child=serializers.CharField())

    class Meta:
        model = Endpoint
        fields = [
            *["id", "kind", "url", "description", "event_types", "state", "why", "failures_in_row", "waiting"],
            *["last_success_at", "old_secret_until", "version", "created_at", "updated_at"],
        ]

    def to_representation(self, instance):
        return super().to_representation(instance) | {"waiting": getattr(instance, "waiting", 0) or 0}


class NewSecretSerializer(WebhookSerializer):
    """The only answer that ever has a secret."""

    secret = serializers.CharField(help_text="`whsec_…`; verifies as Standard Webhooks describes")

    class Meta(WebhookSerializer.Meta):
        fields = [*WebhookSerializer.Meta.fields, "secret"]


class WriteWebhookSerializer(KnownFieldsSerializer):
    """A webhook to make or change."""

    url = serializers.CharField(max_length=500, required=False, help_text="https, ports 443 and 8443")
    description = serializers.CharField(max_length=200, required=False, allow_blank=True)
    event_types = serializers.ListField(
        child=serializers.CharField(max_length=60), required=False, min_length=1, max_length=100, default=[ALL]
    )
    kind = serializers.ChoiceField(choices=Endpoint.Kind.choices, required=False)

    def validate(self, attrs):
        if not self.partial and attrs.get("kind") != Endpoint.Kind.QUEUE and not attrs.get("url"):
            raise serializers.ValidationError({"url": [self.fields["url"].error_messages["required"]]})
        return attrs


class ChangeWebhookSerializer(KnownFieldsSerializer):
    """What changes; the rest stays."""

    url = serializers.CharField(max_length=500, required=False)
    description = serializers.CharField(max_length=200, required=False, allow_blank=True)
    event_types = serializers.ListField(
        child=serializers.CharField(max_length=60), required=False, min_length=1, max_length=100
    )


class RotateSecretSerializer(KnownFieldsSerializer):
    """For how many hours the old secret signs along."""

    overlap_hours = serializers.IntegerField(min_value=0, max_value=720, required=False, default=24)

    @property
    def overlap(self) -> timedelta:
        return timedelta(hours=self.validated_data["overlap_hours"])


class ResendSerializer(KnownFieldsSerializer):
    """A span of time, the end not counted; without `until` it is now."""

    since = MomentField()
    until = MomentField(required=False)
    only_failed = serializers.BooleanField(required=False, default=False)


class ResentSerializer(serializers.Serializer):
    """How many events are on their way again."""

    resent = serializers.IntegerField()


class EventTypeSerializer(serializers.Serializer):
    code = serializers.CharField()
    description = serializers.CharField()


class EventTypesSerializer(serializers.Serializer):
    items = EventTypeSerializer(many=True)


class AttemptSerializer(serializers.ModelSerializer):
    """One try. `error` is empty for success; `answer` is the beginning of what the receiver said, as text."""

    class Meta:
        model = Attempt
        fields = ["number", "at", "status", "error", "ms", "answer"]


class DeliverySerializer(serializers.ModelSerializer):
    """One event on its way to one webhook, with every try."""

    webhook_id = serializers.UUIDField(source="endpoint_id")
    event_id = serializers.UUIDField()
    type = serializers.CharField(source="event.type")
    object_type = serializers.CharField(source="event.object_type")
    object_id = serializers.UUIDField(source="event.object_id")
    sequence = serializers.IntegerField(source="event.sequence")
    occurred_at = serializers.DateTimeField(source="event.occurred_at")
    tries = AttemptSerializer(source="log", many=True)

    class Meta:
        model = Delivery
        fields = [
            *["id", "webhook_id", "event_id", "type", "object_type", "object_id", "sequence", "occurred_at"],
            *["state", "attempts", "since", "next_try_at", "delivered_at", "tries"],
        ]
