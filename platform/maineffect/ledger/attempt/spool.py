"""Training metrics on this machine's disk: one JSON line a call, microseconds, and never an error.

The training thread only ever appends here; :mod:`maineffect.ledger.attempt.upload` reads from another thread or, after
a crash, from another process. Lines carry their own time stamps, so that uploading them again gives the same rows. A
line looks like ``{"t": ms since 1970, "s": step, "m": {name: value}}``.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Point", "Spool", "metric_key", "read_batch", "read_points"]

_MOST_BYTES = 64 * 2**20
_BAD_CHARACTER = re.compile(r"[^A-Za-z0-9_\-. /]")
_MOST_KEY = 250


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
        self.thinned = 0
        self.lost = 0

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Append one line. Whatever goes wrong costs a point of a curve, never the training."""
        self._calls += 1
        if 2 * self._size > self._most and self._calls % self._stride():
            self.thinned += 1
            return
        try:
            line = json.dumps({"t": int(time.time() * 1000), "s": int(step), "m": metrics}) + "\n"
        except (TypeError, ValueError):
            line = self._salvaged(step, metrics)
        self._append(line.encode())

    def _salvaged(self, step: int, metrics: Mapping[str, float]) -> str:
        """Numbers that are not Python floats (NumPy, torch) are converted; what is no number is left out."""
        numbers = {}
        for name, value in metrics.items():
            try:
                numbers[str(name)] = float(value)
            except (TypeError, ValueError, RuntimeError):
                self.lost += 1
        try:
            return json.dumps({"t": int(time.time() * 1000), "s": int(step), "m": numbers}) + "\n"
        except (TypeError, ValueError):
            return ""

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
        return [Point(str(name), float(value), moment, step) for name, value in content["m"].items()]
    except (ValueError, KeyError, TypeError, AttributeError):
        return []


def metric_key(name: str) -> str:
    """The name as MLflow takes it: other characters become ``_``; too long names keep their end."""
    key = _BAD_CHARACTER.sub("_", name)[-_MOST_KEY:].strip("/") or "_"
    # MLflow refuses what is no clean relative path, such as "a//b" or "../a".
    return "/".join(part if part not in ("", ".", "..") else "_" for part in key.split("/"))
