"""From the spool into the store: batches of up to a thousand, in the background, with patience.

``advance`` is the whole protocol: read on from the offset file, upload one batch, move the offset. It keeps no state of
its own, so the background thread, the final flush, and a replay by another process after a crash are all the same code,
and doing a step twice changes nothing.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from maineffect.errors import LedgerError
from maineffect.ledger.attempt.spool import metric_key, read_batch
from maineffect.ledger.store.broker import operation
from maineffect.ledger.store.connection import ask

__all__ = ["HEARTBEAT_SECONDS", "PREFIX", "Uploader", "advance", "upload_all", "uploaded"]

_log = logging.getLogger(__name__)

_BATCH = 1000
_EVERY = 2.0
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.5, 60.0
HEARTBEAT_SECONDS = 20.0
PREFIX = "train/"


def _offset_path(spool: Path) -> Path:
    return spool.with_suffix(".offset")


def uploaded(spool: Path) -> int:
    """Bytes of the spool that the store has."""
    try:
        return int(_offset_path(spool).read_text())
    except (OSError, ValueError):
        return 0


@operation
def advance(uri: str, tracking_run_id: str, spool: Path, *, patience: float = 0.0) -> int:
    """Upload the next batch.

    Returns:
        Number of points uploaded; 0 when the store has everything.

    Raises:
        LedgerError: The store did not take it; nothing moved.
    """
    offset = uploaded(spool)
    points, end = read_batch(spool, offset, _BATCH)
    if end == offset:
        return 0
    if points:
        from mlflow.entities import Metric

        metrics = [Metric(metric_key(PREFIX + p.key), p.value, p.milliseconds, p.step) for p in points]
        for start in range(0, len(metrics), _BATCH):
            batch = metrics[start : start + _BATCH]
            ask(uri, lambda store: store.log_batch(tracking_run_id, metrics=batch, synchronous=True), patience=patience)  # noqa: B023
    aside = spool.with_suffix(f".offset.{os.getpid()}.{threading.get_ident()}")
    try:
        aside.write_text(str(end))
        aside.replace(_offset_path(spool))
    except OSError:
        # Full disk: the same points will be uploaded again, which changes nothing, but this call must not loop.
        aside.unlink(missing_ok=True)
        return 0
    return len(points) or 1


def upload_all(uri: str, tracking_run_id: str, spool: Path, *, patience: float) -> None:
    """Upload everything that is left.

    Raises:
        LedgerError: The store did not take everything within ``patience`` seconds; the spool keeps it.
    """
    deadline = time.monotonic() + patience
    while advance(uri, tracking_run_id, spool, patience=max(0.0, deadline - time.monotonic())):
        pass


@operation
def _tell(uri: str, run: str, lived: float) -> None:
    ask(uri, lambda store: store.set_tag(run, "me.heartbeat", f"{lived:.2f}", synchronous=True), patience=0.0)


class Uploader:
    """A daemon thread that uploads a spool while the training goes on, and says that the attempt lives.

    Args:
        uri: Tracking URI.
        tracking_run_id: Run that the metrics belong to.
        spool: Spool file.
        every: Seconds between uploads while the store answers.
        on_beat: Called with every heartbeat, in the thread; may raise a LedgerError.
        beat: Seconds between heartbeats.
    """

    def __init__(
        self,
        uri: str,
        tracking_run_id: str,
        spool: Path,
        *,
        every: float = _EVERY,
        on_beat: Callable[[], None] = lambda: None,
        beat: float = HEARTBEAT_SECONDS,
    ) -> None:
        self._uri, self._run, self._spool, self._every = uri, tracking_run_id, spool, every
        self._on_beat, self._between_beats = on_beat, beat
        self._stop = threading.Event()
        self._began = self._last_beat = time.monotonic()
        self.failures = 0
        self._thread = threading.Thread(target=self._work, name="maineffect-upload", daemon=True)
        self._thread.start()

    def _work(self) -> None:
        pause = self._every
        while not self._stop.wait(pause):
            try:
                self._beat()
                while not self._stop.is_set() and advance(self._uri, self._run, self._spool) >= _BATCH // 2:
                    pass
                pause = self._every
            except LedgerError as error:
                self.failures += 1
                _log.warning("an upload failed, and is made up for later: %s", error.message)
                pause = min(max(2 * pause, _SHORTEST_PAUSE), _LONGEST_PAUSE)
            except Exception:
                # Whatever it is, the training must not learn of it; the final flush will report what lasts.
                self.failures += 1
                _log.warning("an upload failed, and is made up for later", exc_info=True)
                pause = _LONGEST_PAUSE

    def _beat(self) -> None:
        """Say in a tag how long the attempt has lived.

        Observers watch the word change by their own clock: no two clocks are ever compared. And whoever finds the
        attempt dead reads there what it had cost.
        """
        now = time.monotonic()
        if now - self._last_beat < self._between_beats:
            return
        _tell(self._uri, self._run, now - self._began)
        self._last_beat = now
        self._on_beat()

    def stop(self, seconds: float = 15.0) -> None:
        """Stop uploading in the background (a call that hangs is left to its own time limit)."""
        self._stop.set()
        self._thread.join(seconds)
