"""Writing places. Each change leaves a line in the audit trail."""

from datetime import date, time
from typing import Any

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from accounts.users.models import Membership
from clinic.names import fold
from tenancy.audit import services as audit
from tenancy.rules import RuleBroken

from .models import Holiday, Location, OpeningHours, Resource


@transaction.atomic
def create_location(*, by: Membership | None, name: str, time_zone: str, **fields: Any) -> Location:
    """Add a location with its own clock. Raises ValidationError by field; RuleBroken for a name in use."""
    location = Location(name=" ".join(name.split()), time_zone=time_zone, **fields)
    return _save_location(location, "location_created", by=by)


@transaction.atomic
def update_location(location: Location, *, by: Membership, changes: dict[str, Any]) -> Location:
    """Change name, address, phone, time zone or whether it is used. Raises as `create_location`."""
    location = Location.objects.select_for_update(of=("self",), no_key=True).get(pk=location.pk)
    before = {name: getattr(location, name) for name in changes}
    for name, value in changes.items():
        setattr(location, name, value)
    return _save_location(location, "location_updated", by=by, before=before)


def _save_location(
    location: Location, action: str, *, by: Membership | None, before: dict[str, Any] | None = None
) -> Location:
    location.name_key = fold(location.name)
    location.full_clean(exclude=["tenant", "name_key"], validate_unique=False, validate_constraints=False)
    try:
        with transaction.atomic():
            location.save()
    except IntegrityError as error:
        if "places_location_name_uniq" in str(error):
            raise RuleBroken(_("There is a location of this name already."), code="duplicate") from None
        raise
    changes = {name: (old, getattr(location, name)) for name, old in (before or {}).items()}
    audit.record(action, location, by=by, changes=changes)
    return location


@transaction.atomic
def set_opening_hours(location: Location, *, by: Membership, hours: list[tuple[int, time, time]]) -> None:
    """Replace the opening hours of a location: (weekday, opens, closes), Monday is 0. An empty list: always open.

    Raises RuleBroken for hours that are empty, or twice the same beginning.
    """
    if any(opens == closes for _weekday, opens, closes in hours):
        raise RuleBroken(_("A day that opens has to close at another time."), code="end_before_start")
    if len({(weekday, opens) for weekday, opens, _closes in hours}) < len(hours):
        raise RuleBroken(_("The same opening time stands there twice."), code="duplicate")
    location.opening_hours.all().delete()
    for weekday, opens, closes in hours:
        OpeningHours.objects.create(location=location, weekday=weekday, opens=opens, closes=closes)
    said = [[weekday, f"{opens:%H:%M}", f"{closes:%H:%M}"] for weekday, opens, closes in hours]
    audit.record("opening_hours_set", location, by=by, details={"hours": said})


@transaction.atomic
def create_resource(
    *, by: Membership | None, location: Location, kind: str, name: str, category: str = "", is_active: bool = True
) -> Resource:
    """Add a room or device. Raises ValidationError by field; RuleBroken for a name in use at that location."""
    resource = Resource(location=location, kind=kind, name=name, category=category, is_active=is_active)
    return _save_resource(resource, "resource_created", by=by)


@transaction.atomic
def update_resource(resource: Resource, *, by: Membership | None, changes: dict[str, Any]) -> Resource:
    """Change name, kind, category, or whether it can be booked. Raises as `create_resource` does.

    It stays where it is: what was booked into a room was booked at its location.
    """
    resource = Resource.objects.select_for_update(of=("self",), no_key=True).get(pk=resource.pk)
    before = {name: getattr(resource, name) for name in changes}
    for name, value in changes.items():
        setattr(resource, name, value)
    return _save_resource(resource, "resource_updated", by=by, before=before)


def _save_resource(
    resource: Resource, action: str, *, by: Membership | None, before: dict[str, Any] | None = None
) -> Resource:
    resource.name, resource.category = " ".join(resource.name.split()), resource.category.strip().lower()
    resource.full_clean(exclude=["tenant", "location"], validate_unique=False, validate_constraints=False)
    try:
        with transaction.atomic():
            resource.save()
    except IntegrityError as error:
        if "places_resource_name_uniq" in str(error):
            raise RuleBroken(_("There is a room or device of this name already."), code="duplicate") from None
        raise
    changes = {name: (old, getattr(resource, name)) for name, old in (before or {}).items()}
    audit.record(action, resource, by=by, changes=changes)
    return resource


@transaction.atomic
def add_holiday(*, by: Membership | None, day: date, name: str, location: Location | None = None) -> Holiday:
    """Close a day, at one location or at all. Raises RuleBroken when it is closed already."""
    try:
        with transaction.atomic():
            holiday = Holiday.objects.create(day=day, name=name.strip(), location=location)
    except IntegrityError as error:
        if "places_holiday_uniq" in str(error):
            raise RuleBroken(_("This day is on the list already."), code="duplicate") from None
        raise
    audit.record("holiday_added", holiday, by=by)
    return holiday


@transaction.atomic
def remove_holiday(holiday: Holiday, *, by: Membership | None) -> None:
    """Open a day again. The trail keeps which it was."""
    audit.record("holiday_removed", holiday, by=by, details={"day": str(holiday.day), "name": holiday.name})
    holiday.delete()
