"""Who is qualified for what, and until when."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from django.db.models import Count, Max, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce

from accounts.users.models import Membership

from .models import Qualification, QualificationKind


@dataclass(frozen=True)
class Gap:
    """A qualification that is missing on a day; `lapsed_on` is the last day it was there, None when it never was."""

    kind: QualificationKind
    lapsed_on: date | None


def list_qualifications(member: Membership) -> QuerySet[Qualification]:
    """Everything a member holds or held, what is valid longest first."""
    return member.qualifications.select_related("kind").order_by("withdrawn_at", "-valid_until", "kind__name", "id")


def gaps_of(member_id: UUID | None, kinds: Iterable[QualificationKind], day: date) -> list[Gap]:
    """Which of these kinds a member does not hold on a day. Somebody without an account holds none."""
    kinds = list(kinds)
    if not kinds:
        return []
    rows = (
        Qualification.objects.filter(membership=member_id, kind__in=kinds)
        if member_id
        else Qualification.objects.none()
    )
    held = set(rows.valid_on(day).values_list("kind_id", flat=True))
    return [Gap(kind, _lapsed_before(day, rows, kind)) for kind in kinds if kind.pk not in held]


def _lapsed_before(day: date, rows: QuerySet[Qualification], kind: QualificationKind) -> date | None:
    """The last day before `day` on which it was held; one that only begins later has not lapsed."""
    return rows.filter(kind=kind, withdrawn_at=None, valid_until__lt=day).aggregate(last=Max("valid_until"))["last"]


def lapsing_until(day: date, *, after: date) -> QuerySet[Qualification]:
    """Qualifications of active members that lapse from `after` to `day` and are not renewed beyond it."""
    renewed = Qualification.objects.filter(withdrawn_at=None).valid_on(day).values("membership_id", "kind_id")
    still = {(row["membership_id"], row["kind_id"]) for row in renewed.filter(valid_until__gt=day)}
    still |= {(row["membership_id"], row["kind_id"]) for row in renewed.filter(valid_until__isnull=True)}
    rows = Qualification.objects.filter(
        withdrawn_at=None, valid_until__gte=after, valid_until__lte=day, membership__in=Membership.objects.active()
    ).select_related("kind", "membership__user")
    gone = [row.pk for row in rows if (row.membership_id, row.kind_id) in still]
    return rows.exclude(pk__in=gone)


def list_kinds(day: date) -> QuerySet[QualificationKind]:
    """Every kind by name, with how many people hold it on a day (`held_by`)."""
    valid = Qualification.objects.valid_on(day).filter(kind=OuterRef("pk"), membership__in=Membership.objects.active())
    held = valid.order_by().values("kind").annotate(count=Count("membership", distinct=True)).values("count")
    return QualificationKind.objects.annotate(held_by=Coalesce(Subquery(held), 0)).order_by("name", "id")
