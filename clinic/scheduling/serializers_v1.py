"""What other servers send and receive about appointments under `/v1`: Secre's fields (contract.md 5.2)."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from clinic.patients.custom_fields import check_sizes
from clinic.patients.fields_v1 import DocumentTypeField
from tenancy.doors.paging import PageQuery
from tenancy.doors.payloads import LookupField, OneWord, PayloadSerializer, SearchPayload, WordField
from tenancy.doors.query import Date, Moment, Parameter, Refused, Text
from tenancy.doors.refusals import problem

from . import secre

INSTANT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]{1,6})?)?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)

# --- Fields ----------------------------------------------------------------------------------------------------------


@extend_schema_field({"type": "string", "format": "date-time", "examples": ["2030-03-14T09:00:00-05:00"]})
class InstantField(serializers.Field):
    """RFC 3339 with `Z` or an offset, on a whole minute; kept in UTC. Without an offset it could be any clock's."""

    def to_internal_value(self, data):
        try:
            if not isinstance(data, str) or not INSTANT.fullmatch(data):
                raise ValueError
            moment = datetime.fromisoformat(data.upper())
        except ValueError:
            sentence = _("Send a time with its offset, such as 2030-03-14T09:00:00-05:00 or 2030-03-14T14:00:00Z.")
            raise serializers.ValidationError(sentence, code="datetime") from None
        if not Date.FIRST_YEAR <= moment.year <= Date.LAST_YEAR:
            raise serializers.ValidationError(_("The year has to lie between 1800 and 2199."), code="datetime")
        if moment.second or moment.microsecond:
            raise serializers.ValidationError(_("Visits begin and end on a whole minute."), code="datetime")
        return moment.astimezone(UTC)

    def to_representation(self, value):
        return value


class ModalityField(LookupField):
    refusal = gettext_lazy("Invalid modality: %(given)s")

    def find(self, key):
        return secre.FIND_MODALITY.get(key)


class StateField(LookupField):
    refusal = gettext_lazy("Invalid state: %(given)s")

    def find(self, key):
        return secre.FIND_STATE.get(key)


class NotificationField(LookupField):
    refusal = gettext_lazy("Invalid notification state: %(given)s")

    def find(self, key):
        return secre.FIND_NOTIFICATION.get(key)


# --- Out -------------------------------------------------------------------------------------------------------------


class V1AppointmentSerializer(serializers.Serializer):
    """A visit. Of a patient whose chart is restricted the document, the comment and the custom fields are empty."""

    id = serializers.UUIDField()
    tenant_id = serializers.UUIDField()
    start_utc = serializers.DateTimeField(source="starts_at")
    end_utc = serializers.DateTimeField(source="ends_at")
    patient_id = serializers.UUIDField(allow_null=True, help_text="Null for a group session")
    patient_document_type_id = serializers.IntegerField(source="patient.document_type_id", allow_null=True)
    patient_document_number = serializers.CharField(source="patient.document_number", allow_null=True)
    doctor_id = serializers.UUIDField(source="practitioner_id")
    doctor_document_type_id = serializers.IntegerField(source="practitioner.document_type_id", allow_null=True)
    doctor_document_number = serializers.CharField(source="practitioner.document_number")
    modality = WordField(secre.MODALITY_WORDS, help_text="/v1/lookups/appointment-modalities")
    state = WordField(secre.STATE_WORDS, help_text="/v1/lookups/appointment-states")
    notification_state = WordField(secre.NOTIFICATION_WORDS, help_text="/v1/lookups/notification-states")
    appointment_type = serializers.CharField(source="type.name", allow_null=True)
    appointment_type_id = serializers.UUIDField(source="type_id", allow_null=True)
    clinic_id = serializers.UUIDField(source="location_id", help_text="/v1/lookups/clinics")
    comment = serializers.CharField(source="notes")
    custom_fields = serializers.DictField()
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()


# --- In --------------------------------------------------------------------------------------------------------------


class V1AppointmentCreateSerializer(PayloadSerializer):
    """A visit as a chatbot asks for one, in camelCase or snake_case.

    Patient and doctor by document or by id. `idempotencyKey` is the same in
    every try of one booking, for tools that can not send the header.
    """

    also: ClassVar = {
        "startAppointment": ("startUtc", "start_utc"),
        "endAppointment": ("endUtc", "end_utc"),
        "modality": ("modalityId", "modality_id"),
        "state": ("stateId", "state_id"),
        "notificationState": ("notificationStateId", "notification_state_id"),
        "appointmentType": ("appointmentTypeId", "appointment_type_id"),
    }

    eventType = OneWord("APPOINTMENT")
    actionType = OneWord("CREATE")
    startAppointment = InstantField(source="starts_at")
    endAppointment = InstantField(source="ends_at")
    patientId = serializers.UUIDField(source="patient_id", required=False, help_text="Instead of the document")
    patientDocumentTypeId = DocumentTypeField(source="patient_document_type", required=False)
    patientDocumentNumber = serializers.CharField(source="patient_document_number", max_length=50, required=False)
    doctorId = serializers.UUIDField(source="doctor_id", required=False, help_text="Instead of the document")
    doctorDocumentTypeId = DocumentTypeField(source="doctor_document_type", required=False)
    doctorDocumentNumber = serializers.CharField(source="doctor_document_number", max_length=50, required=False)
    modality = ModalityField(required=False)
    state = StateField(required=False)
    notificationState = NotificationField(source="notification_state", required=False, allow_null=True)
    appointmentType = serializers.CharField(
        source="type", max_length=120, required=False, allow_null=True, help_text="Id, code or name"
    )
    clinicId = serializers.CharField(
        source="location", max_length=120, required=False, allow_null=True, help_text="Id or name"
    )
    comment = serializers.CharField(source="notes", max_length=5000, required=False, allow_blank=True, allow_null=True)
    customFields = serializers.DictField(source="custom_fields", required=False, allow_null=True)
    idempotencyKey = serializers.CharField(source="idempotency_key", max_length=255, required=False)

    def validate_customFields(self, values):
        try:
            return check_sizes(values or {})
        except ValidationError as refused:
            raise serializers.ValidationError(refused.messages) from None

    def validate(self, attrs):
        for who in ("patient", "doctor"):
            self._check_named(who, attrs)
        if not self.partial:
            self._check_times(attrs)
            if attrs.get("state", secre.FIRST_STATES[0]) not in secre.FIRST_STATES:
                sentence = _("A new visit is SCHEDULED, CONFIRMED or REQUESTED.")
                raise serializers.ValidationError({"state": sentence}, code="state")
        return attrs

    def _check_named(self, who: str, attrs: dict[str, Any]) -> None:
        """By id, or by both parts of the document; a change may leave both out."""
        has = [f"{who}_document_type" in attrs, f"{who}_document_number" in attrs]
        if any(has) and not all(has):
            missing = f"{who}DocumentNumber" if has[0] else f"{who}DocumentTypeId"
            raise serializers.ValidationError({missing: _("This field is required.")}, code="required")
        if not self.partial and not any(has) and f"{who}_id" not in attrs:
            raise serializers.ValidationError({f"{who}DocumentNumber": _("This field is required.")}, code="required")

    def _check_times(self, attrs: dict[str, Any]) -> None:
        starts_at, ends_at = attrs["starts_at"], attrs["ends_at"]
        if ends_at <= starts_at:
            sentence, field = _("End time must be after start time"), "endAppointment"
        elif ends_at - starts_at > timedelta(hours=8):
            sentence, field = _("Appointment cannot be longer than 8 hours"), "endAppointment"
        elif starts_at < timezone.now() - timedelta(hours=1):
            sentence, field = _("Appointment start time cannot be in the past"), "startAppointment"
        else:
            return
        raise serializers.ValidationError({field: sentence}, code="order")


class V1AppointmentUpdateSerializer(V1AppointmentCreateSerializer):
    """Any of the fields. `customFields` are replaced as a whole; a visit stays with its patient."""

    actionType = OneWord("UPDATE")
    idempotencyKey = None
    changeReason = serializers.CharField(
        source="why", max_length=300, required=False, help_text="Why it is moved or cancelled; kept in the history"
    )


# --- Finding ---------------------------------------------------------------------------------------------------------


class DayOrMoment(Parameter):
    """`2030-03-14`, a day by the clinic's clock, or a time with its offset. Gives a date or a datetime in UTC."""

    def parse(self, text):
        return Date().parse(text) if len(text) <= 10 else Moment().parse(text)

    def schema(self):
        return {"anyOf": [{"type": "string", "format": "date"}, {"type": "string", "format": "date-time"}]}


class Words(Parameter):
    """A word of a list or its id."""

    def __init__(self, known: dict[int | str, Any], **options):
        super().__init__(**options)
        self.known = known

    def parse(self, text):
        found = self.known.get(int(text) if re.fullmatch("[0-9]{1,9}", text) else text)
        if found is None:
            words = ", ".join(key for key in self.known if isinstance(key, str) and key.isupper())
            raise Refused(_("Send one of: %(choices)s.") % {"choices": words}, "choice")
        return found

    def schema(self):
        return {"type": "string", "enum": [str(key) for key in self.known]}


class V1AppointmentQuery(PageQuery):
    """Visits that begin at `start_date` or later and end at `end_date` or earlier; latest first."""

    sorts = {"start": ("starts_at",), "created_at": ()}
    default_sort = "start desc"

    start_date = DayOrMoment(names=("start_date", "startDate"), description="A day, or a time with its offset")
    end_date = DayOrMoment(names=("end_date", "endDate"), description="A day (all of it), or a time with its offset")
    modality = Words(secre.FIND_MODALITY, names=("modality", "modality_id"), description="Word or id")
    state = Words(secre.FIND_STATE, names=("state", "state_id"), description="Word or id")
    patient_document_number = Text(max_length=50, names=("patient_document_number", "patientDocumentNumber"))
    doctor_document_number = Text(max_length=50, names=("doctor_document_number", "doctorDocumentNumber"))

    def check(self):
        if self.start_date and self.end_date and _comparable(self.end_date) < _comparable(self.start_date):
            return [problem("query", "end_date", msg=_("End date must be after start date"), type="order")]
        return super().check()


class V1DateRangeQuery(V1AppointmentQuery):
    """A span of time, oldest first."""

    default_sort = "start asc"

    start_date = DayOrMoment(names=("start_date", "startDate"), required=True, description="A day, or a time")
    end_date = DayOrMoment(names=("end_date", "endDate"), required=True, description="A day (all of it), or a time")


def _comparable(when: Any) -> str:
    """Days and moments in one order, to within the clinic's offset."""
    return when.isoformat()[:10]


@extend_schema_field({"anyOf": [{"type": "string", "format": "date"}, {"type": "string", "format": "date-time"}]})
class DayOrMomentField(serializers.Field):
    """As the parameter DayOrMoment, in a body."""

    def to_internal_value(self, data):
        try:
            return DayOrMoment().parse(data if isinstance(data, str) else "")
        except Refused as refused:
            raise serializers.ValidationError(str(refused), code=refused.type) from None


class V1AppointmentSearchSerializer(SearchPayload):
    """The filters of the list, in a body."""

    query_class = V1AppointmentQuery

    eventType = OneWord("APPOINTMENT")
    actionType = OneWord("READ")
    startDate = DayOrMomentField(source="start_date", required=False)
    endDate = DayOrMomentField(source="end_date", required=False)
    modality = ModalityField(required=False)
    state = StateField(required=False)
    patientDocumentNumber = serializers.CharField(source="patient_document_number", max_length=50, required=False)
    doctorDocumentNumber = serializers.CharField(source="doctor_document_number", max_length=50, required=False)
    sort = serializers.ChoiceField(
        choices=[f"{word} {way}" for word in V1AppointmentQuery.sorts for way in ("asc", "desc")], required=False
    )
