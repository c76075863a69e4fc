"""Does what everybody remembers agree with what is in the database?"""

from collections import Counter, defaultdict
from dataclasses import dataclass

import psycopg

from .history import Operation
from .receiver import Arrived

PATIENTS = "SELECT id::text, document_number FROM patients_patient WHERE tenant_id = %s"
EVENTS = """
    SELECT id::text, object_id::text, body, extract(epoch FROM occurred_at)::float8 FROM events_event
    WHERE tenant_id = %s
"""
WAITING = "SELECT count(*) FROM events_delivery WHERE tenant_id = %s AND state <> 'delivered'"
ENTRIES = """
    SELECT object_id, count(*) FROM audit_auditentry WHERE tenant_id = %s AND action = 'patient_created' GROUP BY 1
"""


@dataclass
class Found:
    """What the database says. Patients as (id, document number), events by id, audit entries by patient."""

    patients: list[tuple[str, str]]
    events: dict[str, tuple[str, str, float]]  # patient, body, when
    entries: dict[str, int]
    undelivered: int


def read_database(connection: psycopg.Connection, tenant_id: str) -> Found:
    return Found(
        patients=connection.execute(PATIENTS, [tenant_id]).fetchall(),
        events={
            event: (patient, body, at)
            for event, patient, body, at in connection.execute(EVENTS, [tenant_id]).fetchall()
        },
        entries=dict(connection.execute(ENTRIES, [tenant_id]).fetchall()),
        undelivered=connection.execute(WAITING, [tenant_id]).fetchone()[0],
    )


@dataclass
class Verdict:
    """How often each promise was broken; all zero when the drill is passed."""

    lost: int = 0
    doubled: int = 0
    invented: int = 0
    unanswered: int = 0
    other_answers: int = 0
    not_told: int = 0
    not_delivered: int = 0
    wrong_bodies: int = 0
    unaudited: int = 0

    def broken(self) -> dict[str, int]:
        return {name: count for name, count in vars(self).items() if count}


def judge(operations: list[Operation], found: Found, arrived: dict[str, Arrived]) -> Verdict:
    """Compare the writers' history, the database and what arrived.

    lost            acknowledged, and not there, or there under another id
    doubled         there more than once
    invented        refused and there all the same, or asked for by nobody
    unanswered      nobody knows, although the same key was tried for minutes
    other_answers   one key was told two different patients
    not_told        a patient without exactly one event
    not_delivered   an event that never arrived
    wrong_bodies    a body that is not the event's, a signature that does not hold, an event nobody made
    unaudited       a patient without exactly one entry of the trail, or an entry without a patient
    """
    verdict = Verdict()
    rows = defaultdict(list)
    for patient, document in found.patients:
        rows[document].append(patient)
    for operation in operations:
        there = rows.pop(operation.document, [])
        verdict.doubled += len(there) > 1
        verdict.unanswered += operation.outcome in {"unknown", "invoked"}
        verdict.invented += operation.outcome == "fail" and bool(there)
        verdict.other_answers += len(set(operation.answers)) > 1
        verdict.lost += operation.outcome == "ok" and not set(operation.answers) <= set(there)
    verdict.invented += len(rows)
    told = Counter(patient for patient, _body, _at in found.events.values())
    known = {patient for patient, _document in found.patients}
    verdict.not_told = sum(told[patient] != 1 for patient in known) + sum(patient not in known for patient in told)
    verdict.not_delivered = sum(event not in arrived for event in found.events)
    for event, delivery in arrived.items():
        body = found.events[event][1].encode() if event in found.events else None
        verdict.wrong_bodies += delivery.forged + sum(sent != body for sent in delivery.bodies)
    verdict.unaudited = sum(found.entries.get(patient, 0) != 1 for patient in known)
    verdict.unaudited += sum(patient not in known for patient in found.entries)
    return verdict
