"""Tables of the trail. Plain text and ids, no foreign keys out: a trail outlives what it speaks of."""

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from tenancy.tenants.models import TenantForeignKey, TenantModel, TenantQuerySet, scoped_manager


class AuditActor(TenantModel):
    """Who stands behind a pseudonym in the chain. Only the label follows the person's name; nobody takes a row away."""

    app_privileges = ("SELECT", "INSERT", "UPDATE (label)")

    class Kind(models.TextChoices):
        MEMBER = "member", _("Member of staff")
        API_KEY = "api_key", _("API key")
        SYSTEM = "system", _("System")

    kind = models.CharField(max_length=10, choices=Kind.choices)
    ref_id = models.UUIDField(null=True, help_text=_("the membership or API key"))
    user_id = models.UUIDField(null=True)
    label = models.CharField(max_length=200)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "kind", "ref_id"], name="audit_actor_ref_uniq", nulls_distinct=False
            )
        ]
        indexes = [models.Index(fields=["tenant", "user_id"], name="audit_actor_user_idx")]

    def __str__(self):
        return self.label


class AuditHead(TenantModel):
    """The end of a clinic's chain: locked for a moment by everybody who appends."""

    app_privileges = ("SELECT", "INSERT", "UPDATE")

    seq = models.BigIntegerField(default=0)
    entry_hash = models.CharField(max_length=64, default="0" * 64)
    at = models.DateTimeField(null=True, help_text=_("when the last entry was appended"))

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant"], name="audit_head_tenant_uniq")]

    def __str__(self):
        return f"{self.seq}"


class AuditEntryQuerySet(TenantQuerySet):
    def in_order(self):
        return self.order_by("seq")

    def about(self, object_type, object_id):
        return self.filter(object_type=object_type, object_id=str(object_id))


class AuditEntry(TenantModel):
    """One link of a clinic's chain. Every column but `entry_hash` is hashed (quality.md 6.11)."""

    app_privileges = ("SELECT", "INSERT")

    v = models.SmallIntegerField(default=1)
    seq = models.BigIntegerField()
    at = models.DateTimeField()
    actor_kind = models.CharField(max_length=10)
    actor_ref = models.UUIDField()
    on_behalf_ref = models.UUIDField(null=True)
    action = models.CharField(max_length=60)
    object_type = models.CharField(max_length=60)
    object_id = models.CharField(max_length=64)
    object_version = models.CharField(max_length=100, blank=True)
    reason_code = models.CharField(max_length=60, blank=True)
    cause_id = models.UUIDField(null=True)
    request_id = models.CharField(max_length=64, blank=True)
    signature_id = models.UUIDField(null=True)
    payload_hash = models.CharField(max_length=64)
    prev_hash = models.CharField(max_length=64)
    entry_hash = models.CharField(max_length=64)

    objects = scoped_manager(AuditEntryQuerySet)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "seq"], name="audit_entry_seq_uniq")]
        indexes = [
            models.Index(fields=["tenant", "object_type", "object_id", "seq"], name="audit_entry_object_idx"),
            models.Index(fields=["tenant", "actor_ref", "seq"], name="audit_entry_actor_idx"),
            models.Index(fields=["tenant", "action", "seq"], name="audit_entry_action_idx"),
            models.Index(fields=["tenant", "at"], name="audit_entry_at_idx"),
        ]

    def __str__(self):
        return f"{self.seq} {self.action}"


class AuditPayload(TenantModel):
    """What an entry says in words: values before and after, reason, address. Erasable, see `erase_payload`."""

    app_privileges = ("SELECT", "INSERT", "DELETE")

    entry = TenantForeignKey(AuditEntry, related_name="payloads")
    salt = models.BinaryField(max_length=16)
    body = models.TextField(help_text=_("canonical JSON (RFC 8785), exactly as hashed"))

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "entry"], name="audit_payload_entry_uniq")]

    def __str__(self):
        return str(self.entry_id)


class AuditSeal(TenantModel):
    """A batch of reads, bound into the chain by its Merkle root."""

    app_privileges = ("SELECT", "INSERT")

    count = models.IntegerField()
    merkle_root = models.CharField(max_length=64)
    sealed_at = models.DateTimeField(db_default=Now())

    def __str__(self):
        return f"{self.count} reads"


class AuditRead(TenantModel):
    """Somebody opened something: one row a view, outside the chain until it is sealed."""

    app_privileges = ("SELECT", "INSERT", "UPDATE (seal_id)")

    at = models.DateTimeField()
    actor_ref = models.UUIDField()
    kind = models.CharField(max_length=30)
    object_type = models.CharField(max_length=60)
    object_id = models.CharField(max_length=64)
    reason = models.CharField(max_length=200, blank=True)
    request_id = models.CharField(max_length=64, blank=True)
    seal = TenantForeignKey(AuditSeal, null=True, related_name="reads")

    class Meta:
        indexes = [
            models.Index(fields=["tenant", "object_type", "object_id", "at"], name="audit_read_object_idx"),
            models.Index(fields=["tenant", "actor_ref", "at"], name="audit_read_actor_idx"),
            models.Index(
                fields=["tenant", "id"], name="audit_read_unsealed_idx", condition=models.Q(seal__isnull=True)
            ),
            models.Index(fields=["tenant", "seal"], name="audit_read_seal_idx"),
        ]

    def __str__(self):
        return f"{self.kind} {self.object_type}"
