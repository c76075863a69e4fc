"""Visits, the series they may be of, and the rooms and devices they have."""

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from accounts.users.models import Membership
from clinic.patients.models import Patient
from clinic.places.models import Location, Resource
from clinic.practitioners.models import Practitioner
from tenancy.tenants.models import TenantForeignKey, TenantModel, TenantQuerySet, scoped_manager

from ..constraints import NoOverlap
from ..states import LIVE, UPCOMING, State
from .appointment_types import AppointmentType, Modality


class NotificationState(models.TextChoices):
    """What has become of a message about a visit that another system sends (Secre)."""

    PENDING = "pending", pgettext_lazy("a message", "Pending")
    SENT = "sent", pgettext_lazy("a message", "Sent")
    DELIVERED = "delivered", pgettext_lazy("a message", "Delivered")
    FAILED = "failed", pgettext_lazy("a message", "Failed")
    BOUNCED = "bounced", pgettext_lazy("a message", "Came back")


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
