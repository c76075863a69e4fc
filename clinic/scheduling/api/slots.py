"""Free times of everybody on one day, and how free times are sent."""

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from accounts.permissions import Permission
from clinic.places.models import Location
from clinic.practitioners.models import Practitioner
from tenancy.doors.query import Boolean, Date, Identifier, Integer, Query

from .. import selectors
from ..availability import Slot
from ..explaining import Reader, explain
from ..models import LONGEST_VISIT_MINUTES, AppointmentType
from ..serializers import DaySlotsSerializer


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
        type, location = selectors.get_type_and_location(query.type, query.location, by=request.member)
        day = query.date or timezone.localdate()
        doctors = list(selectors.list_doctors(by=request.member))
        asked = {"type": type, "minutes": query.minutes, "location": location, "explain": query.explain}
        found = selectors.find_slots(doctors, day, day, by=request.member, **asked)
        reader = Reader(is_staff=not selectors.is_for_oneself(request.member), type=type)
        names = {doctor.pk: doctor.name for doctor in doctors}
        rows = slot_rows(found, reader, explained=query.explain, names=names)
        return Response({"date": day, "minutes": minutes_of(type, query.minutes), "slots": rows})


def minutes_of(type: AppointmentType | None, minutes: int | None) -> int:
    """How long the times are that a query asks for: as it says, else as long as the type."""
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
