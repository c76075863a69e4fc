"""Appointments: found, booked, kept, moved, let go to their next state."""

from datetime import timedelta

from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from accounts.permissions import Permission
from clinic.patients import selectors as patients
from clinic.patients.models import Patient
from clinic.places import selectors as places
from clinic.places.models import Location
from clinic.practitioners.models import Practitioner
from tenancy.audit import services as audit
from tenancy.doors.etags import check_if_match, etag_for, not_modified
from tenancy.doors.paging import PageQuery, paginate
from tenancy.doors.query import Choice, Date, Identifier, NoQuery, Query, Text
from tenancy.doors.refusals import FieldsRefused, problem
from tenancy.doors.schema import keyed_page_of
from tenancy.rules import NotAllowed, RuleBroken

from .. import amending, selectors, self_service, services
from ..models import Appointment, Modality
from ..serializers import (
    STATE_WORDS,
    AmendSerializer,
    AppointmentSerializer,
    BookSerializer,
    HistorySerializer,
    HoldSerializer,
    StatusSerializer,
    TakenSerializer,
)
from ..services import Wanted
from ..states import DOCTOLIB, FROM_DOCTOLIB, FROM_MEDISECURE, MEDISECURE, State
from .examples import EXAMPLE, TAKEN_EXAMPLE
from .times import moment_in, time_problems


class AppointmentQuery(PageQuery):
    """MediSecure's `page`, `limit`, `date`, `status`; latest first. Days by the clock of each location."""

    sorts = {"date": ("starts_at",), "number": ("number",), "created_at": ("created_at",)}
    default_sort = "date desc"
    default_limit = 10

    date = Date(description="One day")
    first = Date(names=("from",), description="The first day")
    last = Date(names=("to",), description="The last day")
    status = Choice(dict.fromkeys([*FROM_MEDISECURE, *FROM_DOCTOLIB]), description="MediSecure's or Doctolib's word")
    state = Choice(State.values, description="One of this clinic's states")
    doctor = Identifier(names=("doctor", "doctorId", "doctor_id"))
    patient = Identifier(names=("patient", "patientId", "patient_id"))
    location = Identifier(names=("location", "location_id"))
    modality = Choice(Modality.values)

    def check(self):
        if self.date and (self.first or self.last):
            return [problem("query", "date", msg=_("Send either date, or from and to."), type="conflict")]
        if self.first and self.last and self.last < self.first:
            return [problem("query", "to", msg=_("The last day lies before the first."), type="order")]
        return super().check()

    def states(self) -> set[str] | None:
        """The states that are meant; None: all of them."""
        if self.status is None:
            return {self.state} if self.state else None
        words = MEDISECURE if self.status in FROM_MEDISECURE else DOCTOLIB
        meant = {str(state) for state, word in words.items() if word == self.status}
        return meant & {self.state} if self.state else meant


class StatusQuery(Query):
    """Doctolib sends both in the address."""

    new_status = Choice(STATE_WORDS, description="Doctolib's word or ours; in the body just as well")
    note = Text(max_length=300)


class AppointmentViewSet(GenericViewSet):
    """Appointments. Nothing is deleted: a visit is cancelled, and its history stays."""

    changes_by_post = ("set_status", "undo")  # they honour If-Match
    names_others = ("create", "holds")  # by id, in the body or the query: 404 for what is not here
    queryset = Appointment.objects.none()
    serializer_class = AppointmentSerializer
    versioned = True
    requires = {
        "list": (Permission.APPOINTMENT_VIEW, Permission.APPOINTMENT_VIEW_OWN),
        "retrieve": (Permission.APPOINTMENT_VIEW, Permission.APPOINTMENT_VIEW_OWN),
        "create": (Permission.APPOINTMENT_BOOK, Permission.APPOINTMENT_BOOK_OWN),
        "holds": (Permission.APPOINTMENT_BOOK, Permission.APPOINTMENT_BOOK_OWN),
        "partial_update": (Permission.APPOINTMENT_MOVE, Permission.APPOINTMENT_BOOK_OWN),
        "set_status": (Permission.APPOINTMENT_MOVE, Permission.APPOINTMENT_BOOK_OWN),
        "undo": Permission.APPOINTMENT_MOVE,
        "history": Permission.APPOINTMENT_VIEW,
    }
    queries = {"list": AppointmentQuery, "retrieve": NoQuery, "history": NoQuery, "set_status": StatusQuery}

    @extend_schema(
        responses={200: keyed_page_of("appointments", AppointmentSerializer)}, summary="List or filter appointments"
    )
    def list(self, request):
        query = AppointmentQuery.read(request)
        found = selectors.list_appointments(
            by=request.member,
            states=query.states(),
            first=query.date or query.first,
            last=query.date or query.last,
            practitioner=query.doctor,
            patient=query.patient,
            location=query.location,
            modality=query.modality,
        )
        page = paginate(found, query)
        return Response(page.keyed("appointments", AppointmentSerializer(page.items, many=True).data))

    @extend_schema(responses={200: AppointmentSerializer}, summary="One appointment")
    def retrieve(self, request, pk):
        appointment = selectors.get_appointment(pk, by=request.member)
        audit.record_read(appointment, by=request.member, kind="api")
        return not_modified(request, appointment) or self._answer(appointment)

    @extend_schema(
        request=BookSerializer,
        responses={201: AppointmentSerializer, 409: TakenSerializer},
        examples=[
            OpenApiExample("A visit", value=EXAMPLE, request_only=True),
            OpenApiExample(
                "By the clock of the location", value=EXAMPLE | {"date": "2030-03-14T09:00:00"}, request_only=True
            ),
            OpenApiExample("Taken: three times nearby", value=TAKEN_EXAMPLE, response_only=True, status_codes=["409"]),
        ],
        summary="Book a visit; 409 names the three nearest free times",
    )
    def create(self, request):
        return self._book(BookSerializer)

    @extend_schema(
        request=HoldSerializer,
        responses={201: AppointmentSerializer, 409: TakenSerializer},
        examples=[
            OpenApiExample(
                "A time to be kept", value={k: EXAMPLE[k] for k in EXAMPLE if k != "notes"}, request_only=True
            )
        ],
        summary="Keep a time for ten minutes; book it by its status",
    )
    @action(detail=False, methods=["post"])
    def holds(self, request):
        return self._book(HoldSerializer, hold=True)

    @extend_schema(
        request=AmendSerializer,
        responses={200: AppointmentSerializer, 409: TakenSerializer},
        examples=[
            OpenApiExample("Another time", value={"date": "2030-03-15T10:30:00-05:00"}, request_only=True),
            OpenApiExample("Done", value={"status": "completed", "notes": "120/80"}, request_only=True),
        ],
        summary="Move, complete, cancel, note",
    )
    def partial_update(self, request, pk):
        appointment = selectors.get_appointment(pk, by=request.member)
        given = self._checked(AmendSerializer)
        expected = self._expected(appointment)
        doctor, location = self._elsewhere(appointment, given)
        amendment = amending.Amendment(
            starts_at=moment_in(given, "date", location or appointment.location),
            ends_at=moment_in(given, "endDate", location or appointment.location),
            practitioner=doctor,
            location=location,
            state=_state_meant(appointment, given.get("status")),
            why=given.get("changeReason", ""),
            overbook_reason=given.get("overbookReason", ""),
            override_reason=given.get("overrideReason", ""),
            texts={name: given[name] for name in ("notes", "reason") if name in given},
        )
        if amendment.texts and appointment.patient and appointment.patient.is_masked:
            raise NotAllowed(_("This chart is restricted; its texts are not yours to change."))
        with time_problems() as taken:
            if request.member.may(Permission.APPOINTMENT_MOVE):
                amending.amend(appointment, amendment, by=request.member, expected_version=expected)
            else:
                self_service.amend_own(appointment, amendment, by=request.member, expected_version=expected)
            return self._answer_again(pk)
        return taken.answer()

    @extend_schema(
        request=StatusSerializer,
        responses={200: AppointmentSerializer, 409: TakenSerializer},
        examples=[
            OpenApiExample("Arrived", value={"state": "arrived"}, request_only=True),
            OpenApiExample("Doctolib", value={"new_status": "finished", "note": "Seen"}, request_only=True),
        ],
        summary="Let a visit go to its next state (Doctolib)",
    )
    @action(detail=True, methods=["post"], url_path="status")
    def set_status(self, request, pk):
        appointment = selectors.get_appointment(pk, by=request.member)
        query = StatusQuery.read(request)
        given = self._checked(StatusSerializer)
        words = {word for word in (query.new_status, given.get("new_status"), given.get("state")) if word}
        if len(words) != 1:
            sentence = _("Send the new status once.") if words else _("Send the new status.")
            raise FieldsRefused([problem("body", "new_status", msg=sentence, type="required")])
        word = words.pop()
        to = word if word in State.values else FROM_DOCTOLIB.get(word) or FROM_MEDISECURE[word]
        why = given.get("note") or given.get("reason") or query.note or ""
        expected = self._expected(appointment)
        change = amending.change_state if request.member.may(Permission.APPOINTMENT_MOVE) else self_service.change_own
        with time_problems() as taken:
            change(appointment, to, by=request.member, reason=why, expected_version=expected)
            return self._answer_again(pk)
        return taken.answer()

    @extend_schema(request=None, responses={200: AppointmentSerializer}, summary="Take the last change of state back")
    @action(detail=True, methods=["post"])
    def undo(self, request, pk):
        appointment = selectors.get_appointment(pk, by=request.member)
        expected = self._expected(appointment)
        with time_problems() as taken:
            services.undo_move(appointment, by=request.member, expected_version=expected)
            return self._answer_again(pk)
        return taken.answer()

    @extend_schema(responses={200: HistorySerializer}, summary="What happened to a visit: who, when, why")
    @action(detail=True, methods=["get"])
    def history(self, request, pk):
        appointment = selectors.get_appointment(pk, by=request.member)
        return Response(HistorySerializer({"history": selectors.list_changes(appointment)}).data)

    def _book(self, serializer_class, *, hold: bool = False):
        member = self.request.member
        given = self._checked(serializer_class)
        with time_problems() as taken:
            wanted = self._wanted(given)
            if member.may(Permission.APPOINTMENT_BOOK):
                made = services.book(wanted, by=member, state=State.HELD if hold else State.BOOKED)
            else:
                made = self_service.book_own(wanted, by=member, hold=hold)
            return self._answer_again(made.pk, status.HTTP_201_CREATED)
        return taken.answer()

    def _wanted(self, given: dict) -> Wanted:
        member = self.request.member
        patient = self._patient(given.get("patientId"))
        doctor = selectors.get_doctor(given["doctorId"], by=member)
        type, location = selectors.get_type_and_location(given.get("typeId"), given.get("locationId"), by=member)
        location = location or services.usual_location(doctor)
        starts_at, ends_at = moment_in(given, "date", location), moment_in(given, "endDate", location)
        if "minutes" in given:
            ends_at = starts_at + timedelta(minutes=given["minutes"])
        return Wanted(
            patient=patient,
            practitioner=doctor,
            starts_at=starts_at,
            ends_at=ends_at,
            location=location,
            type=type,
            modality=given.get("modality", ""),
            reason=given.get("reason", ""),
            notes=given.get("notes", ""),
            overbook_reason=given.get("overbookReason", ""),
            override_reason=given.get("overrideReason", ""),
            submit_key=given.get("submitKey"),
        )

    def _elsewhere(self, appointment: Appointment, given: dict) -> tuple[Practitioner | None, Location | None]:
        """Whom and where a visit is moved to, None for what stays; Http404 for what is not here.

        Somebody else works where they usually do, unless the visit's place is named, too.
        """
        member, doctor, location = self.request.member, None, None
        if given.get("doctorId") not in (None, appointment.practitioner_id):
            doctor = selectors.get_doctor(given["doctorId"], by=member)
            location = services.usual_location(doctor)
        if "locationId" in given:
            location = places.get_location(given["locationId"], by=member)
        return doctor, None if location is not None and location.pk == appointment.location_id else location

    def _patient(self, patient_id) -> Patient:
        """The patient of a booking; patients may leave it out, and find nobody but themselves."""
        if patient_id is not None:
            # A restricted chart comes masked; who may see that it is there may book for it.
            return Patient.objects.get(pk=patients.get_patient(patient_id, by=self.request.member).pk)
        if self.request.member.may(Permission.APPOINTMENT_BOOK):
            raise FieldsRefused([problem("body", "patientId", msg=_("Say who the patient is."), type="required")])
        own = patients.list_patients(by=self.request.member).first()
        if own is None:
            raise RuleBroken(_("You have no chart here yet; ask at the desk."), code="no_chart")
        return own

    def _checked(self, serializer_class) -> dict:
        given = serializer_class(data=self.request.data)
        given.is_valid(raise_exception=True)
        return dict(given.validated_data)

    def _expected(self, appointment):
        """The version the caller has seen, for the service to check again under its lock; None when not said."""
        check_if_match(self.request, appointment)
        return appointment.version if "If-Match" in self.request.headers else None

    def _answer_again(self, pk, code=status.HTTP_200_OK):
        """The appointment as it stands now; Http404 where a `submitKey` was somebody else's."""
        return self._answer(selectors.get_appointment(pk, by=self.request.member), code)

    def _answer(self, appointment, code=status.HTTP_200_OK):
        return Response(AppointmentSerializer(appointment).data, status=code, headers={"ETag": etag_for(appointment)})


def _state_meant(appointment: Appointment, word: str | None) -> str:
    """The state MediSecure's word asks for; "" when the visit is called that already."""
    return "" if word is None or MEDISECURE[appointment.state] == word else FROM_MEDISECURE[word]
