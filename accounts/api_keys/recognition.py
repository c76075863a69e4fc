"""Which key is calling: key and clinic in one statement, at every request, inside the clinic the key claims.

Nothing is remembered between requests, so a revoked key is refused at the next one.
"""

from datetime import timedelta
from functools import cache
from typing import Any

from django.db import connection, models
from django.db.models.functions import Now
from django.utils import timezone

from tenancy.tenants.context import current_tenant_id
from tenancy.tenants.models import Tenant

from .key_text import SentKey
from .models import ApiKey, PlatformKey

NOTED_EVERY = timedelta(minutes=5)
"""How exact `last_used_at` is: written at most this often, never by two requests at once."""
NOTED_SECONDS = int(NOTED_EVERY.total_seconds())

_PARTS: tuple[tuple[str, type[models.Model]], ...] = (("k", ApiKey), ("t", Tenant))


def recognise_key(sent: SentKey) -> ApiKey | None:
    """The live key of the clinic entered just now, with its `tenant`; None for unknown, revoked, expired ones.

    Runs inside `tenant_context(sent.tenant_id)`. An inactive clinic has no live keys.
    """
    now = timezone.now()
    with connection.cursor() as cursor:
        cursor.execute(_statement(), [current_tenant_id(), sent.key_hash, now])
        row = cursor.fetchone()
    if row is None:
        return None
    key, tenant = _instances(row)
    key.tenant = tenant
    if key.last_used_at is None or key.last_used_at < now - NOTED_EVERY:
        note_use(key)
    return key


def recognise_platform_key(sent: SentKey) -> PlatformKey | None:
    """The platform key with this hash, or None. Its table belongs to no clinic."""
    key = PlatformKey.objects.filter(key_hash=sent.key_hash, revoked_at__isnull=True).first()
    if key and (key.last_used_at is None or key.last_used_at < timezone.now() - NOTED_EVERY):
        PlatformKey.objects.filter(pk=key.pk).update(last_used_at=Now())
    return key


def note_use(key: ApiKey) -> None:
    """Write down that a key is in use. Whoever comes while another request does passes by instead of waiting."""
    free = ApiKey.objects.select_for_update(skip_locked=True, no_key=True).filter(pk=key.pk).values("pk")
    ApiKey.objects.filter(pk__in=free).update(last_used_at=timezone.now())


def _instances(row: tuple) -> list[Any]:
    instances, start = [], 0
    for _alias, model in _PARTS:
        columns, converted = _columns(model)
        values = list(row[start : start + len(columns)])
        for place, field in converted:
            values[place] = field.from_db_value(values[place], None, connection)
        instances.append(model.from_db("default", columns, values))
        start += len(columns)
    return instances


@cache
def _columns(model: type[models.Model]) -> tuple[list[str], list[tuple[int, Any]]]:
    fields = model._meta.concrete_fields
    converted = [(place, field) for place, field in enumerate(fields) if hasattr(field, "from_db_value")]
    return [field.attname for field in fields], converted


@cache
def _statement() -> str:
    columns = ", ".join(f"{alias}.{field.column}" for alias, model in _PARTS for field in model._meta.concrete_fields)
    return f"""
        SELECT {columns}
        FROM api_keys_apikey k JOIN tenants_tenant t ON t.id = k.tenant_id
        WHERE k.tenant_id = %s AND k.key_hash = %s AND k.revoked_at IS NULL
          AND (k.expires_at IS NULL OR k.expires_at > %s) AND t.is_active
    """  # noqa: S608  (column names of our own models; values are bound)
