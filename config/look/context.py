"""What `base.html` needs on every page: who is signed in, where, and where they may go."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

from django.conf import settings
from django.urls import NoReverseMatch, get_urlconf, reverse
from django.utils.translation import get_language_bidi
from django.utils.translation import gettext_lazy as _

from accounts.notifications import mailbox
from accounts.notifications.selectors import count_unread
from accounts.permissions import Permission
from accounts.users.sessions import times_left
from clinic.patients.selectors import count_open_reviews
from tenancy.tenants.context import get_current_tenant_id


@dataclass(frozen=True)
class Destination:
    """One word of the rail: shown to members with the permission, when the room is installed."""

    url_name: str
    label: str
    icon: str
    permission: Permission | None = None
    key: str = ""  # pressed after `g`
    pages: tuple[str, ...] = ()  # where it stands for some pages of a room only
    count: Callable[[Any], int] | None = None  # how much of it waits for this member

    @property
    def room(self) -> str:
        return self.url_name.partition(":")[0]


# The order of the rail. A phone shows the first four; the rest stand behind "More".
DESTINATIONS = [
    Destination("home:today", _("Today"), "sun", None, "t"),
    Destination(
        "scheduling:agenda",
        _("Agenda"),
        "calendar-days",
        Permission.APPOINTMENT_VIEW,
        "c",
        pages=tuple(
            f"scheduling:{page}" for page in ("agenda", "book", "find_patient", "appointment", "cancel", "move")
        ),
    ),
    Destination("patients:list", _("Patients"), "users", Permission.PATIENT_VIEW, "p"),
    Destination(
        "patients:emergencies",
        _("Emergency access"),
        "siren",
        Permission.AUDIT_REVIEW,
        "e",
        pages=("patients:emergencies", "patients:emergency"),
        count=count_open_reviews,
    ),
    Destination("practitioners:list", _("Practitioners"), "stethoscope", Permission.PRACTITIONER_VIEW, "d"),
    Destination("own_visits:list", _("My appointments"), "calendar-heart", Permission.APPOINTMENT_VIEW_OWN, "m"),
    Destination("waiting:list", _("Waiting list"), "hourglass", Permission.APPOINTMENT_VIEW, "w"),
    Destination("rules:places", _("Clinic setup"), "sliders-horizontal", Permission.SCHEDULE_MANAGE, "b"),
    Destination("team:list", _("Staff"), "id-card", Permission.USER_MANAGE, "s"),
    Destination("integrations:keys", _("Integrations"), "plug", Permission.INTEGRATION_MANAGE, "i"),
    Destination("audit:list", _("Audit trail"), "scroll-text", Permission.AUDIT_VIEW_ALL, "a"),
]

# Tabs over the pages about oneself, and over those about everybody.
ACCOUNT_TABS = [
    Destination("team:profile", _("My profile"), "", Permission.OWN_PROFILE),
    Destination("second_factor:security", _("My security"), "", Permission.OWN_PROFILE),
    Destination("users:sign_ins", _("Where I am signed in"), "", Permission.OWN_PROFILE),
    Destination("notifications:preferences", _("My notifications"), "", Permission.OWN_PROFILE),
]
STAFF_TABS = [
    Destination("team:list", _("People"), "", Permission.USER_MANAGE),
    Destination("team:roles", _("Roles"), "", Permission.ROLE_MANAGE),
    Destination("team:groups", _("Groups"), "", Permission.GROUP_MANAGE),
    Destination("qualifications:kinds", _("Qualifications"), "", Permission.QUALIFICATION_MANAGE),
    Destination("team:settings", _("Signing in"), "", Permission.ADMIN_SITE),
]

INTEGRATION_TABS = [
    Destination("integrations:keys", _("API keys"), "", Permission.INTEGRATION_MANAGE),
    Destination("integrations:webhooks", _("Webhooks"), "", Permission.INTEGRATION_MANAGE),
    Destination("integrations:deliveries", _("Deliveries"), "", Permission.INTEGRATION_MANAGE),
]


class Frame:
    """Read by templates as `frame.nav`, `frame.member` and so on; each part is worked out when first asked for.

    Error pages come without a member, a tenant or even a session, so nothing
    in here may rely on them.
    """

    def __init__(self, request):
        self.request = request
        self.member = getattr(request, "member", None)
        self.tenant = getattr(request, "tenant", None)
        self.is_demo = settings.DEMO

    @cached_property
    def nav(self):
        """The rail as dictionaries `url, label, icon, key, is_here`; empty for strangers."""
        if not self.member:
            return []
        entries = []
        for place in DESTINATIONS:
            url = _address(place.url_name)
            if url and (place.permission is None or self.member.may(place.permission)):
                entries.append(
                    {
                        "url": url,
                        "label": place.label,
                        "icon": place.icon,
                        "key": place.key,
                        "is_here": self._is_here(place),
                        "count": place.count(self.member) if place.count and get_current_tenant_id() else 0,
                    }
                )
        return entries

    def _is_here(self, place):
        match = getattr(self.request, "resolver_match", None)
        here = match.view_name if match else ""
        if place.pages:
            return here in place.pages
        # What is about oneself stands behind the name, whichever room of the rail brings it.
        about_oneself = any(here == other.url_name for other in ACCOUNT_TABS)
        elsewhere = about_oneself or any(here in other.pages for other in DESTINATIONS)
        return place.room in self._namespaces and not elsewhere

    @property
    def account_tabs(self):
        """For components/tabs.html over the pages about oneself."""
        return self._tabs(ACCOUNT_TABS)

    @property
    def staff_tabs(self):
        """For components/tabs.html over the pages about the staff."""
        return self._tabs(STAFF_TABS)

    @property
    def integration_tabs(self):
        """For components/tabs.html over the pages about other programs."""
        return self._tabs(INTEGRATION_TABS)

    def _tabs(self, places):
        """The tab of this page is lit; where it has none of its own, the one its address begins with the longest."""
        found = [
            (url, place.label)
            for place in places
            if (url := _address(place.url_name)) and self.member and self.member.may(place.permission)
        ]
        above = [url for url, _label in found if self.request.path.startswith(url)]
        lit = max(above, key=len, default="")
        return [
            {"url": url, "label": label, "is_here": url == self.request.path, "is_above": url == lit}
            for url, label in found
        ]

    @property
    def bottom_bar(self):
        return self.nav[:4]

    @cached_property
    def _namespaces(self):
        match = getattr(self.request, "resolver_match", None)
        return match.namespaces if match else []

    @cached_property
    def search_url(self):
        """Where the search in the top bar goes, or "" for members who may not see patients."""
        if not self.member or not self.member.may(Permission.PATIENT_VIEW):
            return ""
        return _address("patients:list")

    @property
    def search_words(self):
        """What was searched for, so that the list page still shows it in the box."""
        return self.request.GET.get("q", "") if self.request.path == self.search_url else ""

    @property
    def other_clinics(self):
        """Clinics the same person may change to; the users room sets `request.other_clinics` when there are any."""
        return getattr(self.request, "other_clinics", ())

    @property
    def switch_clinic_url(self):
        return _address("users:choose_clinic")

    @property
    def sign_out_url(self):
        return _address("users:sign_out")

    @property
    def may_visit(self):
        """A platform administrator may enter any clinic, with a reason."""
        return bool(
            self.member
            and getattr(self.member, "user", None)
            and self.member.user.is_platform_admin
            and self.switch_clinic_url
        )

    @property
    def sign_in_url(self):
        return _address("users:sign_in")

    @property
    def keep_alive_url(self):
        return _address("users:keep_alive")

    @property
    def session_times(self):
        """How long the session of this browser lasts (sessions.times_left), for session.js; None for strangers."""
        session = getattr(self.request, "sign_in", None)
        return times_left(session) if self.member and session and session.kind == session.Kind.PAGE else None

    @property
    def visit(self):
        """A platform administrator works here: until when, why, and how to leave. None for members of the clinic."""
        session = getattr(self.request, "sign_in", None)
        if not self.member or not session or not self.member.is_platform:
            return None
        return {
            "until": session.expires_at,
            "reason": self.request.session.get("visit_reason", ""),
            "leave_url": _address("users:leave_clinic"),
        }

    @property
    def second_factor_due(self):
        """Until when the member has to set up a second factor; on the first page only, so that it nags nobody."""
        return self.member.second_factor_due if self.member and "home" in self._namespaces else None

    @property
    def enrolment_url(self):
        return _address(settings.ENROLMENT_URL)

    @property
    def account_url(self):
        return _address("team:profile")

    @cached_property
    def bell(self):
        """Where the inbox is and how many are unread: one look at one index, asked only by pages that draw it."""
        if not self.member or get_current_tenant_id() is None or not _address("notifications:inbox"):
            return None
        if getattr(self.request, "must_enrol", False):
            return None  # nothing but enrolling is open
        return {
            "url": _address("notifications:inbox"),
            "count_url": _address("notifications:count"),
            "unread": count_unread(self.member),
        }

    @property
    def mails_url(self):
        """Where the demo shows the mails that nobody sends."""
        return _address("notifications:mails") if mailbox.is_open() else ""

    @property
    def admin_url(self):
        return _address("admin:index") if self.member and self.member.may(Permission.ADMIN_SITE) else ""

    @property
    def gallery_url(self):
        return _address("look:gallery") if settings.DEBUG else ""

    @property
    def languages(self):
        """Pairs of code and name; empty where nothing could change them."""
        return settings.LANGUAGES if self.language_url else ()

    @property
    def language_url(self):
        return _address("users:set_language")

    @property
    def direction(self):
        return "rtl" if get_language_bidi() else "ltr"


def frame(request):
    return {"frame": Frame(request)}


def _address(url_name: str) -> str:
    """The address of a page, or "" when the room that owns it is not installed."""
    return _address_in(url_name, get_urlconf() or settings.ROOT_URLCONF)


@lru_cache(maxsize=256)
def _address_in(url_name: str, urlconf: str) -> str:
    # Asked a dozen times a page; a name that is not there costs most of all.
    try:
        return reverse(url_name, urlconf)
    except NoReverseMatch:
        return ""
