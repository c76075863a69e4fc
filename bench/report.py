"""How figures are printed: what, measured, target, and whether it was reached."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """One line. `measured` and `target` share the unit; a target of None only informs. Lower is better."""

    name: str
    measured: float
    unit: str
    target: float | None = None
    note: str = ""

    @property
    def verdict(self) -> str:
        if self.target is None:
            return ""
        return "reached" if self.measured <= self.target else f"missed by {self.measured - self.target:.1f} {self.unit}"


def show(title: str, figures: Iterable[Figure]) -> None:
    """Print a table; nothing is judged."""
    print(f"\n{title}")
    for figure in figures:
        target = f"target {figure.target:g} {figure.unit}" if figure.target is not None else ""
        line = f"  {figure.name:<42} {figure.measured:>9.2f} {figure.unit:<4} {target:<18} {figure.verdict}"
        print(f"{line}  {figure.note}".rstrip(), flush=True)


def percentile(values: list[float], share: float) -> float:
    """The value that `share` (0 to 1) of all values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
