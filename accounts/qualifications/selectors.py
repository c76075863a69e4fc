"""Who is qualified for what, and until when."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from django.db.models import Count, OuterRef, QuerySet, Subquery
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
    return read_holdings([member_id] if member_id else [], kinds).gaps(member_id, day)


@dataclass(frozen=True)
class Holdings:
    """From when until when some members hold some kinds, without what was taken back: asked for many days at once."""

    kinds: tuple[QualificationKind, ...]
    spans: Mapping[tuple[UUID, UUID], list[tuple[date, date]]]  # by member and kind

    def gaps(self, member_id: UUID | None, day: date) -> list[Gap]:
        """As `gaps_of`. One that only begins after the day has not lapsed."""
        found = []
        for kind in self.kinds:
            spans = self.spans.get((member_id, kind.pk), []) if member_id else []
            if not any(since <= day <= until for since, until in spans):
                found.append(Gap(kind, max((until for _since, until in spans if until < day), default=None)))
        return found


def read_holdings(members: Iterable[UUID], kinds: Iterable[QualificationKind]) -> Holdings:
    """What these members hold of these kinds: one query, none where nothing is needed."""
    kinds, members, spans = tuple(kinds), list(members), defaultdict(list)
    if kinds and members:
        rows = Qualification.objects.filter(membership__in=members, kind__in=kinds, withdrawn_at=None)
        for member, kind, since, until in rows.values_list("membership_id", "kind_id", "valid_from", "valid_until"):
            spans[member, kind].append((since, until or date.max))
    return Holdings(kinds, spans)


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
