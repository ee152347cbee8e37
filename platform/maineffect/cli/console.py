"""What a user sees: results on stdout, everything else on stderr, one JSON document when asked for."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from maineffect.errors import MaineffectError, SpecError

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["Output", "output", "table"]


@dataclass
class Output:
    """How this invocation speaks. Set once from the command line."""

    json_mode: bool = False
    verbose: bool = False
    quiet: bool = False

    def say(self, text: str) -> None:
        """Tell the user something that is not the result (stderr)."""
        if not self.quiet:
            print(text, file=sys.stderr, flush=True)  # noqa: T201

    def result(self, text: str) -> None:
        """Print the result for people (stdout); nothing in JSON mode."""
        if not self.json_mode:
            print(text, flush=True)  # noqa: T201

    def document(self, document: dict[str, Any]) -> None:
        """Print the one JSON document (stdout); nothing outside JSON mode."""
        if self.json_mode:
            print(json.dumps(_finite(document), ensure_ascii=False, allow_nan=False), flush=True)  # noqa: T201

    def error(self, error: MaineffectError) -> None:
        """Show an error with its way out; in JSON mode also as the document."""
        print(f"error: {error}", file=sys.stderr, flush=True)  # noqa: T201
        problems = error.problems if isinstance(error, SpecError) else ()
        self.document(
            {
                "schema_version": 1,
                "error": {
                    "kind": type(error).__name__,
                    "message": error.message,
                    "hint": error.hint,
                    "exit_code": error.exit_code,
                    "problems": [vars(problem) for problem in problems],
                },
            }
        )

    def internal_error(self, error: Exception) -> None:
        """One document even for a mistake of this program, so that whoever reads JSON is told what it was."""
        self.document(
            {
                "schema_version": 1,
                "error": {
                    "kind": type(error).__name__,
                    "message": str(error) or type(error).__name__,
                    "hint": "this is a defect of maineffect: its traceback is on standard error",
                    "exit_code": 1,
                    "problems": [],
                },
            }
        )

    def stderr(self) -> Console:
        """A rich console on stderr that honours NO_COLOR and non-terminals."""
        from rich.console import Console

        return Console(file=sys.stderr, no_color=bool(os.environ.get("NO_COLOR")) or None, highlight=False)


output = Output()


def table(header: Sequence[str], rows: Iterable[Sequence[object]], *, title: str = "") -> str:
    """Lay out a table as plain text with aligned columns (numbers right)."""
    cells = [[_show(value) for value in row] for row in rows]
    widths = [max(len(name), *(len(row[i]) for row in cells), 0) for i, name in enumerate(header)]
    numeric = [all(_is_number(row[i]) for row in cells) and bool(cells) for i in range(len(header))]

    def line(values: Sequence[str]) -> str:
        parts = [v.rjust(w) if right else v.ljust(w) for v, w, right in zip(values, widths, numeric, strict=True)]
        return "  ".join(parts).rstrip()

    lines = [title] if title else []
    lines += [line(list(header)), line(["─" * w for w in widths]), *(line(row) for row in cells)]
    return "\n".join(lines)


def _show(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.4g}" if math.isfinite(value) else "–"
    return str(value)


def _is_number(text: str) -> bool:
    try:
        float(text.rstrip("%"))
    except ValueError:
        return text == "–"
    return True


def _finite(value: Any) -> Any:
    """JSON knows no NaN: not a number is null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
