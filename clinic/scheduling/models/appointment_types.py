"""Kinds of visits: how long, with whom, with what, and who may book them."""

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts.qualifications.models import QualificationKind
from clinic.places.models import Resource
from clinic.practitioners.models import Practitioner
from tenancy.tenants.models import TenantForeignKey, TenantModel

LONGEST_VISIT_MINUTES = 8 * 60  # contract.md 5.2


class Modality(models.TextChoices):
    """How somebody is seen."""

    IN_PERSON = "in_person", _("In person")
    VIDEO = "video", _("Video")
    PHONE = "phone", _("Phone")
    HOME = "home", _("At home")


class AppointmentType(TenantModel):
    """A kind of visit: how long, with whom, with what, and who may book it."""

    app_privileges = ("SELECT", "INSERT", "UPDATE")

    class SelfService(models.TextChoices):
        """What patients may do by themselves (wish 15)."""

        NONE = "none", _("Only the clinic books")
        REQUEST = "request", _("Patients may ask for a time")
        BOOK = "book", _("Patients may book")

    code = models.SlugField(_("code"), max_length=40, db_index=False)
    name = models.CharField(_("name"), max_length=120)
    minutes = models.PositiveSmallIntegerField(
        _("minutes"), validators=[MinValueValidator(1), MaxValueValidator(LONGEST_VISIT_MINUTES)]
    )
    buffer_before = models.PositiveSmallIntegerField(_("minutes kept free before"), default=0)
    buffer_after = models.PositiveSmallIntegerField(_("minutes kept free after"), default=0)
    modality = models.CharField(_("modality"), max_length=10, choices=Modality.choices, default=Modality.IN_PERSON)
    price = models.DecimalField(_("price"), max_digits=12, decimal_places=2, null=True, blank=True)
    currency = models.CharField(_("currency"), max_length=3, blank=True, help_text=_("Three letters, such as COP"))
    capacity = models.PositiveSmallIntegerField(
        _("places"), default=1, validators=[MinValueValidator(1), MaxValueValidator(200)]
    )
    lead_hours = models.PositiveSmallIntegerField(_("patients book at least so many hours ahead"), default=0)
    horizon_days = models.PositiveSmallIntegerField(_("patients book at most so many days ahead"), default=90)
    per_day = models.PositiveSmallIntegerField(_("at most so many a day and practitioner"), null=True, blank=True)
    self_service = models.CharField(
        _("self-service"), max_length=10, choices=SelfService.choices, default=SelfService.NONE
    )
    colour = models.PositiveSmallIntegerField(_("colour"), default=1)
    is_active = models.BooleanField(_("active"), default=True)

    class Meta:
        verbose_name = _("appointment type")
        verbose_name_plural = _("appointment types")
        constraints = [
            models.UniqueConstraint(fields=["tenant", "code"], name="scheduling_type_code_uniq"),
            models.CheckConstraint(condition=Q(minutes__gte=1), name="scheduling_type_minutes_chk"),
            models.CheckConstraint(condition=Q(capacity__gte=1), name="scheduling_type_capacity_chk"),
        ]

    def __str__(self):
        return self.name


class TypePerformer(TenantModel):
    """A practitioner who may do this kind of visit. A type without any row is open to everybody."""

    type = TenantForeignKey(AppointmentType, related_name="performers")
    practitioner = TenantForeignKey(Practitioner, related_name="performs")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenant", "type", "practitioner"], name="scheduling_typeperformer_uniq")
        ]

    def __str__(self):
        return f"{self.practitioner_id} does {self.type_id}"


class TypeNeed(TenantModel):
    """A visit of this type needs one room or device of a category."""

    type = TenantForeignKey(AppointmentType, related_name="needs")
    kind = models.CharField(_("kind"), max_length=10, choices=Resource.Kind.choices)
    category = models.CharField(_("category"), max_length=60, blank=True, help_text=_("empty: any of that kind"))

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenant", "type", "kind", "category"], name="scheduling_typeneed_uniq")
        ]

    def __str__(self):
        return self.category or self.kind


class TypeQualification(TenantModel):
    """Who does this kind of visit has to hold this qualification on that day."""

    type = TenantForeignKey(AppointmentType, related_name="qualifications")
    kind = TenantForeignKey(QualificationKind, related_name="+")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "type", "kind"], name="scheduling_typequalif_uniq")]

    def __str__(self):
        return f"{self.type_id} needs {self.kind_id}"
