"""Reading a whole chain again and saying whether it still is what was written (quality.md 6.11)."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from django.db import connection

from tenancy.tenants.models import Tenant

from .anchors import read_anchors, signature_state
from .hashing import GENESIS, entry_hash, merkle_root, payload_hash, read_leaf
from .models import AuditActor, AuditEntry, AuditHead, AuditPayload, AuditRead, AuditSeal
from .services import header_of

# Exit codes of `manage.py audit_verify`. Where several apply the first in this order is the answer.
ALTERED, GAP, ANCHOR_MISMATCH, TRUNCATED, PAYLOAD_MISMATCH, KEY_UNKNOWN = 1, 2, 3, 4, 5, 6
CHUNK = 2_000


@dataclass
class Finding:
    """One thing that is wrong: exit code, the first sequence number it shows at (None: no entry), a sentence."""

    code: int
    seq: int | None
    sentence: str


@dataclass
class Report:
    """The answer for one clinic. `findings` is empty when the trail is whole."""

    tenant: str
    entries: int = 0
    erased: int = 0
    reads: int = 0
    anchors: int = 0
    head: str = GENESIS
    findings: list[Finding] = field(default_factory=list)

    @property
    def code(self) -> int:
        return min((finding.code for finding in self.findings), default=0)

    @property
    def first_bad(self) -> int | None:
        return min((f.seq for f in self.findings if f.seq is not None), default=None)


def verify_trail(
    tenant: Tenant,
    *,
    anchor_file: Path | None = None,
    known_keys: list[Ed25519PublicKey] | None = None,
    first: int = 1,
    last: int | None = None,
) -> Report:
    """Verify the current clinic's chain, payloads, sealed reads and anchors.

    Memory does not grow with the chain. `first` and `last` are sequence
    numbers; a range takes the entry before it on trust. Where others may be
    writing, `look_at_one_moment` comes first.
    """
    report = Report(tenant=tenant.slug)
    hashes: dict[int, str] = {}
    # Read before the first look at the database: an anchor written meanwhile may know of later entries.
    anchors = list(read_anchors(anchor_file, tenant.id)) if anchor_file else []
    wanted = {anchor["seq"] for anchor in anchors if "seq" in anchor}
    actors = {actor.id: actor for actor in AuditActor.objects.all()}
    for entry in _walk_chain(report, actors, first, last):
        if entry.seq in wanted:
            hashes[entry.seq] = entry.entry_hash
    if last is None:
        _check_head(report)
    if first == 1 and last is None:
        _check_count(report)
    _check_reads(report, actors)
    _check_anchors(report, anchors, known_keys or [], hashes, first, last)
    return report


def look_at_one_moment() -> None:
    """One snapshot for the whole transaction; nothing may have been asked in it yet.

    Inside of somebody else's transaction (tests) it does nothing.
    """
    if not connection.savepoint_ids:
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")


def _walk_chain(report: Report, actors: dict[UUID, AuditActor], first: int, last: int | None) -> Iterator[AuditEntry]:
    expected, previous = first, GENESIS
    if first > 1:
        before = AuditEntry.objects.filter(seq=first - 1).first()
        previous = before.entry_hash if before else GENESIS
    for chunk in _chunks(first, last):
        payloads = {p.entry_id: p for p in AuditPayload.objects.filter(entry_id__in=[e.id for e in chunk])}
        erasures = _erasures(chunk, payloads)
        for entry in chunk:
            report.entries += 1
            _check_link(report, entry, expected, previous)
            _check_payload(report, entry, payloads.get(entry.id), erasures)
            _check_actors(report, entry.seq, [entry.actor_ref, entry.on_behalf_ref], actors)
            _check_actor_then(report, entry, payloads.get(entry.id), actors.get(entry.actor_ref))
            expected, previous = entry.seq + 1, entry.entry_hash
            yield entry
    report.head = previous


def _chunks(first: int, last: int | None) -> Iterator[list[AuditEntry]]:
    position = first - 1
    while True:
        entries = AuditEntry.objects.filter(seq__gt=position).order_by("seq")
        chunk = list((entries.filter(seq__lte=last) if last else entries)[:CHUNK])
        if not chunk:
            return
        yield chunk
        position = chunk[-1].seq


def _check_link(report: Report, entry: AuditEntry, expected: int, previous: str) -> None:
    if entry.seq != expected:
        report.findings.append(Finding(GAP, expected, f"Entry {expected} is missing; {entry.seq} follows."))
    elif entry.prev_hash != previous:
        report.findings.append(
            Finding(ALTERED, entry.seq, f"Entry {entry.seq} does not follow from the one before it.")
        )
    if entry.entry_hash != entry_hash(header_of(entry)):
        report.findings.append(Finding(ALTERED, entry.seq, f"Entry {entry.seq} was altered after it was written."))


def _check_payload(report: Report, entry: AuditEntry, payload: AuditPayload | None, erasures: set[str]) -> None:
    if payload is not None:
        if payload_hash(payload.salt, payload.body) != entry.payload_hash:
            sentence = f"The payload of entry {entry.seq} was altered."
            report.findings.append(Finding(PAYLOAD_MISMATCH, entry.seq, sentence))
    elif str(entry.id) in erasures:
        report.erased += 1
    else:
        sentence = f"The payload of entry {entry.seq} is gone and no erasure says why."
        report.findings.append(Finding(PAYLOAD_MISMATCH, entry.seq, sentence))


def _check_actors(report: Report, seq: int, refs: Iterable[UUID | None], actors: dict[UUID, AuditActor]) -> None:
    """A pseudonym that nobody stands behind any more hides who it was."""
    for ref in sorted({ref for ref in refs if ref and ref not in actors}):
        sentence = f"Nobody stands behind the actor {ref} of entry {seq}."
        report.findings.append(Finding(ALTERED, seq, sentence))


def _check_actor_then(
    report: Report, entry: AuditEntry, payload: AuditPayload | None, actor: AuditActor | None
) -> None:
    """The hashed payload says who the actor was; the actor's row has to say the same, but for the label."""
    if payload is None or actor is None or payload_hash(payload.salt, payload.body) != entry.payload_hash:
        return
    then = _actor_in(payload.body)
    now = {"kind": actor.kind, "ref_id": _text(actor.ref_id), "user_id": _text(actor.user_id)}
    if then and now != {name: then.get(name) for name in now}:
        sentence = f"The actor of entry {entry.seq} was another one when it was written."
        report.findings.append(Finding(ALTERED, entry.seq, sentence))


def _actor_in(body: str) -> dict | None:
    """Who a payload says it was; None where it does not, as those of the first weeks."""
    try:
        then = json.loads(body)["actor"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
    return then if isinstance(then, dict) else None


def _text(value: UUID | None) -> str | None:
    return str(value) if value else None


def _erasures(chunk: list[AuditEntry], payloads: dict) -> set[str]:
    gone = [str(entry.id) for entry in chunk if entry.id not in payloads]
    if not gone:
        return set()
    return set(
        AuditEntry.objects.filter(action="payload_erased", object_type="auditentry", object_id__in=gone).values_list(
            "object_id", flat=True
        )
    )


def _check_head(report: Report) -> None:
    head = AuditHead.objects.first()
    stated = (head.seq, head.entry_hash) if head else (0, GENESIS)
    newest = AuditEntry.objects.order_by("-seq").first()
    found = (newest.seq, newest.entry_hash) if newest else (0, GENESIS)
    if stated[0] > found[0]:
        sentence = f"The head says {stated[0]} entries, the last one found is {found[0]}: the tail was cut."
        report.findings.append(Finding(TRUNCATED, found[0] + 1, sentence))
    elif stated != found:
        report.findings.append(Finding(ALTERED, found[0], "The head does not name the last entry."))


def _check_count(report: Report) -> None:
    """Entries that the walk by number did not meet: two with one number, or one before the first."""
    unmet = AuditEntry.objects.count() - report.entries
    if unmet:
        report.findings.append(Finding(GAP, None, f"{unmet} entries stand outside of the order."))


def _check_reads(report: Report, actors: dict[UUID, AuditActor]) -> None:
    seals = {str(seal.id): seal for seal in AuditSeal.objects.order_by("id")}
    sealed = AuditEntry.objects.filter(action="reads_sealed", object_type="auditseal").order_by("seq")
    for seq, seal_id, stated in sealed.values_list("seq", "object_id", "object_version"):
        seal = seals.pop(seal_id, None)
        rows = list(AuditRead.objects.filter(seal=seal).order_by("id")) if seal else []
        report.reads += len(rows)
        found = f"{len(rows)}:{merkle_root(read_leaf(row.__dict__) for row in rows)}"
        if seal is None or not stated == found == f"{seal.count}:{seal.merkle_root}":
            sentence = f"The reads sealed by entry {seq} are not those that were sealed."
            report.findings.append(Finding(ALTERED, seq, sentence))
        _check_actors(report, seq, [row.actor_ref for row in rows], actors)
    for seal_id in seals:
        report.findings.append(Finding(ALTERED, None, f"The seal {seal_id} of reads is not in the chain."))


def _check_anchors(
    report: Report,
    anchors: list[dict],
    known_keys: list[Ed25519PublicKey],
    hashes: dict[int, str],
    first: int,
    last: int | None,
) -> None:
    newest = AuditEntry.objects.order_by("-seq").values_list("seq", flat=True).first() or 0
    for anchor in anchors:
        if "broken" in anchor:
            sentence = f"Line {anchor['broken']} of the anchor file can not be read."
            report.findings.append(Finding(ANCHOR_MISMATCH, None, sentence))
            continue
        report.anchors += 1
        state = signature_state(anchor, known_keys)
        if state == "unknown_key":
            sentence = f"The key {anchor.get('kid')} of an anchor is not known here."
            report.findings.append(Finding(KEY_UNKNOWN, None, sentence))
        elif state == "forged":
            sentence = f"The anchor at entry {anchor.get('seq')} has a bad signature."
            report.findings.append(Finding(ANCHOR_MISMATCH, None, sentence))
        elif anchor["seq"] > newest:
            sentence = f"An anchor of {anchor['at']} saw entry {anchor['seq']}; the trail ends at {newest}."
            report.findings.append(Finding(TRUNCATED, newest + 1, sentence))
        elif first <= anchor["seq"] <= (last or newest) and hashes.get(anchor["seq"]) != anchor["entry_hash"]:
            sentence = f"Entry {anchor['seq']} is not the one an anchor of {anchor['at']} saw."
            report.findings.append(Finding(ANCHOR_MISMATCH, anchor["seq"], sentence))
