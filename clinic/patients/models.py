"""The patient, and what hangs on it."""

from collections.abc import Callable
from functools import partial
from uuid import UUID

import pghistory
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.users.models import Membership
from clinic.names import Name
from tenancy.tenants.models import TenantForeignKey, TenantModel, TenantQuerySet, scoped_manager

from .masking import MaskedRows


class Lookup(models.Model):
    """A row of a list all clinics share (decisions X14, X15); `code` is what machines say, `name` what people read."""

    app_privileges = ("SELECT",)

    id = models.SmallIntegerField(primary_key=True)
    code = models.CharField(max_length=20, unique=True)
    name = models.CharField(max_length=120)

    class Meta:
        abstract = True
        ordering = ["id"]

    def __str__(self):
        return str(_(self.name)) if self.name else self.code


class DocumentType(Lookup):
    """Kinds of identity documents: those of Colombia (REPS), and passports and licences of other countries."""

    country = models.CharField(max_length=2, blank=True)


class Gender(Lookup):
    """Administrative gender. MediSecure and FHIR say `word`, Secre says `code`."""

    word = models.CharField(max_length=10, unique=True)


class Insurer(Lookup):
    """Health insurers (EPS of Colombia)."""

    nit = models.CharField(max_length=20, blank=True)


ROW_FIELDS = [
    *["id", "tenant", "number", "version", "title", "first_name", "second_name", "first_last_name", "second_last_name"],
    *["sort_name", "birth_date", "died_on", "is_deceased", "archived_at", "document_number", "phone", "cell_phone"],
    *["gender__name", "gender__code", "document_type__code", "restricted_at", "user"],
]


class PatientQuerySet(TenantQuerySet):
    def present(self):
        """Not archived."""
        return self.filter(archived_at__isnull=True)

    opened: Callable[[], "dict[UUID, EmergencyAccess | None]"] | None = None
    """The restricted charts the reader may open; None where nothing is masked (set by `visible_to`)."""

    def _clone(self):
        clone = super()._clone()
        clone.opened = self.opened
        return clone

    def visible_to(self, member: Membership):
        """All patients for staff who may see them; for a patient their own chart; otherwise none.

        A restricted chart that the member may not open comes as its name and number, and `is_masked`
        (docs/decisions/0009). Rows taken as `values()` come as they are: ask for nothing but ids so.
        """
        if member.may("patients.view"):
            return self.masked_for(member)
        if member.may("patients.view_own"):
            return self.filter(user_id=member.user_id)
        return self.none()

    def masked_for(self, member: Membership):
        """All patients, restricted charts masked, whether or not the member may see any: for what hangs on them."""
        visible = self._chain()
        visible._iterable_class = MaskedRows
        visible.opened = partial(open_charts, member)
        return visible

    def with_lookups(self):
        return self.select_related("gender", "document_type", "insurer")

    def as_rows(self):
        """Only what a list shows; the long texts of a chart stay where they are."""
        return self.select_related(None).select_related("gender", "document_type").only(*ROW_FIELDS)


class Patient(TenantModel):
    """A person known to one clinic. The same person elsewhere is another row."""

    app_privileges = ("SELECT", "INSERT", "UPDATE")

    class AllergyStatus(models.TextChoices):
        """ "None known" is an answer; "not asked" is a question still open (ui.md)."""

        NOT_ASKED = "not_asked", _("Allergies not asked")
        NONE_KNOWN = "none_known", _("No known allergies")
        RECORDED = "recorded", _("Has allergies")

    class BloodType(models.TextChoices):
        A_POSITIVE = "A+", "A+"
        A_NEGATIVE = "A-", "A-"
        B_POSITIVE = "B+", "B+"
        B_NEGATIVE = "B-", "B-"
        AB_POSITIVE = "AB+", "AB+"
        AB_NEGATIVE = "AB-", "AB-"
        O_POSITIVE = "O+", "O+"
        O_NEGATIVE = "O-", "O-"

    class MaritalStatus(models.TextChoices):
        """HL7 v3 codes, as FHIR sends them."""

        SINGLE = "S", _("Single")
        MARRIED = "M", _("Married")
        DIVORCED = "D", _("Divorced")
        WIDOWED = "W", _("Widowed")
        PARTNER = "T", _("Domestic partner")
        SEPARATED = "L", _("Legally separated")

    number = models.BigIntegerField(_("patient number"), editable=False)
    version = models.IntegerField(default=1, editable=False)
    user = models.ForeignKey(
        "users.User", models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("account")
    )

    title = models.CharField(_("title"), max_length=40, blank=True)
    first_name = models.CharField(_("first name"), max_length=120, blank=True)
    second_name = models.CharField(_("other given names"), max_length=120, blank=True)
    first_last_name = models.CharField(_("first family name"), max_length=120, blank=True)
    second_last_name = models.CharField(_("second family name"), max_length=120, blank=True)
    previous_names = models.CharField(_("previous names"), max_length=300, blank=True)
    sort_name = models.CharField(max_length=500, db_collation="C", editable=False)

    birth_date = models.DateField(_("birth date"), null=True, blank=True)
    died_on = models.DateField(_("died on"), null=True, blank=True)
    is_deceased = models.BooleanField(_("has died"), default=False)
    gender = models.ForeignKey(Gender, models.PROTECT, related_name="+", verbose_name=_("sex"))
    marital_status = models.CharField(_("marital status"), max_length=1, blank=True, choices=MaritalStatus)
    document_type = models.ForeignKey(
        DocumentType, models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("document type")
    )
    document_number = models.CharField(_("document number"), max_length=50, blank=True)
    document_key = models.CharField(max_length=50, blank=True, db_collation="C", editable=False)
    insurer = models.ForeignKey(
        Insurer, models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("insurer")
    )

    phone = models.CharField(_("phone"), max_length=30, blank=True)
    cell_phone = models.CharField(_("mobile phone"), max_length=30, blank=True)
    email = models.EmailField(_("e-mail"), max_length=254, blank=True)
    address = models.CharField(_("address"), max_length=300, blank=True)
    city = models.CharField(_("city"), max_length=120, blank=True)
    region = models.CharField(_("state or department"), max_length=120, blank=True)
    postal_code = models.CharField(_("postal code"), max_length=20, blank=True)
    country = models.CharField(_("country"), max_length=2, blank=True, help_text=_("Two letters, such as CO"))
    language = models.CharField(_("language spoken"), max_length=35, blank=True)
    needs_interpreter = models.BooleanField(_("needs an interpreter"), default=False)

    blood_type = models.CharField(_("blood type"), max_length=3, blank=True, choices=BloodType)
    allergy_status = models.CharField(
        _("allergies asked"), max_length=12, choices=AllergyStatus, default=AllergyStatus.NOT_ASKED
    )
    allergies = models.TextField(_("allergies"), max_length=2000, blank=True)
    medical_history = models.TextField(_("medical history"), max_length=20000, blank=True)
    alerts = models.CharField(_("alerts"), max_length=500, blank=True, help_text=_("Shown on every page of the chart"))

    habeas_data = models.BooleanField(_("agrees to data processing"), default=False)
    custom_fields = models.JSONField(_("custom fields"), default=dict, blank=True)
    demographics = models.JSONField(default=dict, blank=True, editable=False)

    restricted_at = models.DateTimeField(null=True, editable=False)
    archived_at = models.DateTimeField(null=True, editable=False)
    archive_reason = models.CharField(max_length=300, blank=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_by = TenantForeignKey(Membership, null=True, editable=False, related_name="+")

    is_masked = False
    """Only name and number are there: the chart is restricted, and whoever asked may not open it."""
    emergency: "EmergencyAccess | None" = None
    """What lets the reader see this restricted chart just now, where nothing else does."""

    objects = scoped_manager(PatientQuerySet)

    class Meta:
        verbose_name = _("patient")
        verbose_name_plural = _("patients")
        constraints = [
            models.UniqueConstraint(fields=["tenant", "number"], name="patients_patient_number_uniq"),
            models.UniqueConstraint(
                fields=["tenant", "document_type", "document_key"],
                name="patients_patient_document_uniq",
                condition=models.Q(document_key__gt=""),
            ),
            models.CheckConstraint(
                condition=models.Q(died_on__isnull=True) | models.Q(is_deceased=True),
                name="patients_patient_death_chk",
            ),
            models.CheckConstraint(
                condition=models.Q(document_key="") | models.Q(document_type__isnull=False),
                name="patients_patient_document_chk",
            ),
        ]
        indexes = [
            models.Index(fields=["tenant", "sort_name", "id"], name="patients_patient_sort_idx"),
            models.Index(fields=["tenant", "birth_date"], name="patients_patient_birth_idx"),
            models.Index(
                fields=["tenant", "user"], name="patients_patient_user_idx", condition=models.Q(user__isnull=False)
            ),
        ]

    def __str__(self):
        return self.name

    def clean(self):
        """Facts about one row. Raises ValidationError by field (texts of Secre 5.2 where it gives one)."""
        problems = {}
        today = timezone.localdate()
        if not (self.first_name or self.first_last_name):
            problems["first_name"] = _("Give at least one name.")
        if self.birth_date and self.birth_date > today:
            problems["birth_date"] = _("Birth date cannot be in the future")
        elif self.birth_date and self.birth_date.year < today.year - 150:
            problems["birth_date"] = _("Birth date is too old (more than 150 years)")
        if self.died_on and self.died_on > today:
            problems["died_on"] = _("The day of death cannot be in the future")
        elif self.died_on and self.birth_date and self.died_on < self.birth_date:
            problems["died_on"] = _("The day of death cannot be before the birth date")
        if self.document_number and not self.document_type_id:
            problems["document_type"] = _("Say what kind of document this number is on.")
        if self.allergies and self.allergy_status == self.AllergyStatus.NONE_KNOWN:
            problems["allergies"] = _("This says both that there are allergies and that none are known.")
        if problems:
            raise ValidationError(problems)

    @property
    def name_parts(self) -> Name:
        return Name(self.first_name, self.second_name, self.first_last_name, self.second_last_name)

    @property
    def name(self) -> str:
        """The whole name (MediSecure's `name`)."""
        return self.name_parts.whole

    @property
    def repo(self) -> str:
        """The name of the patient's repository (Quill)."""
        return f"patient-{self.pk}"

    @property
    def is_archived(self) -> bool:
        return self.archived_at is not None

    @property
    def is_restricted(self) -> bool:
        return self.restricted_at is not None

    @property
    def full_address(self) -> str:
        """One line for MediSecure and for envelopes."""
        place = " ".join(part for part in (self.postal_code, self.city) if part)
        return ", ".join(part for part in (self.address, place, self.region, self.country) if part)


class PatientVersion(
    pghistory.create_event_model(
        Patient,
        pghistory.InsertEvent(),
        pghistory.UpdateEvent(),
        obj_field=pghistory.ObjForeignKey(related_name="versions", related_query_name="versions", db_constraint=False),
        context_field=None,  # the version names its editor in its own columns
        context_id_field=None,
    )
):
    """Every state a patient row was ever in, written by a trigger: `update()` and raw SQL are caught too."""

    app_privileges = ("SELECT", "INSERT")

    objects = scoped_manager()

    class Meta:
        indexes = [
            models.Index(fields=["tenant", "pgh_obj", "pgh_id"], name="patients_version_obj_idx"),
        ]


class PatientIdentifier(TenantModel):
    """One more number somebody knows a patient by: insurance, passport, another hospital's record number."""

    class Kind(models.TextChoices):
        """HL7 v2-0203 codes, as FHIR sends them."""

        MEDICAL_RECORD = "MR", _("Medical record number")
        SOCIAL_SECURITY = "SS", _("Social security number")
        DRIVERS_LICENSE = "DL", _("Driver's licence")
        PASSPORT = "PPN", _("Passport")
        NATIONAL = "NI", _("National identifier")
        INSURANCE = "SN", _("Insurance number")
        OTHER = "XX", _("Other number")

    app_privileges = ("SELECT", "INSERT", "UPDATE", "DELETE")

    patient = TenantForeignKey(Patient, related_name="identifiers")
    kind = models.CharField(_("kind"), max_length=5, choices=Kind)
    system = models.CharField(_("issued by"), max_length=200, blank=True, db_collation="C")
    value = models.CharField(_("number"), max_length=100, db_collation="C")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        verbose_name = _("identifier")
        verbose_name_plural = _("identifiers")
        constraints = [
            models.UniqueConstraint(fields=["tenant", "system", "kind", "value"], name="patients_identifier_value_uniq")
        ]
        indexes = [models.Index(fields=["tenant", "patient"], name="patients_identifier_pat_idx")]

    def __str__(self):
        return f"{self.get_kind_display()} {self.value}"


class Consent(TenantModel):
    """What a patient agreed or objected to, when, and who noted it. A change is a new row; the newest counts."""

    app_privileges = ("SELECT", "INSERT")

    class Kind(models.TextChoices):
        DATA_PROCESSING = "habeas_data", _("Processing of personal data (Law 1581)")
        MESSAGES = "messages", _("Reminders and messages")
        RESEARCH = "research", _("Use for research")

    patient = TenantForeignKey(Patient, related_name="consents")
    kind = models.CharField(_("kind"), max_length=20, choices=Kind)
    granted = models.BooleanField(_("agreed"))
    note = models.CharField(_("note"), max_length=300, blank=True)
    recorded_at = models.DateTimeField(default=timezone.now)
    recorded_by = TenantForeignKey(Membership, null=True, related_name="+")

    class Meta:
        verbose_name = _("consent")
        verbose_name_plural = _("consents")
        indexes = [models.Index(fields=["tenant", "patient", "kind", "recorded_at"], name="patients_consent_idx")]

    def __str__(self):
        return f"{self.get_kind_display()}: {self.granted}"


class CustomField(TenantModel):
    """A field this clinic has added to its patients."""

    class Type(models.TextChoices):
        TEXT = "text", _("Text")
        NUMBER = "number", _("Number")
        DATE = "date", _("Date")
        YES_NO = "yes_no", _("Yes or no")
        CHOICE = "choice", _("One of a list")

    app_privileges = ("SELECT", "INSERT", "UPDATE")

    key = models.SlugField(_("key"), max_length=60, help_text=_("How machines name it; can not be changed later"))
    label = models.CharField(_("label"), max_length=120)
    type = models.CharField(_("type"), max_length=10, choices=Type)
    choices = models.JSONField(_("choices"), default=list, blank=True)
    is_filterable = models.BooleanField(_("can be searched for"), default=False)
    is_active = models.BooleanField(_("in use"), default=True)
    position = models.SmallIntegerField(_("position"), default=0)

    class Meta:
        verbose_name = _("custom field")
        verbose_name_plural = _("custom fields")
        ordering = ["position", "key"]
        constraints = [models.UniqueConstraint(fields=["tenant", "key"], name="patients_customfield_key_uniq")]

    def __str__(self):
        return self.label


class PatientToken(TenantModel):
    """One word a patient can be found by: the only search index that works under row policies."""

    patient = TenantForeignKey(Patient, related_name="tokens")
    token = models.CharField(max_length=120, db_collation="C")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenant", "token", "patient"], name="patients_token_uniq"),
        ]
        indexes = [models.Index(fields=["tenant", "patient", "token"], name="patients_token_patient_idx")]

    def __str__(self):
        return self.token


class PatientFieldValue(TenantModel):
    """The value of one filterable custom field, where an index can find it."""

    patient = TenantForeignKey(Patient, related_name="field_values")
    field = TenantForeignKey(CustomField, related_name="+")
    value = models.CharField(max_length=200, db_collation="C")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenant", "field", "patient"], name="patients_fieldvalue_uniq"),
        ]
        indexes = [
            models.Index(fields=["tenant", "field", "value", "patient"], name="patients_fieldvalue_find_idx"),
            models.Index(fields=["tenant", "patient"], name="patients_fieldvalue_pat_idx"),
        ]

    def __str__(self):
        return self.value


class ChartRestriction(TenantModel):
    """A time in which a chart is open to few (docs/decisions/0009). The newest without an end is in force."""

    app_privileges = ("SELECT", "INSERT", "UPDATE (lift_reason, lifted_at, lifted_by_id)")

    patient = TenantForeignKey(Patient, related_name="restrictions")
    reason = models.CharField(_("reason"), max_length=300)
    restricted_at = models.DateTimeField(default=timezone.now)
    restricted_by = TenantForeignKey(Membership, related_name="+")
    lifted_at = models.DateTimeField(null=True)
    lifted_by = TenantForeignKey(Membership, null=True, related_name="+")
    lift_reason = models.CharField(max_length=300, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "patient"],
                name="patients_restriction_live_uniq",
                condition=models.Q(lifted_at__isnull=True),
            ),
        ]

    def __str__(self):
        return self.reason


class ChartAccess(TenantModel):
    """One name on the list of those who open a restricted chart as usual, from when to when."""

    app_privileges = ("SELECT", "INSERT", "UPDATE (ended_at, ended_by_id)")

    patient = TenantForeignKey(Patient, related_name="allowed")
    member = TenantForeignKey(Membership, related_name="+")
    added_at = models.DateTimeField(default=timezone.now)
    added_by = TenantForeignKey(Membership, related_name="+")
    ended_at = models.DateTimeField(null=True)
    ended_by = TenantForeignKey(Membership, null=True, related_name="+")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "patient", "member"],
                name="patients_access_live_uniq",
                condition=models.Q(ended_at__isnull=True),
            ),
        ]
        indexes = [models.Index(fields=["tenant", "member"], name="patients_access_member_idx")]

    def __str__(self):
        return f"{self.member_id} may open {self.patient_id}"


class EmergencyAccessQuerySet(TenantQuerySet):
    def live(self, now):
        """Open at this moment."""
        return self.filter(ended_at__isnull=True, opened_at__lte=now, expires_at__gt=now)

    def not_reviewed(self):
        return self.filter(reviewed_at__isnull=True)


class EmergencyAccess(TenantModel):
    """Somebody broke the glass: who, why, from when to when, and what the reviewer said (clinic.md 5.8, R42).

    Nobody connected as the app can move `expires_at` or rewrite the reason.
    """

    app_privileges = (
        *("SELECT", "INSERT"),
        "UPDATE (ended_at, review_note, reviewed_at, reviewed_by_id, verdict)",
    )

    class Reason(models.TextChoices):
        EMERGENCY = "emergency", _("Emergency treatment")
        COVERING = "covering", _("Covering for a colleague")
        PATIENT_ASKED = "patient_asked", _("The patient asked for it")
        OTHER = "other", _("Another reason")

    class Verdict(models.TextChoices):
        JUSTIFIED = "justified", _("Justified")
        NOT_JUSTIFIED = "not_justified", _("Not justified")

    patient = TenantForeignKey(Patient, related_name="emergencies")
    member = TenantForeignKey(Membership, related_name="+", verbose_name=_("member"))
    reason_code = models.CharField(_("occasion"), max_length=20, choices=Reason)
    reason = models.CharField(_("reason"), max_length=500)
    opened_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    request_id = models.CharField(max_length=64, blank=True)
    reviewed_at = models.DateTimeField(null=True)
    reviewed_by = TenantForeignKey(Membership, null=True, related_name="+")
    verdict = models.CharField(_("verdict"), max_length=20, blank=True, choices=Verdict)
    review_note = models.CharField(_("note"), max_length=1000, blank=True)

    objects = scoped_manager(EmergencyAccessQuerySet)

    class Meta:
        verbose_name = _("emergency access")
        verbose_name_plural = _("emergency access")
        constraints = [
            models.CheckConstraint(
                condition=models.Q(expires_at__gt=models.F("opened_at")), name="patients_emergency_dates_chk"
            ),
            models.CheckConstraint(
                condition=models.Q(reviewed_at__isnull=True, reviewed_by__isnull=True, verdict="")
                | (models.Q(reviewed_at__isnull=False, reviewed_by__isnull=False) & ~models.Q(verdict="")),
                name="patients_emergency_review_chk",
            ),
            models.CheckConstraint(
                condition=~models.Q(reviewed_by=models.F("member")), name="patients_emergency_own_chk"
            ),
        ]
        indexes = [
            models.Index(fields=["tenant", "member", "opened_at"], name="patients_emergency_member_idx"),
            models.Index(fields=["tenant", "patient"], name="patients_emergency_patient_idx"),
            models.Index(fields=["tenant", "opened_at"], name="patients_emergency_opened_idx"),
        ]

    def __str__(self):
        return f"{self.opened_at:%Y-%m-%d %H:%M}"

    @property
    def until(self):
        """When it ended or will end."""
        return min(self.ended_at, self.expires_at) if self.ended_at else self.expires_at

    @property
    def is_over(self) -> bool:
        return self.until <= timezone.now()


def open_charts(member: Membership) -> dict[UUID, EmergencyAccess | None]:
    """Restricted charts this member may open now, and the emergency access that lets them; None for the lists.

    An API key opens none: it is on no list and breaks no glass.
    """
    if member.member is None:
        return {}
    found: dict[UUID, EmergencyAccess | None] = {}
    if member.may("admin.break_glass"):
        live = EmergencyAccess.objects.live(timezone.now()).filter(member=member)
        found |= {access.patient_id: access for access in live}
    listed = ChartAccess.objects.filter(member=member, ended_at__isnull=True).values_list("patient_id", flat=True)
    own = Patient.objects.filter(user_id=member.user_id).values_list("id", flat=True)
    return found | dict.fromkeys([*listed, *own])
