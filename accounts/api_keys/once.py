"""Doing a thing once for callers whose tool sends no `Idempotency-Key` header: the body carries a key of its own.

n8n repeats a request by itself and can not number it. Whoever sends
`idempotencyKey` in the body (an expression that is the same in every try, such
as execution id and item) makes one thing, however often it is sent. The key
holds for good, and for one caller: a key, and those it is rotated to.
"""

import hashlib
from collections.abc import Callable
from typing import Any
from uuid import UUID

import orjson
from django.db import IntegrityError, models, transaction
from django.utils.translation import gettext as _

from tenancy.rules import RuleBroken
from tenancy.tenants.creation import Part
from tenancy.tenants.models import new_id_text

from .models import ApiKey, MadeOnce


class MadeFromOther(RuleBroken):
    """The key was used for a body that said something else."""

    code = "key_reused"


@transaction.atomic
def make_once(make: Callable[[], models.Model], *, by: Any, kind: str, key: str, sent: Any) -> tuple[UUID, bool]:
    """Id of the thing that `make` makes, or has made before under this key; and whether it was made now.

    `sent` is what the caller sent, as JSON would say it. Of two who come at once the second waits for
    the first. Raises MadeFromOther, and whatever `make` raises: then the key is free again.
    """
    if not key:
        return make().pk, True
    fingerprint = _fingerprint_of(sent)
    claim = MadeOnce(caller_id=first_of_line(by), kind=kind, key=key, fingerprint=fingerprint)
    try:
        with transaction.atomic():
            claim.save(force_insert=True)
    except IntegrityError:
        made = MadeOnce.objects.get(caller_id=claim.caller_id, kind=kind, key=key)
        if made.fingerprint != fingerprint:
            sentence = _("This idempotencyKey was used for another body. Send a new one with a new body.")
            raise MadeFromOther(sentence) from None
        return made.object_id, False
    made_id = make().pk
    MadeOnce.objects.filter(pk=claim.pk).update(object_id=made_id)
    return made_id, True


_MADE = """
    INSERT INTO api_keys_madeonce (id, tenant_id, caller_id, kind, key, fingerprint, object_id, made_at)
    SELECT %s::uuid, %s::uuid, %s::uuid, %s::text, %s::text, %s::text, r.id, clock_timestamp() FROM r
"""


def part_of(tenant_id: UUID, caller_id: UUID, kind: str, key: str, sent: Any) -> Part:
    """The note of `make_once`, in the statement that makes the thing as `r`. Who comes second is refused by it."""
    return Part("once", _MADE, [new_id_text(), tenant_id, caller_id, kind, key, _fingerprint_of(sent)])


def _fingerprint_of(sent: Any) -> str:
    return hashlib.sha256(orjson.dumps(sent, option=orjson.OPT_SORT_KEYS)).hexdigest()


def first_of_line(by: Any) -> UUID:
    """The id of a caller that stays when its key is rotated: the first key of the line; a member's own."""
    pk = by.pk
    while by.audit_kind == "api_key" and (older := ApiKey.objects.filter(replaced_by=pk).values("pk").first()):
        pk = older["pk"]
    return pk
