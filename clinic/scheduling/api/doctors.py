"""Those who can be booked, and their free times."""

from datetime import date, timedelta

from django.utils import timezone
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from accounts.permissions import Permission
from clinic.practitioners import services as practitioners
from clinic.practitioners.models import Practitioner
from tenancy.doors.etags import digest_of, etag_for, not_modified
from tenancy.doors.paging import PageQuery, paginate
from tenancy.doors.query import Boolean, Date, Identifier, Integer, NoQuery, Query
from tenancy.doors.refusals import FieldsRefused, problem
from tenancy.doors.schema import keyed_page_of

from .. import selectors
from ..explaining import Reader
from ..models import LONGEST_VISIT_MINUTES, AppointmentType
from ..plans import LONGEST_SPAN_DAYS
from ..serializers import DoctorRowSerializer, DoctorSerializer, DoctorSlotsSerializer
from .slots import minutes_of, slot_rows


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
        type, location = selectors.get_type_and_location(query.type, query.location, by=request.member)
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
