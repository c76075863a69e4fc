"""Weekly hours of doctors."""

from accounts.permissions import Permission
from clinic.places import selectors as places
from tenancy.doors.paging import PageQuery
from tenancy.doors.query import Choice, Identifier, NoQuery
from tenancy.doors.resources import RemovableMixin, ResourceViewSet, describe

from .. import offering, selectors, services
from ..models import WorkingHours
from ..serializers import WEEKDAY_WORDS, ScheduleSerializer, WriteScheduleSerializer
from .examples import DOCTOR_ID


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
