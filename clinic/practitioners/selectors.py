"""Reading practitioners and specialties, always as somebody (`by`)."""

from uuid import UUID

from django.db.models import QuerySet
from django.http import Http404

from accounts.permissions import Permission
from accounts.users.models import Membership

from .models import Practitioner, Specialty


def list_practitioners(*, by: Membership, include_inactive: bool = False) -> QuerySet[Practitioner]:
    """Those who treat patients here, by name; nobody without the permission to see them."""
    practitioners = Practitioner.objects.select_related("member__user").order_by("first_last_name", "first_name", "id")
    if not by.may(Permission.PRACTITIONER_VIEW):
        return practitioners.none()
    return practitioners if include_inactive else practitioners.filter(is_active=True)


def get_practitioner(practitioner_id: UUID | str, *, by: Membership) -> Practitioner:
    """One practitioner, active or not. Raises Http404 for what is not there or not theirs to see."""
    found = list_practitioners(by=by, include_inactive=True).filter(pk=practitioner_id).first()
    if found is None:
        raise Http404
    return found


def list_specialties(*, include_inactive: bool = False) -> QuerySet[Specialty]:
    """Fields of medicine by name; everybody who comes in may read them."""
    specialties = Specialty.objects.order_by("name", "id")
    return specialties if include_inactive else specialties.filter(is_active=True)


def get_specialty(specialty_id: UUID | str) -> Specialty:
    """One specialty, used or not. Raises Http404 for what is not there."""
    found = Specialty.objects.filter(pk=specialty_id).first()
    if found is None:
        raise Http404
    return found
