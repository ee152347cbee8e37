"""One attempt at one run, start to end. No Ray in here: tests and debuggers call it directly."""

from __future__ import annotations

import socket
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from maineffect.code_version import Code, OtherCodeError, kept_code, require_code
from maineffect.contracts import AttemptRecord, FailureClass, RunLedger, RunRequest, RunResult
from maineffect.errors import BadResultError, LedgerError, MaineffectError, disk_way_out
from maineffect.execute.attempt.context import AttemptContext, attempt_folder
from maineffect.execute.attempt.earlier import earlier_attempts
from maineffect.execute.attempt.outcome import classify, text_of, valid_result
from maineffect.execute.attempt.prepared import fetch_prepared, make_prepared
from maineffect.execute.cluster.needs import Needs
from maineffect.plugins import load_trainable
from maineffect.preparation import PreparatoryRequest
from maineffect.record import tell_run

__all__ = ["AttemptOutcome", "WorkOrder", "run_attempt"]


@dataclass(frozen=True)
class WorkOrder:
    """Everything that a worker needs; picklable.

    Attributes:
        needs: With it, what a run had cost is recorded with its result.
        home_mark: What :func:`maineffect.execute.attempt.home.mark_home` left in the driver's home.
        driver: Name of the driver's machine.
        prepared: Finished preparations that the run starts from → their files in the cache.
    """

    request: RunRequest
    attempt: int
    owner: str
    ledger: RunLedger
    home: Path
    study_dir: Path | None = None
    needs: Needs | None = None
    home_mark: str = ""
    driver: str = ""
    prepared: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class AttemptOutcome:
    """How an attempt ended, as its own process saw it.

    Attributes:
        failure: None when the attempt came to a result.
        claimed: Whether this attempt was ours to run; otherwise nothing was done.
        recorded: Whether the ledger has the end or the result. A result that it does not have is in the attempt's
            folder, and :meth:`maineffect.contracts.RunLedger.publish` records it.
        notice: What the user should know of the place where it ran.
    """

    run_id: str
    attempt: int
    failure: FailureClass | None = None
    message: str = ""
    claimed: bool = True
    seconds: float = 0.0
    recorded: bool = True
    notice: str = ""


def run_attempt(
    order: WorkOrder,
    *,
    on_progress: Callable[[int, int], None] | None = None,
    on_context: Callable[[AttemptContext], None] | None = None,
) -> AttemptOutcome:
    """Claim, train, commit: in this order, so that no run is ever trained by two owners or recorded twice.

    Args:
        order: What to run, and where to record it.
        on_progress: Called with (steps done, steps in all).
        on_context: Called with the context before training, so that it can be cancelled.

    Raises:
        LedgerError: The ledger did not answer before the training began, or the run's folder cannot be made.
    """
    request, ledger = order.request, order.ledger
    if not ledger.claim(request.run_id, order.attempt, order.owner):
        return AttemptOutcome(request.run_id, order.attempt, claimed=False)
    started = time.monotonic()
    folder = attempt_folder(order.home, request.sweep_id, request.run_id, order.attempt)
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        where = f"{folder} cannot be made on {socket.gethostname()} ({error.strerror})"
        hint = disk_way_out(error, order.home) or "give another --home"
        if order.driver not in ("", socket.gethostname()):
            hint += ", or a --home that every node can write to"
        raise LedgerError(f"the run's folder {where}: {hint}") from error
    earlier = earlier_attempts(ledger, order.home, request, order.attempt)
    record = ledger.start_attempt(request, order.attempt, folder)
    context = AttemptContext(request, order.attempt, order.home, record, on_progress)
    context.elsewhere = tuple(earlier.readable.values())
    context.notice = earlier.notice(request.run_id, context.latest_checkpoint())
    if on_context is not None:
        on_context(context)
    if context.notice:
        tell_run(context.notice)
    try:
        submitted = _submitted_code(order)
        require_code(
            request.trainable,
            order.study_dir,
            request.code_version,
            request.settings,
            submitted=submitted,
            driver=order.driver,
        )
        trainable = load_trainable(request.trainable, order.study_dir)
        if isinstance(request, PreparatoryRequest):
            result = make_prepared(trainable, request, context)
        else:
            fetch_prepared(ledger, order.prepared, context.cache_dir)
            result = valid_result(trainable(request, context), request.responses)
    except BaseException as error:
        return _failed(order, record, error, time.monotonic() - started)
    seconds = time.monotonic() - started
    result = _with_cost(result, order.needs, seconds)
    try:
        won = record.commit(result, seconds=seconds)
    except LedgerError as error:
        # The result is safe in the folder. Whoever waits for the ledger, it is not this process with its GPU.
        return AttemptOutcome(request.run_id, order.attempt, message=error.message, seconds=seconds, recorded=False)
    except Exception as error:
        reason = f"the result cannot be written: {type(error).__name__}: {text_of(error)}"
        return _failed(order, record, BadResultError(reason), time.monotonic() - started)
    if won and not getattr(trainable, "keep_checkpoints", False):
        context.remove_checkpoints()
    message = "" if won else "another attempt had committed first"
    return AttemptOutcome(request.run_id, order.attempt, message=message, seconds=seconds)


def _submitted_code(order: WorkOrder) -> Code | None:
    """What the sweep was submitted with, file by file, where the home is shared with whoever submitted it."""
    try:
        return Code.parse(kept_code(order.home, order.request.code_version).read_text(encoding="utf-8"))
    except OSError:
        return None


def _with_cost(result: RunResult, needs: Needs | None, seconds: float) -> RunResult:
    if needs is None:
        return result
    cost = {f"cost/{name}": amount for name, amount in asdict(needs.cost(seconds)).items() if amount}
    return replace(result, measures={**result.measures, **cost})


def _failed(order: WorkOrder, record: AttemptRecord, error: BaseException, seconds: float) -> AttemptOutcome:
    failure = classify(error)
    if isinstance(error, OtherCodeError):  # its way out is no affair of the trainable's author, but of whoever deploys
        message = f"{error.message}; {error.hint}"
    else:
        reason = error.message if isinstance(error, MaineffectError) else text_of(error)
        message = f"{type(error).__name__}: {reason}" if reason else type(error).__name__
    recorded = True
    try:
        record.fail(failure, message, detail=_traceback(), seconds=seconds)
    except Exception:  # whatever it is, the driver records this end
        recorded = False
    line = (message.splitlines() or [failure.value])[0]
    return AttemptOutcome(order.request.run_id, order.attempt, failure, line, seconds=seconds, recorded=recorded)


def _traceback() -> str:
    """The traceback of the error at hand; printing it calls code of the error's own, which may raise."""
    try:
        return traceback.format_exc()
    except Exception:
        return "the traceback cannot be printed"
