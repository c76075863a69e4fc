"""Who is calling: session, member, person, clinic and roles in one statement.

It runs at every request of every door. Through the ORM it is two queries whose
building costs more than the rest of a small request (measured: 1.5 of 4.3 ms);
the test beside it holds its answer equal to theirs.
"""

import json
from functools import cache
from typing import Any
from uuid import UUID

from django.db import connection, models
from django.utils import timezone

from tenancy.tenants.context import current_tenant_id
from tenancy.tenants.models import Tenant

from .models import Membership, Role, Session, User

_PARTS: list[tuple[str, type[models.Model]]] = [("s", Session), ("m", Membership), ("u", User), ("t", Tenant)]


def recognise_session(session_id: UUID | str) -> Session | None:
    """The live session with `membership`, its `user` and `roles`, and `tenant` filled in.

    None where `selectors.get_live_session` gives None.
    """
    with connection.cursor() as cursor:
        cursor.execute(_statement(), [current_tenant_id(), session_id, timezone.now()])
        row = cursor.fetchone()
    if row is None:
        return None
    session, member, user, tenant = _instances(row)
    roles = [_role(values) for values in json.loads(row[-1])]
    member.user, member.tenant = user, tenant
    member.hold_roles(roles)
    session.membership, session.tenant = member, tenant
    return session


def _role(values: list[Any]) -> Role:
    fields = Role._meta.concrete_fields
    read = [field.to_python(value) for field, value in zip(fields, values, strict=True)]  # JSON has ids as text
    return Role.from_db("default", _columns(Role), read)


def _instances(row: tuple) -> list[Any]:
    instances, start = [], 0
    for _alias, model in _PARTS:
        columns = _columns(model)
        instances.append(model.from_db("default", columns, row[start : start + len(columns)]))
        start += len(columns)
    return instances


@cache
def _columns(model: type[models.Model]) -> list[str]:
    return [field.attname for field in model._meta.concrete_fields]


@cache
def _statement() -> str:
    columns = ", ".join(f"{alias}.{field.column}" for alias, model in _PARTS for field in model._meta.concrete_fields)
    role = ", ".join(f"r.{field.column}" for field in Role._meta.concrete_fields)
    return f"""
        SELECT {columns}, (
            SELECT coalesce(json_agg(json_build_array({role})), '[]')::text
            FROM users_heldrole h JOIN users_role r ON r.tenant_id = h.tenant_id AND r.id = h.role_id
            WHERE h.tenant_id = m.tenant_id AND h.membership_id = m.id
        )
        FROM users_session s
        JOIN users_membership m ON m.tenant_id = s.tenant_id AND m.id = s.membership_id
        JOIN users_user u ON u.id = m.user_id
        JOIN tenants_tenant t ON t.id = s.tenant_id
        WHERE s.tenant_id = %s AND s.id = %s AND s.revoked_at IS NULL AND s.expires_at > %s
          AND m.is_active AND u.is_active AND t.is_active
    """  # noqa: S608  (column names of our own models; values are bound)
