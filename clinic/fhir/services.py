"""Importing: many resources from many files, each for itself, safe to repeat.

Resources are stored in batches of one transaction each, and inside of it each
in a savepoint: what is refused leaves nothing and takes nothing else with it,
and an import that was killed has left whole batches and may be repeated.
"""

import hashlib
import logging
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import DatabaseError, InterfaceError, OperationalError, connection, transaction
from django.utils import timezone

from clinic.patients.services import DuplicateDocument
from tenancy.audit import services as audit
from tenancy.rules import RuleBroken
from tenancy.tenants.context import tenant_context

from .mapping import READ_TYPES, Mapped, map_resource
from .models import SourceRecord
from .readers import Found, Refused, Unreadable, list_files, read_file
from .references import ReferenceTarget, find_rows, target_of
from .report import Report
from .targets import TARGETS, Target
from .validation import check_resource

BATCH = 100
NOTHING_TO_KNOW_IT_BY = "It has neither an id nor an identifier, so a second import could not know it again."

logger = logging.getLogger(__name__)


def import_files(
    paths: Iterable[Path], *, tenant_id: UUID, progress: Callable[[Report, Path, int, int], None] | None = None
) -> Report:
    """Import every resource of these files and folders into one clinic. Call it outside of any transaction.

    `progress(report, file, files done, files in all)` is called often. Raises
    FileNotFoundError for a path that is not there, before anything is read.
    """
    files = list_files(paths)
    report = Report(files=len(files))
    pending: Counter[ReferenceTarget] = Counter()
    for number, file in enumerate(files):
        batch: list[tuple[Found, Mapped]] = []
        for item in read_file(file):
            if mapped := _prepare(item, report):
                batch.append(mapped)
            if len(batch) >= BATCH:
                _store_batch(batch, tenant_id, report, pending)
                batch = []
            if progress:
                progress(report, file, number, len(files))
        _store_batch(batch, tenant_id, report, pending)
    _finish(tenant_id, report, pending, files)
    return report


def _prepare(item: Found | Unreadable, report: Report) -> tuple[Found, Mapped] | None:
    """A resource checked and in our words, or None when the report says why not."""
    if isinstance(item, Unreadable):
        report.refuse(item.place, item.reason, kind=item.type)
        return None
    if item.type not in READ_TYPES:
        report.refuse_type(item.type)
        return None
    try:
        check_resource(item.resource)
        mapped = map_resource(item)
        if not mapped.id and not any(number.system for number in mapped.numbers):
            raise Refused(NOTHING_TO_KNOW_IT_BY)
        return item, mapped
    except Refused as refused:
        _refuse(report, item, str(refused))
        return None


def _store_batch(
    batch: list[tuple[Found, Mapped]], tenant_id: UUID, report: Report, pending: Counter[ReferenceTarget]
) -> None:
    if not batch:
        return
    # Counted only once it is committed.
    outcome = Report()
    asked: Counter[ReferenceTarget] = Counter()
    with tenant_context(tenant_id):
        _wait_for_other_imports(tenant_id)
        known = _known_records(batch)
        kinds = {mapped.type for _found, mapped in batch}
        targets = {kind: TARGETS[kind]([mapped for _found, mapped in batch if mapped.type == kind]) for kind in kinds}
        for found, mapped in batch:
            try:
                with transaction.atomic():
                    done, warnings = _store(found, mapped, targets[mapped.type], known)
            except (OperationalError, InterfaceError):
                raise
            except (Refused, RuleBroken, ValidationError, DatabaseError) as error:
                _refuse(outcome, found, _sentence(error))
                continue
            outcome.count(mapped.type, done)
            for warning in [*mapped.left_out, *warnings] if done != "unchanged" else []:
                outcome.warn(found.place, warning, kind=mapped.type, resource_id=mapped.id[:64])
            asked.update(target for reference in mapped.references if (target := target_of(reference, found.siblings)))
    report.add(outcome)
    pending.update(asked)


def _store(
    found: Found, mapped: Mapped, target: Target, known: dict[tuple[str, str], SourceRecord]
) -> tuple[str, list[str]]:
    """Create or update one row and remember where it came from. Returns "created" and so on, and warnings."""
    key = _record_key(mapped)
    record = known.get(key)
    content = mapped.content_hash
    if record and record.content_hash == content:
        return "unchanged", []
    reason = f"import_fhir {Path(found.place.file).name}"
    row = target.get(record.object_id, mapped) if record else target.find(mapped)
    if row is None:
        row, warnings = target.create(mapped, reason=reason)
        done = "created"
    else:
        changed, warnings = target.update(row, mapped, reason=reason)
        done = "updated" if changed else "unchanged"
    if record is None:
        record = SourceRecord(resource_type=key[0], resource_id=key[1], object_id=row.pk, content_hash=content)
        record.save(force_insert=True)
    else:
        SourceRecord.objects.filter(pk=record.pk).update(content_hash=content, imported_at=timezone.now())
        record.content_hash = content
    known[key] = record
    return done, warnings


def _known_records(batch: list[tuple[Found, Mapped]]) -> dict[tuple[str, str], SourceRecord]:
    keys = {_record_key(mapped) for _found, mapped in batch}
    records = SourceRecord.objects.filter(
        resource_type__in={kind for kind, _id in keys}, resource_id__in={own_id for _kind, own_id in keys}
    )
    return {(record.resource_type, record.resource_id): record for record in records}


def _record_key(mapped: Mapped) -> tuple[str, str]:
    """Type and id; without an id, a name made of its first identifier that names an issuer."""
    if mapped.id:
        return mapped.type, mapped.id
    number = next(number for number in mapped.numbers if number.system)
    digest = hashlib.sha256(f"{number.system}|{number.value}".encode()).hexdigest()
    return mapped.type, f"identifier-{digest[:48]}"


def _wait_for_other_imports(tenant_id: UUID) -> None:
    """One batch at a time in a clinic: a second import waits here and then finds what the first has stored."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"import_fhir {tenant_id}"])


def _finish(tenant_id: UUID, report: Report, pending: Counter[ReferenceTarget], files: list[Path]) -> None:
    if not report.has_read_something:
        return
    with tenant_context(tenant_id):
        found = find_rows(pending)
        report.unresolved_references = sum(count for target, count in pending.items() if target not in found)
        counts = {**report.total, "unresolved_references": report.unresolved_references}
        names = [file.name for file in files]
        audit.record("fhir_imported", None, by=None, details={"counts": counts, "files": names[:50], "of": len(names)})


def _refuse(report: Report, found: Found, reason: str) -> None:
    # The id is the sender's: in no report longer than the standard lets it be.
    report.refuse(found.place, reason, kind=found.type, resource_id=found.id[:64])


def _sentence(error: Exception) -> str:
    """Why a resource was refused, without any value of it."""
    if isinstance(error, DuplicateDocument):
        return "Another patient here has this identity document."
    if isinstance(error, Refused | RuleBroken):
        return str(error)
    if isinstance(error, ValidationError):
        return " ".join(_field_sentences(error))
    logger.warning("import_fhir: the database refused a resource", extra={"error": type(error).__name__})
    return f"The database does not take it ({type(error).__name__})."


def _field_sentences(error: ValidationError) -> Iterable[str]:
    for field, problems in error.error_dict.items():
        for problem in problems:
            # Some of Django's own messages repeat the value.
            repeats = "value" in (problem.params or {}) and "%(value)" in str(problem.message)
            yield f"{field}: {problem.code if repeats else problem.messages[0]}"
