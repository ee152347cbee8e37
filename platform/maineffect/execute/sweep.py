"""A submitted sweep on Ray: one named detached actor per attempt, the ledger as the only truth."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from maineffect.contracts import FailureClass, RunLedger, RunRequest, RunState
from maineffect.execute.cluster import connect, disconnect, start_worker
from maineffect.execute.one_run import AttemptOutcome, WorkOrder
from maineffect.execute.progress import SweepProgress
from maineffect.execute.recovery import end_lost_attempts
from maineffect.execute.schedule import backoff_seconds, breaker, may_retry, to_run
from maineffect.seeds import generator

__all__ = ["Needs", "execute_sweep"]

_POLL_SECONDS = 0.5
_GRACE_SECONDS = 30.0


@dataclass(frozen=True)
class Needs:
    """What one run needs."""

    cpus: float = 1.0
    gpus: float = 0.0
    memory_gb: float | None = None
    timeout: float = 1800.0
    retries: int = 2


@dataclass
class _Flight:
    request: RunRequest
    attempt: int
    actor: Any
    launched: float
    progress: tuple[int, int, float] = (0, 0, 0.0)


@dataclass
class _Sweep:
    """The driver's memory; nothing in it is needed to go on after a crash."""

    requests: Sequence[RunRequest]
    ledger: RunLedger
    home: Path
    needs: Needs
    study_dir: Path | None
    first_attempt: dict[str, int]
    waiting: deque[tuple[RunRequest, int, float]]
    flights: dict[Any, _Flight] = field(default_factory=dict)
    finished: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)
    messages: list[str] = field(default_factory=list)
    durations: list[float] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    new_successes: int = 0
    stopped: bool = False


def execute_sweep(
    requests: Sequence[RunRequest],
    ledger: RunLedger,
    home: Path,
    needs: Needs,
    *,
    study_dir: Path | None = None,
    workers: int | None = None,
    address: str | None = None,
    retry_failed: bool = False,
    only: Collection[str] | None = None,
    on_progress: Callable[[SweepProgress], None] | None = None,
) -> None:
    """Run what is not yet done and return when nothing runs any more. The outcome is in the ledger.

    Raises:
        KeyboardInterrupt: After running runs were asked to stop at a checkpoint; the ledger can be taken up again.
    """
    end_lost_attempts(ledger, requests)
    state = ledger.state()
    chosen = to_run(requests, state.runs, retry_failed=retry_failed, only=only)
    sweep = _Sweep(
        requests,
        ledger,
        home,
        needs,
        study_dir,
        {request.run_id: attempt for request, attempt in chosen},
        deque((request, attempt, 0.0) for request, attempt in chosen),
    )
    _count(sweep)
    elsewhere = [status.run_id for status in state.runs.values() if status.state is RunState.RUNNING]
    if not chosen and not elsewhere:
        return
    slots = connect(address, workers=workers, cpus=needs.cpus, gpus=needs.gpus)
    started = time.monotonic()
    try:
        while sweep.waiting or sweep.flights:
            _launch(sweep, slots)
            _collect(sweep)
            if on_progress is not None:
                on_progress(_progress(sweep, time.monotonic() - started, slots))
            sweep.notices.clear()
        _await_others(ledger, elsewhere, requests)
    except KeyboardInterrupt:
        _stop(sweep)
        raise
    finally:
        disconnect(address)


def _count(sweep: _Sweep) -> None:
    for run_id, status in sweep.ledger.state().runs.items():
        (
            sweep.finished
            if status.state is RunState.FINISHED
            else sweep.failed
            if status.state is RunState.FAILED
            else set()
        ).add(run_id)
    sweep.failed -= {request.run_id for request, _, _ in sweep.waiting}


def _launch(sweep: _Sweep, slots: int) -> None:
    """Fill the slots; a run whose back-off has not passed lets others go first."""
    if sweep.waiting and not sweep.flights and sweep.ledger.cancelled():
        sweep.notices.append("the sweep was cancelled: nothing new starts")
        sweep.waiting.clear()
    for _ in range(len(sweep.waiting)):
        if len(sweep.flights) >= slots:
            return
        request, attempt, not_before = sweep.waiting.popleft()
        if not_before > time.monotonic():
            sweep.waiting.append((request, attempt, not_before))
            continue
        order = WorkOrder(request, attempt, "", sweep.ledger, sweep.home, sweep.study_dir)
        actor, ref = start_worker(order, sweep.needs.cpus, sweep.needs.gpus, sweep.needs.memory_gb, sweep.needs.timeout)
        sweep.flights[ref] = _Flight(request, attempt, actor, time.monotonic())


def _collect(sweep: _Sweep) -> None:
    """Take in what ended, and ask the others how far they are."""
    import ray

    if not sweep.flights:
        time.sleep(_POLL_SECONDS)
        return
    done, _ = ray.wait(list(sweep.flights), num_returns=1, timeout=_POLL_SECONDS)
    for ref in done:
        flight = sweep.flights.pop(ref)
        try:
            outcome: AttemptOutcome | None = ray.get(ref)
        except ray.exceptions.RayError as error:
            outcome = _died(sweep, flight, error)
        with contextlib.suppress(Exception):
            ray.kill(flight.actor)
        if outcome is not None:
            _take(sweep, flight, outcome)
    for flight in sweep.flights.values():
        with contextlib.suppress(ray.exceptions.RayError):
            flight.progress = ray.get(flight.actor.progress.remote(), timeout=0.2)
        if flight.progress[2] > sweep.needs.timeout + 60:
            # The worker's own watchdog is stuck (a call that never gives up the interpreter).
            ray.kill(flight.actor)


def _died(sweep: _Sweep, flight: _Flight, error: Exception) -> AttemptOutcome | None:
    """An actor is gone: the ledger says what it had reached."""
    import ray

    run_id, attempt = flight.request.run_id, flight.attempt
    status = sweep.ledger.state().runs.get(run_id)
    if status is not None and status.state is RunState.FINISHED:
        return AttemptOutcome(run_id, attempt)
    ended = [end for end in (status.ends if status else ()) if end.attempt == attempt]
    if ended:
        return AttemptOutcome(run_id, attempt, ended[0].failure, ended[0].message)
    memory = isinstance(error, ray.exceptions.OutOfMemoryError) or "out of memory" in str(error).lower()
    failure = FailureClass.OOM_HOST if memory else FailureClass.LOST
    message = (
        "killed by Ray's memory monitor"
        if memory
        else "its worker process died without a word (killed, or crashed in native code)"
    )
    sweep.ledger.claim(run_id, attempt, "nobody:0:0:died-before-claiming")
    sweep.ledger.end_attempt(run_id, attempt, failure, message)
    return AttemptOutcome(run_id, attempt, failure, message)


def _take(sweep: _Sweep, flight: _Flight, outcome: AttemptOutcome) -> None:
    """Book an outcome: finished, failed, or tried again."""
    run_id = outcome.run_id
    if not outcome.claimed:
        return
    if outcome.failure is None:
        sweep.finished.add(run_id)
        sweep.new_successes += 1
        sweep.durations.append(outcome.seconds)
        return
    ends = sweep.ledger.state().runs[run_id].ends if run_id in sweep.ledger.state().runs else ()
    if may_retry(ends, sweep.needs.retries, sweep.first_attempt[run_id]) and not sweep.stopped:
        pause = backoff_seconds(len(ends), float(generator(flight.request.seed, "backoff", outcome.attempt).random()))
        sweep.waiting.append((flight.request, outcome.attempt + 1, time.monotonic() + pause))
        sweep.notices.append(f"{run_id} {outcome.failure.value}: {outcome.message}; again in {pause:.0f} s")
        return
    sweep.failed.add(run_id)
    sweep.messages.append(outcome.message)
    sweep.notices.append(f"{run_id} failed ({outcome.failure.value}): {outcome.message}")
    same = breaker(sweep.messages, sweep.new_successes)
    if same is not None and sweep.waiting:
        sweep.notices.append(f"{len(sweep.waiting)} runs are not started: every run fails with: {same}")
        sweep.waiting.clear()


def _progress(sweep: _Sweep, elapsed: float, slots: int) -> SweepProgress:
    running = {flight.request.run_id: flight.progress for flight in sweep.flights.values()}
    left = None
    if sweep.durations:
        mean = sum(sweep.durations) / len(sweep.durations)
        rest = sum(max(0.0, mean - seconds) for _, _, seconds in running.values()) + mean * len(sweep.waiting)
        left = rest / max(1, min(slots, len(running) + len(sweep.waiting)))
    spent = sum(sweep.durations) + sum(seconds for _, _, seconds in running.values())
    return SweepProgress(
        sweep.ledger.sweep_id,
        len(sweep.requests),
        len(sweep.finished),
        len(sweep.failed),
        running,
        elapsed,
        spent,
        left,
        tuple(sweep.notices),
    )


def _await_others(ledger: RunLedger, runs: Collection[str], requests: Sequence[RunRequest]) -> None:
    """Runs that another driver started and that still live are adopted: wait until they end."""
    while any(ledger.state().runs[run].state is RunState.RUNNING for run in runs):
        time.sleep(1.0)
        end_lost_attempts(ledger, requests)


def _stop(sweep: _Sweep) -> None:
    """Ctrl-C: nothing new starts, running runs stop at their next step and say so in the ledger."""
    import ray

    sweep.stopped = True
    sweep.waiting.clear()
    for flight in sweep.flights.values():
        with contextlib.suppress(Exception):
            flight.actor.cancel.remote()
    if sweep.flights:
        ray.wait(list(sweep.flights), num_returns=len(sweep.flights), timeout=_GRACE_SECONDS)
    for flight in sweep.flights.values():
        with contextlib.suppress(Exception):
            ray.kill(flight.actor)
        status = sweep.ledger.state().runs.get(flight.request.run_id)
        if status is not None and status.state is RunState.RUNNING:
            message = "stopped by Ctrl-C"
            sweep.ledger.end_attempt(flight.request.run_id, flight.attempt, FailureClass.CANCELLED, message)
