"""Recording qualifications. Each change leaves a line in the audit trail."""

from datetime import date

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.text import slugify
from django.utils.translation import gettext as _

from accounts.users.models import Membership
from tenancy.audit import services as audit
from tenancy.rules import RuleBroken

from .models import Qualification, QualificationKind


@transaction.atomic
def create_kind(*, by: Membership | None, name: str, group: str, code: str = "") -> QualificationKind:
    """Add a kind of qualification. Raises ValidationError by field; RuleBroken for a code in use."""
    name = " ".join(name.split())
    kind = QualificationKind(name=name, group=group, code=code or slugify(name)[:60])
    kind.full_clean(exclude=["tenant"], validate_unique=False, validate_constraints=False)
    try:
        with transaction.atomic():
            kind.save(force_insert=True)
    except IntegrityError as error:
        if "qualifications_kind_code_uniq" in str(error):
            raise RuleBroken(_("There is such a kind of qualification already."), code="duplicate") from None
        raise
    audit.record("qualification_kind_created", kind, by=by)
    return kind


@transaction.atomic
def record_qualification(
    member: Membership,
    *,
    by: Membership | None,
    kind: QualificationKind,
    valid_from: date,
    valid_until: date | None = None,
    number: str = "",
    issuer: str = "",
) -> Qualification:
    """Note a licence, privilege or training of a member. A renewal is recorded the same way.

    Raises RuleBroken for dates that make no sense and for one's own: nobody vouches for themselves.
    """
    if valid_until is not None and valid_until < valid_from:
        raise RuleBroken(_("The last day comes before the first."), code="end_before_start")
    if by is not None and by.pk == member.pk:
        raise RuleBroken(_("Somebody else has to record your qualifications."), code="own_qualification")
    row = Qualification.objects.create(
        membership=member, kind=kind, number=number.strip(), issuer=issuer.strip(),
        valid_from=valid_from, valid_until=valid_until, recorded_by=by,
    )  # fmt: skip
    audit.record(
        "qualification_recorded", member, by=by,
        details={"kind": kind.code, "from": str(valid_from), "until": str(valid_until or "")},
    )  # fmt: skip
    return row


@transaction.atomic
def withdraw_qualification(row: Qualification, *, by: Membership, reason: str) -> Qualification:
    """Take a qualification back, with a reason. Raises RuleBroken without one and when it was taken back before."""
    if not reason.strip():
        raise RuleBroken(_("Say why it is taken back."), code="reason_required")
    row = (
        Qualification.objects.select_for_update(of=("self",), no_key=True)
        .select_related("kind", "membership")
        .get(pk=row.pk)
    )
    if row.withdrawn_at:
        raise RuleBroken(_("It was taken back already."), code="withdrawn")
    row.withdrawn_at, row.withdrawn_reason = timezone.now(), reason.strip()[:300]
    row.save(update_fields=["withdrawn_at", "withdrawn_reason"])
    audit.record("qualification_withdrawn", row.membership, by=by, reason=reason, details={"kind": row.kind.code})
    return row
