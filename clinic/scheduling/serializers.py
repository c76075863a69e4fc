"""What the API sends and receives about the book: MediSecure's words and casing, Doctolib's for schedules and types."""

import re
from datetime import datetime

from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from accounts.qualifications.models import QualificationKind
from clinic.patients.serializers import KnownFieldsSerializer
from clinic.places.models import Resource
from tenancy.doors.query import Date

from .models import LONGEST_VISIT_MINUTES, Appointment, AppointmentChange, AppointmentType, Modality, WorkingHours
from .states import DOCTOLIB, FROM_DOCTOLIB, FROM_MEDISECURE, MEDISECURE, State

WEEKDAY_WORDS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
STATE_WORDS = tuple(dict.fromkeys([*State.values, *FROM_DOCTOLIB, *FROM_MEDISECURE]))


# --- Fields ----------------------------------------------------------------------------------------------------------


@extend_schema_field({"type": "string", "format": "date-time"})
class WhenField(serializers.Field):
    """A time with its offset (RFC 3339), or a wall time without one, which the location's clock explains later.

    Gives an aware or a naive datetime, on a whole minute.
    """

    FORM = re.compile(
        r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]{1,6})?)?([Zz]|[+-][0-9]{2}:[0-9]{2})?"
    )

    def to_internal_value(self, data):
        if not isinstance(data, str) or not self.FORM.fullmatch(data):
            raise serializers.ValidationError(_("Send a time such as 2026-03-14T09:00:00-05:00."), code="datetime")
        try:
            when = datetime.fromisoformat(data.upper())
        except ValueError:
            raise serializers.ValidationError(_("There is no such time."), code="datetime") from None
        if not Date.FIRST_YEAR <= when.year <= Date.LAST_YEAR:
            raise serializers.ValidationError(_("The year has to lie between 1800 and 2199."), code="datetime")
        if when.second or when.microsecond:
            raise serializers.ValidationError(_("Visits begin and end on a whole minute."), code="datetime")
        return when

    def to_representation(self, value):
        return value


class WeekdayField(serializers.ChoiceField):
    """Mon to Sun, kept as 0 to 6."""

    def __init__(self, **options):
        super().__init__(choices=WEEKDAY_WORDS, **options)

    def to_internal_value(self, data):
        return WEEKDAY_WORDS.index(super().to_internal_value(data))

    def to_representation(self, value):
        return WEEKDAY_WORDS[value]


class ClockField(serializers.TimeField):
    """`09:00`."""

    def __init__(self, **options):
        super().__init__(format="%H:%M", input_formats=["%H:%M", "%H:%M:%S"], **options)

    def to_internal_value(self, value):
        clock = super().to_internal_value(value)
        if clock.second:
            raise serializers.ValidationError(_("Hours begin and end on a whole minute."), code="time")
        return clock


# --- Doctors ---------------------------------------------------------------------------------------------------------


class DoctorRowSerializer(serializers.Serializer):
    """One row of the list, as MediSecure sends it."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    email = serializers.CharField()
    specialization = serializers.SerializerMethodField(help_text="The first specialty")
    phone = serializers.CharField()

    def get_specialization(self, doctor) -> str:
        for row in doctor.specialties.all():
            return row.specialty.name
        return doctor.member.specialization if doctor.member else ""


class DoctorSerializer(DoctorRowSerializer):
    """One doctor, with how many different patients have or had an appointment."""

    assignedPatients = serializers.IntegerField(source="assigned_patients")


# --- Appointments ----------------------------------------------------------------------------------------------------


class AppointmentSerializer(serializers.ModelSerializer):
    """MediSecure's appointment, then what this book knows beside it. `version` is also the ETag."""

    patientId = serializers.UUIDField(source="patient_id", allow_null=True, help_text="Null for a group session")
    patientName = serializers.SerializerMethodField()
    doctorId = serializers.UUIDField(source="practitioner_id")
    doctorName = serializers.CharField(source="practitioner.name")
    date = serializers.DateTimeField(source="starts_at")
    status = serializers.SerializerMethodField(help_text="scheduled, completed or cancelled")
    reason = serializers.SerializerMethodField(help_text="Empty where the chart is closed to the reader")
    notes = serializers.SerializerMethodField(help_text="Empty where the chart is closed to the reader")
    state = serializers.CharField(help_text="As this clinic says it")
    start = serializers.DateTimeField(source="starts_at")
    end = serializers.DateTimeField(source="ends_at")
    localStart = serializers.CharField(source="wall_start", help_text="What the clock at the location shows")
    timeZone = serializers.CharField(source="time_zone")
    locationId = serializers.UUIDField(source="location_id")
    locationName = serializers.CharField(source="location.name")
    typeId = serializers.UUIDField(source="type_id", allow_null=True)
    typeName = serializers.SerializerMethodField()
    resources = serializers.SerializerMethodField(help_text="Rooms and devices")
    overbooked = serializers.BooleanField(source="is_overbooked")
    holdExpiresAt = serializers.DateTimeField(source="hold_expires_at", allow_null=True)

    class Meta:
        model = Appointment
        fields = [
            *["id", "patientId", "patientName", "doctorId", "doctorName", "date", "status", "reason", "notes"],
            *["number", "state", "start", "end", "localStart", "timeZone", "locationId", "locationName"],
            *["typeId", "typeName", "modality", "resources", "overbooked", "holdExpiresAt", "version", "created_at"],
        ]

    def get_patientName(self, appointment) -> str:
        return appointment.patient.name if appointment.patient else ""

    def get_reason(self, appointment) -> str:
        return "" if appointment.patient and appointment.patient.is_masked else appointment.reason

    def get_notes(self, appointment) -> str:
        return "" if appointment.patient and appointment.patient.is_masked else appointment.notes

    def get_status(self, appointment) -> str:
        return MEDISECURE[appointment.state]

    def get_typeName(self, appointment) -> str:
        return appointment.type.name if appointment.type else ""

    def get_resources(self, appointment) -> list[str]:
        return [str(claim.resource_id) for claim in appointment.resources.all()]


class BookSerializer(KnownFieldsSerializer):
    """A visit as MediSecure asks for one, and what this book understands beside it.

    `date` and `endDate` with an offset, or without one by the location's clock.
    The length comes from `endDate`, else `minutes`, else the type, else 30.
    `submitKey` is the same for every try of one booking: it books once.
    """

    patientId = serializers.UUIDField(required=False, help_text="Patients may leave it out: it is their own chart.")
    doctorId = serializers.UUIDField()
    date = WhenField()
    reason = serializers.CharField(max_length=500, allow_blank=True)
    notes = serializers.CharField(max_length=5000, required=False, allow_blank=True)
    typeId = serializers.UUIDField(required=False, allow_null=True)
    locationId = serializers.UUIDField(required=False, allow_null=True)
    endDate = WhenField(required=False)
    minutes = serializers.IntegerField(min_value=1, max_value=LONGEST_VISIT_MINUTES, required=False)
    modality = serializers.ChoiceField(choices=Modality.choices, required=False)
    overbookReason = serializers.CharField(
        max_length=300, required=False, allow_blank=True, help_text="Why over others or outside of the hours"
    )
    overrideReason = serializers.CharField(
        max_length=300, required=False, allow_blank=True, help_text="Why without the qualification the type needs"
    )
    submitKey = serializers.UUIDField(required=False)

    def validate(self, attrs):
        if "endDate" in attrs and "minutes" in attrs:
            raise serializers.ValidationError({"minutes": _("Send either endDate or minutes.")}, code="conflict")
        return attrs


class HoldSerializer(BookSerializer):
    """As a booking; what for may still be open."""

    reason = serializers.CharField(max_length=500, required=False, allow_blank=True)


class AmendSerializer(KnownFieldsSerializer):
    """MediSecure's changes: another time, another status, notes, the reason of the visit.

    `doctorId` and `locationId` move it to somebody else or elsewhere; times without an offset are by the clock there.
    """

    date = WhenField(required=False)
    endDate = WhenField(required=False)
    doctorId = serializers.UUIDField(required=False)
    locationId = serializers.UUIDField(required=False)
    overbookReason = serializers.CharField(max_length=300, required=False, allow_blank=True)
    overrideReason = serializers.CharField(max_length=300, required=False, allow_blank=True)
    status = serializers.ChoiceField(choices=list(FROM_MEDISECURE), required=False)
    notes = serializers.CharField(max_length=5000, required=False, allow_blank=True)
    reason = serializers.CharField(max_length=500, required=False, allow_blank=True, help_text="Of the visit")
    changeReason = serializers.CharField(
        max_length=300, required=False, allow_blank=True, help_text="Why it is moved or cancelled; kept in the history"
    )


class StatusSerializer(KnownFieldsSerializer):
    """Where a visit goes next, in Doctolib's words (`new_status`) or ours (`state`), and why (`note` or `reason`)."""

    new_status = serializers.ChoiceField(choices=STATE_WORDS, required=False)
    state = serializers.ChoiceField(choices=STATE_WORDS, required=False)
    note = serializers.CharField(max_length=300, required=False, allow_blank=True)
    reason = serializers.CharField(max_length=300, required=False, allow_blank=True)


class ChangeSerializer(serializers.ModelSerializer):
    """One line of the history. `old` and `new` are Doctolib's words, the states ours; empty where neither changed."""

    old = serializers.SerializerMethodField()
    new = serializers.SerializerMethodField()
    oldState = serializers.CharField(source="old_state")
    newState = serializers.CharField(source="new_state")
    changed_at = serializers.DateTimeField(source="at")
    changed_by = serializers.SerializerMethodField(help_text="Empty: the system")
    note = serializers.CharField(source="reason")
    before = serializers.DictField()
    after = serializers.DictField()

    class Meta:
        model = AppointmentChange
        fields = [
            *["id", "action", "old", "new", "oldState", "newState", "changed_at", "changed_by", "note"],
            *["before", "after"],
        ]

    def get_old(self, change) -> str:
        return DOCTOLIB.get(change.old_state, "")

    def get_new(self, change) -> str:
        return DOCTOLIB.get(change.new_state, "")

    def get_changed_by(self, change) -> str:
        return change.who


class HistorySerializer(serializers.Serializer):
    history = ChangeSerializer(many=True)


class NearestSerializer(serializers.Serializer):
    start = serializers.DateTimeField()
    end = serializers.DateTimeField()
    doctorId = serializers.UUIDField()
    locationId = serializers.UUIDField()


class MissingSerializer(serializers.Serializer):
    """What the practitioner does not hold on that day. `lapsedOn` is the last day it was held, null if it never was."""

    kind = serializers.CharField(help_text="The code of the kind of qualification")
    name = serializers.CharField()
    lapsedOn = serializers.DateField(allow_null=True)


class TakenSerializer(serializers.Serializer):
    """A rule says no. Where a time is taken or not offered, `nearest` are up to three free ones, the nearest first;
    where a qualification is missing, `missing` says which and since when."""

    detail = serializers.CharField()
    code = serializers.CharField(help_text="`time_taken`, `time_not_offered`, or another rule")
    trace_id = serializers.CharField()
    nearest = NearestSerializer(many=True, required=False)
    missing = MissingSerializer(many=True, required=False)


# --- Free times ------------------------------------------------------------------------------------------------------


class ReasonSerializer(serializers.Serializer):
    code = serializers.CharField()
    text = serializers.CharField()


class SlotSerializer(serializers.Serializer):
    """One time. `free` and `reasons` come with `explain=true` only, `doctorName` in lists of a day."""

    start = serializers.DateTimeField()
    end = serializers.DateTimeField()
    doctorId = serializers.UUIDField()
    doctorName = serializers.CharField(required=False)
    locationId = serializers.UUIDField()
    localStart = serializers.CharField(help_text="What the clock at the location shows, 2026-03-14T09:00")
    timeZone = serializers.CharField()
    resources = serializers.ListField(child=serializers.UUIDField(), help_text="A room or device for each need")
    places = serializers.IntegerField(required=False, help_text="Of a group session: how many places are left")
    free = serializers.BooleanField(required=False)
    reasons = ReasonSerializer(many=True, required=False)


class DoctorSlotsSerializer(serializers.Serializer):
    doctorId = serializers.UUIDField()
    minutes = serializers.IntegerField()
    slots = SlotSerializer(many=True)
    reasons = ReasonSerializer(many=True, required=False, help_text="With explain: why there is nothing at all")
    daysWithoutHours = serializers.ListField(child=serializers.DateField(), required=False, help_text="With explain")

    def get_fields(self):
        fields = super().get_fields()
        return {"from": serializers.DateField(), "to": serializers.DateField()} | fields


class DaySlotsSerializer(serializers.Serializer):
    date = serializers.DateField()
    minutes = serializers.IntegerField()
    slots = SlotSerializer(many=True)


# --- What is offered -------------------------------------------------------------------------------------------------


class NeedSerializer(KnownFieldsSerializer):
    """One room or device of a category; an empty category is any of that kind."""

    kind = serializers.ChoiceField(choices=Resource.Kind.choices)
    category = serializers.CharField(max_length=60, required=False, allow_blank=True, default="")

    def validate(self, attrs):
        # A change of the type is partial, and so is everything inside of it; a need is always whole.
        if "kind" not in attrs:
            raise serializers.ValidationError({"kind": _("Say whether it is a room or a device.")}, code="required")
        return {"category": ""} | attrs


class AppointmentTypeSerializer(serializers.ModelSerializer):
    """A kind of visit. `performers` empty: everybody may do it; `qualifications` are what they have to hold."""

    performers = serializers.SerializerMethodField()
    needs = serializers.SerializerMethodField()
    qualifications = serializers.SerializerMethodField()

    class Meta:
        model = AppointmentType
        fields = [
            *["id", "code", "name", "minutes", "buffer_before", "buffer_after", "modality", "price", "currency"],
            *["capacity", "lead_hours", "horizon_days", "per_day", "self_service", "colour", "is_active"],
            *["performers", "needs", "qualifications"],
        ]

    def get_performers(self, type) -> list[str]:
        return sorted(str(row.practitioner_id) for row in type.performers.all())

    def get_qualifications(self, type) -> list[str]:
        return sorted(row.kind.code for row in type.qualifications.all())

    def get_needs(self, type) -> list[dict]:
        return sorted(({"kind": row.kind, "category": row.category} for row in type.needs.all()), key=str)


class WriteAppointmentTypeSerializer(KnownFieldsSerializer):
    """A kind of visit. The code comes from the name where none is sent."""

    code = serializers.SlugField(max_length=40, required=False)
    name = serializers.CharField(max_length=120)
    minutes = serializers.IntegerField(min_value=1, max_value=LONGEST_VISIT_MINUTES)
    buffer_before = serializers.IntegerField(min_value=0, max_value=240, required=False)
    buffer_after = serializers.IntegerField(min_value=0, max_value=240, required=False)
    modality = serializers.ChoiceField(choices=Modality.choices, required=False)
    price = serializers.DecimalField(max_digits=12, decimal_places=2, min_value=0, required=False, allow_null=True)
    currency = serializers.RegexField(r"^([A-Z]{3})?\Z", max_length=3, required=False, allow_blank=True)
    capacity = serializers.IntegerField(min_value=1, max_value=200, required=False)
    lead_hours = serializers.IntegerField(min_value=0, max_value=8760, required=False)
    horizon_days = serializers.IntegerField(min_value=1, max_value=1100, required=False)
    per_day = serializers.IntegerField(min_value=1, max_value=500, required=False, allow_null=True)
    self_service = serializers.ChoiceField(choices=AppointmentType.SelfService.choices, required=False)
    colour = serializers.IntegerField(min_value=1, max_value=12, required=False)
    is_active = serializers.BooleanField(required=False)
    performers = serializers.ListField(child=serializers.UUIDField(), max_length=500, required=False)
    needs = NeedSerializer(many=True, max_length=20, required=False)
    qualifications = serializers.ListField(
        child=serializers.SlugField(max_length=60), max_length=20, required=False, help_text="Codes of kinds"
    )

    def validate_qualifications(self, codes):
        known = {kind.code: kind for kind in QualificationKind.objects.filter(code__in=codes)}
        if missing := [code for code in codes if code not in known]:
            sentence = _("There is no such kind of qualification: %(codes)s.") % {"codes": ", ".join(missing)}
            raise serializers.ValidationError(sentence, code="unknown")
        return [known[code] for code in dict.fromkeys(codes)]


class ScheduleSerializer(serializers.ModelSerializer):
    """Weekly hours (Doctolib), by the clock of the location. An end at or before the start is the next day."""

    doctor_id = serializers.UUIDField(source="practitioner_id")
    location_id = serializers.UUIDField()
    weekday = WeekdayField()
    start_time = ClockField(source="starts")
    end_time = ClockField(source="ends")
    type_id = serializers.UUIDField(source="only_type_id", allow_null=True)

    class Meta:
        model = WorkingHours
        fields = [
            *["id", "doctor_id", "location_id", "weekday", "start_time", "end_time", "step"],
            *["valid_from", "valid_until", "type_id"],
        ]


class WriteScheduleSerializer(KnownFieldsSerializer):
    """Weekly hours. Without a location they are where this doctor usually works; `step` is in minutes."""

    doctor_id = serializers.UUIDField()
    location_id = serializers.UUIDField(required=False)
    weekday = WeekdayField()
    start_time = ClockField(source="starts")
    end_time = ClockField(source="ends")
    step = serializers.IntegerField(min_value=5, max_value=480, required=False)
    valid_from = serializers.DateField(required=False)
    valid_until = serializers.DateField(required=False, allow_null=True)
    type_id = serializers.UUIDField(required=False, allow_null=True)

    def validate(self, attrs):
        if "starts" in attrs and attrs["starts"] == attrs.get("ends"):
            raise serializers.ValidationError({"end_time": _("End time must be after start time")}, code="order")
        return attrs
