"""A file of metrics that a command writes, followed while it grows."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

__all__ = ["MetricsFile"]

_MOST_PER_LOOK = 4 * 2**20
_LONGEST_LINE = 2**20
_TOLD = 3


class MetricsFile:
    """Lines such as ``{"step": 3, "reward": 0.4}``, passed on once each and in order.

    Args:
        path: The file; it may come later.
        log: Given (step, metrics).
        progress: Given (steps done, steps in all).
        steps: Steps in all, if known.

    Attributes:
        unread: Sentences about lines that could not be used, at most a few.
    """

    def __init__(
        self,
        path: Path,
        log: Callable[[int, Mapping[str, float]], None],
        progress: Callable[[int, int], None],
        steps: int | None,
    ) -> None:
        self._path, self._log, self._progress, self._steps = path, log, progress, steps
        self._offset = 0
        self._line = 0
        self._first: int | None = None
        self._bad = 0
        self.unread: list[str] = []

    def look(self, *, last: bool = False) -> None:
        """Pass on the whole lines that came since the last look; with ``last``, all, and a last one without its end."""
        while self._look(last=last) and last:
            pass

    def _look(self, *, last: bool) -> bool:
        try:
            with self._path.open("rb") as file:
                if file.seek(0, 2) < self._offset:  # written again from its beginning
                    self._offset = self._line = 0
                file.seek(self._offset)
                data = file.read(_MOST_PER_LOOK)
        except OSError:
            return False
        end = data.rfind(b"\n") + 1
        if end == 0 and (last or len(data) > _LONGEST_LINE):
            end = len(data)
        self._offset += end
        newest = None
        for line in data[:end].splitlines():
            self._line += 1
            if line.strip() and (step := self._step_of(line)) is not None:
                newest = step
        if newest is not None and self._steps is not None:
            self._progress(min(newest + (self._first == 0), self._steps), self._steps)
        return end > 0

    def _step_of(self, line: bytes) -> int | None:
        """Log one line and return its step; None if it could not be used."""
        try:
            content = json.loads(line)
        except ValueError:
            self._unusable("is no JSON")
            return None
        if not isinstance(content, dict):
            self._unusable("is no JSON object")
            return None
        step = content.pop("step", None)
        if isinstance(step, bool) or not isinstance(step, int | float) or not math.isfinite(step):
            self._unusable("has no number `step`")
            return None
        numbers = {name: float(value) for name, value in content.items() if _is_number(value)}
        if numbers:
            self._log(int(step), numbers)
        self._first = int(step) if self._first is None else self._first
        return max(int(step), 0)

    def _unusable(self, why: str) -> None:
        self._bad += 1
        if self._bad <= _TOLD:
            self.unread.append(f"line {self._line} of {self._path.name} {why}: left out of the curves")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
