"""Which account is the patient's own: they see their chart, and whoever else has the account does."""

from django.db import transaction
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.users.models import Membership, identity_key
from tenancy.audit import services as audit
from tenancy.rules import RuleBroken

from .models import Patient
from .selectors import is_listed
from .services import lock_patient


def find_account_for(patient: Patient) -> Membership | None:
    """The member whose account could be this patient's own; None where there is none, or the chart has one.

    They have the right to see a chart of their own, and the chart's e-mail
    address is theirs: confirmed, and not only written on a form.
    """
    if patient.user_id or not patient.email:
        return None
    members = (
        Membership.objects.active()
        .select_related("user")
        .filter(user__email_key=identity_key(patient.email), user__email_confirmed_at__isnull=False)
    )
    member = members.first()
    return member if member and _may_have_chart(member) else None


def find_own_chart(*, by: Membership) -> Patient | None:
    """The chart of whoever asks; None where there is none. Whole even where it is restricted: it is about them.

    An archived one only where there is no other.
    """
    own = Patient.objects.filter(user_id=by.user_id).with_lookups()
    return own.order_by(F("archived_at").asc(nulls_first=True), "-id").first()


@transaction.atomic
def link_account(patient: Patient, *, member: Membership, by: Membership) -> Patient:
    """Give a person access to their own chart. Raises RuleBroken where it is not clearly theirs."""
    patient = _lock_for_account(patient, by=by)
    if patient.user_id:
        raise RuleBroken(_("This chart has an account already."))
    found = find_account_for(patient)
    if found is None or found.pk != member.pk:
        raise RuleBroken(_("This account has not confirmed the e-mail address of the chart."))
    if found.user_id == by.user_id:
        raise RuleBroken(_("Somebody else has to give you access to your own chart."))
    return _set_user(patient, found.user_id, "patient_account_linked", by=by)


@transaction.atomic
def unlink_account(patient: Patient, *, by: Membership) -> Patient:
    """Take a chart away from the account it was given to."""
    patient = _lock_for_account(patient, by=by)
    if not patient.user_id:
        raise RuleBroken(_("This chart has no account."))
    return _set_user(patient, None, "patient_account_unlinked", by=by)


def _may_have_chart(member: Membership) -> bool:
    taken = Patient.objects.filter(user_id=member.user_id).exists()
    return any(role.code == "patient" for role in member.roles) and member.may("patients.view_own") and not taken


def _lock_for_account(patient: Patient, *, by: Membership) -> Patient:
    patient = lock_patient(patient, by=by)
    if patient.is_archived:
        raise RuleBroken(_("This patient is archived. Restore the chart before changing it."))
    if patient.is_restricted and not is_listed(patient, member=by):
        raise RuleBroken(_("Only people on the list of this chart decide who opens it."))
    return patient


def _set_user(patient: Patient, user_id, action: str, *, by: Membership) -> Patient:
    before = patient.user_id
    patient.user_id = user_id
    patient.version += 1
    patient.updated_at, patient.updated_by = timezone.now(), by
    patient.save(force_update=True)
    audit.record(action, patient, by=by, changes={"user": (before and str(before), user_id and str(user_id))})
    return patient
