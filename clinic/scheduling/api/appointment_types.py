"""Kinds of visits."""

from accounts.permissions import Permission
from tenancy.doors.paging import PageQuery
from tenancy.doors.query import Boolean, NoQuery
from tenancy.doors.resources import ResourceViewSet, describe

from .. import offering, selectors
from ..models import AppointmentType
from ..serializers import AppointmentTypeSerializer, WriteAppointmentTypeSerializer


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
