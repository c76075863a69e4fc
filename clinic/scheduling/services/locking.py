"""The one lock order: rows, practitioners, rooms and devices, patients, each by id (design/database.md)."""

import uuid
from collections.abc import Iterable
from typing import Any

from django.utils.translation import gettext as _

from clinic.patients.models import Patient
from clinic.places.models import Resource
from clinic.practitioners.models import Practitioner
from tenancy.rules import StaleVersion

from .. import plans
from ..models import Appointment


def lock_visit(appointment: Appointment, expected_version: int | None) -> Appointment:
    """The row as it is now. Of a group its session comes first, then its places: nobody waits in a circle.

    It is locked alone and read afterwards: a row that another changes while
    PostgreSQL waits for it is compared with what it was joined to before, and
    one that goes to another practitioner would not be found.
    """
    if appointment.session_id:
        list(Appointment.objects.filter(pk=appointment.session_id).select_for_update(of=("self",), no_key=True))
    list(Appointment.objects.filter(pk=appointment.pk).only("pk", "tenant").select_for_update(no_key=True))
    locked = Appointment.objects.select_related("location", "practitioner", "patient", "type", "session").get(
        pk=appointment.pk
    )
    if expected_version is not None and locked.version != expected_version:
        raise StaleVersion(_("Somebody else has changed this visit meanwhile."))
    return locked


def lock_people_and_rooms(appointment: Appointment, resources: Iterable[Resource]) -> None:
    """Practitioner, rooms and devices by id, patient: everybody in this order, so nobody waits in a circle."""
    people = Practitioner.objects.select_for_update(of=("self",), no_key=True)
    people.only("pk", "tenant").get(pk=appointment.practitioner_id)
    wanted = {r.pk for r in resources}
    if appointment.type is not None:
        wanted |= {pk for need in plans.needs_of(appointment.type) for pk in need.at(appointment.location_id)}
    if wanted:
        things = Resource.objects.filter(pk__in=wanted).only("pk", "tenant").order_by("pk")
        list(things.select_for_update(of=("self",), no_key=True))
    if appointment.patient_id:
        Patient.objects.select_for_update(of=("self",), no_key=True).only("pk", "tenant").get(pk=appointment.patient_id)


def lock_together(visits: Iterable[Appointment], people: Iterable[uuid.UUID]) -> None:
    """Lock what a change of several visits will need, in the order in which one visit is changed.

    Rows, practitioners (`people` are those the visits may go to), rooms and
    devices, patients; each by id. Whoever locks visit by visit meets somebody
    who has them in another order, and PostgreSQL has to end one of the two.
    """
    visits = list(visits)
    _lock_rows(Appointment, {visit.pk for visit in visits})
    _lock_rows(Practitioner, {*people, *(visit.practitioner_id for visit in visits)})
    types = {visit.type_id: visit.type for visit in visits if visit.type is not None}
    _lock_rows(Resource, {pk for type in types.values() for need in plans.needs_of(type) for pk in need.resources})
    _lock_rows(Patient, {visit.patient_id for visit in visits if visit.patient_id})


def _lock_rows(model: Any, ids: set[uuid.UUID]) -> None:
    rows = model.objects.filter(pk__in=ids).only("pk", "tenant").order_by("pk")
    list(rows.select_for_update(of=("self",), no_key=True))
