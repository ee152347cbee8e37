"""One attempt at one run, start to end. No Ray in here: tests and debuggers call it directly."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from maineffect.contracts import FailureClass, RunLedger, RunRequest
from maineffect.errors import LedgerError, MaineffectError
from maineffect.execute.context import AttemptContext, run_folder
from maineffect.execute.outcome import classify, valid_result
from maineffect.plugins import load_trainable

__all__ = ["AttemptOutcome", "WorkOrder", "run_attempt"]


@dataclass(frozen=True)
class WorkOrder:
    """Everything that a worker needs; picklable."""

    request: RunRequest
    attempt: int
    owner: str
    ledger: RunLedger
    home: Path
    study_dir: Path | None = None


@dataclass(frozen=True)
class AttemptOutcome:
    """How an attempt ended, as its own process saw it."""

    run_id: str
    attempt: int
    failure: FailureClass | None = None
    message: str = ""
    claimed: bool = True
    seconds: float = 0.0


def run_attempt(
    order: WorkOrder,
    *,
    on_progress: Callable[[int, int], None] | None = None,
    on_context: Callable[[AttemptContext], None] | None = None,
) -> AttemptOutcome:
    """Claim, train, commit: in this order, so that no run is ever trained by two owners or recorded twice."""
    request, ledger = order.request, order.ledger
    if ledger.cancelled() or not ledger.claim(request.run_id, order.attempt, order.owner):
        return AttemptOutcome(request.run_id, order.attempt, claimed=False)
    started = time.monotonic()
    folder = run_folder(order.home, request.sweep_id, request.run_id) / f"a{order.attempt}"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    record = ledger.start_attempt(request, order.attempt, folder)
    context = AttemptContext(request, order.attempt, order.home, record, on_progress)
    if on_context is not None:
        on_context(context)
    try:
        trainable = load_trainable(request.trainable, order.study_dir)
        result = valid_result(trainable(request, context), request.responses)
        won = _commit(lambda: record.commit(result, seconds=time.monotonic() - started))
    except BaseException as error:
        failure = classify(error)
        message = f"{type(error).__name__}: {error.message if isinstance(error, MaineffectError) else error}"
        seconds = time.monotonic() - started
        record.fail(failure, message, detail=traceback.format_exc(), seconds=seconds)
        return AttemptOutcome(request.run_id, order.attempt, failure, message.splitlines()[0], seconds=seconds)
    message = "" if won else "another attempt had committed first"
    return AttemptOutcome(request.run_id, order.attempt, message=message, seconds=time.monotonic() - started)


def _commit(commit: Callable[[], bool]) -> bool:
    """Commit with patience: a training that took hours must not be lost to a store that restarts."""
    for pause in (1.0, 2.0, 4.0, 8.0, 16.0, 32.0):
        try:
            return commit()
        except LedgerError:
            time.sleep(pause)
    return commit()
