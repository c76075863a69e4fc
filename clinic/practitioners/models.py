from django.db import models
from django.db.models.functions import Collate
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.users.models import Membership
from clinic.names import Name
from tenancy.tenants.models import TenantForeignKey, TenantModel


class Organization(TenantModel):
    """A hospital, practice or insurer this clinic has to do with."""

    app_privileges = ("SELECT", "INSERT", "UPDATE")

    name = models.CharField(_("name"), max_length=300)
    identifier_system = models.CharField(_("issued by"), max_length=200, blank=True, db_collation="C")
    identifier = models.CharField(_("identifier"), max_length=100, blank=True, db_collation="C")
    phone = models.CharField(_("phone"), max_length=40, blank=True)
    email = models.EmailField(_("e-mail"), max_length=254, blank=True)
    address = models.CharField(_("address"), max_length=300, blank=True)
    city = models.CharField(_("city"), max_length=120, blank=True)
    region = models.CharField(_("state or department"), max_length=120, blank=True)
    postal_code = models.CharField(_("postal code"), max_length=20, blank=True)
    country = models.CharField(_("country"), max_length=2, blank=True)
    is_active = models.BooleanField(_("active"), default=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        verbose_name = _("organisation")
        verbose_name_plural = _("organisations")
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "identifier_system", "identifier"],
                name="practitioners_organization_ident_uniq",
                condition=models.Q(identifier__gt=""),
            )
        ]
        indexes = [
            models.Index(fields=["tenant", "name", "id"], name="practitioners_org_order_idx"),
            models.Index("tenant", Collate("name", "C"), name="practitioners_org_name_idx"),
            models.Index(fields=["tenant", "identifier"], name="practitioners_org_ident_idx"),
        ]

    def __str__(self):
        return self.name


class Practitioner(TenantModel):
    """Somebody who treats patients, with or without an account here."""

    app_privileges = ("SELECT", "INSERT", "UPDATE")

    member = TenantForeignKey(Membership, null=True, blank=True, related_name="practitioners", verbose_name=_("member"))
    title = models.CharField(_("title"), max_length=40, blank=True)
    first_name = models.CharField(_("first name"), max_length=120)
    second_name = models.CharField(_("other given names"), max_length=120, blank=True)
    first_last_name = models.CharField(_("first family name"), max_length=120, blank=True)
    second_last_name = models.CharField(_("second family name"), max_length=120, blank=True)
    identifier_system = models.CharField(_("issued by"), max_length=200, blank=True, db_collation="C")
    identifier = models.CharField(_("identifier"), max_length=100, blank=True, db_collation="C")
    phone = models.CharField(_("phone"), max_length=40, blank=True)
    email = models.EmailField(_("e-mail"), max_length=254, blank=True)
    is_active = models.BooleanField(_("active"), default=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        verbose_name = _("practitioner")
        verbose_name_plural = _("practitioners")
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "identifier_system", "identifier"],
                name="practitioners_practitioner_ident_uniq",
                condition=models.Q(identifier__gt=""),
            )
        ]
        indexes = [
            models.Index(
                fields=["tenant", "member"],
                name="practitioners_member_idx",
                condition=models.Q(member__isnull=False),
            ),
            models.Index(fields=["tenant", "first_last_name", "first_name", "id"], name="practitioners_order_idx"),
            models.Index("tenant", Collate("first_last_name", "C"), name="practitioners_family_idx"),
            models.Index("tenant", Collate("first_name", "C"), name="practitioners_given_idx"),
            models.Index(fields=["tenant", "identifier"], name="practitioners_ident_idx"),
        ]

    def __str__(self):
        return self.name

    @property
    def name(self) -> str:
        parts = Name(self.first_name, self.second_name, self.first_last_name, self.second_last_name)
        return " ".join(part for part in (self.title, parts.whole) if part)
