"""Reads PostgreSQL's own catalogue and says where the walls between clinics have a hole.

Everything design/database.md promises about tables, policies, keys, views,
functions and roles, asked of the database as it stands and not of the code
that made it. `manage.py check_isolation` prints the answer; a test holds it
empty and another breaks each promise on purpose (security.md A6, A7).
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

from django.apps import apps
from django.db import models

from .fields import TenantForeignKey
from .models import TenantModel
from .operations import IGNORE_NOTHING

# operations.CONDITION as PostgreSQL writes it back.
CONDITION = "(tenant_id = (NULLIF(current_setting('app.tenant_id'::text, true), ''::text))::uuid)"

SHARED_TABLES = {
    "tenants_tenant": "Is the clinic; looked up before anybody is inside of one.",
    "users_user": "A person may work in several clinics and is known before one is chosen (decision X8).",
    "users_workplace": "Ids only: which clinics a person may choose at sign-in; read before one is entered.",
    "patients_documenttype": "A list all clinics share (decision X14).",
    "patients_gender": "A list all clinics share (decision X14).",
    "patients_insurer": "A list all clinics share (decision X14).",
    "second_factor_authenticator": "The second factor belongs to the person, not to a clinic.",
    "second_factor_recoverycodes": "The second factor belongs to the person, not to a clinic.",
    "second_factor_recoverycode": "The second factor belongs to the person, not to a clinic.",
    "django_otp_webauthn_webauthncredential": "Passkeys: the second factor belongs to the person, not to a clinic.",
    "django_otp_webauthn_webauthnattestation": "What came with a passkey; belongs to the person.",
    "django_otp_webauthn_webauthnuserhandle": "The name a passkey knows a person by.",
    "django_session": "Browser sessions: who, and the id of a clinic; read before one is entered.",
    "django_migrations": "Which migrations ran.",
    "django_content_type": "Names of our own models.",
    "django_admin_log": "The admin's own notes; its index shows everybody only theirs. The trail is in audit.",
    "auth_permission": "Names of Django's permissions; nobody holds one.",
    "auth_group": "Django's groups; not used.",
    "auth_group_permissions": "Django's groups; not used.",
    "pghistory_context": "Comes with pghistory; versions name their editor themselves and write nothing here.",
}
"""Tables that belong to no clinic, each with the reason why."""

DEFINER_FUNCTIONS: set[str] = set()
"""Functions that may run with their owner's rights. None yet; each has to filter by the tenant itself."""

# Made by django-pgtrigger, without a search path of their own. They run with the caller's rights, and `_app_role`
# holds that the caller can create nothing, not even a temporary table, that would stand before ours.
UNPINNED_FUNCTIONS = re.compile(r"pgtrigger_\w+|_pgtrigger_should_ignore|_pgh_attach_context")

_OURS = """
    NOT EXISTS (SELECT FROM pg_depend WHERE objid = {oid} AND deptype = 'e')
    AND {schema} NOT IN (SELECT oid FROM pg_namespace WHERE nspname ~ '^pg_' OR nspname = 'information_schema')
"""
_TABLES = f"""
    SELECT c.oid, c.relname, c.relrowsecurity, c.relforcerowsecurity, a.attnotnull, a.atttypid = 'uuid'::regtype
    FROM pg_class c LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped
    WHERE c.relkind IN ('r', 'p', 'f') AND {_OURS.format(oid="c.oid", schema="c.relnamespace")}
    ORDER BY c.relname
"""  # noqa: S608
_INDEXES = """
    SELECT i.indrelid, i.indexrelid::regclass::text, i.indisprimary, i.indisunique OR i.indisexclusion,
        i.indisvalid AND i.indpred IS NULL,
        (SELECT array_agg(pg_get_indexdef(i.indexrelid, n, false)) FROM generate_series(1, i.indnkeyatts) n)
    FROM pg_index i
"""
_COLUMNS = """
    (SELECT array_agg(attname::text ORDER BY n) FROM unnest({keys}) WITH ORDINALITY k(num, n)
     JOIN pg_attribute ON attrelid = {table} AND attnum = num)
"""
_FOREIGN_KEYS = f"""
    SELECT conrelid, conrelid::regclass::text, confrelid, conname, condeferrable AND condeferred,
        confdeltype = 'a' AND confupdtype = 'a' AND confmatchtype = 's', convalidated,
        {_COLUMNS.format(keys="conkey", table="conrelid")}, {_COLUMNS.format(keys="confkey", table="confrelid")}
    FROM pg_constraint WHERE contype = 'f'
"""  # noqa: S608


def find_defects(cursor: Any, app_role: str) -> list[str]:
    """One sentence for each hole, none where all is well. `cursor` may belong to any role that can connect."""
    return [sentence for check in CHECKS for sentence in check(cursor, app_role)]


def _rows(cursor: Any, statement: str, params: tuple = ()) -> list[tuple]:
    cursor.execute(statement, params)
    return cursor.fetchall()


def _tenant_tables(cursor) -> dict[int, str]:
    tables = ((oid, name, required) for oid, name, _, _, required, _ in _rows(cursor, _TABLES))
    return {oid: name for oid, name, required in tables if required is not None and name not in SHARED_TABLES}


def _row_security(cursor, app_role) -> Iterator[str]:
    """TI-C01, C03, C10: tenant tables are closed, for the owner too; the others are on the list."""
    for _, name, enabled, forced, is_required, is_uuid in _rows(cursor, _TABLES):
        if name in SHARED_TABLES:
            continue
        if is_required is None:
            yield f"{name} has no tenant_id and is not on the list of shared tables."
            continue
        if not enabled:
            yield f"{name} has row-level security switched off."
        if not forced:
            yield f"{name} does not force row-level security on its owner."
        if not is_required or not is_uuid:
            yield f"{name}.tenant_id is not a required uuid."


def _policies(cursor, app_role) -> Iterator[str]:
    """TI-C02: exactly the one policy of operations.EnableRowLevelSecurity, for reading and for writing."""
    found: dict[int, list[tuple]] = {}
    for table, *policy in _rows(
        cursor,
        "SELECT polrelid, polname, polpermissive, polcmd::text, polroles = '{0}', pg_get_expr(polqual, polrelid),"
        " pg_get_expr(polwithcheck, polrelid) FROM pg_policy",
    ):
        found.setdefault(table, []).append(tuple(policy))
    expected = ("tenant_isolation", True, "*", True, CONDITION, CONDITION)
    for oid, name in _tenant_tables(cursor).items():
        if not found.get(oid):
            yield f"{name} has no row policy."
        elif found[oid] != [expected]:
            yield f"{name} has another row policy than the one of the house."


def _keys(cursor, app_role) -> Iterator[str]:
    """TI-C05: rows are known by (tenant_id, id), and what is unique is unique inside one clinic."""
    indexes: dict[int, list] = {}
    for table, *index in _rows(cursor, _INDEXES):
        indexes.setdefault(table, []).append(index)
    history = {row[0] for row in _rows(cursor, "SELECT attrelid FROM pg_attribute WHERE attname = 'pgh_obj_id'")}
    for oid, name in _tenant_tables(cursor).items():
        mine = indexes.get(oid, [])
        if oid in history:
            if not any(columns[0] == "tenant_id" for *_, columns in mine):
                yield f"{name} has no index that begins with tenant_id."
        elif not any(unique and whole and columns == ["tenant_id", "id"] for _, _, unique, whole, columns in mine):
            yield f"{name} has no UNIQUE (tenant_id, id)."
        for index, is_primary, is_unique, _, columns in mine:
            if is_unique and not is_primary and not re.match(r"tenant_id$|uuidrange\(tenant_id, tenant_id", columns[0]):
                yield f"{name}: {index} is unique over all clinics; it has to begin with tenant_id."


def _foreign_keys(cursor, app_role) -> Iterator[str]:
    """TI-C04: a pointer at a clinic's row carries the tenant; the database never deletes along one (F1)."""
    tenant_tables = _tenant_tables(cursor)
    composite = set()
    for table, table_name, target, name, deferred, plain, validated, mine, theirs in _rows(cursor, _FOREIGN_KEYS):
        if target not in tenant_tables:
            continue
        if table not in tenant_tables or ("tenant_id", "tenant_id") not in zip(mine, theirs, strict=True):
            yield f"{table_name}: {name} points into a clinic without its tenant."
        elif not (deferred and plain and validated):
            yield f"{table_name}: {name} is not a deferred, validated NO ACTION key."
        else:
            composite.add((table_name, *sorted(mine)))
    for model in apps.get_models():
        for field in model._meta.concrete_fields:
            pointer = (model._meta.db_table, *sorted(["tenant_id", field.column]))
            if isinstance(field, TenantForeignKey) and _is_kept(field) and pointer not in composite:
                yield f"{model._meta.db_table}.{field.column} has no composite foreign key."


def _is_kept(field: models.ForeignKey) -> bool:
    """The columns of a history table promise nothing."""
    return field.remote_field.on_delete is not models.DO_NOTHING


def _views(cursor, app_role) -> Iterator[str]:
    """TI-C06, C07: a view reads with the rights of the one who asks; a stored one reads for everybody."""
    views = f"""
        SELECT relname, relkind::text, coalesce(reloptions::text ~ 'security_invoker=(true|on|1)', false)
        FROM pg_class WHERE relkind IN ('v', 'm') AND {_OURS.format(oid="oid", schema="relnamespace")}
    """  # noqa: S608
    for name, kind, invoker in _rows(cursor, views):
        if kind == "m":
            yield f"{name} is a materialised view; it would show the rows of every clinic."
        elif not invoker:
            yield f"The view {name} is not security_invoker."


def _functions(cursor, app_role) -> Iterator[str]:
    """TI-C08: functions run with the caller's rights and find what they name in a fixed place.

    The constructors of a range type are PostgreSQL's own code and depend on the type; they name nothing.
    """
    functions = f"""
        SELECT proname, prosecdef, coalesce(proconfig::text ~ 'search_path=', false)
        FROM pg_proc WHERE {_OURS.format(oid="oid", schema="pronamespace")}
            AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = oid AND deptype = 'i')
    """  # noqa: S608
    for name, definer, pinned in _rows(cursor, functions):
        if definer and name not in DEFINER_FUNCTIONS:
            yield f"The function {name} runs with its owner's rights (SECURITY DEFINER)."
        if not pinned and (definer or not UNPINNED_FUNCTIONS.fullmatch(name)):
            yield f"The function {name} has no fixed search_path."


def _triggers(cursor, app_role) -> Iterator[str]:
    """Guards and histories are switched on, and what refuses DELETE or UPDATE refuses TRUNCATE."""
    guarded, whole = set(), set()
    for table, name, enabled in _rows(
        cursor, "SELECT tgrelid::regclass::text, tgname, tgenabled::text FROM pg_trigger WHERE NOT tgisinternal"
    ):
        if enabled != "O":
            yield f"The trigger {name} of {table} is switched off."
        if name in {"keep", "keep_all"}:
            (guarded if name == "keep" else whole).add(table)
    for table in sorted(guarded ^ whole):
        yield f"{table} is guarded only half against changes."
    for name, body in _rows(cursor, "SELECT oid::regproc::text, prosrc FROM pg_proc WHERE proname ~ 'should_ignore$'"):
        if body != IGNORE_NOTHING:
            yield f"The function {name} lets whoever is connected switch histories off."


def _app_role(cursor, app_role) -> Iterator[str]:
    """TI-C09: the role of web, worker and tests can neither step over the walls nor build anything."""
    attributes = _rows(
        cursor,
        "SELECT rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolreplication FROM pg_roles WHERE rolname = %s",
        (app_role,),
    )
    if not attributes:
        yield f"There is no role {app_role}."
        return
    for has, attribute in zip(
        attributes[0], ("SUPERUSER", "BYPASSRLS", "CREATEROLE", "CREATEDB", "REPLICATION"), strict=True
    ):
        if has:
            yield f"{app_role} has {attribute}."
    for (group,) in _rows(
        cursor, "SELECT roleid::regrole::text FROM pg_auth_members WHERE member = %s::regrole", (app_role,)
    ):
        yield f"{app_role} is a member of {group}."
    for (owned,) in _rows(
        cursor,
        "SELECT relname::text FROM pg_class WHERE relowner = %s::regrole"
        " UNION SELECT proname::text FROM pg_proc WHERE proowner = %s::regrole"
        " UNION SELECT nspname::text FROM pg_namespace WHERE nspowner = %s::regrole"
        " UNION SELECT datname::text FROM pg_database WHERE datdba = %s::regrole",
        (app_role,) * 4,
    ):
        yield f"{app_role} owns {owned}."
    for schema, may in _rows(
        cursor, "SELECT nspname, has_schema_privilege(%s, oid, 'CREATE') FROM pg_namespace", (app_role,)
    ):
        if may:
            yield f"{app_role} may create objects in the schema {schema}."
    for privilege in ("CREATE", "TEMPORARY"):
        if _rows(cursor, "SELECT has_database_privilege(%s, current_database(), %s)", (app_role, privilege))[0][0]:
            yield f"{app_role} has {privilege} on the database."


def _privileges(cursor, app_role) -> Iterator[str]:
    """What a model declares in `app_privileges` is what the app role may do, to the column."""
    declared = {
        model._meta.db_table: getattr(model, "app_privileges", TenantModel.app_privileges)
        for model in apps.get_models(include_auto_created=True)
    }
    held = f"""
        SELECT c.relname, p.name, has_table_privilege(%s, c.oid, p.name),
            has_any_column_privilege(%s, c.oid, p.name), (
                SELECT array_agg(a.attname::text ORDER BY a.attname) FROM pg_attribute a
                WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
                AND has_column_privilege(%s, c.oid, a.attnum, p.name))
        FROM pg_class c, unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'REFERENCES']) p(name)
        WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND {_OURS.format(oid="c.oid", schema="c.relnamespace")}
        UNION ALL
        SELECT c.relname, p.name, has_table_privilege(%s, c.oid, p.name), false, NULL
        FROM pg_class c, unnest(ARRAY['DELETE', 'TRUNCATE', 'TRIGGER']) p(name)
        WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND {_OURS.format(oid="c.oid", schema="c.relnamespace")}
    """  # noqa: S608
    for table, privilege, whole, some, columns in _rows(cursor, held, (app_role,) * 4):
        wanted = ("SELECT",) if table == "django_migrations" else declared.get(table, ("SELECT",))
        allowed_columns = [entry for entry in wanted if entry.startswith(f"{privilege} (")]
        if whole and privilege not in wanted:
            yield f"{app_role} has {privilege} on {table}, which does not allow it."
        elif some and not whole and [f"{privilege} ({', '.join(columns)})"] != allowed_columns:
            yield f"{app_role} has {privilege} on columns of {table}, which does not allow it."


CHECKS: list[Callable[[Any, str], Iterator[str]]] = [
    _row_security,
    _policies,
    _keys,
    _foreign_keys,
    _views,
    _functions,
    _triggers,
    _app_role,
    _privileges,
]
