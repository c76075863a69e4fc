"""Making, rotating and ending keys. Called by pages and `/v1/auth/api-keys` of `accounts.integrations`."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from tenancy.audit import services as audit
from tenancy.rules import NotAllowed, RuleBroken
from tenancy.tenants.context import current_tenant_id

from .key_text import make_key
from .models import ApiKey, PlatformKey
from .scopes import SCOPES, permissions_of

LONGEST_OVERLAP = timedelta(days=30)
MOST_REQUESTS = 60_000


@transaction.atomic
def create_key(
    *,
    by: Any,
    name: str,
    scopes: Iterable[str],
    expires_at: datetime | None = None,
    requests_per_minute: int = 600,
) -> tuple[ApiKey, str]:
    """A new key of this clinic and its text, which is shown once and kept nowhere.

    `by` is a Membership, an admin-scoped ApiKey, a PlatformKey or None (the
    command line). Raises ValidationError by field, NotAllowed when a member
    gives a key more than they may themselves.
    """
    wanted = _checked_scopes(scopes)
    _refuse_more_than_own(by, wanted)
    if expires_at is not None and expires_at <= timezone.now():
        raise ValidationError({"expires_at": _("This moment is past already.")})
    if not 1 <= requests_per_minute <= MOST_REQUESTS:
        raise ValidationError({"requests_per_minute": _("Between 1 and %(most)d.") % {"most": MOST_REQUESTS}})
    return _make(name=name, scopes=wanted, expires_at=expires_at, rate=requests_per_minute, by=by)


@transaction.atomic
def rotate_key(key: ApiKey, *, by: Any, overlap: timedelta = timedelta(0)) -> tuple[ApiKey, str]:
    """A new key with the same name and scopes; the old one lives on for `overlap` (at most 30 days), then ends.

    With no overlap the old one is revoked at once. Raises RuleBroken for a
    key that is over already and for one that has been rotated.
    """
    key = _locked(key)
    _refuse_more_than_own(by, key.scopes)
    if not timedelta(0) <= overlap <= LONGEST_OVERLAP:
        raise ValidationError({"overlap": _("The old key lives on for at most 30 days.")})
    if not key.is_live(timezone.now()):
        raise RuleBroken(_("This key is over; make a new one."), code="key_over")
    if key.replaced_by_id is not None:
        raise RuleBroken(_("This key has been rotated already."), code="key_rotated")
    now = timezone.now()
    # A key that was to end on a day still does; rotating it is no way around.
    new, plaintext = _make(
        name=key.name, scopes=key.scopes, expires_at=key.expires_at, rate=key.requests_per_minute, by=by
    )
    key.replaced_by = new
    if overlap:
        key.expires_at = min(filter(None, [key.expires_at, now + overlap]))
    else:
        key.revoked_at = now
    key.save(update_fields=["replaced_by", "expires_at", "revoked_at"])
    audit.record("api_key_rotated", key, by=by, details={"prefix": key.prefix, "new_prefix": new.prefix})
    return new, plaintext


@transaction.atomic
def revoke_key(key: ApiKey, *, by: Any) -> ApiKey:
    """End a key: refused from the next request on. Revoking it twice changes nothing."""
    key = _locked(key)
    if key.revoked_at is None:
        key.revoked_at = timezone.now()
        key.save(update_fields=["revoked_at"])
        audit.record("api_key_revoked", key, by=by, details={"prefix": key.prefix, "name": key.name})
    return key


@transaction.atomic
def create_platform_key(*, name: str) -> tuple[PlatformKey, str]:
    """A key of the operator and its text, shown once. Raises ValidationError for a bad name."""
    new = make_key(None)
    key = PlatformKey(name=" ".join(name.split()), prefix=new.prefix, key_hash=new.key_hash)
    key.full_clean()
    key.save(force_insert=True)
    return key, new.plaintext


@transaction.atomic
def revoke_platform_key(key: PlatformKey) -> PlatformKey:
    """End a platform key, from the next request on."""
    PlatformKey.objects.filter(pk=key.pk, revoked_at__isnull=True).update(revoked_at=timezone.now())
    key.refresh_from_db()
    return key


def _make(*, name: str, scopes: list[str], expires_at: datetime | None, rate: int, by: Any) -> tuple[ApiKey, str]:
    new = make_key(current_tenant_id())
    key = ApiKey(
        name=" ".join(name.split()),
        prefix=new.prefix,
        key_hash=new.key_hash,
        scopes=scopes,
        expires_at=expires_at,
        requests_per_minute=rate,
        created_by=by.member if by is not None else None,
    )
    key.full_clean(exclude=["tenant"], validate_unique=False, validate_constraints=False)
    key.save(force_insert=True)
    details = {"prefix": key.prefix, "name": key.name, "scopes": scopes}
    audit.record("api_key_created", key, by=by, details=details)
    return key, new.plaintext


def _checked_scopes(scopes: Iterable[str]) -> list[str]:
    asked = set(scopes)
    if unknown := sorted(asked - SCOPES.keys()):
        raise ValidationError({"scopes": _("There is no scope %(scope)s.") % {"scope": unknown[0]}})
    if not asked:
        raise ValidationError({"scopes": _("Choose at least one.")})
    return [scope for scope in SCOPES if scope in asked]


def _refuse_more_than_own(by: Any, scopes: Iterable[str]) -> None:
    """Nobody gives a program what they may not do themselves. The platform opens a clinic's first key by its role."""
    if by is None or isinstance(by, PlatformKey):
        return
    if lacking := permissions_of(scopes) - by.permissions:
        sentence = _("You may not give a key what you may not do yourself: %(codes)s.")
        raise NotAllowed(sentence % {"codes": ", ".join(sorted(lacking))})


def _locked(key: ApiKey) -> ApiKey:
    return ApiKey.objects.select_for_update(no_key=True).get(pk=key.pk)
