"""Which run starts next: pure decisions over the ledger's state, no Ray."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from maineffect.contracts import AttemptEnd, FailureClass, RunRequest, RunState, RunStatus

__all__ = ["BREAKER", "backoff_seconds", "breaker", "may_retry", "to_run"]

BREAKER = 5
_RESUMED_BY_SUBMIT = {FailureClass.LOST, FailureClass.CANCELLED, FailureClass.LEDGER}


def to_run(
    requests: Sequence[RunRequest],
    runs: Mapping[str, RunStatus],
    *,
    retry_failed: bool,
    only: Collection[str] | None = None,
) -> list[tuple[RunRequest, int]]:
    """Requests to start, in plan order, each with its attempt number.

    Finished and running ones are never among them. Failed ones are only with ``retry_failed`` (``resubmit``), or when
    they never had their chance: lost, cancelled, or ended by the ledger's own failure.
    """
    chosen = []
    for request in requests:
        status = runs.get(request.run_id, RunStatus(request.run_id))
        if status.state in (RunState.FINISHED, RunState.RUNNING) or (only is not None and request.run_id not in only):
            continue
        interrupted = bool(status.ends) and status.ends[-1].failure in _RESUMED_BY_SUBMIT
        if status.state is RunState.PLANNED or retry_failed or interrupted:
            chosen.append((request, status.attempts + 1))
    return chosen


def may_retry(ends: Sequence[AttemptEnd], retries: int, first_attempt: int) -> bool:
    """Whether a failed run gets another attempt by itself: only after transient failures, and only so often.

    Args:
        first_attempt: First attempt of this submission; earlier ones do not count.
    """
    recent = [end for end in ends if end.attempt >= first_attempt]
    return bool(recent) and recent[-1].failure.transient and len(recent) <= retries


def backoff_seconds(failures: int, jitter: float) -> float:
    """1, 2, 4, … up to 60 s, times 0.5 to 1.5 (``jitter`` in [0, 1))."""
    return min(60.0, 2.0 ** (failures - 1)) * (0.5 + jitter)


def breaker(messages: Sequence[str], successes: int) -> str | None:
    """The error that ends a submission early: the same one :data:`BREAKER` times before any run finished."""
    if successes or not messages:
        return None
    message, count = Counter(messages).most_common(1)[0]
    return message if count >= BREAKER else None
