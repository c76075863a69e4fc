"""Keys at rest: a hash, a prefix to name them by, scopes, and when they end."""

from functools import cached_property

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from tenancy.tenants.models import TenantForeignKey, TenantModel, TenantQuerySet, new_id, scoped_manager

from .scopes import permissions_of

PLATFORM = "platform.tenants"
"""What a platform key may and nobody else: open, list and change clinics. No role can hold it."""


class ApiKeyQuerySet(TenantQuerySet):
    def live(self, now):
        """Not revoked, not expired."""
        return self.filter(Q(expires_at__isnull=True) | Q(expires_at__gt=now), revoked_at__isnull=True)


class ApiKey(TenantModel):
    """Another server inside one clinic. Like a Membership it is the `by` of services: who, where, and what it may."""

    app_privileges = ("SELECT", "INSERT", "UPDATE")
    audit_kind = "api_key"
    user_id = None
    is_platform = False
    is_staff = True
    second_factor_due = None
    member = None
    """Columns that name a member stay empty; the trail names the key."""

    name = models.CharField(_("name"), max_length=255)
    prefix = models.CharField(_("prefix"), max_length=8, db_collation="C", editable=False)
    key_hash = models.CharField(max_length=64, db_collation="C", editable=False)
    scopes = models.JSONField(_("permissions"), default=list)
    requests_per_minute = models.PositiveIntegerField(_("requests a minute"), default=600)
    expires_at = models.DateTimeField(_("expires"), null=True, blank=True)
    last_used_at = models.DateTimeField(_("last used"), null=True, editable=False)
    created_at = models.DateTimeField(_("since"), default=timezone.now, editable=False)
    created_by = TenantForeignKey("users.Membership", null=True, related_name="+", editable=False)
    revoked_at = models.DateTimeField(_("revoked"), null=True, editable=False)
    replaced_by = TenantForeignKey("self", null=True, related_name="+", editable=False)

    objects = scoped_manager(ApiKeyQuerySet)

    class Meta:
        verbose_name = _("API key")
        verbose_name_plural = _("API keys")
        constraints = [
            models.UniqueConstraint(fields=["tenant", "key_hash"], name="api_keys_apikey_hash_uniq"),
            models.UniqueConstraint(fields=["tenant", "prefix"], name="api_keys_apikey_prefix_uniq"),
        ]
        indexes = [models.Index(fields=["tenant", "created_at", "id"], name="api_keys_apikey_created_idx")]

    def __str__(self):
        return f"{self.name} ({self.prefix})"

    @property
    def display_name(self):
        return str(self)

    @cached_property
    def permissions(self) -> frozenset[str]:
        return permissions_of(self.scopes)

    def may(self, permission: str) -> bool:
        return permission in self.permissions

    def is_live(self, now) -> bool:
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > now)


class MadeOnce(TenantModel):
    """What a caller has made under a key in the body (`once.make_once`). `caller_id` is the first key of its line."""

    app_privileges = ("SELECT", "INSERT", "UPDATE (object_id)")

    caller_id = models.UUIDField()
    kind = models.CharField(max_length=20)
    key = models.CharField(max_length=255, db_collation="C")
    fingerprint = models.CharField(max_length=64)
    object_id = models.UUIDField(null=True)
    made_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenant", "caller_id", "kind", "key"], name="api_keys_madeonce_key_uniq")
        ]

    def __str__(self):
        return f"{self.kind} {self.key}"


class PlatformKey(models.Model):
    """A key of the operator, in no clinic: opens `/v1/tenants`, and the keys of a clinic it names. Sees no patient."""

    app_privileges = ("SELECT", "INSERT", "UPDATE")
    audit_kind = "api_key"
    user_id = None
    is_platform = True
    is_staff = True
    second_factor_due = None
    member = None
    requests_per_minute = 600
    permissions = frozenset({PLATFORM})

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    name = models.CharField(_("name"), max_length=255)
    prefix = models.CharField(_("prefix"), max_length=8, db_collation="C", unique=True, editable=False)
    key_hash = models.CharField(max_length=64, db_collation="C", unique=True, editable=False)
    last_used_at = models.DateTimeField(_("last used"), null=True, editable=False)
    created_at = models.DateTimeField(_("since"), default=timezone.now, editable=False)
    revoked_at = models.DateTimeField(_("revoked"), null=True, editable=False)

    class Meta:
        verbose_name = _("platform key")
        verbose_name_plural = _("platform keys")

    def __str__(self):
        return f"{_('Platform')}: {self.name} ({self.prefix})"

    @property
    def display_name(self):
        return str(self)

    def may(self, permission: str) -> bool:
        return permission in self.permissions
