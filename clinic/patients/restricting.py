"""Restricting a chart, and the list of those who open it as usual (docs/decisions/0009).

Services as those of `services.py`: one function for each thing a person can do.
"""

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.notifications.services import notify
from accounts.users.models import Membership
from tenancy.audit import services as audit
from tenancy.rules import RuleBroken

from . import notices
from .custom_fields import store_field_values
from .models import ChartAccess, ChartRestriction, Patient
from .search import store_tokens
from .selectors import list_allowed, list_identifiers, list_reviewers
from .services import lock_patient, save_state


@transaction.atomic
def restrict_chart(patient: Patient, *, by: Membership, reason: str) -> Patient:
    """Close a chart to all but a list, on which is nobody but who restricts it. A reason is required."""
    reason = _given(reason, _("Say why this chart is restricted."))
    patient = lock_patient(patient, by=by)
    if patient.is_restricted:
        raise RuleBroken(_("This chart is restricted already."))
    patient.restricted_at = timezone.now()
    save_state(patient, "chart_restricted", by=by, reason=reason)
    ChartRestriction.objects.create(
        patient=patient, reason=reason, restricted_at=patient.restricted_at, restricted_by=by
    )
    ChartAccess.objects.create(patient=patient, member=by, added_by=by)
    _store_words(patient)
    return patient


@transaction.atomic
def lift_restriction(patient: Patient, *, by: Membership, reason: str) -> Patient:
    """Open a chart to everybody who may see patients again; the list ends. For people on the list."""
    reason = _given(reason, _("Say why the restriction is lifted."))
    patient = _lock_listed(patient, by=by)
    now = timezone.now()
    patient.restricted_at = None
    save_state(patient, "chart_restriction_lifted", by=by, reason=reason)
    patient.restrictions.filter(lifted_at__isnull=True).update(lifted_at=now, lifted_by=by, lift_reason=reason)
    patient.allowed.filter(ended_at__isnull=True).update(ended_at=now, ended_by=by)
    _store_words(patient)
    return patient


@transaction.atomic
def allow_member(patient: Patient, *, member: Membership, by: Membership) -> ChartAccess:
    """Put somebody on the list of a restricted chart. Raises RuleBroken for who may not see patients at all."""
    patient = _lock_listed(patient, by=by)
    if not Membership.objects.active().filter(pk=member.pk).exists() or not member.may("patients.view"):
        raise RuleBroken(_("%(name)s may not open charts in this clinic.") % {"name": member.display_name})
    if patient.allowed.filter(member=member, ended_at__isnull=True).exists():
        raise RuleBroken(_("%(name)s is on the list already.") % {"name": member.display_name})
    access = ChartAccess.objects.create(patient=patient, member=member, added_by=by)
    audit.record("chart_access_given", patient, by=by, details={"member": str(member.pk), "name": member.display_name})
    return access


@transaction.atomic
def disallow_member(patient: Patient, *, member: Membership, by: Membership) -> None:
    """Take somebody off the list. One stays on it: without anybody the restriction is lifted instead."""
    patient = _lock_listed(patient, by=by)
    listed = list_allowed(patient)
    if not any(access.member_id == member.pk for access in listed):
        raise RuleBroken(_("%(name)s is not on the list.") % {"name": member.display_name})
    if not any(access.member_id != member.pk and _works_here(access.member) for access in listed):
        raise RuleBroken(_("Somebody has to stay on the list. Lift the restriction instead."))
    patient.allowed.filter(member=member, ended_at__isnull=True).update(ended_at=timezone.now(), ended_by=by)
    audit.record("chart_access_ended", patient, by=by, details={"member": str(member.pk), "name": member.display_name})


@transaction.atomic
def take_over_list(patient: Patient, *, by: Membership, reason: str) -> ChartAccess:
    """Go onto the list of a chart when nobody on it works here any more: else it would stay closed for ever."""
    reason = _given(reason, _("Say why you take over this chart."))
    patient = lock_patient(patient, by=by, whoever=True)
    if not patient.is_restricted or any(_works_here(access.member) for access in list_allowed(patient)):
        raise RuleBroken(_("Somebody on the list works here. Ask them."))
    access = ChartAccess.objects.create(patient=patient, member=by, added_by=by)
    audit.record("chart_list_taken_over", patient, by=by, reason=reason)
    notify(notices.TAKEN_OVER, list_reviewers(but=by), params={"by": by.display_name}, event=f"taken:{access.pk}")
    return access


def _lock_listed(patient: Patient, *, by: Membership) -> Patient:
    """The locked row of a restricted chart. Emergency access changes nothing about who opens it."""
    patient = lock_patient(patient, by=by)
    if not patient.is_restricted:
        raise RuleBroken(_("This chart is not restricted."))
    if not patient.allowed.filter(member=by, ended_at__isnull=True).exists():
        raise RuleBroken(_("Only people on the list of this chart decide who opens it."))
    return patient


def _works_here(member: Membership) -> bool:
    return Membership.objects.active().filter(pk=member.pk).exists()


def _store_words(patient: Patient) -> None:
    store_tokens(patient, [identifier.value for identifier in list_identifiers(patient)])
    store_field_values(patient)


def _given(reason: str, sentence: str) -> str:
    """The reason in one line of at most 300 characters. Raises RuleBroken with the sentence when there is none."""
    words = " ".join(reason.split())
    if not words:
        raise RuleBroken(sentence)
    return words[:300]
