"""From when on a wait is long, or too long: decided by each clinic, read by Today."""

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from accounts.users.models import Membership
from tenancy.audit import services as audit
from tenancy.rules import RuleBroken

from .models import WaitLimits

KEPT = ("long_minutes", "too_long_minutes")


def read_limits() -> WaitLimits:
    """The limits of this clinic; the defaults, not saved, where nobody has decided yet."""
    return WaitLimits.objects.first() or WaitLimits()


@transaction.atomic
def save_limits(*, by: Membership, long_minutes: int, too_long_minutes: int) -> WaitLimits:
    """Decide from how many minutes on a wait is marked. Raises ValidationError by field."""
    locked = WaitLimits.objects.select_for_update(of=("self",), no_key=True).first()
    limits = locked or WaitLimits()
    before = {name: getattr(limits, name) for name in KEPT}
    limits.long_minutes, limits.too_long_minutes = long_minutes, too_long_minutes
    limits.full_clean(exclude=["tenant"], validate_unique=False, validate_constraints=False)
    if too_long_minutes <= long_minutes:
        raise ValidationError({"too_long_minutes": _("More minutes than “long”.")})
    try:
        with transaction.atomic():
            limits.save()
    except IntegrityError as error:
        if "scheduling_waitlimits_one_uniq" in str(error):
            raise RuleBroken(_("Somebody else has changed this meanwhile.")) from None
        raise
    changed = {name: (before[name], getattr(limits, name)) for name in KEPT if before[name] != getattr(limits, name)}
    if changed or locked is None:
        audit.record("wait_limits_saved", limits, by=by, changes=changed)
    return limits
