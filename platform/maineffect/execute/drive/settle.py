"""What became of an attempt whose end its own process could not record."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from maineffect.contracts import AttemptEnd, FailureClass, RunLedger, RunState, RunStatus
from maineffect.errors import LedgerError, StoreRefusedError
from maineffect.execute.attempt.context import attempt_folder
from maineffect.execute.attempt.one_run import AttemptOutcome
from maineffect.execute.cluster.processes import Owner, reap, this_process
from maineffect.execute.drive.actors import Flight
from maineffect.execute.drive.foreign import end_dead, lived

__all__ = [
    "Refusals",
    "end_stopped",
    "end_waiting",
    "failed_status",
    "finished_status",
    "may_have_claimed",
    "outcome_of",
    "settle_death",
    "settle_unrecorded",
]

_log = logging.getLogger(__name__)

_MOST_REFUSALS = 3
_STUCK_SECONDS = 300.0


def outcome_of(reference: Any) -> AttemptOutcome | Exception:
    """What an attempt that has ended says of itself, or what Ray says of its actor."""
    import ray

    try:
        outcome: AttemptOutcome | Exception = ray.get(reference)
    except ray.exceptions.RayError as error:
        outcome = error
    return outcome


def may_have_claimed(ledger: RunLedger, flight: Flight) -> bool:
    """Whether an attempt had begun, as far as the ledger says; without its word it is to be settled later."""
    try:
        return ledger.owner(flight.request.run_id, flight.attempt) is not None
    except LedgerError:
        return True


def end_waiting(ledger: RunLedger, flights: Mapping[Any, Flight]) -> dict[Any, Flight]:
    """End attempts that wait for room; their runs stay planned.

    Returns:
        Those that had begun after all, and are settled by what they left.
    """
    for flight in flights.values():
        flight.kill()
    return {key: flight for key, flight in flights.items() if may_have_claimed(ledger, flight)}


def settle_death(
    ledger: RunLedger, home: Path, flight: Flight, error: Exception, session: str, timeout: float
) -> AttemptOutcome | None:
    """An actor is gone without a word: the ledger says what it had reached, and the rest is recorded here.

    Returns:
        How the attempt ended; None if it is somebody else's.

    Raises:
        LedgerError: The ledger does not answer; to be tried again.
    """
    reap()
    request, attempt = flight.request, flight.attempt
    status = ledger.state().all_runs.get(request.run_id)
    if status is not None:
        if status.state is RunState.FINISHED and status.committed_attempt == attempt:
            return AttemptOutcome(request.run_id, attempt, seconds=status.seconds)
        for end in status.ends:
            if end.attempt == attempt:
                return AttemptOutcome(request.run_id, attempt, end.failure, end.message, seconds=end.seconds)
    failure, message = _cause(flight, error, timeout)
    claimed_by = ledger.owner(request.run_id, attempt)
    if claimed_by is None:
        if flight.stopping is not None:
            return None  # it never began
        # It died before it claimed: the attempt is used up all the same, or a poisoned run would be tried for ever.
        if not ledger.claim(request.run_id, attempt, str(this_process())) and not ledger.cancelled():
            return None
    elif not _ours(claimed_by, session):
        return None
    since = time.monotonic() - flight.began if flight.began is not None else 0.0
    # By its own word, or since it was seen to have claimed, or by the signs that it left. What was cut off at its time
    # limit had its cost to the end, though it may have been unable to say so.
    spoken = since if failure is FailureClass.TIMEOUT else flight.progress[2]
    seconds = spoken or since or lived(ledger, home, request, attempt)
    if end_dead(ledger, home, request, attempt, failure, message, seconds=seconds):
        return AttemptOutcome(request.run_id, attempt)
    return AttemptOutcome(request.run_id, attempt, failure, message, seconds=seconds)


def _ours(claimed_by: str, session: str) -> bool:
    """Whether the claim was made by an actor of this Ray; another driver's Ray looks after its own."""
    owner = Owner.parse(claimed_by)
    return owner is not None and owner.session == session


def _cause(flight: Flight, error: Exception, timeout: float) -> tuple[FailureClass, str]:
    import ray

    message = str(error)
    if flight.overdue or (flight.began is not None and time.monotonic() - flight.began > timeout):
        return FailureClass.TIMEOUT, f"outlived its time limit of {timeout:g} s, and was ended from outside"
    if flight.stopping is not None:
        return FailureClass.CANCELLED, "stopped"
    if isinstance(error, ray.exceptions.OutOfMemoryError) or "out of memory" in message.lower() or "(OOM)" in message:
        return FailureClass.OOM_HOST, "killed because the host ran out of memory"
    if isinstance(error, ray.exceptions.NodeDiedError) or "its node has died" in message or "preempted" in message:
        return FailureClass.LOST, "its node is gone"
    return FailureClass.LOST, "its worker process died without a word"


def settle_unrecorded(ledger: RunLedger, home: Path, flight: Flight, outcome: AttemptOutcome) -> AttemptOutcome:
    """The ledger was away when an attempt ended: record its result from its folder, or its failure.

    Raises:
        LedgerError: It still does not answer; to be tried again.
    """
    request, attempt = flight.request, flight.attempt
    if outcome.failure is None:
        folder = attempt_folder(home, request.sweep_id, request.run_id, attempt)
        if ledger.publish(folder) is not None:
            return AttemptOutcome(request.run_id, attempt, seconds=outcome.seconds)
        message = f"its result could not be kept: {outcome.message}"
        ledger.end_attempt(request.run_id, attempt, FailureClass.LEDGER, message, seconds=outcome.seconds)
        return AttemptOutcome(request.run_id, attempt, FailureClass.LEDGER, message, seconds=outcome.seconds)
    if ledger.owner(request.run_id, attempt) is None:
        return outcome  # it never came to claim: nothing to record, and to be tried again
    ledger.end_attempt(request.run_id, attempt, outcome.failure, outcome.message, seconds=outcome.seconds)
    return AttemptOutcome(request.run_id, attempt, outcome.failure, outcome.message, seconds=outcome.seconds)


def end_stopped(ledger: RunLedger, flight: Flight) -> None:
    """Record that an attempt was stopped by whoever submitted it; without the ledger the next submission finds out."""
    run_id = flight.request.run_id
    try:
        status = ledger.state().all_runs.get(run_id)
        if status is not None and status.state is RunState.RUNNING:
            message, seconds = "stopped by its submitter", flight.progress[2]
            ledger.end_attempt(run_id, flight.attempt, FailureClass.CANCELLED, message, seconds=seconds)
    except LedgerError:
        return  # its process is dead


def finished_status(runs: Mapping[str, RunStatus], outcome: AttemptOutcome) -> RunStatus:
    """A run after an attempt that came to its result.

    Args:
        runs: What was known.
        outcome: Of the attempt.
    """
    status = _after(runs, outcome)
    return replace(status, state=RunState.FINISHED, committed_attempt=outcome.attempt, seconds=outcome.seconds)


def failed_status(runs: Mapping[str, RunStatus], outcome: AttemptOutcome, failure: FailureClass) -> RunStatus:
    """A run after an attempt that failed.

    Args:
        runs: What was known.
        outcome: Of the attempt.
        failure: Its class.
    """
    status = _after(runs, outcome)
    end = AttemptEnd(outcome.attempt, failure, outcome.message, outcome.seconds)
    return replace(status, state=RunState.FAILED, ends=(*(e for e in status.ends if e.attempt != end.attempt), end))


def _after(runs: Mapping[str, RunStatus], outcome: AttemptOutcome) -> RunStatus:
    status = runs.get(outcome.run_id, RunStatus(outcome.run_id))
    return replace(status, attempts=max(status.attempts, outcome.attempt))


class Refusals:
    """Ends that the ledger would not take: after a few tries they become failures, and nothing waits for ever.

    Attributes:
        last: What the ledger said last.
    """

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, int]] = Counter()
        self._since: float | None = None
        self.last: LedgerError | None = None

    def settle(
        self, ledger: RunLedger, home: Path, flight: Flight, outcome: AttemptOutcome | Exception, error: LedgerError
    ) -> AttemptOutcome | None:
        """What becomes of an end that the ledger did not take: None while it should be tried again.

        The result stays in the run's folder, from where ``resubmit --keep-result`` takes it up.
        """
        self.last = error
        _log.warning("%s attempt %d is not recorded: %s", flight.request.run_id, flight.attempt, error.message)
        self._since = time.monotonic() if self._since is None else self._since
        if not isinstance(error, StoreRefusedError):
            return None
        request, attempt = flight.request, flight.attempt
        self._counts[request.run_id, attempt] += 1
        if self._counts[request.run_id, attempt] < _MOST_REFUSALS:
            return None
        seconds = outcome.seconds if isinstance(outcome, AttemptOutcome) else flight.progress[2]
        folder = attempt_folder(home, request.sweep_id, request.run_id, attempt)
        kept = f"; its result is kept in {folder}" if (folder / "result").is_dir() else ""
        message = f"the ledger refused what the run ended with: {error.message}{kept}"
        try:
            ledger.end_attempt(request.run_id, attempt, FailureClass.REFUSED, message, seconds=seconds)
        except LedgerError as again:
            self.last = again
            return None
        self._since = None
        return AttemptOutcome(request.run_id, attempt, FailureClass.REFUSED, message, seconds=seconds)

    def raise_if_stuck(self) -> None:
        """End the wait for a ledger that is read, but takes nothing.

        Raises:
            LedgerError: It has taken nothing for minutes.
        """
        if self.last is not None and self._since is not None and time.monotonic() - self._since > _STUCK_SECONDS:
            raise self.last

    def forget(self) -> None:
        """Something was taken: the ledger is not stuck."""
        self._since = None
