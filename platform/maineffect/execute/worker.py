"""The Ray actor of one attempt: its own process, its own claim, its own end."""

from __future__ import annotations

import os
import socket
import threading
import time
import uuid
from dataclasses import replace

import psutil

from maineffect.contracts import FailureClass
from maineffect.execute.context import AttemptContext
from maineffect.execute.one_run import AttemptOutcome, WorkOrder, run_attempt

__all__ = ["RunWorker", "is_owner_alive", "owner_of_this_process"]

_LINGER_SECONDS = 10.0


def owner_of_this_process() -> str:
    """``host:pid:start:nonce``: enough to ask later whether the owner still lives."""
    return f"{socket.gethostname()}:{os.getpid()}:{psutil.Process().create_time():.2f}:{uuid.uuid4().hex[:8]}"


def is_owner_alive(owner: str) -> bool | None:
    """Whether a claim's owner still runs; None when it is on another host (unknown is not dead)."""
    host, pid, started, _ = owner.rsplit(":", 3)
    if host != socket.gethostname():
        return None
    try:
        process = psutil.Process(int(pid))
        return bool(abs(process.create_time() - float(started)) < 1.0 and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


class RunWorker:
    """Works its order from the constructor on: a call that a dying driver never made cannot be lost.

    Args:
        order: The work order.
        timeout: Seconds after which the attempt is ended as a time-out, driver or not.
    """

    def __init__(self, order: WorkOrder, timeout: float) -> None:
        for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
            os.environ[name] = "1"
        self._order = replace(order, owner=owner_of_this_process())
        self._context: AttemptContext | None = None
        self._done, self._total = 0, 0
        self._started = time.monotonic()
        self._outcome: AttemptOutcome | None = None
        self._finished = threading.Event()
        threading.Thread(target=self._work, name="maineffect-run", daemon=True).start()
        threading.Thread(target=self._watch, args=(timeout,), name="maineffect-watchdog", daemon=True).start()

    def result(self) -> AttemptOutcome:
        """Wait for the attempt to end."""
        self._finished.wait()
        assert self._outcome is not None
        return self._outcome

    def progress(self) -> tuple[int, int, float]:
        """Steps done, steps in all, seconds so far."""
        return self._done, self._total, time.monotonic() - self._started

    def cancel(self) -> None:
        """Ask the trainable to stop at its next step."""
        if self._context is not None:
            self._context.cancelled.set()

    def _work(self) -> None:
        run = self._order.request.run_id
        try:
            self._outcome = run_attempt(self._order, on_progress=self._on_progress, on_context=self._on_context)
        except BaseException as error:
            # The ledger itself failed: nothing could be recorded here, the driver sees it and ends the attempt.
            self._outcome = AttemptOutcome(run, self._order.attempt, FailureClass.LEDGER, str(error).splitlines()[0])
        self._finished.set()
        # Free the resources even if nobody asks for the outcome any more.
        time.sleep(_LINGER_SECONDS)
        os._exit(0)

    def _on_progress(self, done: int, total: int) -> None:
        self._done, self._total = done, total

    def _on_context(self, context: AttemptContext) -> None:
        self._context = context

    def _watch(self, timeout: float) -> None:
        if self._finished.wait(timeout):
            return
        order = self._order
        message = f"outlived its time limit of {timeout:.0f} s"
        order.ledger.end_attempt(order.request.run_id, order.attempt, FailureClass.TIMEOUT, message)
        for child in psutil.Process().children(recursive=True):
            child.kill()
        os._exit(1)
