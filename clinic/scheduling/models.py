"""The book: types of visits, working hours, leave, appointments and what they claim."""

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from accounts.qualifications.models import QualificationKind
from accounts.users.models import Membership
from clinic.patients.models import Patient
from clinic.places.models import WEEKDAYS, Location, Resource
from clinic.practitioners.models import Practitioner
from tenancy.tenants.models import TenantForeignKey, TenantModel, TenantQuerySet, scoped_manager

from .constraints import NoOverlap
from .states import LIVE, UPCOMING, State

LONGEST_VISIT_MINUTES = 8 * 60  # contract.md 5.2


class Modality(models.TextChoices):
    """How somebody is seen."""

    IN_PERSON = "in_person", _("In person")
    VIDEO = "video", _("Video")
    PHONE = "phone", _("Phone")
    HOME = "home", _("At home")


class NotificationState(models.TextChoices):
    """What has become of a message about a visit that another system sends (Secre)."""

    PENDING = "pending", pgettext_lazy("a message", "Pending")
    SENT = "sent", pgettext_lazy("a message", "Sent")
    DELIVERED = "delivered", pgettext_lazy("a message", "Delivered")
    FAILED = "failed", pgettext_lazy("a message", "Failed")
    BOUNCED = "bounced", pgettext_lazy("a message", "Came back")


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


class WorkingHours(TenantModel):
    """When a practitioner works at a location, week by week, by that location's clock.

    `ends` at or before `starts` means the next day. `valid_until` is the last day.
    """

    app_privileges = ("SELECT", "INSERT", "UPDATE", "DELETE")

    practitioner = TenantForeignKey(Practitioner, related_name="working_hours", verbose_name=_("practitioner"))
    location = TenantForeignKey(Location, related_name="working_hours", verbose_name=_("location"))
    weekday = models.PositiveSmallIntegerField(_("weekday"), choices=WEEKDAYS)
    starts = models.TimeField(_("from"))
    ends = models.TimeField(_("until"))
    step = models.PositiveSmallIntegerField(
        _("a time every so many minutes"), default=15, validators=[MinValueValidator(5), MaxValueValidator(480)]
    )
    valid_from = models.DateField(_("valid from"))
    valid_until = models.DateField(_("valid until"), null=True, blank=True)
    only_type = TenantForeignKey(AppointmentType, null=True, blank=True, related_name="+", verbose_name=_("only for"))

    class Meta:
        verbose_name = _("working hours")
        verbose_name_plural = _("working hours")
        constraints = [
            models.CheckConstraint(condition=Q(weekday__lte=6), name="scheduling_workinghours_weekday_chk"),
            models.CheckConstraint(
                condition=Q(valid_until__isnull=True) | Q(valid_until__gte=models.F("valid_from")),
                name="scheduling_workinghours_dates_chk",
            ),
            models.UniqueConstraint(
                fields=["tenant", "practitioner", "location", "weekday", "starts", "valid_from"],
                name="scheduling_workinghours_uniq",
            ),
        ]

    def __str__(self):
        return f"{self.get_weekday_display()} {self.starts:%H:%M}–{self.ends:%H:%M}"


class ExtraHours(TenantModel):
    """One day on which a practitioner works beside the usual hours."""

    practitioner = TenantForeignKey(Practitioner, related_name="extra_hours", verbose_name=_("practitioner"))
    location = TenantForeignKey(Location, related_name="+", verbose_name=_("location"))
    day = models.DateField(_("day"))
    starts = models.TimeField(_("from"))
    ends = models.TimeField(_("until"))
    step = models.PositiveSmallIntegerField(_("a time every so many minutes"), default=15)
    note = models.CharField(_("note"), max_length=200, blank=True)

    class Meta:
        verbose_name = _("extra hours")
        verbose_name_plural = _("extra hours")
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "practitioner", "day", "starts"], name="scheduling_extrahours_uniq"
            )
        ]

    def __str__(self):
        return f"{self.day} {self.starts:%H:%M}–{self.ends:%H:%M}"


class Leave(TenantModel):
    """Time a practitioner is away, whatever the working hours say."""

    app_privileges = ("SELECT", "INSERT", "UPDATE")

    class Kind(models.TextChoices):
        HOLIDAY = "holiday", _("Holiday")
        ILLNESS = "illness", _("Ill")
        TRAINING = "training", _("Training")
        MEETING = "meeting", _("Meeting")
        OTHER = "other", _("Away")

    practitioner = TenantForeignKey(Practitioner, related_name="leave", verbose_name=_("practitioner"))
    kind = models.CharField(_("kind"), max_length=10, choices=Kind.choices)
    starts_at = models.DateTimeField(_("from"))
    ends_at = models.DateTimeField(_("until"))
    note = models.CharField(_("note"), max_length=200, blank=True)
    batch = models.UUIDField(
        null=True, editable=False, help_text=_("the changes of visits made with it, undone with it")
    )
    created_by = TenantForeignKey(Membership, null=True, related_name="+", verbose_name=_("written by"))
    created_at = models.DateTimeField(_("written at"), default=timezone.now, editable=False)
    cancelled_at = models.DateTimeField(_("taken back at"), null=True, editable=False)

    class Meta:
        verbose_name = _("leave")
        verbose_name_plural = _("leave")
        constraints = [
            models.CheckConstraint(condition=Q(ends_at__gt=models.F("starts_at")), name="scheduling_leave_order_chk")
        ]
        indexes = [models.Index(fields=["tenant", "practitioner", "ends_at"], name="scheduling_leave_idx")]

    def __str__(self):
        return f"{self.get_kind_display()} {self.starts_at:%Y-%m-%d}"


class Series(TenantModel):
    """Visits that repeat: the rule they were made by, in wall time, so that 09:00 stays 09:00 over a clock change."""

    app_privileges = ("SELECT", "INSERT", "UPDATE")

    rule = models.CharField(max_length=200, help_text=_("RFC 5545 RRULE"))
    wall_start = models.CharField(max_length=16, help_text=_("2026-03-02T09:00, by the location's clock"))
    time_zone = models.CharField(max_length=64)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    created_by = TenantForeignKey(Membership, null=True, related_name="+")

    def __str__(self):
        return self.rule


class AppointmentQuerySet(TenantQuerySet):
    def live(self):
        """Those that keep their time."""
        return self.filter(is_live=True)

    def visits(self):
        """Without times that were kept for a while and let go: those never became a visit."""
        return self.exclude(state=State.CANCELLED, hold_expires_at__isnull=False)

    def upcoming(self, now):
        return self.filter(state__in=UPCOMING, ends_at__gt=now)

    def between(self, low, high):
        """Those that share time with [low, high)."""
        return self.filter(starts_at__lt=high, ends_at__gt=low)

    def visible_to(self, member: Membership):
        """All for those who may see the book; a patient's own; otherwise none."""
        if member.may("appointments.view"):
            return self
        if member.may("appointments.view_own"):
            return self.filter(patient__user_id=member.user_id)
        return self.none()


class Appointment(TenantModel):
    """One visit, or (without a patient) one group session whose places are appointments of their own.

    Truth is the moment in `starts_at`; `wall_start` and `time_zone` keep what
    the clock on the wall was meant to show, for the day a government moves it.
    """

    app_privileges = ("SELECT", "INSERT", "UPDATE")

    class Source(models.TextChoices):
        STAFF = "staff", _("At the desk")
        PATIENT = "patient", _("By the patient")
        API = "api", _("By another system")

    number = models.BigIntegerField(_("number"), editable=False)
    version = models.IntegerField(default=1, editable=False)
    sequence = models.IntegerField(default=0, editable=False, help_text=_("iCalendar SEQUENCE"))
    patient = TenantForeignKey(Patient, null=True, blank=True, related_name="appointments", verbose_name=_("patient"))
    practitioner = TenantForeignKey(Practitioner, related_name="appointments", verbose_name=_("practitioner"))
    location = TenantForeignKey(Location, related_name="appointments", verbose_name=_("location"))
    type = TenantForeignKey(AppointmentType, null=True, blank=True, related_name="+", verbose_name=_("type"))
    session = TenantForeignKey("self", null=True, blank=True, related_name="places", editable=False)
    place = models.PositiveSmallIntegerField(null=True, editable=False)
    capacity = models.PositiveSmallIntegerField(default=1, editable=False)
    series = TenantForeignKey(Series, null=True, blank=True, related_name="appointments", editable=False)
    series_day = models.DateField(
        null=True, editable=False, help_text=_("the day the rule gave it, whatever became of it")
    )
    is_exception = models.BooleanField(default=False, editable=False)

    starts_at = models.DateTimeField(_("from"))
    ends_at = models.DateTimeField(_("until"))
    busy_from = models.DateTimeField(editable=False)
    busy_until = models.DateTimeField(editable=False)
    wall_start = models.CharField(_("clock at the place"), max_length=16, editable=False)
    time_zone = models.CharField(_("time zone"), max_length=64, editable=False)

    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.BOOKED)
    is_live = models.BooleanField(default=True, editable=False)
    lane = models.PositiveSmallIntegerField(default=0, editable=False)
    overbook_reason = models.CharField(_("why overbooked"), max_length=300, blank=True)
    override_reason = models.CharField(_("why without the qualification"), max_length=300, blank=True)
    hold_expires_at = models.DateTimeField(null=True, editable=False)
    arrived_at = models.DateTimeField(_("arrived"), null=True, editable=False)

    modality = models.CharField(_("modality"), max_length=10, choices=Modality.choices, default=Modality.IN_PERSON)
    reason = models.CharField(_("reason for the visit"), max_length=500, blank=True)
    notes = models.TextField(_("notes"), max_length=5000, blank=True)
    custom_fields = models.JSONField(_("custom fields"), default=dict, blank=True)
    notification_state = models.CharField(
        _("message"),
        max_length=10,
        blank=True,
        choices=NotificationState.choices,
        default="",
        db_default="",
        help_text=_("what another system says of the messages it sends"),
    )
    source = models.CharField(_("booked"), max_length=10, choices=Source.choices, default=Source.STAFF)
    submit_key = models.UUIDField(null=True, editable=False, help_text=_("one press of the button, one appointment"))

    created_at = models.DateTimeField(default=timezone.now, editable=False)
    created_by = TenantForeignKey(Membership, null=True, related_name="+", editable=False)
    updated_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = scoped_manager(AppointmentQuerySet)

    class Meta:
        verbose_name = _("appointment")
        verbose_name_plural = _("appointments")
        constraints = [
            models.UniqueConstraint(fields=["tenant", "number"], name="scheduling_appointment_number_uniq"),
            models.UniqueConstraint(
                fields=["tenant", "submit_key"],
                name="scheduling_appointment_submit_uniq",
                condition=Q(submit_key__isnull=False),
            ),
            models.UniqueConstraint(
                fields=["tenant", "session", "place"],
                name="scheduling_appointment_place_uniq",
                condition=Q(is_live=True, session__isnull=False),
            ),
            models.UniqueConstraint(
                fields=["tenant", "series", "series_day"],
                name="scheduling_appointment_series_uniq",
                condition=Q(series__isnull=False),
            ),
            models.CheckConstraint(
                condition=Q(ends_at__gt=models.F("starts_at")), name="scheduling_appointment_order_chk"
            ),
            models.CheckConstraint(
                condition=Q(busy_from__lte=models.F("starts_at"), busy_until__gte=models.F("ends_at")),
                name="scheduling_appointment_busy_chk",
            ),
            models.CheckConstraint(
                condition=Q(is_live=True, state__in=LIVE) | (Q(is_live=False) & ~Q(state__in=LIVE)),
                name="scheduling_appointment_live_chk",
            ),
            models.CheckConstraint(
                condition=Q(lane=0) | Q(overbook_reason__gt=""), name="scheduling_appointment_lane_chk"
            ),
            models.CheckConstraint(
                condition=(Q(session__isnull=True) & Q(place__isnull=True))
                | (Q(place__gte=1) & Q(patient__isnull=False)),
                name="scheduling_appointment_place_chk",
            ),
            models.CheckConstraint(
                condition=Q(patient__isnull=False) | Q(capacity__gt=1), name="scheduling_appointment_who_chk"
            ),
            NoOverlap(
                subject="practitioner_id",
                starts="busy_from",
                ends="busy_until",
                lane="lane",
                condition="is_live AND session_id IS NULL",
                name="scheduling_appointment_practitioner_excl",
            ),
            NoOverlap(
                subject="patient_id",
                starts="starts_at",
                ends="ends_at",
                lane="lane",
                condition="is_live AND patient_id IS NOT NULL",
                name="scheduling_appointment_patient_excl",
            ),
        ]
        indexes = [
            models.Index(fields=["tenant", "starts_at", "id"], name="scheduling_appt_start_idx"),
            # With the id it answers "how many" and "in which order" by itself, without the rows.
            models.Index(fields=["tenant", "practitioner", "starts_at", "id"], name="scheduling_appt_doctor_idx"),
            models.Index(
                fields=["tenant", "practitioner", "patient"],
                name="scheduling_appt_seen_idx",
                condition=~Q(state__in=[State.CANCELLED, State.HELD]),
            ),
            models.Index(fields=["tenant", "patient", "starts_at"], name="scheduling_appt_patient_idx"),
            models.Index(
                fields=["tenant", "hold_expires_at"],
                name="scheduling_appt_hold_idx",
                condition=Q(state=State.HELD),
            ),
        ]

    def __str__(self):
        return f"#{self.number} {self.wall_start}"

    @property
    def is_overbooked(self) -> bool:
        return self.lane > 0

    @property
    def minutes(self) -> int:
        return int((self.ends_at - self.starts_at).total_seconds() // 60)


class AppointmentResource(TenantModel):
    """A room or device an appointment has; the times are the appointment's, with its buffers."""

    appointment = TenantForeignKey(Appointment, related_name="resources")
    resource = TenantForeignKey(Resource, related_name="claims")
    busy_from = models.DateTimeField()
    busy_until = models.DateTimeField()
    is_live = models.BooleanField(default=True)
    lane = models.PositiveSmallIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "appointment", "resource"], name="scheduling_appointmentresource_uniq"
            ),
            models.CheckConstraint(
                condition=Q(busy_until__gt=models.F("busy_from")), name="scheduling_appointmentresource_order_chk"
            ),
            NoOverlap(
                subject="resource_id",
                starts="busy_from",
                ends="busy_until",
                lane="lane",
                condition="is_live",
                name="scheduling_appointmentresource_excl",
            ),
        ]
        indexes = [
            # A month of free times asks for twelve thousand of them; this holds all that is asked.
            models.Index(
                fields=["tenant", "resource", "busy_until"],
                include=["busy_from", "appointment"],
                name="scheduling_apptres_free_idx",
                condition=Q(is_live=True),
            )
        ]

    def __str__(self):
        return f"{self.resource_id} for {self.appointment_id}"


class AppointmentChange(TenantModel):
    """What happened to an appointment: who, when, why. `before` and `after` hold the fields that changed."""

    app_privileges = ("SELECT", "INSERT")

    appointment = TenantForeignKey(Appointment, related_name="changes")
    at = models.DateTimeField(default=timezone.now)
    by = TenantForeignKey(Membership, null=True, related_name="+")
    by_label = models.CharField(
        max_length=200, blank=True, default="", db_default="", help_text=_("the API key, where it was one")
    )
    action = models.CharField(max_length=20)
    old_state = models.CharField(max_length=10, blank=True)
    new_state = models.CharField(max_length=10, blank=True)
    before = models.JSONField(default=dict)
    after = models.JSONField(default=dict)
    reason = models.CharField(max_length=300, blank=True)
    batch = models.UUIDField(null=True, help_text=_("changes made by one press of a button, undone by one"))

    class Meta:
        indexes = [
            models.Index(fields=["tenant", "appointment", "at"], name="scheduling_apptchange_idx"),
            models.Index(
                fields=["tenant", "batch"], name="scheduling_apptchange_batch", condition=Q(batch__isnull=False)
            ),
        ]

    def __str__(self):
        return f"{self.appointment_id}: {self.action}"

    @property
    def who(self) -> str:
        """Whoever did it by name: a member or an API key; "" for the system."""
        return self.by.display_name if self.by else self.by_label

    def can_be_undone_in(self, state: str) -> bool:
        """Whether taking back this change of state makes sense for a visit that is in `state` now.

        Taking back is not taken back, and a time that was kept for somebody is not kept again.
        """
        return self.new_state == state and self.action != "undone" and self.old_state not in ("", State.HELD)


class CalendarFeed(TenantModel):
    """A private address under which a calendar program reads somebody's visits. Only a hash of the secret is kept."""

    app_privileges = ("SELECT", "INSERT", "UPDATE")

    practitioner = TenantForeignKey(Practitioner, null=True, related_name="feeds", verbose_name=_("practitioner"))
    patient = TenantForeignKey(Patient, null=True, related_name="feeds", verbose_name=_("patient"))
    secret_hash = models.CharField(max_length=64, db_collation="C")
    created_at = models.DateTimeField(_("given out at"), default=timezone.now, editable=False)
    created_by = TenantForeignKey(Membership, null=True, related_name="+", verbose_name=_("given out by"))
    revoked_at = models.DateTimeField(_("closed at"), null=True)

    class Meta:
        verbose_name = _("calendar address")
        verbose_name_plural = _("calendar addresses")
        constraints = [
            models.UniqueConstraint(fields=["tenant", "secret_hash"], name="scheduling_calendarfeed_secret_uniq"),
            models.CheckConstraint(
                condition=Q(practitioner__isnull=True, patient__isnull=False)
                | Q(practitioner__isnull=False, patient__isnull=True),
                name="scheduling_calendarfeed_whose_chk",
            ),
        ]

    def __str__(self):
        return f"{self.practitioner_id or self.patient_id}"


class WaitingEntry(TenantModel):
    """Somebody who wants an earlier time, and what would suit them."""

    app_privileges = ("SELECT", "INSERT", "UPDATE")

    class State(models.TextChoices):
        WAITING = "waiting", _("Waiting")
        OFFERED = "offered", _("Offered a time")
        BOOKED = "booked", _("Booked")
        WITHDRAWN = "withdrawn", _("Withdrawn")

    patient = TenantForeignKey(Patient, related_name="waiting_entries", verbose_name=_("patient"))
    type = TenantForeignKey(AppointmentType, related_name="+", verbose_name=_("type"))
    practitioner = TenantForeignKey(
        Practitioner, null=True, blank=True, related_name="+", verbose_name=_("practitioner")
    )
    location = TenantForeignKey(Location, null=True, blank=True, related_name="+", verbose_name=_("location"))
    instead_of = TenantForeignKey(
        Appointment, null=True, blank=True, related_name="+", verbose_name=_("instead of"), editable=False
    )
    earliest = models.DateField(_("from"))
    latest = models.DateField(_("until"))
    is_urgent = models.BooleanField(_("urgent"), default=False)
    note = models.CharField(_("note"), max_length=300, blank=True)
    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.WAITING)
    created_at = models.DateTimeField(_("since"), default=timezone.now, editable=False)
    created_by = TenantForeignKey(Membership, null=True, related_name="+", editable=False)

    class Meta:
        verbose_name = _("waiting list entry")
        verbose_name_plural = _("waiting list")
        constraints = [
            models.CheckConstraint(condition=Q(latest__gte=models.F("earliest")), name="scheduling_waiting_dates_chk")
        ]
        indexes = [
            models.Index(
                fields=["tenant", "type", "created_at"],
                name="scheduling_waiting_idx",
                condition=Q(state="waiting"),
            )
        ]

    def __str__(self):
        return f"{self.patient_id} waits for {self.type_id}"


class Offer(TenantModel):
    """A freed time offered to one waiting person. The time is kept by a held appointment, so no two ever get it."""

    app_privileges = ("SELECT", "INSERT", "UPDATE")

    class State(models.TextChoices):
        OPEN = "open", _("Open")
        ACCEPTED = "accepted", _("Accepted")
        DECLINED = "declined", _("Declined")
        EXPIRED = "expired", _("Expired")

    entry = TenantForeignKey(WaitingEntry, related_name="offers")
    appointment = TenantForeignKey(Appointment, related_name="offers")
    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.OPEN)
    expires_at = models.DateTimeField(_("until"))
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    answered_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "entry"], name="scheduling_offer_open_uniq", condition=Q(state="open")
            ),
            models.UniqueConstraint(fields=["tenant", "appointment"], name="scheduling_offer_appointment_uniq"),
        ]

    def __str__(self):
        return f"{self.appointment_id} to {self.entry_id}"


class ReminderRule(TenantModel):
    """When patients are reminded, and in which words.

    Places: %(name)s, %(date)s, %(time)s, %(practitioner)s, %(location)s.
    """

    app_privileges = ("SELECT", "INSERT", "UPDATE")

    hours_before = models.PositiveSmallIntegerField(
        _("hours before"), validators=[MinValueValidator(1), MaxValueValidator(24 * 30)]
    )
    subject = models.CharField(_("subject"), max_length=150, blank=True, help_text=_("empty: our own words"))
    text = models.TextField(_("text"), max_length=2000, blank=True)
    is_active = models.BooleanField(_("active"), default=True)

    class Meta:
        verbose_name = _("reminder rule")
        verbose_name_plural = _("reminder rules")
        constraints = [models.UniqueConstraint(fields=["tenant", "hours_before"], name="scheduling_reminderrule_uniq")]

    def __str__(self):
        return f"{self.hours_before} h"


class Reminder(TenantModel):
    """One reminder of one visit at one time. Moved to another time, the visit is reminded of anew."""

    app_privileges = ("SELECT", "INSERT", "UPDATE")

    appointment = TenantForeignKey(Appointment, related_name="reminders")
    rule = TenantForeignKey(ReminderRule, models.PROTECT, related_name="+", verbose_name=_("reminder rule"))
    starts_at = models.DateTimeField(_("visit at"))
    created_at = models.DateTimeField(_("written at"), default=timezone.now)
    # planned, sent, opted_out, no_address, pointless
    outcome = models.CharField(_("outcome"), max_length=12, default="planned")

    class Meta:
        verbose_name = _("reminder")
        verbose_name_plural = _("reminders")
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "appointment", "rule", "starts_at"], name="scheduling_reminder_once_uniq"
            )
        ]

    def __str__(self):
        return f"{self.appointment_id} {self.outcome}"


class SelfServicePolicy(TenantModel):
    """What patients of this clinic do by themselves, and until when (wish 15). A clinic without a row has the defaults.

    A kind of visit says more narrowly what it allows (`AppointmentType.self_service`);
    the narrower of both holds. Cut-offs are hours before the visit begins.
    """

    app_privileges = ("SELECT", "INSERT", "UPDATE")

    class Level(models.TextChoices):
        VIEW = "view", _("See their appointments")
        REQUEST = "request", _("See them and ask for a time")
        BOOK = "book", _("See them, ask for a time and book")

    level = models.CharField(_("patients may"), max_length=10, choices=Level.choices, default=Level.BOOK)
    may_cancel = models.BooleanField(_("patients may cancel"), default=True)
    cancel_hours = models.PositiveSmallIntegerField(
        _("cancel until so many hours before"), default=24, validators=[MaxValueValidator(24 * 30)]
    )
    may_move = models.BooleanField(_("patients may move to another time"), default=True)
    move_hours = models.PositiveSmallIntegerField(
        _("move until so many hours before"), default=24, validators=[MaxValueValidator(24 * 30)]
    )
    phone = models.CharField(
        _("telephone for patients"), max_length=30, blank=True, help_text=_("Empty: that of the place of the visit")
    )

    class Meta:
        verbose_name = _("policy for patients")
        verbose_name_plural = _("policy for patients")
        constraints = [models.UniqueConstraint(fields=["tenant"], name="scheduling_policy_one_uniq")]

    def __str__(self):
        return self.get_level_display()


class WaitLimits(TenantModel):
    """From how many minutes of waiting on somebody is marked on Today. A clinic without a row has the defaults."""

    app_privileges = ("SELECT", "INSERT", "UPDATE")

    long_minutes = models.PositiveSmallIntegerField(
        _("long from minutes on"), default=15, validators=[MinValueValidator(1), MaxValueValidator(240)]
    )
    too_long_minutes = models.PositiveSmallIntegerField(
        _("too long from minutes on"), default=30, validators=[MinValueValidator(2), MaxValueValidator(480)]
    )

    class Meta:
        verbose_name = _("limits of waiting")
        verbose_name_plural = _("limits of waiting")
        constraints = [
            models.UniqueConstraint(fields=["tenant"], name="scheduling_waitlimits_one_uniq"),
            models.CheckConstraint(
                condition=Q(too_long_minutes__gt=models.F("long_minutes")), name="scheduling_waitlimits_order_chk"
            ),
        ]

    def __str__(self):
        return f"{self.long_minutes}/{self.too_long_minutes}"
