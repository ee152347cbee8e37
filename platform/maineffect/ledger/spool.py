"""Training metrics on their way to the ledger: a local file first, batches of a thousand behind its back.

The training thread writes one JSON line (microseconds) and never waits. Timestamps are stored in the line, so that a
replay after a crash writes the same rows again, which the store takes as the same.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from maineffect.errors import LedgerError
from maineffect.ledger.tracking import client, store_errors

__all__ = ["Spool"]

_BATCH = 1000
_MOST_BYTES = 64 * 2**20


class Spool:
    """A run's metrics: appended by one thread, uploaded by another.

    Args:
        path: File to append to; created with private mode.
        uri: Tracking store.
        tracking_run_id: Run that the metrics belong to.
        interval: Seconds between uploads.
    """

    def __init__(self, path: Path, uri: str, tracking_run_id: str, *, interval: float = 2.0) -> None:
        self._path, self._uri, self._run = path, uri, tracking_run_id
        self._interval = interval
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._file = os.fdopen(descriptor, "a", encoding="utf-8", buffering=1)
        self._offset_path = path.with_suffix(".offset")
        self._written = 0
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._last_error: str | None = None
        self._thread = threading.Thread(target=self._upload_forever, name="maineffect-spool", daemon=True)
        self._thread.start()

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Append one line. Never raises: a full disk costs points of a curve, not the training."""
        if self._written > _MOST_BYTES and step % 10:
            return
        line = json.dumps(
            {"s": int(step), "t": int(time.time() * 1000), "m": {k: float(v) for k, v in metrics.items()}}
        )
        try:
            self._file.write(line + "\n")
            self._written += len(line) + 1
        except OSError as error:
            self._last_error = f"spool: {error.strerror}"

    def close(self, timeout: float = 60.0) -> None:
        """Upload what is left. May be called again after it raised.

        Raises:
            LedgerError: The store did not take everything within the timeout; the spool file keeps it.
        """
        if not self._file.closed:
            self._file.close()
        self._closing.set()
        self._thread.join(timeout)
        if self._thread.is_alive():
            raise self._behind()
        with self._lock:
            self._upload()
        if self._offset() < self._path.stat().st_size:
            raise self._behind()

    def _behind(self) -> LedgerError:
        return LedgerError(
            f"metrics of {self._run} are not uploaded: {self._last_error or 'the store is too slow'}",
            f"they are kept in {self._path}",
        )

    def _upload_forever(self) -> None:
        pause = self._interval
        while not self._closing.wait(pause):
            try:
                with self._lock:
                    self._upload()
                pause = self._interval
            except LedgerError as error:
                self._last_error = error.message
                pause = min(60.0, pause * 2)

    def _offset(self) -> int:
        try:
            return int(self._offset_path.read_text())
        except (OSError, ValueError):
            return 0

    def _upload(self) -> None:
        offset = self._offset()
        with self._path.open("rb") as file:
            file.seek(offset)
            for rows, end in _batches(file.read(), offset):
                self._send(rows)
                aside = self._offset_path.with_suffix(".offset.tmp")
                aside.write_text(str(end))
                aside.replace(self._offset_path)

    def _send(self, rows: list[dict[str, Any]]) -> None:
        from mlflow.entities import Metric

        metrics = [Metric(name, value, row["t"], row["s"]) for row in rows for name, value in row["m"].items()]
        with store_errors(self._uri):
            for start in range(0, len(metrics), _BATCH):
                client(self._uri).log_batch(self._run, metrics=metrics[start : start + _BATCH], synchronous=True)


def _batches(data: bytes, offset: int) -> Iterator[tuple[list[dict[str, Any]], int]]:
    """Complete lines in groups, each with the offset behind it; a half-written last line waits."""
    rows: list[dict[str, Any]] = []
    position = offset
    for line in data.splitlines(keepends=True):
        if not line.endswith(b"\n"):
            break
        position += len(line)
        rows.append(json.loads(line))
        if len(rows) >= 200:
            yield rows, position
            rows = []
    if rows:
        yield rows, position
