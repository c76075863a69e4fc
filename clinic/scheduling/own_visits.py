"""Reading one's own visits. Whatever else somebody may see in this clinic, here they find nobody's but their own."""

from uuid import UUID

from django.db.models import Q
from django.http import Http404
from django.utils import timezone

from accounts.users.models import Membership

from .models import Appointment, AppointmentQuerySet, CalendarFeed, Offer
from .states import LIVE, State

MOST_PAST = 100


def list_own_visits(*, by: Membership) -> AppointmentQuerySet:
    """Every visit of the person who asks, with what a page says of it; unsorted."""
    own = Appointment.objects.filter(patient__user_id=by.user_id)
    return own.select_related("practitioner", "location", "type")


def get_own_visit(visit_id: UUID | str, *, by: Membership) -> Appointment:
    """One visit of the person who asks. Raises Http404 for what is not there, and for everybody else's alike."""
    found = list_own_visits(by=by).filter(pk=visit_id).first()
    if found is None:
        raise Http404
    return found


def list_coming(*, by: Membership) -> list[Appointment]:
    """What is still to come or going on, the next one first; times that are only kept are none."""
    rows = list_own_visits(by=by).filter(state__in=LIVE, ends_at__gt=timezone.now()).exclude(state=State.HELD)
    return list(rows.order_by("starts_at", "id"))


def list_past(*, by: Membership) -> list[Appointment]:
    """What was, and what was cancelled, the latest first; at most a hundred."""
    over = Q(ends_at__lte=timezone.now()) | Q(state__in=[State.CANCELLED, State.NO_SHOW])
    rows = list_own_visits(by=by).visits().filter(over).exclude(state=State.HELD)
    return list(rows.order_by("-starts_at", "id")[:MOST_PAST])


def list_offers(*, by: Membership) -> list[Offer]:
    """Times the waiting list offers the person who asks, the one that is over first on top."""
    open_ones = Offer.objects.filter(
        state=Offer.State.OPEN, expires_at__gt=timezone.now(), appointment__patient__user_id=by.user_id
    )
    visits = ("appointment__practitioner", "appointment__location", "appointment__type")
    return list(open_ones.select_related(*visits).order_by("expires_at", "id"))


def list_own_feeds(*, by: Membership) -> list[CalendarFeed]:
    """The addresses of one's own calendar, the open ones first, then the newest."""
    feeds = CalendarFeed.objects.filter(patient__user_id=by.user_id)
    return sorted(feeds, key=lambda feed: (feed.revoked_at is not None, -feed.created_at.timestamp()))


def get_own_feed(feed_id: UUID | str, *, by: Membership) -> CalendarFeed:
    """One address of one's own calendar. Raises Http404 for every other."""
    found = CalendarFeed.objects.filter(patient__user_id=by.user_id, pk=feed_id).first()
    if found is None:
        raise Http404
    return found
