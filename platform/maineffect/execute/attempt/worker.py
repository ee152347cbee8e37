"""The Ray actor of one attempt: its own process, its own claim, its own end."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path

import psutil

from maineffect.contracts import FailureClass
from maineffect.execute.attempt.companion import RayCompanions
from maineffect.execute.attempt.context import AttemptContext
from maineffect.execute.attempt.home import apart
from maineffect.execute.attempt.metrics import RunMetrics
from maineffect.execute.attempt.one_run import AttemptOutcome, WorkOrder, run_attempt
from maineffect.execute.attempt.output import capture
from maineffect.execute.cluster.processes import (
    MARK,
    leftovers,
    mark_of_this_process,
    reap,
    this_process,
)
from maineffect.process_family import descendants, end_processes
from maineffect.record import swallowed

__all__ = ["RunWorker"]

_log = logging.getLogger(__name__)

_LINGER_SECONDS = 10.0
_CANCEL_POLL_SECONDS = 5.0
_GRACE_SECONDS = 30.0
_STARTING_SECONDS = 120.0


class RunWorker:
    """Works its order from the constructor on: a call that a dying driver never made cannot be lost.

    Args:
        order: The work order; its owner is filled in here.
        timeout: Seconds after which the attempt is ended as a time-out, driver or not.
    """

    def __init__(self, order: WorkOrder, timeout: float) -> None:
        import ray

        owner = this_process(str(ray.get_runtime_context().get_session_name()))
        # What the run starts carries its mark, so that it can be found and ended when the run is dead.
        os.environ[MARK] = mark_of_this_process()
        # On another node the study's folder is where Ray has put it: the working directory.
        here = order.study_dir is None or order.study_dir.is_dir()
        self._companions = _companions(order)
        self._order = replace(order, owner=str(owner), study_dir=order.study_dir if here else Path.cwd())
        self._timeout = timeout
        self._notice = apart(order.home, order.home_mark)
        self._context: AttemptContext | None = None
        self._metrics = RunMetrics(order.request.sweep_id, order.request.run_id)
        self._done, self._total = 0, 0
        self._born = time.monotonic()
        self._training_since: float | None = None
        self._cancelled_at: float | None = None
        self._outcome: AttemptOutcome | None = None
        self._finished = threading.Event()
        threading.Thread(target=self._work, name="maineffect-run", daemon=True).start()
        threading.Thread(target=self._watch, name="maineffect-watchdog", daemon=True).start()

    def result(self) -> AttemptOutcome:
        """Wait for the attempt to end."""
        self._finished.wait()
        assert self._outcome is not None
        return replace(self._outcome, notice=self._notice)

    def progress(self) -> tuple[int, int, float]:
        """Steps done, steps in all, seconds of training so far (0 while it claims)."""
        since = self._training_since
        return self._done, self._total, time.monotonic() - since if since is not None else 0.0

    def report(self) -> tuple[tuple[int, int, float], str, float]:
        """How far it is, what the user should know of the place where it runs, and its time limit."""
        return self.progress(), self._notice, self._timeout

    def cancel(self) -> None:
        """Ask the trainable to stop at its next step."""
        if self._cancelled_at is None:
            self._cancelled_at = time.monotonic()
        if self._context is not None:
            self._context.cancelled.set()

    def _work(self) -> None:
        order = self._order
        try:
            self._outcome = run_attempt(order, on_progress=self._on_progress, on_context=self._on_context)
        except BaseException as error:
            # The ledger itself failed: nothing could be recorded here; the driver sees it, and records what it can.
            message = (str(error).splitlines() or [type(error).__name__])[0]
            seconds = time.monotonic() - self._born
            self._outcome = AttemptOutcome(
                order.request.run_id, order.attempt, FailureClass.LEDGER, message, seconds=seconds, recorded=False
            )
        _end_own_processes()
        self._finished.set()
        # The driver has this time to fetch the outcome; without a driver the resources are freed all the same.
        time.sleep(_LINGER_SECONDS)
        os._exit(0)

    def _on_progress(self, done: int, total: int) -> None:
        self._done, self._total = done, total

    def _on_context(self, context: AttemptContext) -> None:
        self._context, self._training_since = context, time.monotonic()
        context.companions = self._companions
        capture(context.run_dir)
        # Even a call that never gives up the interpreter ends: the kernel's alarm needs no thread of ours.
        signal.alarm(max(1, int(self._timeout + _GRACE_SECONDS)))
        if self._cancelled_at is not None:
            context.cancelled.set()

    def _watch(self) -> None:
        """Time limit, cancellation and metrics, without any driver; and leftovers of runs that died here before."""
        with contextlib.suppress(psutil.Error, OSError):
            reap()
        while not self._finished.wait(min(_CANCEL_POLL_SECONDS, max(0.05, self._time_left()))):
            if self._context is not None:
                self._metrics.show(self._context.logged, self._context.last_step)
            if self._time_left() <= 0:
                self._end(FailureClass.TIMEOUT, f"outlived its time limit of {self._timeout:g} s")
            if self._cancelled_at is None:
                with swallowed(_log, "the question whether the sweep was cancelled"):
                    if self._must_stop():
                        self.cancel()
            elif time.monotonic() - self._cancelled_at > _GRACE_SECONDS:
                self._end(FailureClass.CANCELLED, f"did not stop within {_GRACE_SECONDS:g} s of the cancel")

    def _must_stop(self) -> bool:
        """Whether the sweep was cancelled, or somebody took this attempt for dead and ended it."""
        context = self._context
        return (context is not None and context.stop_reason is not None) or self._order.ledger.cancelled()

    def _time_left(self) -> float:
        if self._training_since is None:
            return self._timeout + _STARTING_SECONDS - (time.monotonic() - self._born)
        return self._timeout - (time.monotonic() - self._training_since)

    def _end(self, failure: FailureClass, message: str) -> None:
        """End this attempt from outside its thread, and this process with all it started."""
        order = self._order
        with swallowed(_log, "the record of this end"):
            if order.ledger.owner(order.request.run_id, order.attempt) == order.owner:
                seconds = self.progress()[2]
                order.ledger.end_attempt(order.request.run_id, order.attempt, failure, message, seconds=seconds)
        _end_own_processes()
        os._exit(1)


def _companions(order: WorkOrder) -> RayCompanions | None:
    """What starts processes on the bundles that were placed with this actor, if any were."""
    from ray.util import get_current_placement_group

    group = get_current_placement_group()
    if group is None or order.needs is None or not order.needs.bundles:
        return None
    return RayCompanions(group, order.needs.bundles)


def _end_own_processes() -> None:
    """What a run started ends with it: its children, and whatever carries its mark in a session of its own."""
    with contextlib.suppress(psutil.Error, OSError):
        end_processes({*descendants(psutil.Process()), *leftovers(of=mark_of_this_process())})
