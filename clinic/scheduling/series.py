"""Visits that repeat: expanded by the clock on the wall, changed one by one, from one on, or all; undone (wish 10)."""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from dateutil.rrule import rrulestr
from django.db import transaction
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext, pgettext

from accounts.users.models import Membership
from clinic.places.models import Location
from clinic.practitioners.models import Practitioner
from tenancy.audit import services as audit
from tenancy.rules import RuleBroken

from . import services
from .models import Appointment, AppointmentChange, Series
from .services import TimeTaken, Wanted
from .states import UPCOMING, State
from .wall_time import nearest_moment, wall_of

MOST_VISITS = 200
LONGEST_YEARS = 3


class SeriesClash(RuleBroken):
    """Some days of a series are not free. `days` maps each to the sentence that says why."""

    code = "series_clash"

    def __init__(self, days: dict[date, str]):
        sentence = ngettext(
            "%(count)d of these days is not free: %(days)s.",
            "%(count)d of these days are not free: %(days)s.",
            len(days),
        )
        said = [date_format(day, pgettext("a day in a sentence", "j F Y")) for day in sorted(days)]
        super().__init__(sentence % {"count": len(days), "days": ", ".join(said)})
        self.days = days


@dataclass(frozen=True)
class Shift:
    """How visits of a series change: days and clock, practitioner, location, length. None keeps what is there."""

    days: int = 0
    clock: str | None = None  # "09:30" by the location's clock
    minutes: int | None = None
    practitioner: Practitioner | None = None
    location: Location | None = None


@transaction.atomic
def book_series(wanted: Wanted, rule: str, *, by: Membership | None, skip: Iterable[date] = ()) -> list[Appointment]:
    """Book a visit for every day of a rule (RFC 5545: `FREQ=WEEKLY;BYDAY=MO;COUNT=10`), all or nothing.

    09:00 stays 09:00 over a change of the clocks. Days in `skip` are left out.
    The same `submit_key` again gives the series it made.
    Raises SeriesClash with every day that is not free, RuleBroken for a rule
    that makes no sense or makes more than 200 visits or lasts longer than three years.
    """
    if wanted.location is None:
        raise RuleBroken(_("Say where the visits take place."))
    # The lock every booking takes first: the second of two presses waits here for the first to be done.
    Practitioner.objects.select_for_update(of=("self",), no_key=True).get(pk=wanted.practitioner.pk)
    if done := _made_by(wanted, by=by):
        return done
    zone = wanted.location.zone
    first = wall_of(wanted.starts_at, zone)
    length = (wanted.ends_at - wanted.starts_at) if wanted.ends_at else None
    series = Series.objects.create(
        rule=rule, wall_start=f"{first:%Y-%m-%dT%H:%M}", time_zone=wanted.location.time_zone, created_by=by
    )
    booked, clashes, left_out = [], {}, set(skip)
    for wall in expand(rule, first):
        if wall.date() in left_out:
            continue
        starts_at = nearest_moment(wall, zone)
        one = replace(wanted, starts_at=starts_at, ends_at=starts_at + length if length else None,
                      submit_key=None if booked else wanted.submit_key,
                      hold=None if booked else wanted.hold)  # fmt: skip
        try:
            with transaction.atomic():
                visit = services.book(one, by=by)
        except TimeTaken as taken:
            clashes[wall.date()] = taken.sentence
            continue
        visit.series, visit.series_day = series, wall.date()
        visit.save(update_fields=["series", "series_day"])
        booked.append(visit)
    if clashes:
        raise SeriesClash(clashes)
    if not booked:
        raise RuleBroken(_("This rule makes no visit."))
    audit.record("series_booked", series, by=by, details={"rule": rule, "visits": len(booked)})
    return booked


def _made_by(wanted: Wanted, *, by: Membership | None) -> list[Appointment]:
    first = services.find_pressed(wanted, by=by)
    if first is None or first.series_id is None:
        return []
    return list(Appointment.objects.filter(series=first.series_id).order_by("series_day"))


def expand(rule: str, first: datetime) -> list[datetime]:
    """The wall times a rule makes, beginning with `first`. Raises RuleBroken."""
    try:
        found = rrulestr(rule, dtstart=first, ignoretz=True)
    except (ValueError, TypeError, KeyError) as error:
        raise RuleBroken(_("This rule can not be read: %(why)s") % {"why": error}, code="bad_rule") from None
    horizon = first.replace(year=first.year + LONGEST_YEARS, day=min(first.day, 28))
    walls: list[datetime] = []
    for wall in found:
        if wall > horizon:
            raise RuleBroken(_("A series lasts at most three years; give it an end."), code="too_long")
        walls.append(wall)
        if len(walls) > MOST_VISITS:
            raise RuleBroken(_("A series has at most %(count)d visits.") % {"count": MOST_VISITS}, code="too_many")
    return walls


@transaction.atomic
def change_visits(
    appointment: Appointment, scope: str, shift: Shift, *, by: Membership | None, reason: str = ""
) -> tuple[uuid.UUID, list[Appointment]]:
    """Move one visit of a series ("this"), it and those after it ("following"), or all that are still to come ("all").

    Visits that were changed by hand before stay as they are. All or nothing:
    raises SeriesClash. The first part of the answer undoes it (`undo_batch`).
    """
    batch, moved, clashes = uuid.uuid4(), [], {}
    visits = _in_scope(appointment, scope)
    if scope == "following":
        _split(appointment, visits, by=by)
    for visit in visits if shift.days <= 0 else reversed(visits):
        starts_at, ends_at = _shifted(visit, shift)
        try:
            with transaction.atomic():
                moved.append(
                    services.reschedule(
                        visit,
                        by=by,
                        starts_at=starts_at,
                        ends_at=ends_at,
                        practitioner=shift.practitioner,
                        location=shift.location or visit.location,
                        reason=reason,
                        batch=batch,
                    )
                )
        except TimeTaken as taken:
            clashes[wall_of(starts_at, visit.location.zone).date()] = taken.sentence
    if clashes:
        raise SeriesClash(clashes)
    if scope != "this":
        # Moved together they still follow the rule; only what is changed alone is an exception.
        Appointment.objects.filter(pk__in=[visit.pk for visit in moved]).update(is_exception=False)
    return batch, moved


@transaction.atomic
def cancel_visits(
    appointment: Appointment, scope: str, *, by: Membership | None, reason: str
) -> tuple[uuid.UUID, list[Appointment]]:
    """Cancel one visit of a series, it and those after it, or all that are still to come. Raises as `services.move`."""
    batch = uuid.uuid4()
    visits = _in_scope(appointment, scope)
    return batch, [services.move(visit, State.CANCELLED, by=by, reason=reason, batch=batch) for visit in visits]


@transaction.atomic
def undo_batch(batch: uuid.UUID, *, by: Membership | None) -> int:
    """Put everything one press of a button has changed back as it was, all or nothing. Returns how many visits.

    Raises RuleBroken where a visit was changed again meanwhile, TimeTaken where a time is gone.
    """
    changes = list(AppointmentChange.objects.filter(batch=batch).select_related("appointment").order_by("-at", "-id"))
    if not changes:
        raise RuleBroken(_("There is nothing to undo."), code="nothing_to_undo")
    before = [change.before["practitioner"] for change in changes if "practitioner" in change.before]
    services.lock_together([change.appointment for change in changes], [uuid.UUID(pk) for pk in before])
    for change in changes:
        latest = change.appointment.changes.order_by("-at", "-id").first()
        if latest is None or latest.pk != change.pk:
            raise RuleBroken(
                _("Visit %(number)s was changed again since.") % {"number": change.appointment.number},
                code="changed_since",
            )
    for change in changes:
        if change.new_state:
            services.undo_move(change.appointment, by=by)
        else:
            services.put_back(change.appointment, change, by=by)
    audit.record("changes_undone", None, by=by, details={"batch": str(batch), "visits": len(changes)})
    return len(changes)


def _in_scope(appointment: Appointment, scope: str) -> list[Appointment]:
    """The visits a change is about, in order of time; exceptions only when one is meant itself."""
    if scope == "this" or appointment.series_id is None:
        return [appointment]
    if scope not in {"following", "all"}:
        raise RuleBroken(_("Choose: this visit, this and the following, or all."), code="bad_scope")
    visits = Appointment.objects.filter(
        series=appointment.series_id, state__in=UPCOMING, starts_at__gt=timezone.now(), is_exception=False
    )
    if scope == "following":
        visits = visits.filter(series_day__gte=appointment.series_day)
    return list(visits.select_related("location", "practitioner", "patient", "type").order_by("starts_at", "id"))


def _split(appointment: Appointment, visits: list[Appointment], *, by: Membership | None) -> None:
    """From here on it is another series: what is changed later in one does not touch the other."""
    old = appointment.series
    if old is None or not visits or appointment.series_day == _first_day(old):
        return
    new = Series.objects.create(rule=old.rule, wall_start=visits[0].wall_start, time_zone=old.time_zone, created_by=by)
    later = Appointment.objects.filter(series=old, series_day__gte=appointment.series_day)
    later.update(series=new)
    for visit in visits:
        visit.series = new


def _first_day(series: Series) -> date:
    return date.fromisoformat(series.wall_start[:10])


def _shifted(visit: Appointment, shift: Shift) -> tuple[datetime, datetime]:
    """The moments a visit moves to, by the clock of where it will take place."""
    zone = (shift.location or visit.location).zone
    wall = datetime.fromisoformat(visit.wall_start) + timedelta(days=shift.days)
    if shift.clock:
        hour, minute = shift.clock.split(":")
        wall = wall.replace(hour=int(hour), minute=int(minute))
    starts_at = nearest_moment(wall, zone)
    return starts_at, starts_at + timedelta(minutes=shift.minutes or visit.minutes)
