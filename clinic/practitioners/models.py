from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models.functions import Collate
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.users.models import Membership
from clinic.names import Name
from clinic.patients.models import DocumentType
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


class Specialty(TenantModel):
    """A field of medicine as this clinic names it (Doctolib's specialties)."""

    app_privileges = ("SELECT", "INSERT", "UPDATE")

    name = models.CharField(_("name"), max_length=120)
    name_key = models.CharField(max_length=240, editable=False)
    description = models.CharField(_("description"), max_length=500, blank=True)
    is_active = models.BooleanField(_("active"), default=True)

    class Meta:
        verbose_name = _("specialty")
        verbose_name_plural = _("specialties")
        constraints = [models.UniqueConstraint(fields=["tenant", "name_key"], name="practitioners_specialty_name_uniq")]

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
    document_type = models.ForeignKey(
        DocumentType, models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("document type")
    )
    document_number = models.CharField(_("document number"), max_length=50, blank=True)
    document_key = models.CharField(max_length=50, blank=True, db_collation="C", editable=False)
    colour = models.PositiveSmallIntegerField(
        _("colour"), default=1, validators=[MinValueValidator(1), MaxValueValidator(12)]
    )
    is_active = models.BooleanField(_("active"), default=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        verbose_name = _("practitioner")
        verbose_name_plural = _("practitioners")
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "document_type", "document_key"],
                name="practitioners_practitioner_document_uniq",
                condition=models.Q(document_key__gt=""),
            ),
            models.UniqueConstraint(
                fields=["tenant", "identifier_system", "identifier"],
                name="practitioners_practitioner_ident_uniq",
                condition=models.Q(identifier__gt=""),
            ),
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


class PractitionerSpecialty(TenantModel):
    """A specialty of a practitioner; the one with the lowest `rank` is the one MediSecure shows."""

    practitioner = TenantForeignKey(Practitioner, related_name="specialties")
    specialty = TenantForeignKey(Specialty, related_name="practitioners")
    rank = models.PositiveSmallIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "practitioner", "specialty"], name="practitioners_practspecialty_uniq"
            )
        ]

    def __str__(self):
        return f"{self.practitioner_id}: {self.specialty_id}"
