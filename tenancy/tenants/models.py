"""Tenant, and what every row of a tenant is made of."""

import uuid
import zoneinfo

import uuid_utils
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django_scopes import ScopedManager
from uuid_utils.compat import uuid7

from .fields import TenantField, TenantForeignKey

__all__ = [
    "Counter",
    "Tenant",
    "TenantForeignKey",
    "TenantModel",
    "TenantQuerySet",
    "new_id",
    "new_id_text",
    "scoped_manager",
]


def new_id() -> uuid.UUID:
    """A UUIDv7: unique, in order of making, made in Python so that no server version matters."""
    return uuid7()


def new_id_text() -> str:
    """The same as text, for rows that nobody looks at in Python: a quarter of the cost."""
    return str(uuid_utils.uuid7())


def validate_time_zone(name):
    """Refuse names that are no IANA time zone."""
    if name not in zoneinfo.available_timezones():
        raise ValidationError(_("%(name)s is not a time zone such as America/Bogota."), params={"name": name})


class Tenant(models.Model):
    """One clinic. Global: it is looked up before anybody is inside of one."""

    app_privileges = ("SELECT", "INSERT", "UPDATE")

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    slug = models.CharField(
        _("short name"),
        max_length=40,
        unique=True,
        validators=[
            RegexValidator(r"^[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?$", _("Lower-case letters, digits, hyphens."))
        ],
    )
    name = models.CharField(_("name"), max_length=200)
    is_active = models.BooleanField(_("active"), default=True)
    time_zone = models.CharField(_("time zone"), max_length=64, default="UTC", validators=[validate_time_zone])
    language = models.CharField(_("language"), max_length=8, default="en")
    country = models.CharField(
        _("country"), max_length=2, default="CO", help_text=_("ISO 3166 code, for phone numbers")
    )
    two_factor_required = models.BooleanField(_("staff need a second factor"), default=True)
    two_factor_since = models.DateTimeField(default=timezone.now, editable=False)
    idle_minutes = models.PositiveSmallIntegerField(
        _("lock after so many idle minutes"), default=15, validators=[MinValueValidator(5), MaxValueValidator(60)]
    )
    session_hours = models.PositiveSmallIntegerField(
        _("sign in again after so many hours"), default=12, validators=[MinValueValidator(1), MaxValueValidator(24)]
    )
    allows_registration = models.BooleanField(_("patients may register themselves"), default=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        verbose_name = _("clinic")
        verbose_name_plural = _("clinics")
        ordering = ["name"]

    def __str__(self):
        return self.name

    @property
    def zone(self) -> zoneinfo.ZoneInfo:
        return zoneinfo.ZoneInfo(self.time_zone)


class TenantQuerySet(models.QuerySet):
    """The queryset of every tenant table; rooms subclass it with their own words."""


def scoped_manager(queryset_class: type[models.QuerySet] = TenantQuerySet) -> models.Manager:
    """A manager that raises ScopeError outside of `tenant_context` and filters by the tenant inside."""
    return ScopedManager(models.Manager.from_queryset(queryset_class), tenant="tenant_id")


class TenantModel(models.Model):
    """A row of one clinic. `app_privileges` is what the app role may do to the table."""

    app_privileges: tuple[str, ...] = ("SELECT", "INSERT", "UPDATE", "DELETE")

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    tenant = TenantField()

    objects = scoped_manager()

    class Meta:
        abstract = True

    def _do_update(self, base_qs, using, pk_val, values, update_fields, forced_update):
        # The tenant is in the WHERE and never in the SET: it can not change, and Citus routes by it.
        values = [entry for entry in values if entry[0].attname != "tenant_id"]
        base_qs = base_qs.filter(tenant_id=self.tenant_id)
        if not values:
            return update_fields is not None or base_qs.filter(pk=pk_val).exists()
        return super()._do_update(base_qs, using, pk_val, values, update_fields, forced_update)


class Counter(TenantModel):
    """The last number given out for one kind of thing in one clinic (patient numbers, later CAPA and deviations)."""

    name = models.CharField(max_length=60)
    value = models.BigIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "name"], name="tenants_counter_name_uniq")]

    def __str__(self):
        return f"{self.name}: {self.value}"
