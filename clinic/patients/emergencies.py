"""Break-glass: opening a restricted chart for an hour, and what the reviewer says about it (clinic.md 5.8, R42)."""

from collections.abc import Iterable
from datetime import timedelta
from itertools import groupby

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from structlog.contextvars import get_contextvars

from accounts.notifications.services import notify
from accounts.users.models import Membership
from tenancy.audit import services as audit
from tenancy.rules import NotAllowed, RuleBroken

from . import notices
from .models import EmergencyAccess, Patient, open_charts
from .selectors import list_allowed, list_reviewers
from .services import lock_patient

OPEN_FOR = timedelta(minutes=60)
OFTEN = 5
"""More than so many within 24 hours by one member is told as urgent."""
SHORTEST_REASON = 10
REVIEWS = "/patients/emergency-access/"


@transaction.atomic
def break_glass(patient: Patient, *, by: Membership, reason_code: str, reason: str) -> EmergencyAccess:
    """Open a restricted chart for an hour. Audited and told to the reviewers and to the chart's list at once.

    While the chart is open already the access there is comes back as it is:
    nothing is prolonged. Raises NotAllowed for members without the right, and
    RuleBroken for a chart that needs none of this, or a reason too short.
    """
    if not by.may("admin.break_glass"):
        raise NotAllowed(_("You may not do this."))
    reason = " ".join(reason.split())[:500]
    if reason_code not in EmergencyAccess.Reason.values or len(reason) < SHORTEST_REASON:
        raise RuleBroken(_("Choose an occasion, and say in at least 10 characters why you open this chart."))
    patient = lock_patient(patient, by=by, whoever=True)
    if not patient.is_restricted:
        raise RuleBroken(_("This chart is not restricted. Open it as usual."))
    opened = open_charts(by)
    if live := opened.get(patient.pk):
        return live
    if patient.pk in opened:
        raise RuleBroken(_("You are on the list of this chart. Open it as usual."))
    now = timezone.now()
    access = EmergencyAccess.objects.create(
        patient=patient,
        member=by,
        reason_code=reason_code,
        reason=reason,
        opened_at=now,
        expires_at=now + OPEN_FOR,
        request_id=str(get_contextvars().get("request_id", ""))[:64],
    )
    audit.record(
        "chart_opened_by_break_glass",
        patient,
        by=by,
        reason=reason,
        reason_code=reason_code,
        details={"access": str(access.pk), "until": access.expires_at.isoformat()},
    )
    _tell(access)
    return access


@transaction.atomic
def end_emergency_access(patient: Patient, *, by: Membership) -> None:
    """Close the chart again before the hour is over. Nothing happens where it is closed."""
    live = EmergencyAccess.objects.live(timezone.now()).filter(patient=patient, member=by)
    for access in live.select_for_update(no_key=True):
        access.ended_at = timezone.now()
        access.save(update_fields=["ended_at"])
        audit.record("break_glass_ended", patient, by=by, details={"access": str(access.pk)})


@transaction.atomic
def review_emergency_access(
    access: EmergencyAccess, *, by: Membership, verdict: str, note: str = ""
) -> EmergencyAccess:
    """Say whether it was justified, and tell the person.

    Raises RuleBroken for one's own, for one that is not over yet or was
    reviewed before, and for "not justified" without a note.
    """
    access = EmergencyAccess.objects.select_for_update(of=("self",), no_key=True).get(pk=access.pk)
    note = " ".join(note.split())[:1000]
    if access.member.user_id == by.user_id:
        raise RuleBroken(_("Nobody reviews their own emergency access."))
    if access.reviewed_at:
        raise RuleBroken(_("This has been reviewed already."))
    if not access.is_over:
        raise RuleBroken(_("This chart is still open to them. Review it when the hour is over."))
    if verdict not in EmergencyAccess.Verdict.values:
        raise RuleBroken(_("Say whether it was justified."))
    if verdict == EmergencyAccess.Verdict.NOT_JUSTIFIED and not note:
        raise RuleBroken(_("Say why it was not justified."))
    access.reviewed_at, access.reviewed_by, access.verdict, access.review_note = timezone.now(), by, verdict, note
    access.save(update_fields=["reviewed_at", "reviewed_by", "verdict", "review_note"])
    audit.record(
        "break_glass_reviewed", access, by=by, reason=note, reason_code=verdict, details={"of": str(access.member_id)}
    )
    kind = notices.JUSTIFIED if verdict == EmergencyAccess.Verdict.JUSTIFIED else notices.NOT_JUSTIFIED
    notify(
        kind,
        [access.member],
        params={"by": by.display_name},
        url=f"{REVIEWS}{access.pk}/",
        event=f"break_glass_reviewed:{access.pk}",
    )
    return access


def record_look(patient: Patient, *, by: Membership, kind: str = "chart") -> None:
    """Note that somebody opened a chart; one that only break-glass opens is noted as such, with the reason."""
    record_looks([patient], by=by, kind=kind)


def record_looks(patients: Iterable[Patient], *, by: Membership, kind: str) -> None:
    """The same for the charts of a list; of a masked one nothing was seen."""
    seen = sorted((patient for patient in patients if not patient.is_masked), key=_why)
    for reason, group in groupby(seen, key=_why):
        how = kind if not reason else "break_glass" if kind == "chart" else f"break_glass_{kind}"
        audit.record_reads(group, by=by, kind=how, reason=reason)


def _why(patient: Patient) -> str:
    return patient.emergency.reason[:200] if patient.emergency else ""


def _tell(access: EmergencyAccess) -> None:
    day_ago = access.opened_at - timedelta(hours=24)
    lately = EmergencyAccess.objects.filter(member=access.member, opened_at__gt=day_ago).count()
    kind = notices.BREAK_GLASS_OFTEN if lately > OFTEN else notices.BREAK_GLASS
    params = {"by": access.member.display_name, "count": str(lately)}
    reviewers = list_reviewers(but=access.member)
    event = f"break_glass:{access.pk}"
    notify(kind, reviewers, params=params, url=f"{REVIEWS}{access.pk}/", event=event)
    told = {member.pk for member in (*reviewers, access.member)}
    listed = [allowed.member for allowed in list_allowed(access.patient) if allowed.member_id not in told]
    notify(notices.BREAK_GLASS_TO_LIST, listed, params=params, url=f"/patients/{access.patient_id}/", event=event)
