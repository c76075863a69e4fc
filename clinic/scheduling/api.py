"""The JSON door of the book: MediSecure's doctors and appointments, Doctolib's schedules and status, free times."""

from contextlib import contextmanager
from datetime import date, datetime, timedelta

from django.utils import timezone
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
from clinic.practitioners import services as practitioners
from clinic.practitioners.models import Practitioner
from tenancy.audit import services as audit
from tenancy.doors.etags import check_if_match, digest_of, etag_for, not_modified
from tenancy.doors.paging import PageQuery, paginate
from tenancy.doors.query import Boolean, Choice, Date, Identifier, Integer, NoQuery, Query, Text
from tenancy.doors.refusals import FieldsRefused, error_body, problem
from tenancy.doors.resources import RemovableMixin, ResourceViewSet, describe
from tenancy.doors.schema import keyed_page_of
from tenancy.rules import NotAllowed, RuleBroken

from . import amending, offering, selectors, self_service, services
from .availability import Slot
from .explaining import Reader, explain
from .models import LONGEST_VISIT_MINUTES, Appointment, AppointmentType, Modality, WorkingHours
from .plans import LONGEST_SPAN_DAYS
from .serializers import (
    STATE_WORDS,
    WEEKDAY_WORDS,
    AmendSerializer,
    AppointmentSerializer,
    AppointmentTypeSerializer,
    BookSerializer,
    DaySlotsSerializer,
    DoctorRowSerializer,
    DoctorSerializer,
    DoctorSlotsSerializer,
    HistorySerializer,
    HoldSerializer,
    ScheduleSerializer,
    StatusSerializer,
    TakenSerializer,
    WriteAppointmentTypeSerializer,
    WriteScheduleSerializer,
)
from .services import NotQualified, TimeTaken, Wanted
from .states import DOCTOLIB, FROM_DOCTOLIB, FROM_MEDISECURE, MEDISECURE, State
from .wall_time import NoSuchTime, TwiceThatDay, moment_of

DOCTOR_ID = "01890a5d-ac96-774b-bcce-b302099a8002"
PATIENT_ID = "01890a5d-ac96-774b-bcce-b302099a8003"
EXAMPLE = {
    "patientId": PATIENT_ID,
    "doctorId": DOCTOR_ID,
    "date": "2030-03-14T09:00:00-05:00",
    "reason": "Check of blood pressure",
    "notes": "Brings her own readings",
}
TAKEN_EXAMPLE = {
    "detail": "Dr. Dario Quintero has another visit then.",
    "code": "time_taken",
    "trace_id": "6f0c2d7e",
    "nearest": [
        {
            "start": "2030-03-14T14:30:00Z",
            "end": "2030-03-14T15:00:00Z",
            "doctorId": DOCTOR_ID,
            "locationId": "01890a5d-ac96-774b-bcce-b302099a8001",
        }
    ],
}
ABOUT_A_FIELD = {"end_before_start": "endDate", "too_long": "endDate", "in_the_past": "date"}
"""Rules of the book that concern one value: 400 with its name, not 409."""


# --- Doctors and their free times ------------------------------------------------------------------------------------


class DoctorQuery(PageQuery):
    """MediSecure's `page` and `limit`; by family name."""

    sorts = {"name": ("first_last_name", "first_name")}
    default_sort = "name asc"
    default_limit = 10

    specialty = Identifier(names=("specialty", "specialty_id"))


class SlotsQuery(Query):
    """A span of days, both included; a week from today where none is named."""

    first = Date(names=("from",), description="The first day; today where it is not sent")
    last = Date(names=("to",), description="The last day; six days later where it is not sent, at most 366 days")
    type = Identifier(description="The kind of visit")
    minutes = Integer(minimum=1, maximum=LONGEST_VISIT_MINUTES, description="Instead of the length of the type")
    location = Identifier(names=("location", "location_id"))
    explain = Boolean(default=False, description="Also the times that are not free, each with every reason")

    def check(self):
        if self.first and self.last and not 0 <= (self.last - self.first).days < LONGEST_SPAN_DAYS:
            sentence = _("The last day lies between the first and 365 days later.")
            return [problem("query", "to", msg=sentence, type="order")]
        return super().check()


class DoctorViewSet(GenericViewSet):
    """Those who can be booked (decision X31), and their free times."""

    queryset = Practitioner.objects.none()
    serializer_class = DoctorSerializer
    versioned = {"retrieve"}
    requires = {
        "list": (Permission.PRACTITIONER_VIEW, Permission.APPOINTMENT_VIEW, Permission.APPOINTMENT_VIEW_OWN),
        "retrieve": (Permission.PRACTITIONER_VIEW, Permission.APPOINTMENT_VIEW, Permission.APPOINTMENT_VIEW_OWN),
        "slots": (Permission.APPOINTMENT_VIEW, Permission.APPOINTMENT_BOOK_OWN),
    }
    queries = {"list": DoctorQuery, "retrieve": NoQuery, "slots": SlotsQuery}

    @extend_schema(responses={200: keyed_page_of("doctors", DoctorRowSerializer)}, summary="List doctors")
    def list(self, request):
        practitioners.bring_doctors()
        query = DoctorQuery.read(request)
        page = paginate(selectors.list_doctors(by=request.member, specialty=query.specialty), query)
        return Response(page.keyed("doctors", DoctorRowSerializer(page.items, many=True).data))

    @extend_schema(responses={200: DoctorSerializer}, summary="One doctor")
    def retrieve(self, request, pk):
        doctor = selectors.get_doctor(pk, by=request.member)
        doctor.assigned_patients = selectors.count_assigned_patients(doctor)
        body = DoctorSerializer(doctor).data
        version = digest_of(body)
        return not_modified(request, version) or Response(body, headers={"ETag": etag_for(version)})

    @extend_schema(responses={200: DoctorSlotsSerializer}, summary="Free times of a doctor, or why there are none")
    @action(detail=True, methods=["get"])
    def slots(self, request, pk):
        query = SlotsQuery.read(request)
        doctor = selectors.get_doctor(pk, by=request.member)
        type, location = type_and_location(request.member, query.type, query.location)
        first = query.first or timezone.localdate()
        last = query.last or first + timedelta(days=6)
        if not 0 <= (last - first).days < LONGEST_SPAN_DAYS:
            sentence = _("The last day lies between the first and 365 days later.")
            raise FieldsRefused([problem("query", "to", msg=sentence, type="order")])
        asked = {"type": type, "minutes": query.minutes, "location": location, "explain": query.explain}
        found = selectors.find_slots([doctor], first, last, by=request.member, **asked)
        reader = Reader(is_staff=not selectors.is_for_oneself(request.member), type=type)
        body = {"doctorId": doctor.pk, "from": first, "to": last, "minutes": minutes_of(type, query.minutes)}
        body["slots"] = slot_rows(found, reader, explained=query.explain)
        if query.explain:
            body |= _nothing_there(doctor, type, body["slots"], first, last)
        return Response(body)


class DayQuery(Query):
    """One day at all locations, or at one."""

    date = Date(description="The day; today where it is not sent")
    type = Identifier(description="The kind of visit")
    minutes = Integer(minimum=1, maximum=LONGEST_VISIT_MINUTES, description="Instead of the length of the type")
    location = Identifier(names=("location", "location_id"))
    explain = Boolean(default=False, description="Also the times that are not free, each with every reason")


class DaySlotsViewSet(GenericViewSet):
    """Free times of everybody on one day."""

    names_others = ("list",)  # by id, in the body or the query: 404 for what is not here
    queryset = Practitioner.objects.none()
    serializer_class = DaySlotsSerializer
    requires = {"list": (Permission.APPOINTMENT_VIEW, Permission.APPOINTMENT_BOOK_OWN)}
    queries = {"list": DayQuery}

    @extend_schema(responses={200: DaySlotsSerializer}, summary="Free times of all doctors on one day")
    def list(self, request):
        query = DayQuery.read(request)
        type, location = type_and_location(request.member, query.type, query.location)
        day = query.date or timezone.localdate()
        doctors = list(selectors.list_doctors(by=request.member))
        asked = {"type": type, "minutes": query.minutes, "location": location, "explain": query.explain}
        found = selectors.find_slots(doctors, day, day, by=request.member, **asked)
        reader = Reader(is_staff=not selectors.is_for_oneself(request.member), type=type)
        names = {doctor.pk: doctor.name for doctor in doctors}
        rows = slot_rows(found, reader, explained=query.explain, names=names)
        return Response({"date": day, "minutes": minutes_of(type, query.minutes), "slots": rows})


def type_and_location(member, type_id, location_id) -> tuple[AppointmentType | None, Location | None]:
    """The rows a query names; Http404 for those this member does not find."""
    type = selectors.get_type(type_id, by=member) if type_id else None
    return type, places.get_location(location_id, by=member) if location_id else None


def minutes_of(type: AppointmentType | None, minutes: int | None) -> int:
    return minutes or (type.minutes if type else selectors.DEFAULT_MINUTES)


def slot_rows(found: list[Slot], reader: Reader, *, explained: bool = False, names: dict | None = None) -> list[dict]:
    """Slots as they are sent: a month holds a thousand, so this is a plain dictionary each."""
    zones = {location.pk: (location.time_zone, location.zone) for location in Location.objects.all()}
    rows = []
    for slot in found:
        time_zone, zone = zones[slot.location_id]
        row = {
            "start": slot.starts,
            "end": slot.ends,
            "doctorId": slot.practitioner_id,
            "locationId": slot.location_id,
            "localStart": slot.starts.astimezone(zone).isoformat()[:16],
            "timeZone": time_zone,
            "resources": slot.resources,
        }
        if names is not None:
            row["doctorName"] = names[slot.practitioner_id]
        if slot.places is not None:
            row["places"] = slot.places
        if explained:
            row |= {"free": slot.is_free, "reasons": explain(slot, reader)}
        rows.append(row)
    return rows


def _nothing_there(doctor: Practitioner, type: AppointmentType | None, rows: list[dict], first: date, last: date):
    """What `explain` adds to a list: why a doctor has nothing at all, and the days without any hours."""
    days = {row["localStart"][:10] for row in rows}
    span = [first + timedelta(days=offset) for offset in range((last - first).days + 1)]
    reasons = []
    if not doctor.is_active:
        text = _("%(name)s does not work here any more.") % {"name": doctor.name}
        reasons.append({"code": "not_here", "text": text})
    if type is not None and not type.is_active:
        text = _("“%(type)s” is not offered any more.") % {"type": type.name}
        reasons.append({"code": "not_offered", "text": text})
    performers = {row.practitioner_id for row in type.performers.all()} if type is not None else set()
    if performers and doctor.pk not in performers:
        text = _("%(name)s does not do “%(type)s”.") % {"name": doctor.name, "type": type.name}
        reasons.append({"code": "not_performed", "text": text})
    elif not rows and not reasons:
        text = _("%(name)s has no hours in these days.") % {"name": doctor.name}
        reasons.append({"code": "no_hours", "text": text})
    return {"reasons": reasons, "daysWithoutHours": [day for day in span if day.isoformat() not in days]}


# --- Appointments ----------------------------------------------------------------------------------------------------


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
        type, location = type_and_location(member, given.get("typeId"), given.get("locationId"))
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


class TakenAnswer:
    """The refusal of a time or a practitioner, once one was met."""

    refused: TimeTaken | NotQualified

    def answer(self) -> Response:
        """409 with the sentence, and up to three free times, the nearest first, or what is not held on that day."""
        body = error_body(str(self.refused.sentence), self.refused.code)
        if isinstance(self.refused, NotQualified):
            body["missing"] = [
                {"kind": gap.kind.code, "name": gap.kind.name, "lapsedOn": gap.lapsed_on} for gap in self.refused.gaps
            ]
            return Response(body, status=status.HTTP_409_CONFLICT)
        nearest = [
            {"start": s.starts, "end": s.ends, "doctorId": s.practitioner_id, "locationId": s.location_id}
            for s in self.refused.nearest
        ]
        return Response(body | {"nearest": nearest}, status=status.HTTP_409_CONFLICT)


@contextmanager
def time_problems():
    """Keep a refused time for `TakenAnswer.answer`; name the field of times that make no sense."""
    taken = TakenAnswer()
    try:
        yield taken
    except (TimeTaken, NotQualified) as refused:
        taken.refused = refused
    except RuleBroken as broken:
        if broken.code not in ABOUT_A_FIELD:
            raise
        name = ABOUT_A_FIELD[broken.code]
        raise FieldsRefused([problem("body", name, msg=str(broken.sentence), type=broken.code)]) from None


def moment_in(given: dict, name: str, location: Location) -> datetime | None:
    """The moment a sent time means: with its offset, or by the clock of the location. FieldsRefused for times
    which that clock leaves out or shows twice."""
    when = given.get(name)
    if when is None or when.tzinfo is not None:
        return when
    try:
        return moment_of(when, location.zone)
    except (NoSuchTime, TwiceThatDay) as refused:
        kind = "no_such_time" if isinstance(refused, NoSuchTime) else "twice_that_day"
        raise FieldsRefused([problem("body", name, msg=str(refused), type=kind)]) from None


def _state_meant(appointment: Appointment, word: str | None) -> str:
    """The state MediSecure's word asks for; "" when the visit is called that already."""
    return "" if word is None or MEDISECURE[appointment.state] == word else FROM_MEDISECURE[word]


# --- What is offered -------------------------------------------------------------------------------------------------


class TypeQuery(PageQuery):
    """By name."""

    sorts = {"name": ("name",), "code": ("code",)}
    default_sort = "name asc"

    inactive = Boolean(default=False, description="Those no longer offered, too")


@describe(
    "an appointment type",
    {
        "name": "First visit",
        "minutes": 40,
        "buffer_after": 5,
        "modality": "in_person",
        "self_service": "book",
        "lead_hours": 24,
        "needs": [{"kind": "room", "category": ""}],
    },
    {"minutes": 45},
)
class AppointmentTypeViewSet(ResourceViewSet):
    """Kinds of visits; patients find those they may ask for."""

    names_others = ("create",)  # by id, in the body or the query: 404 for what is not here
    key = "appointment_types"
    queryset = AppointmentType.objects.none()
    serializer_class = AppointmentTypeSerializer
    write_serializer_class = WriteAppointmentTypeSerializer
    requires = {
        "list": (Permission.APPOINTMENT_VIEW, Permission.APPOINTMENT_BOOK_OWN),
        "retrieve": (Permission.APPOINTMENT_VIEW, Permission.APPOINTMENT_BOOK_OWN),
        "create": Permission.SCHEDULE_MANAGE,
        "partial_update": Permission.SCHEDULE_MANAGE,
    }
    queries = {"list": TypeQuery, "retrieve": NoQuery}

    def rows(self, query):
        types = selectors.list_types(by=self.request.member, include_inactive=query.inactive)
        return types.prefetch_related("performers", "needs", "qualifications__kind")

    def row(self, pk):
        return selectors.get_type(pk, by=self.request.member)

    def add(self, data):
        made = offering.create_type(by=self.request.member, **self._parts(data))
        return self.row(made.pk)

    def change(self, row, data):
        parts = self._parts(data)
        offering.update_type(row, by=self.request.member, changes=parts.pop("data"), **parts)

    def _parts(self, data):
        """What the services take: the row's own fields, who may do it, what it needs."""
        parts = {}
        if "performers" in data:
            ids = data.pop("performers")
            parts["performers"] = [selectors.get_doctor(pk, by=self.request.member) for pk in dict.fromkeys(ids)]
        if "qualifications" in data:
            parts["qualifications"] = data.pop("qualifications")
        if "needs" in data:
            parts["needs"] = [(need["kind"], need["category"]) for need in data.pop("needs")]
        return {"data": data, **parts}


class ScheduleQuery(PageQuery):
    """By weekday and clock (Doctolib)."""

    sorts = {"weekday": ("weekday", "starts")}
    default_sort = "weekday asc"

    doctor = Identifier(names=("doctor_id", "doctor"))
    location = Identifier(names=("location_id", "location"))
    weekday = Choice(WEEKDAY_WORDS)


@describe(
    "weekly hours",
    {"doctor_id": DOCTOR_ID, "weekday": "Mon", "start_time": "09:00", "end_time": "12:00", "step": 30},
    {"end_time": "13:00"},
)
class ScheduleViewSet(RemovableMixin, ResourceViewSet):
    """Weekly hours of doctors (Doctolib's schedules), by the clock of the location."""

    names_others = ("create",)  # by id, in the body or the query: 404 for what is not here
    key = "schedules"
    queryset = WorkingHours.objects.none()
    serializer_class = ScheduleSerializer
    write_serializer_class = WriteScheduleSerializer
    requires = {
        "list": Permission.APPOINTMENT_VIEW,
        "retrieve": Permission.APPOINTMENT_VIEW,
        "create": Permission.SCHEDULE_MANAGE,
        "partial_update": Permission.SCHEDULE_MANAGE,
        "destroy": Permission.SCHEDULE_MANAGE,
    }
    queries = {"list": ScheduleQuery, "retrieve": NoQuery}

    def rows(self, query):
        weekday = WEEKDAY_WORDS.index(query.weekday) if query.weekday else None
        return selectors.list_hours(practitioner=query.doctor, location=query.location, weekday=weekday)

    def row(self, pk):
        return selectors.get_hours(pk)

    def add(self, data):
        data = self._rows_named(data)
        if "location" not in data:
            data["location"] = services.usual_location(data["practitioner"])
        return offering.create_hours(by=self.request.member, **data)

    def change(self, row, data):
        offering.update_hours(row, by=self.request.member, changes=self._rows_named(data))

    def remove(self, row):
        offering.delete_hours(row, by=self.request.member)

    def _rows_named(self, data):
        """Ids replaced by what they name; Http404 for those that are not here."""
        member = self.request.member
        if "doctor_id" in data:
            data["practitioner"] = selectors.get_doctor(data.pop("doctor_id"), by=member)
        if "location_id" in data:
            data["location"] = places.get_location(data.pop("location_id"), by=member)
        if "type_id" in data:
            type_id = data.pop("type_id")
            data["only_type"] = selectors.get_type(type_id, by=member) if type_id else None
        return data
