"""What became of an import: counts, and why something was refused."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from .readers import Place

OUTCOMES = ("created", "updated", "unchanged", "refused")
MOST_REASONS = 200
LATER = "This type is imported by a later version."


@dataclass
class Report:
    """Counts by type and outcome; the first MOST_REASONS reasons, of those beyond only the number."""

    by_type: dict[str, Counter] = field(default_factory=dict)
    reasons: Counter = field(default_factory=Counter)
    warnings: Counter = field(default_factory=Counter)
    reasons_left_out: int = 0
    unresolved_references: int = 0
    files: int = 0

    def count(self, kind: str, outcome: str) -> None:
        self.by_type.setdefault(kind or "unreadable", Counter())[outcome] += 1

    def refuse(self, place: Place, reason: str, *, kind: str = "", resource_id: str = "") -> None:
        """Note a refusal with its place; what can not be read at all has no kind."""
        self.count(kind, "refused")
        self._note(self.reasons, (place, f"{kind}/{resource_id}" if resource_id else kind, reason))

    def refuse_type(self, kind: str) -> None:
        """Note a resource of a type that is not imported yet: one reason for all of a type, wherever they are."""
        self.count(kind, "refused")
        self._note(self.reasons, (Place(""), kind, LATER))

    def warn(self, place: Place, reason: str, *, kind: str, resource_id: str) -> None:
        """Note something the operator should know about a resource that was taken."""
        self._note(self.warnings, (place, f"{kind}/{resource_id}", reason))

    def add(self, other: "Report") -> None:
        """Take in what a batch came to, once it is committed."""
        for kind, counts in other.by_type.items():
            self.by_type.setdefault(kind, Counter()).update(counts)
        for mine, theirs in ((self.reasons, other.reasons), (self.warnings, other.warnings)):
            for key, count in theirs.items():
                self._note(mine, key, count)

    def _note(self, notes: Counter, key: tuple[Place, str, str], count: int = 1) -> None:
        if key in notes or len(notes) < MOST_REASONS:
            notes[key] += count
        else:
            self.reasons_left_out += count

    @property
    def total(self) -> Counter:
        return sum(self.by_type.values(), Counter())

    @property
    def has_read_something(self) -> bool:
        """Whether any resource could be read, imported or not."""
        return any(kind != "unreadable" for kind in self.by_type)

    def as_json(self) -> dict[str, Any]:
        """The object the command prints."""
        total = self.total
        return {
            **{outcome: total[outcome] for outcome in OUTCOMES},
            "unresolved_references": self.unresolved_references,
            "by_type": {
                kind: {outcome: counts[outcome] for outcome in OUTCOMES}
                for kind, counts in sorted(self.by_type.items())
            },
            "reasons": _listed(self.reasons),
            "reasons_total": total["refused"],
            "warnings": _listed(self.warnings),
            "left_out": self.reasons_left_out,
        }


def _listed(notes: Counter) -> list[dict[str, Any]]:
    return [
        {
            "file": place.file or None,
            "line": place.line,
            "entry": place.entry,
            "resource": resource or None,
            "reason": reason,
            "count": count,
        }
        for (place, resource, reason), count in notes.items()
    ]
