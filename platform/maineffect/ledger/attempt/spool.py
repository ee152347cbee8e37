"""Training metrics on this machine's disk: one JSON line a call, microseconds, and never an error.

The training thread only ever appends here; :mod:`maineffect.ledger.attempt.upload` reads from another thread or, after
a crash, from another process. Lines carry their own time stamps, so that uploading them again gives the same rows. A
line looks like ``{"t": ms since 1970, "s": step, "m": {name: value}}``.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from maineffect.record import tell_run

__all__ = ["Point", "Spool", "metric_key", "read_batch", "read_points"]

_MOST_BYTES = 64 * 2**20
_BAD_CHARACTER = re.compile(r"[^A-Za-z0-9_\-. /]")
_MOST_KEY = 250
_LARGEST_STEP = 2**53
"""Of whole numbers up to here, a float holds each one; a store's column for steps has 64 bits."""


@dataclass(frozen=True)
class Point:
    """One value of one metric."""

    key: str
    value: float
    milliseconds: int
    step: int


class Spool:
    """Appends metrics to a file of private mode. One writer.

    Args:
        path: File to append to. What an earlier process left there stays.
        most_bytes: The file never grows beyond this. From half of it on points are thinned, the more the fuller it is.

    Attributes:
        thinned: Calls that were left out because the spool is nearly full.
        lost: Calls that could not be written (disk full) or held no number.
    """

    def __init__(self, path: Path, *, most_bytes: int = _MOST_BYTES) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        self._size = os.fstat(self._descriptor).st_size
        # A process killed while writing leaves half a line: the next one must not be glued to it.
        self._torn = self._size > 0 and os.pread(self._descriptor, 1, self._size - 1) != b"\n"
        self._most = most_bytes
        self._calls = 0
        self._said = False
        self.thinned = 0
        self.lost = 0

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Append one line. Whatever goes wrong costs a point of a curve, never the training."""
        self._calls += 1
        if 2 * self._size > self._most and self._calls % self._stride():
            self.thinned += 1
            return
        try:
            numbers = self._numbers(metrics)
            if numbers and (whole := self._step(step)) is not None:
                line = json.dumps({"t": int(time.time() * 1000), "s": whole, "m": numbers}) + "\n"
                self._append(line.encode())
        except Exception:
            self._leave_out("the call itself", metrics)

    def _numbers(self, metrics: Mapping[str, float]) -> dict[str, float]:
        """Value by value, so that one that is no number does not cost the others; NumPy's and torch's are converted."""
        numbers = {}
        for name, value in metrics.items():
            try:
                if value is None or isinstance(value, str | bytes):
                    raise TypeError
                numbers[str(name)] = float(value)
            except Exception:
                self._leave_out(str(name), value)
        return numbers

    def _step(self, step: int) -> int | None:
        """A whole number that a store's 64 bits hold; None for what is no step, which is counted."""
        try:
            whole = int(step)
        except (TypeError, ValueError, OverflowError):
            self._leave_out("the step", step)
            return None
        if abs(whole) > _LARGEST_STEP:
            self._leave_out("the step", step)
            return None
        return whole

    def _leave_out(self, what: str, value: object) -> None:
        """Count what no store can hold, and say so once a run, where the run's own output goes."""
        self.lost += 1
        if not self._said:
            self._said = True
            with contextlib.suppress(Exception):
                shown = repr(value)[:80]
                tell_run(f"left out of the curves, as it is no number: {what[:80]} = {shown}")

    def _append(self, data: bytes) -> None:
        if not data:
            return
        data = b"\n" + data if self._torn else data
        if self._size + len(data) > self._most:
            self.thinned += 1
            return
        try:
            written = os.write(self._descriptor, data)
        except OSError:
            self.lost += 1
            return
        self._size += written
        self._torn = written < len(data)
        self.lost += self._torn

    def _stride(self) -> int:
        room = self._most - self._size
        return 1 << (self._most // room).bit_length() - 1 if room > 0 else self._calls + 1

    def sync(self) -> None:
        """Put everything on the disk itself, so that it outlives the machine."""
        try:
            os.fsync(self._descriptor)
        except OSError:
            self.lost += 1

    def close(self) -> None:
        """Sync and close; closing twice is harmless."""
        if self._descriptor >= 0:
            self.sync()
            os.close(self._descriptor)
            self._descriptor = -1


def read_batch(path: Path, offset: int, most: int) -> tuple[list[Point], int]:
    """Points of whole lines from ``offset`` on: about ``most`` of them, at least one line's.

    Returns:
        The points, and the offset behind their last line. A half-written last line waits for its end, and a line that
        a killed process left torn is skipped.
    """
    points: list[Point] = []
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return points, offset
    with file:
        file.seek(offset)
        while True:
            line = file.readline()
            if not line.endswith(b"\n"):
                return points, offset
            line_points = _points(line)
            if points and len(points) + len(line_points) > most:
                return points, offset
            points += line_points
            offset += len(line)


def read_points(path: Path) -> Iterator[Point]:
    """Every point of a spool, in the order of writing."""
    offset = 0
    while True:
        points, end = read_batch(path, offset, 10_000)
        yield from points
        if end == offset:
            return
        offset = end


def _points(line: bytes) -> list[Point]:
    try:
        content = json.loads(line)
        moment, step = int(content["t"]), int(content["s"])
        numbers = {str(name): value for name, value in content["m"].items() if isinstance(value, int | float)}
        return [Point(name, float(value), moment, step) for name, value in numbers.items()]
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
        return []


def metric_key(name: str) -> str:
    """The name as MLflow takes it. A name that must be changed gets a hash, so that two names never become one.

    Other characters become ``_``, and too long names keep their end.
    """
    key = _BAD_CHARACTER.sub("_", name).strip("/") or "_"
    # MLflow refuses what is no clean relative path, such as "a//b" or "../a".
    key = "/".join(part if part not in ("", ".", "..") else "_" for part in key.split("/"))
    if key == name and len(key) <= _MOST_KEY:
        return key
    digest = hashlib.sha256(name.encode("utf-8", "backslashreplace")).hexdigest()[:8]
    return f"{key[-(_MOST_KEY - 9) :].strip('/') or '_'}-{digest}"
