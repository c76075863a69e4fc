"""What a clinic lets its patients do online, and whom they call for the rest (wish 15)."""

from typing import Any

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from accounts.users.models import Membership
from clinic.places.models import Location
from tenancy.audit import services as audit
from tenancy.rules import RuleBroken

from .models import SelfServicePolicy

KEPT = ("level", "may_cancel", "cancel_hours", "may_move", "move_hours", "phone")


def read_policy() -> SelfServicePolicy:
    """The policy of this clinic; the defaults, not saved, where nobody has decided yet."""
    return SelfServicePolicy.objects.first() or SelfServicePolicy()


@transaction.atomic
def save_policy(*, by: Membership, changes: dict[str, Any]) -> SelfServicePolicy:
    """Decide what patients may do from now on; visits that stand are not touched. Raises ValidationError by field."""
    locked = SelfServicePolicy.objects.select_for_update(of=("self",), no_key=True).first()
    policy = locked or SelfServicePolicy()
    before = {name: getattr(policy, name) for name in KEPT}
    for name, value in changes.items():
        setattr(policy, name, value)
    policy.phone = policy.phone.strip()
    policy.full_clean(exclude=["tenant"], validate_unique=False, validate_constraints=False)
    try:
        with transaction.atomic():
            policy.save()
    except IntegrityError as error:
        if "scheduling_policy_one_uniq" in str(error):
            raise RuleBroken(_("Somebody else has changed this meanwhile.")) from None
        raise
    after = {name: getattr(policy, name) for name in KEPT}
    changed = {name: (before[name], after[name]) for name in KEPT if before[name] != after[name]}
    if changed or locked is None:
        audit.record("patients_policy_saved", policy, by=by, changes=changed)
    return policy


def phone_of(location: Location | None, policy: SelfServicePolicy) -> str:
    """The number patients call: the clinic's for patients, else the place's, else that of any place; "" where none."""
    if policy.phone or (location is not None and location.phone):
        return policy.phone or location.phone  # type: ignore[union-attr]  # one of them has it
    other = Location.objects.filter(is_active=True).exclude(phone="").order_by("name", "id").first()
    return other.phone if other else ""


def call_us(location: Location | None, policy: SelfServicePolicy | None = None) -> str:
    """The sentence after every refusal: what a patient does instead."""
    phone = phone_of(location, policy or read_policy())
    return _("Call us: %(phone)s.") % {"phone": phone} if phone else _("Call us or ask at the desk.")
