"""The JSON door of locations, and of their rooms and devices (Doctolib's branches and rooms)."""

from django.utils.translation import gettext as _

from accounts.permissions import Permission
from tenancy.doors.paging import PageQuery
from tenancy.doors.query import Boolean, Choice, Identifier, NoQuery
from tenancy.doors.refusals import FieldsRefused, problem
from tenancy.doors.resources import ResourceViewSet, describe

from . import selectors, services
from .models import Location, Resource
from .serializers import LocationSerializer, RoomSerializer, WriteLocationSerializer, WriteRoomSerializer


class LocationQuery(PageQuery):
    """By name."""

    sorts = {"name": ("name",)}
    default_sort = "name asc"

    inactive = Boolean(default=False, description="Those no longer used, too")


@describe("a location", {"name": "Chapinero", "time_zone": "America/Bogota", "address": "Calle 63 #9-12, Bogotá"})
class LocationViewSet(ResourceViewSet):
    """Locations, each with its own clock."""

    key = "locations"
    queryset = Location.objects.none()
    serializer_class = LocationSerializer
    write_serializer_class = WriteLocationSerializer
    requires = {
        "list": (Permission.APPOINTMENT_VIEW, Permission.APPOINTMENT_VIEW_OWN),
        "retrieve": (Permission.APPOINTMENT_VIEW, Permission.APPOINTMENT_VIEW_OWN),
        "create": Permission.SCHEDULE_MANAGE,
        "partial_update": Permission.SCHEDULE_MANAGE,
    }
    queries = {"list": LocationQuery, "retrieve": NoQuery}

    def rows(self, query):
        return selectors.list_locations(by=self.request.member, include_inactive=query.inactive)

    def row(self, pk):
        return selectors.get_location(pk, by=self.request.member)

    def add(self, data):
        return services.create_location(by=self.request.member, **data)

    def change(self, row, data):
        return services.update_location(row, by=self.request.member, changes=data)


class RoomQuery(LocationQuery):
    """By name; of one location, of one kind."""

    location = Identifier(names=("location_id", "location"))
    kind = Choice(Resource.Kind.values)


@describe(
    "a room",
    {"location_id": "01890a5d-ac96-774b-bcce-b302099a8001", "kind": "room", "name": "Room 3", "category": "ultrasound"},
    {"name": "Room 3, first floor"},
)
class RoomViewSet(ResourceViewSet):
    """Rooms and devices that visits claim."""

    names_others = ("create",)  # by id, in the body: 404 for what is not here
    key = "rooms"
    queryset = Resource.objects.none()
    serializer_class = RoomSerializer
    write_serializer_class = WriteRoomSerializer
    requires = {
        "list": Permission.APPOINTMENT_VIEW,
        "retrieve": Permission.APPOINTMENT_VIEW,
        "create": Permission.SCHEDULE_MANAGE,
        "partial_update": Permission.SCHEDULE_MANAGE,
    }
    queries = {"list": RoomQuery, "retrieve": NoQuery}

    def rows(self, query):
        rooms = selectors.list_resources(by=self.request.member, include_inactive=query.inactive)
        if query.location:
            rooms = rooms.filter(location=query.location)
        return rooms.filter(kind=query.kind) if query.kind else rooms

    def row(self, pk):
        return selectors.get_resource(pk, by=self.request.member)

    def add(self, data):
        is_active = data.pop("is_active", True)
        location = selectors.get_location(data.pop("location_id"), by=self.request.member)
        return services.create_resource(
            by=self.request.member, location=location, **{"kind": Resource.Kind.ROOM} | data, is_active=is_active
        )

    def change(self, row, data):
        if data.pop("location_id", row.location_id) != row.location_id:
            sentence = _("A room stays at its location; add another one there.")
            raise FieldsRefused([problem("body", "location_id", msg=sentence, type="fixed")])
        return services.update_resource(row, by=self.request.member, changes=data)
