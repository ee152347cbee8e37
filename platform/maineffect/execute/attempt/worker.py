"""The Ray actor of one attempt: its own process, its own claim, its own end.

The trainable runs in the main thread of the process: signal handlers, ``asyncio.get_event_loop`` and the frameworks
built on them work nowhere else. Ray calls into an actor in that thread too, so while the trainable computes nobody can
call: reports and the request to stop go through :mod:`maineffect.execute.cluster.mailbox`.
"""

from __future__ import annotations

import contextlib
import faulthandler
import logging
import os
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path

import psutil

from maineffect.contracts import FailureClass, RunRequest
from maineffect.execute.attempt.companion import RayCompanions
from maineffect.execute.attempt.context import AttemptContext
from maineffect.execute.attempt.home import apart
from maineffect.execute.attempt.metrics import RunMetrics
from maineffect.execute.attempt.one_run import AttemptOutcome, WorkOrder, run_attempt
from maineffect.execute.attempt.output import capture
from maineffect.execute.cluster.mailbox import Report, forget, leave_report, stop_asked
from maineffect.execute.cluster.processes import (
    MARK,
    leftovers,
    mark_of_this_process,
    reap,
    this_process,
)
from maineffect.process_family import descendants, end_processes
from maineffect.record import swallowed

__all__ = ["RunWorker", "actor_name"]

_log = logging.getLogger(__name__)

_LINGER_SECONDS = 10.0
_CANCEL_POLL_SECONDS = 5.0
_MAIL_SECONDS = 0.5
_GRACE_SECONDS = 30.0
_STARTING_SECONDS = 120.0


def actor_name(request: RunRequest, attempt: int) -> str:
    """A name that is taken while the attempt lives: a second start of it fails in the cluster."""
    return f"me-{request.sweep_id}-{request.run_id}-a{attempt}"


class RunWorker:
    """Calls itself to work as soon as it is made: a call that a dying driver never made cannot be lost.

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
        self._name = actor_name(order.request, order.attempt)
        self._timeout = timeout
        self._notice = apart(order.home, order.home_mark)
        self._context: AttemptContext | None = None
        self._metrics = RunMetrics(order.request.sweep_id, order.request.run_id)
        self._done, self._total = 0, 0
        self._born = time.monotonic()
        self._training_since: float | None = None
        self._cancelled_at: float | None = None
        self._outcome: AttemptOutcome | None = None
        self._finished, self._news = threading.Event(), threading.Event()
        for beside in (self._watch, self._exchange_mail):
            threading.Thread(target=beside, daemon=True).start()
        ray.get_runtime_context().current_actor.result.remote()

    def result(self) -> AttemptOutcome:
        """How the attempt ended. The first call, whoever's it is, works it; calls come one after another."""
        if self._outcome is None:
            self._outcome = self._work()
        return replace(self._outcome, notice=self._notice)

    def _work(self) -> AttemptOutcome:
        order = self._order
        # Ray would raise SystemExit inside the trainable, which would be taken for the trainable's own failure.
        signal.signal(signal.SIGTERM, lambda *_: os._exit(1))
        try:
            outcome = run_attempt(order, on_progress=self._on_progress, on_context=self._on_context)
        except BaseException as error:
            # The ledger itself failed: nothing could be recorded here; the driver sees it, and records what it can.
            message = (str(error).splitlines() or [type(error).__name__])[0]
            seconds = time.monotonic() - self._born
            outcome = AttemptOutcome(
                order.request.run_id, order.attempt, FailureClass.LEDGER, message, seconds=seconds, recorded=False
            )
        _end_own_processes()
        self._finished.set()
        threading.Thread(target=self._leave, daemon=True).start()
        return outcome

    def _leave(self) -> None:
        """A driver has this time to fetch the outcome; without a driver the resources are freed all the same."""
        time.sleep(_LINGER_SECONDS)
        with swallowed(_log, "the end of this run's mail"):
            forget(self._name)
        os._exit(0)

    def _on_progress(self, done: int, total: int) -> None:
        self._done, self._total = done, total

    def _on_context(self, context: AttemptContext) -> None:
        self._context, self._training_since = context, time.monotonic()
        self._news.set()
        context.companions = self._companions
        self._notice = context.notice or self._notice
        capture(context.run_dir)
        # Even a call that never gives up the interpreter ends, and leaves in the run's output where it was. An alarm
        # would do as well, but trainables set alarms of their own.
        faulthandler.dump_traceback_later(self._timeout + _GRACE_SECONDS, exit=True, file=2)
        if self._cancelled_at is not None:
            context.cancelled.set()

    def _report(self) -> Report:
        return Report(self._done, self._total, self._seconds(), self._timeout, self._notice)

    def _seconds(self) -> float:
        since = self._training_since
        return time.monotonic() - since if since is not None else 0.0

    def _cancel(self) -> None:
        """Ask the trainable to stop at its next step."""
        if self._cancelled_at is None:
            self._cancelled_at = time.monotonic()
        if self._context is not None:
            self._context.cancelled.set()

    def _exchange_mail(self) -> None:
        """Say how far it is, and hear of the request to stop; a cluster that does not answer delays nothing else."""
        while not self._finished.is_set():
            self._news.wait(_MAIL_SECONDS)
            self._news.clear()
            with swallowed(_log, "an exchange of mail"):
                leave_report(self._name, self._report())
                if stop_asked(self._name):
                    self._cancel()

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
                        self._cancel()
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
                seconds = self._seconds()
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
