"""How the people of a clinic sign in: the settings an administrator may change."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.users.models import Membership, Session
from tenancy.audit import services as audit
from tenancy.rules import RuleBroken
from tenancy.tenants.models import Tenant

BOUNDS = {"idle_minutes": (5, 60), "session_hours": (1, 24)}
SWITCHES = ("two_factor_required", "allows_registration")


@transaction.atomic
def update_sign_in_settings(tenant: Tenant, *, by: Membership, changes: Mapping[str, Any]) -> Tenant:
    """Change the idle minutes (5 to 60), the hours of a session (1 to 24), and who needs or may what.

    Shorter times hold at once, also for those who are signed in: the idle time is
    asked for at every request. Switching the second factor on starts the days of grace.
    Raises RuleBroken for a number out of bounds, KeyError for any other setting.
    """
    tenant = Tenant.objects.select_for_update(no_key=True).get(pk=tenant.pk)
    written = {}
    for name, value in changes.items():
        if name in BOUNDS:
            low, high = BOUNDS[name]
            if not low <= value <= high:
                raise RuleBroken(_("Choose a number from %(low)d to %(high)d.") % {"low": low, "high": high})
        elif name not in SWITCHES:
            raise KeyError(name)
        if getattr(tenant, name) != value:
            written[name] = (getattr(tenant, name), value)
            setattr(tenant, name, value)
    if not written:
        return tenant
    if written.get("two_factor_required") == (False, True):
        tenant.two_factor_since = timezone.now()
    if "idle_minutes" in written:
        _end_sleeping_sessions(idle_minutes=written["idle_minutes"][0])
    tenant.save(update_fields=[*written, "two_factor_since"])
    audit.record("sign_in_settings_changed", None, by=by, changes=written)
    return tenant


def _end_sleeping_sessions(*, idle_minutes: int) -> None:
    """A browser that slept by the old time stays locked, also where the new one is longer."""
    now = timezone.now()
    asleep = Session.objects.filter(
        kind=Session.Kind.PAGE, revoked_at=None, last_seen_at__lte=now - timedelta(minutes=idle_minutes)
    )
    asleep.update(revoked_at=now)
