"""The door of the book for other servers: `/v1/appointments` and the lists its fields are taken from (S7 to S10).

Booking goes through the same locks and rules as at the desk. Who is refused a
time is told the three nearest free ones.
"""

from contextlib import contextmanager
from datetime import date, datetime, time, timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.exceptions import APIException
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from accounts.api_keys.fast_lane import FastResource, Filter, register
from accounts.api_keys.once import make_once
from accounts.permissions import Permission
from clinic.places import selectors as places
from tenancy.audit import services as audit
from tenancy.doors.compiled import CompiledRows, words_as_sql
from tenancy.doors.etags import check_if_match, etag_for, not_modified
from tenancy.doors.paging import paginate
from tenancy.doors.payloads import LookupListSerializer, lookup_answer
from tenancy.doors.query import NoQuery
from tenancy.doors.refusals import FieldsRefused, error_body, problem
from tenancy.doors.schema import page_of
from tenancy.rules import NotAllowed, RuleBroken

from . import amending, naming, secre, selectors, services
from .models import Appointment, AppointmentType, Modality
from .naming import NotKnown
from .serializers_v1 import (
    V1AppointmentCreateSerializer,
    V1AppointmentQuery,
    V1AppointmentSearchSerializer,
    V1AppointmentSerializer,
    V1AppointmentUpdateSerializer,
    V1DateRangeQuery,
)
from .services import TimeTaken, Wanted
from .states import State

EXAMPLE = {
    "eventType": "APPOINTMENT",
    "actionType": "CREATE",
    "startAppointment": "2030-03-14T09:00:00-05:00",
    "endAppointment": "2030-03-14T09:30:00-05:00",
    "patientDocumentTypeId": 1,
    "patientDocumentNumber": "1020304050",
    "doctorDocumentTypeId": 1,
    "doctorDocumentNumber": "80123456",
    "modality": "IN_PERSON",
    "state": "SCHEDULED",
    "notificationState": "PENDING",
    "comment": "Control de tensión; trae sus lecturas",
    "customFields": {"channel": "whatsapp", "priority": 2, "referred_by": None},
}
SNAKE_EXAMPLE = {
    "eventType": "APPOINTMENT",
    "actionType": "CREATE",
    "startAppointment": "2030-03-14T15:00:00Z",
    "endAppointment": "2030-03-14T15:30:00Z",
    "patient_document_type_id": 1,
    "patient_document_number": "1020304050",
    "doctor_document_type_id": 1,
    "doctor_document_number": "80123456",
    "modality": 2,
    "state": 1,
    "idempotencyKey": "n8n-7f3a-item-0",
}
TAKEN_EXAMPLE = {
    "detail": "Dr. Dario Quintero has another visit then.",
    "code": "time_taken",
    "trace_id": "6f0c2d7e",
    "nearest": [
        {
            "start_utc": "2030-03-14T14:30:00Z",
            "end_utc": "2030-03-14T15:00:00Z",
            "doctor_id": "01890a5d-ac96-774b-bcce-b302099a8002",
            "clinic_id": "01890a5d-ac96-774b-bcce-b302099a8001",
        }
    ],
}
ABOUT_A_FIELD = {"end_before_start": "ends_at", "too_long": "ends_at", "in_the_past": "starts_at"}
"""Rules of the book that concern one value: 400 with its name, not 409."""


class V1NearestSerializer(serializers.Serializer):
    start_utc = serializers.DateTimeField()
    end_utc = serializers.DateTimeField()
    doctor_id = serializers.UUIDField()
    clinic_id = serializers.UUIDField()


class V1TakenSerializer(serializers.Serializer):
    """A rule says no. Where a time is taken or not offered, `nearest` are up to three free ones, the nearest first."""

    detail = serializers.CharField()
    code = serializers.CharField(help_text="`time_taken`, `time_not_offered`, or another rule")
    trace_id = serializers.CharField()
    nearest = V1NearestSerializer(many=True, required=False)


class UnknownName(APIException):
    """404 that says whom or what the body means and nobody here is."""

    status_code = status.HTTP_404_NOT_FOUND


A_PAGE = page_of(V1AppointmentSerializer)


class AppointmentViewSet(GenericViewSet):
    """Appointments for other servers. DELETE cancels: the visit stays in the history, its time is free again."""

    names_others = ("create",)  # by document or id, in its body: 404 for what is not here
    queryset = Appointment.objects.none()
    serializer_class = V1AppointmentSerializer
    versioned = True
    requires = {
        "list": Permission.APPOINTMENT_VIEW,
        "by_date_range": Permission.APPOINTMENT_VIEW,
        "search": Permission.APPOINTMENT_VIEW,
        "retrieve": Permission.APPOINTMENT_VIEW,
        "create": Permission.APPOINTMENT_BOOK,
        "partial_update": Permission.APPOINTMENT_MOVE,
        "destroy": Permission.APPOINTMENT_MOVE,
    }
    queries = {"list": V1AppointmentQuery, "by_date_range": V1DateRangeQuery, "retrieve": NoQuery}
    keyless = {"search": "It only reads."}

    @extend_schema(responses={200: A_PAGE}, summary="List or filter appointments")
    def list(self, request):
        return self._page(V1AppointmentQuery.read(request))

    @extend_schema(responses={200: A_PAGE}, summary="Appointments of a span, oldest first")
    @action(detail=False, methods=["get"], url_path="by-date-range")
    def by_date_range(self, request):
        return self._page(V1DateRangeQuery.read(request))

    @extend_schema(
        request=V1AppointmentSearchSerializer,
        responses={200: A_PAGE},
        examples=[
            OpenApiExample("Of a patient", value={"patientDocumentNumber": "1020304050"}, request_only=True),
            OpenApiExample(
                "Of a day", value={"startDate": "2030-03-14", "endDate": "2030-03-14", "sort": "start asc"},
                request_only=True,
            ),
        ],
        summary="The same filters in a body, for what should not stand in an address",
    )  # fmt: skip
    @action(detail=False, methods=["post"])
    def search(self, request):
        return self._page(self._checked(V1AppointmentSearchSerializer).query())

    @extend_schema(responses={200: V1AppointmentSerializer}, summary="One appointment")
    def retrieve(self, request, pk):
        appointment = selectors.get_visit(pk, by=request.member)
        audit.record_read(appointment, by=request.member, kind="api")
        return not_modified(request, appointment) or self._answer(appointment)

    @extend_schema(
        request=V1AppointmentCreateSerializer,
        responses={201: V1AppointmentSerializer, 200: V1AppointmentSerializer, 409: V1TakenSerializer},
        examples=[
            OpenApiExample("As a chatbot sends it", value=EXAMPLE, request_only=True),
            OpenApiExample("snake_case, ids of lists, a key of its own", value=SNAKE_EXAMPLE, request_only=True),
            OpenApiExample("Taken: three times nearby", value=TAKEN_EXAMPLE, response_only=True, status_codes=["409"]),
        ],
        summary="Book a visit; 409 names the three nearest free times",
    )
    def create(self, request):
        given = self._checked(V1AppointmentCreateSerializer)
        booked: list[Appointment] = []

        def book() -> Appointment:
            booked.append(self._book(given.values))
            return booked[0]

        with as_asked(given) as taken:
            pk, is_new = make_once(
                book,
                by=request.member,
                kind="appointment",
                key=given.values.get("idempotency_key", ""),
                sent=request.data,
            )
            if is_new:
                return self._answer(booked[0], status.HTTP_201_CREATED)
            return self._answer_again(pk)
        return taken.answer()

    @extend_schema(
        request=V1AppointmentUpdateSerializer(partial=True),
        responses={200: V1AppointmentSerializer, 409: V1TakenSerializer},
        examples=[
            OpenApiExample(
                "Another time",
                value={
                    "eventType": "APPOINTMENT",
                    "actionType": "UPDATE",
                    "startAppointment": "2030-03-15T10:00:00-05:00",
                    "endAppointment": "2030-03-15T10:30:00-05:00",
                },
                request_only=True,
            ),
            OpenApiExample("Confirmed by the patient", value={"state": "CONFIRMED"}, request_only=True),
        ],
        summary="Move, confirm, cancel, note",
    )
    def partial_update(self, request, pk):
        appointment = selectors.get_visit(pk, by=request.member)
        given = self._checked(V1AppointmentUpdateSerializer, partial=True)
        expected = self._expected(appointment)
        with as_asked(given) as taken:
            amendment = self._amendment(appointment, given)
            if amendment.texts and appointment.patient and appointment.patient.is_masked:
                raise NotAllowed(_("This chart is restricted; its texts are not yours to change."))
            amending.amend(appointment, amendment, by=request.member, expected_version=expected)
            return self._answer_again(pk)
        return taken.answer()

    @extend_schema(request=None, responses={204: None}, summary="Cancel a visit")
    def destroy(self, request, pk):
        appointment = selectors.get_visit(pk, by=request.member)
        expected = self._expected(appointment)
        if appointment.state != State.CANCELLED:
            amending.change_state(appointment, State.CANCELLED, by=request.member, expected_version=expected)
        return Response(status=status.HTTP_204_NO_CONTENT)

    def _page(self, query: V1AppointmentQuery) -> Response:
        zone = self.request.tenant.zone
        found = selectors.list_visits(
            by=self.request.member,
            starts_from=_moment(query.start_date, zone),
            ends_until=_moment(query.end_date, zone, days_after=1),
            state=State.BOOKED if query.state == secre.MOVED else query.state,
            modality=query.modality,
            patient_document=query.patient_document_number or "",
            doctor_document=query.doctor_document_number or "",
        )
        page = paginate(found, query)
        rows = [selectors.veil(row) for row in page.items]
        return Response(page.envelope(V1AppointmentSerializer(rows, many=True).data))

    def _book(self, values: dict[str, Any]) -> Appointment:
        member = self.request.member
        length = values["ends_at"] - values["starts_at"]
        patient = naming.find_patient(by=member, **_named("patient", values))
        doctor = naming.find_doctor(by=member, **_named("doctor", values))
        type, location = self._type_and_location(values, minutes=int(length.total_seconds() // 60))
        wanted = Wanted(
            patient=patient,
            practitioner=doctor,
            starts_at=values["starts_at"],
            ends_at=values["ends_at"],
            location=location,
            type=type,
            modality=values.get("modality", ""),
            notes=values.get("notes") or "",
            custom_fields=values.get("custom_fields") or {},
            notification_state=values.get("notification_state") or "",
            source=Appointment.Source.API,
        )
        state = values.get("state", State.BOOKED)
        return services.book(wanted, by=member, state=State.BOOKED if state == secre.MOVED else state)

    def _amendment(self, appointment: Appointment, given: V1AppointmentUpdateSerializer) -> amending.Amendment:
        values, member = given.values, self.request.member
        _refuse_other_patient(appointment, values, by=member)
        starts_at = values.get("starts_at", appointment.starts_at)
        ends_at = values.get("ends_at", appointment.ends_at)
        if starts_at >= ends_at and "ends_at" not in values:
            raise FieldsRefused([_wrong(given, "starts_at", _("Start time must be before existing end time"))])
        if starts_at >= ends_at and "starts_at" not in values:
            raise FieldsRefused([_wrong(given, "ends_at", _("End time must be after existing start time"))])
        doctor = _named("doctor", values)
        type, location = self._type_and_location(values, minutes=appointment.minutes)
        texts = {name: values[name] for name in ("notes", "modality", "custom_fields") if name in values}
        if "notes" in texts:
            texts["notes"] = texts["notes"] or ""
        if "notification_state" in values:
            texts["notification_state"] = values["notification_state"] or ""
        return amending.Amendment(
            starts_at=starts_at,
            ends_at=ends_at,
            practitioner=naming.find_doctor(by=member, **doctor) if doctor else None,
            location=location,
            type=type,
            state="" if values.get("state") == secre.MOVED else values.get("state", ""),
            why=values.get("why", ""),
            texts=texts,
        )

    def _type_and_location(self, values: dict[str, Any], *, minutes: int):
        member, type, location = self.request.member, None, None
        if values.get("type"):
            type = naming.find_type(values["type"], by=member, minutes=minutes)
        if values.get("location"):
            location = naming.find_location(values["location"], by=member, time_zone=self.request.tenant.time_zone)
        return type, location

    def _checked(self, serializer_class, **options) -> Any:
        given = serializer_class(data=self.request.data, **options)
        given.is_valid(raise_exception=True)
        return given

    def _expected(self, appointment):
        """The version the caller has seen, for the service to check again under its lock; None when not said."""
        check_if_match(self.request, appointment)
        return appointment.version if "If-Match" in self.request.headers else None

    def _answer_again(self, pk, code=status.HTTP_200_OK):
        return self._answer(selectors.get_visit(pk, by=self.request.member), code)

    def _answer(self, appointment, code=status.HTTP_200_OK):
        return Response(V1AppointmentSerializer(appointment).data, status=code, headers={"ETag": etag_for(appointment)})


def _named(who: str, values: dict[str, Any]) -> dict[str, Any]:
    """What the body says of patient or doctor, by the names of `naming`."""
    names = {"id": f"{who}_id", "document_type": f"{who}_document_type", "document_number": f"{who}_document_number"}
    return {name: values[sent] for name, sent in names.items() if sent in values}


def _refuse_other_patient(appointment: Appointment, values: dict[str, Any], *, by: Any) -> None:
    named = _named("patient", values)
    if named and naming.find_patient(by=by, **named).pk != appointment.patient_id:
        raise RuleBroken(_("A visit stays with its patient. Cancel it and book another."), code="other_patient")


def _moment(when: date | datetime | None, zone, *, days_after: int = 0) -> datetime | None:
    """A moment as it is; a day as its first moment by the clinic's clock, or the first of a later one."""
    if when is None or isinstance(when, datetime):
        return when
    return datetime.combine(when + timedelta(days=days_after), time(), zone)


def _wrong(given, name: str, sentence: str, type: str = "order") -> dict:
    return problem("body", given.name_sent(name), msg=sentence, type=type)


class Taken:
    """The refusal of a time that is not free, once one was met."""

    refused: TimeTaken

    def answer(self) -> Response:
        """409 with the sentence and up to three free times, the nearest first."""
        nearest = [
            {"start_utc": s.starts, "end_utc": s.ends, "doctor_id": s.practitioner_id, "clinic_id": s.location_id}
            for s in self.refused.nearest
        ]
        body = error_body(str(self.refused.sentence), self.refused.code) | {"nearest": nearest}
        return Response(body, status=status.HTTP_409_CONFLICT)


@contextmanager
def as_asked(given):
    """Keep a refused time for `Taken.answer`; name fields as the caller spelled them; 404 with a sentence for names
    that mean nobody."""
    taken = Taken()
    try:
        yield taken
    except TimeTaken as refused:
        taken.refused = refused
    except NotKnown as unknown:
        raise UnknownName(unknown.sentence, unknown.code) from None
    except ValidationError as refused:
        raise ValidationError({given.name_sent(n): errors for n, errors in refused.error_dict.items()}) from None
    except RuleBroken as broken:
        if broken.code not in ABOUT_A_FIELD:
            raise
        sentences = {
            "too_long": _("Appointment cannot be longer than 8 hours"),
            "in_the_past": _("Appointment start time cannot be in the past"),
        }
        sentence = sentences.get(broken.code, broken.sentence)
        raise FieldsRefused([_wrong(given, ABOUT_A_FIELD[broken.code], sentence, broken.code)]) from None


# --- The short way (accounts.api_keys.fast_lane) ---------------------------------------------------------------------

PLAIN_ROWS = CompiledRows(V1AppointmentSerializer, Appointment)


def _is_plain_number(text: str) -> bool:
    """A document number that is written as it is looked for; every other spelling goes the usual way."""
    return text.isascii() and text.isdecimal() and len(text) <= 50


FAST = register(
    FastResource(
        path="/v1/appointments",
        rows=PLAIN_ROWS,
        permission=Permission.APPOINTMENT_VIEW,
        present="true",
        # Somebody whose chart is restricted comes masked: by the usual way.
        plain=f"{PLAIN_ROWS.alias('patient')}.restricted_at IS NULL",
        look="api",
        filters={
            "state": Filter(
                f"r.state = {words_as_sql({word: ours for _id, word, ours in secre.STATES}, '{0}::text')}",
                secre.STATE_CHOICES.__contains__,
                is_sure=True,
            ),
            "modality": Filter(
                f"r.modality = {words_as_sql({word: ours for _id, word, ours in secre.MODALITIES}, '{0}::text')}",
                secre.MODALITY_CHOICES.__contains__,
                is_sure=True,
            ),
            "patient_document_number": Filter(
                # As selectors.list_visits: by the words of search, whose index knows the number alone.
                "r.patient_id IN (SELECT p.id FROM patients_patient p"
                " WHERE p.restricted_at IS NULL AND p.document_key = {0}::text AND p.id IN"
                " (SELECT w.patient_id FROM patients_patienttoken w WHERE w.token = {0}::text))",
                _is_plain_number,
                is_sure=True,
            ),
            "doctor_document_number": Filter(
                "r.practitioner_id IN (SELECT d.id FROM practitioners_practitioner d WHERE d.document_key = {0}::text)",
                _is_plain_number,
                is_sure=True,
            ),
        },
        latest_by="starts_at",
        sort=V1AppointmentQuery.default_sort,
    )
)


# --- Lists that fields are taken from --------------------------------------------------------------------------------


class AppointmentLookupViewSet(GenericViewSet):
    """Words of the book; kinds of visits and houses are the clinic's own (decision X14)."""

    serializer_class = LookupListSerializer
    queryset = Appointment.objects.none()
    lists = {
        "appointment-modalities": "modalities",
        "appointment-states": "states",
        "notification-states": "notification_states",
        "appointment-types": "types",
        "clinics": "clinics",
        "locations": "locations",
    }
    requires = dict.fromkeys(lists.values(), (Permission.APPOINTMENT_VIEW, Permission.PATIENT_VIEW))
    queries = dict.fromkeys(lists.values(), NoQuery)

    @extend_schema(responses={200: LookupListSerializer}, summary="How somebody is seen")
    def modalities(self, request):
        NoQuery.read(request)
        return lookup_answer([(pk, word, str(Modality(ours).label), "") for pk, word, ours in secre.MODALITIES])

    @extend_schema(responses={200: LookupListSerializer}, summary="What becomes of a visit")
    def states(self, request):
        NoQuery.read(request)
        rows = [(pk, word, str(State(ours).label), "") for pk, word, ours in secre.STATES]
        pk, word, _ours = secre.RESCHEDULED
        moved = (pk, word, _("Moved"), _("Accepted; a visit that was moved keeps the state it had."))
        return lookup_answer(sorted([*rows, moved]))

    @extend_schema(responses={200: LookupListSerializer}, summary="What has become of a message about a visit")
    def notification_states(self, request):
        NoQuery.read(request)
        labels = Appointment._meta.get_field("notification_state").flatchoices
        return lookup_answer([(pk, word, str(dict(labels)[ours]), "") for pk, word, ours in secre.NOTIFICATIONS])

    @extend_schema(responses={200: LookupListSerializer}, summary="The clinic's kinds of visits")
    def types(self, request):
        NoQuery.read(request)
        types = selectors.list_types(by=request.member)
        return lookup_answer([(type.pk, type.code, type.name, _about(type)) for type in types])

    @extend_schema(responses={200: LookupListSerializer}, summary="The clinic's houses")
    def clinics(self, request):
        return self._houses(request)

    @extend_schema(responses={200: LookupListSerializer}, summary="The clinic's houses, by their other name")
    def locations(self, request):
        return self._houses(request)

    def _houses(self, request):
        NoQuery.read(request)
        houses = places.list_locations(by=request.member)
        return lookup_answer([(house.pk, house.name, house.name, house.address) for house in houses])


def _about(type: AppointmentType) -> str:
    return _("%(count)d minutes") % {"count": type.minutes}
