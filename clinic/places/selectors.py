"""Reading places, always as somebody (`by`)."""

from uuid import UUID

from django.db.models import QuerySet
from django.http import Http404

from accounts.permissions import Permission
from accounts.users.models import Membership

from .models import Location, Resource


def list_locations(*, by: Membership, include_inactive: bool = False) -> QuerySet[Location]:
    """Locations by name; none for those who may not see the book."""
    locations = Location.objects.order_by("name", "id")
    if not (by.may(Permission.APPOINTMENT_VIEW) or by.may(Permission.APPOINTMENT_VIEW_OWN)):
        return locations.none()
    return locations if include_inactive else locations.filter(is_active=True)


def get_location(location_id: UUID | str, *, by: Membership) -> Location:
    """One location, active or not. Raises Http404 for what is not there or not theirs to see."""
    found = list_locations(by=by, include_inactive=True).filter(pk=location_id).first()
    if found is None:
        raise Http404
    return found


def list_resources(*, by: Membership, include_inactive: bool = False) -> QuerySet[Resource]:
    """Rooms and devices by location and name; none for those who may not see the book."""
    resources = Resource.objects.select_related("location").order_by("location__name", "kind", "name", "id")
    if not by.may(Permission.APPOINTMENT_VIEW):
        return resources.none()
    return resources if include_inactive else resources.filter(is_active=True)


def get_resource(resource_id: UUID | str, *, by: Membership) -> Resource:
    """One room or device, used or not. Raises Http404 for what is not there or not theirs to see."""
    found = list_resources(by=by, include_inactive=True).filter(pk=resource_id).first()
    if found is None:
        raise Http404
    return found
