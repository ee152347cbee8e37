"""What a check came to, as a line of a table and as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

__all__ = ["Judged", "Outcome", "as_json", "shown", "table"]

_MARKS = {"pass": "pass", "fail": "FAIL", "skipped": "skip"}


@dataclass(frozen=True)
class Outcome:
    """How a check ended.

    Attributes:
        status: ``pass``, ``fail``, or ``skipped`` where what it needs is not here.
        numbers: What was measured, each with its unit in its name.
        said: What is wrong, or what was left out and why.
    """

    status: Literal["pass", "fail", "skipped"]
    numbers: Mapping[str, float] = field(default_factory=dict)
    said: str = ""


class Judged:
    """Collects numbers, what is wrong with them, and notes.

    Attributes:
        numbers: What was measured.
    """

    def __init__(self) -> None:
        self.numbers: dict[str, float] = {}
        self._wrong: list[str] = []
        self._notes: list[str] = []

    def hold(self, holds: bool, otherwise: str) -> None:
        """Fail the check with a sentence unless something holds."""
        if not holds:
            self._wrong.append(otherwise)

    def note(self, what: str) -> None:
        """Say something that fails nothing: what ran, or which part was not checked, and why."""
        self._notes.append(what)

    def outcome(self) -> Outcome:
        """Fail if anything is wrong or no number, skipped if nothing was measured, else pass."""
        odd = [f"{name} is no number" for name, value in self.numbers.items() if not math.isfinite(value)]
        said = "; ".join([*self._wrong, *odd, *self._notes])
        if self._wrong or odd:
            return Outcome("fail", self.numbers, said)
        return Outcome("pass" if self.numbers else "skipped", self.numbers, said)


def shown(value: float) -> str:
    """A number in few digits."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def table(rows: Sequence[tuple[int, str, Outcome, float]]) -> str:
    """A line per check: number, what it checks, how it ended, seconds; its numbers and words below it.

    Args:
        rows: Number, title, outcome and seconds of each check.
    """
    width = max(len(title) for _, title, _, _ in rows)
    lines = []
    for number, title, outcome, seconds in rows:
        lines.append(f"{number:>2}  {title:<{width}}  {_MARKS[outcome.status]}  {seconds:6.1f} s")
        if outcome.numbers:
            lines.append("      " + ", ".join(f"{name} {shown(value)}" for name, value in outcome.numbers.items()))
        if outcome.said:
            lines.append(f"      {outcome.said}")
    counts = {status: sum(row[2].status == status for row in rows) for status in _MARKS}
    lines.append(f"{counts['pass']} passed, {counts['fail']} failed, {counts['skipped']} skipped")
    return "\n".join(lines) + "\n"


def as_json(machine: Mapping[str, Any], rows: Sequence[tuple[int, str, Outcome, float]]) -> str:
    """The same as JSON; a number that is not finite is null.

    Args:
        machine: Card, versions, model.
        rows: As of :func:`table`.
    """
    checks = []
    for number, title, outcome, seconds in rows:
        record = asdict(outcome)
        record["numbers"] = {name: _finite(value) for name, value in outcome.numbers.items()}
        checks.append({"number": number, "title": title, **record, "seconds": round(seconds, 1)})
    return json.dumps({"machine": dict(machine), "checks": checks}, indent=1) + "\n"


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
