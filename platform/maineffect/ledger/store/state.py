"""What the records of a sweep mean: the state of every run, by its claims, ends and commits."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from maineffect.contracts import AttemptEnd, FailureClass, LedgerState, RunState, RunStatus
from maineffect.errors import LedgerError
from maineffect.ledger.store.texts import redact, storable
from maineffect.preparation import is_preparatory

__all__ = ["REUSED", "Commit", "cancelled_by", "commits", "end_value", "parse"]

REUSED = "reused:"
_MOST_MESSAGE = 1000


@dataclass(frozen=True)
class Commit:
    """The one record that makes an attempt the run's result."""

    attempt: int
    tracking_run_id: str
    sha256: str
    seconds: float

    def value(self) -> str:
        """As it is written."""
        return f"a{self.attempt}:{self.tracking_run_id}:{self.sha256}:{self.seconds:.3f}"


def end_value(failure: FailureClass, seconds: float, message: str) -> str:
    """An end as it is written: one line, without secrets."""
    line = " ".join(storable(redact(message)).split()) or failure.value
    return f"{failure.value}:{seconds:.3f}:{line[:_MOST_MESSAGE]}"


def commits(records: Mapping[str, str]) -> dict[str, Commit]:
    """Run id → its commit."""
    run_commits = {}
    for key, value in records.items():
        if key.startswith("commit."):
            attempt, run, digest, seconds = value.split(":")
            run_commits[key.removeprefix("commit.")] = Commit(int(attempt[1:]), run, digest, float(seconds))
    return run_commits


def cancelled_by(records: Mapping[str, str]) -> str | None:
    """Who cancelled, unless every cancel was lifted."""
    cancels = [key for key in records if key.startswith("cancel.") and f"reopen.{key[7:]}" not in records]
    return records[max(cancels, key=lambda key: int(key[7:]))] if cancels else None


def parse(records: Mapping[str, str], control: Mapping[str, str]) -> LedgerState:
    """Records → the state of every run that has one.

    Raises:
        LedgerError: A record cannot be read: another version of maineffect wrote it.
    """
    claims: dict[str, dict[int, str]] = defaultdict(dict)
    starts: dict[str, dict[int, tuple[str, float]]] = defaultdict(dict)
    ends: dict[str, dict[int, AttemptEnd]] = defaultdict(dict)
    try:
        committed = commits(records)
        for key, value in records.items():
            kind, _, rest = key.partition(".")
            if kind not in ("claim", "start", "end"):
                continue
            run_id, _, word = rest.rpartition(".a")
            attempt = int(word)
            if kind == "claim":
                claims[run_id][attempt] = value
            elif kind == "start":
                tracking, _, began = value.partition(":")
                starts[run_id][attempt] = (tracking, int(began) / 1000)
            else:
                failure, seconds, message = value.split(":", 2)
                ends[run_id][attempt] = AttemptEnd(attempt, FailureClass(failure), message, float(seconds))
    except ValueError as error:
        raise LedgerError(
            f"a record of the ledger cannot be read: {error}", "read it with the version of maineffect that wrote it"
        ) from None
    runs = {
        run_id: _status(run_id, claims.get(run_id, {}), starts.get(run_id, {}), ends.get(run_id, {}), committed)
        for run_id in {**claims, **ends, **committed}
    }
    planned = {run_id: status for run_id, status in runs.items() if not is_preparatory(run_id)}
    preparations = {run_id: status for run_id, status in runs.items() if is_preparatory(run_id)}
    return LedgerState(planned, cancelled_by(control), preparations)


def _status(
    run_id: str,
    claimed: Mapping[int, str],
    starts: Mapping[int, tuple[str, float]],
    ended: Mapping[int, AttemptEnd],
    committed: Mapping[str, Commit],
) -> RunStatus:
    commit = committed.get(run_id)
    ends = tuple(ended[attempt] for attempt in sorted(ended))
    attempts = len({*claimed, *ended})
    if commit is not None:
        began = starts.get(commit.attempt, ("", None))[1]
        counted = (commit.attempt, commit.tracking_run_id, began, commit.seconds, _reused(claimed, commit.attempt))
        return RunStatus(run_id, RunState.FINISHED, attempts, ends, *counted)
    state = RunState.RUNNING if set(claimed) - set(ended) else RunState.FAILED if ended else RunState.PLANNED
    tracking, began = starts[max(starts)] if starts else (None, None)
    reused = _reused(claimed, attempts) if state is RunState.RUNNING else None
    return RunStatus(
        run_id=run_id,
        state=state,
        attempts=attempts,
        ends=ends,
        committed_attempt=None,
        tracking_run_id=tracking,
        started_at=began,
        reused_from=reused,
    )


def _reused(claimed: Mapping[int, str], attempt: int) -> str | None:
    claim = claimed.get(attempt, "")
    return claim.removeprefix(REUSED) if claim.startswith(REUSED) else None
