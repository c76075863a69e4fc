"""Whom and what other servers mean: patients and doctors by document, kinds of visits and houses by word or id.

A clinic that keeps working hours here knows its doctors, kinds of visits and
houses; a name it does not know is a mistake (NotKnown). A clinic that keeps
none uses Carewright as Secre was meant, as the place between its other
systems: there a doctor, a kind of visit and a house are written down when they
are named first, and an administrator gives them their full names later.
"""

import uuid
from contextlib import suppress
from typing import Any
from uuid import UUID

from django.utils.translation import gettext as _

from clinic.names import document_key, fold
from clinic.patients.models import DocumentType, Patient
from clinic.patients.selectors import ChartRestricted
from clinic.places.models import Location
from clinic.places.services import create_location
from clinic.practitioners.models import Practitioner
from clinic.practitioners.services import create_practitioner
from tenancy.rules import RuleBroken

from .models import AppointmentType, WorkingHours
from .offering import create_type


class NotKnown(RuleBroken):
    """There is nobody and nothing here that is called so. `code` says what was looked for."""


def find_patient(
    *, by: Any, id: UUID | None = None, document_type: DocumentType | None = None, document_number: str = ""
) -> Patient:
    """The patient of a visit; id and document, where both are given, have to mean the same one.

    Raises NotKnown, for restricted charts too when they are asked for by
    document; ChartRestricted for one that is asked for by id.
    """
    people = Patient.objects.masked_for(by).present().with_lookups()
    if id is not None:
        people = people.filter(pk=id)
    if document_number:
        people = people.filter(
            restricted_at=None, document_type=document_type, document_key=document_key(document_number)
        )
    found = people.first() if id is not None or document_key(document_number) else None
    if found is None:
        raise NotKnown(_("There is no patient with this document."), code="unknown_patient")
    if found.is_masked:
        raise ChartRestricted(found, by=by)
    return found


def find_doctor(
    *, by: Any, id: UUID | None = None, document_type: DocumentType | None = None, document_number: str = ""
) -> Practitioner:
    """The practitioner of a visit, as `find_patient`. A clinic that keeps no hours gets one who was not known yet."""
    key = document_key(document_number)
    people = Practitioner.objects.filter(pk=id) if id is not None else Practitioner.objects.all()
    if document_number:
        people = people.filter(document_type=document_type, document_key=key)
    found = people.first() if id is not None or key else None
    if found is None and id is None and key and document_type and not keeps_hours():
        data = {
            "first_name": document_type.code,
            "first_last_name": document_number,
            "document_type": document_type,
            "document_number": document_number,
        }
        with suppress(RuleBroken):  # somebody else has just done the same
            create_practitioner(by=by, data=data, reason=_("Named as the doctor of a visit."))
        found = people.first()
    if found is None:
        raise NotKnown(_("There is no doctor with this document."), code="unknown_doctor")
    return found


def find_type(word: str, *, by: Any, minutes: int = 30) -> AppointmentType:
    """A kind of visit by id, code or name. Raises NotKnown; see above for clinics without hours."""

    def find() -> AppointmentType | None:
        asked = {"pk": word} if _is_id(word) else {"code": word}
        return AppointmentType.objects.filter(**asked).first() or _first_called(AppointmentType, word)

    found = find()
    if found is None and not _is_id(word) and not keeps_hours():
        with suppress(RuleBroken):  # somebody else has just done the same
            create_type(by=by, data={"name": word, "minutes": max(1, minutes)})
        found = find()
    if found is None:
        raise NotKnown(_("There is no appointment type %(name)s.") % {"name": word}, code="unknown_appointment_type")
    return found


def find_location(word: str, *, by: Any, time_zone: str) -> Location:
    """A house by id or name. Raises NotKnown; see above for clinics without hours."""
    found = Location.objects.filter(pk=word).first() if _is_id(word) else _first_called(Location, word)
    if found is None and not _is_id(word) and not keeps_hours():
        with suppress(RuleBroken):  # somebody else has just done the same
            create_location(by=by, name=word, time_zone=time_zone)
        found = _first_called(Location, word)
    if found is None:
        raise NotKnown(_("There is no clinic %(name)s.") % {"name": word}, code="unknown_clinic")
    return found


def keeps_hours() -> bool:
    """Whether anybody's working hours are kept here."""
    return WorkingHours.objects.exists()


def _first_called(table: type, name: str) -> Any:
    """A clinic has few of either, so they are compared here, blind to case and accents."""
    wanted = fold(name)
    return next((row for row in table.objects.filter(is_active=True).order_by("id") if fold(row.name) == wanted), None)


def _is_id(word: str) -> bool:
    try:
        return str(uuid.UUID(word)) == word.lower()
    except ValueError:
        return False
