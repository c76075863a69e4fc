"""What the audit API says. Rows come from `selectors.describe_entries`; a test holds both equal."""

from rest_framework import serializers


class AuditActorSerializer(serializers.Serializer):
    id = serializers.UUIDField(allow_null=True, help_text="The person; null for programs and the system.")
    name = serializers.CharField()
    kind = serializers.CharField(help_text="member, api_key or system")


class AuditEntrySerializer(serializers.Serializer):
    """One entry of the trail. An erased one has empty `changes` and `details`, and `erased` is true."""

    id = serializers.IntegerField(help_text="Position in the clinic's chain, from 1 without gaps.")
    uuid = serializers.UUIDField()
    timestamp = serializers.DateTimeField()
    user = AuditActorSerializer()
    action = serializers.CharField()
    resource_type = serializers.CharField()
    resource_id = serializers.CharField()
    resource_label = serializers.CharField()
    reason = serializers.CharField()
    changes = serializers.DictField(child=serializers.ListField(), help_text="field: [before, after]")
    details = serializers.DictField()
    ip = serializers.CharField()
    request_id = serializers.CharField()
    erased = serializers.BooleanField()
    entry_hash = serializers.CharField()
