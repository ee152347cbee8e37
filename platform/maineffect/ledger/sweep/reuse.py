"""Finished runs, recognised by what they measured, and reused in another sweep of the same study.

A taken-over result is the very text that was committed in the first place, with the sweep, run and attempt that made it
inside; the claim beside it names where it came from. Doing it twice changes nothing, and two drivers that do it at the
same moment write the same records.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from maineffect.contracts import RunRequest
from maineffect.errors import LedgerError
from maineffect.ledger.attempt.results import digest, read_result
from maineffect.ledger.store.connection import ask
from maineffect.ledger.store.records import Records, join_result, split_result
from maineffect.ledger.store.registry import list_sweeps
from maineffect.ledger.store.state import REUSED, Commit, commits
from maineffect.ledger.sweep.ledger import MlflowLedger

__all__ = ["FinishedRun", "finished_runs", "same_runs", "take_over"]

_BATCH = 90


@dataclass(frozen=True)
class FinishedRun:
    """A committed result with what it was made from.

    Attributes:
        sweep_id: Sweep that ran it.
        run_id: Its run id there.
        code: Version of the trainable's code; empty if it is not known.
        content: Identity of what was measured; empty if it is not known.
        responses: Names of the responses that it holds.
        text: The result as it was committed.
    """

    sweep_id: str
    run_id: str
    code: str
    content: str
    responses: frozenset[str]
    finished_ms: int
    commit: Commit
    text: str

    @property
    def place(self) -> str:
        """Where it was made."""
        return f"{self.sweep_id}/{self.run_id}"


def finished_runs(ledger: MlflowLedger) -> dict[str, FinishedRun]:
    """Committed runs of a sweep by run id, those that it took over itself among them. Two reads.

    Raises:
        LedgerError: The store does not answer.
    """
    committed = commits(ledger.records.read())
    parts = Records(ledger.uri, ledger.entry.results_run).read() if committed else {}
    run_by_id = {}
    for run_id, commit in committed.items():
        text = join_result(parts, run_id, commit.attempt)
        if digest(text) != commit.sha256:
            continue  # not what was committed: the analysis will say so, and it is never reused
        content = read_result(text)
        run_by_id[run_id] = FinishedRun(
            sweep_id=str(content.get("sweep_id", ledger.sweep_id)),
            run_id=str(content.get("run_id", run_id)),
            code=str(content.get("code", "")),
            content=str(content.get("content", "")),
            responses=frozenset(content["responses"]),
            finished_ms=int(content.get("finished_ms", 0)),
            commit=commit,
            text=text,
        )
    return run_by_id


def same_runs(uri: str, study: str, requests: Sequence[RunRequest], *, besides: str) -> dict[str, list[FinishedRun]]:
    """Finished runs of a study's other sweeps that measured what is asked for, under whatever code version.

    Args:
        uri: Tracking URI.
        study: The study's name.
        requests: What is asked for.
        besides: Sweep that is not looked at.

    Returns:
        Run id → finished runs of equal content that hold every response, newest sweep first.
    """
    wanted: dict[str, list[RunRequest]] = {}
    for request in requests:
        wanted.setdefault(request.content(), []).append(request)
    candidates: dict[str, list[FinishedRun]] = {}
    for entry in reversed(list_sweeps(uri)) if wanted else ():
        if entry.study != study or entry.sweep_id == besides:
            continue
        for finished in finished_runs(MlflowLedger(uri, entry)).values():
            for request in wanted.get(finished.content, ()):
                matches = candidates.setdefault(request.run_id, [])
                if set(request.responses) <= finished.responses and all(k.text != finished.text for k in matches):
                    matches.append(finished)
    return {run_id: runs for run_id, runs in candidates.items() if runs}


def take_over(ledger: MlflowLedger, chosen: Mapping[str, FinishedRun]) -> int:
    """Record results of other sweeps as results of this one.

    Args:
        ledger: The sweep that needs them.
        chosen: Run id here → finished run.

    Returns:
        How many runs have their result from elsewhere now; a run that was claimed meanwhile is left to its owner.
    """
    claims = {f"claim.{run_id}.a1": f"{REUSED}{finished.place}" for run_id, finished in chosen.items()}
    won = {key.split(".", 1)[1].removesuffix(".a1") for key in _put_all(ledger.records, claims)}
    texts: dict[str, str] = {}
    ends: dict[str, str] = {}
    for run_id in sorted(won):
        finished, commit = chosen[run_id], chosen[run_id].commit
        texts |= split_result(run_id, 1, finished.text)
        began = finished.finished_ms - int(1000 * commit.seconds)
        ends[f"start.{run_id}.a1"] = f"{commit.tracking_run_id}:{began}"
        here = Commit(1, commit.tracking_run_id, commit.sha256, commit.seconds)
        ends[f"commit.{run_id}"] = here.value()
    _put_all(Records(ledger.uri, ledger.entry.results_run), texts)
    committed = {key for key in _put_all(ledger.records, ends) if key.startswith("commit.")}
    if committed:
        sweeps = sorted({chosen[key.removeprefix("commit.")].sweep_id for key in committed})
        tag = f"{len(committed)} runs of {', '.join(sweeps)}"
        ask(ledger.uri, lambda store: store.set_tag(ledger.entry.sweep_run, "me.reused", tag, synchronous=True))
    return len(committed)


def _put_all(records: Records, wanted: Mapping[str, str]) -> list[str]:
    """Put many records: in batches where nothing stands in the way, one by one where something does.

    Returns:
        Keys whose wanted value stands.
    """
    stored = records.read()
    done = [key for key, value in wanted.items() if stored.get(key) == value]
    open_keys = [key for key in wanted if key not in stored]
    for start in range(0, len(open_keys), _BATCH):
        done += _put_batch(records, {key: wanted[key] for key in open_keys[start : start + _BATCH]})
    return done


def _put_batch(records: Records, batch: Mapping[str, str]) -> Iterable[str]:
    from mlflow.entities import Param
    from mlflow.exceptions import MlflowException

    entries = [Param(key, value) for key, value in batch.items()]

    def write(store):  # type: ignore[no-untyped-def]
        try:
            store.log_batch(records.tracking_run_id, params=entries, synchronous=True)
        except MlflowException:
            return False
        return True

    try:
        if ask(records.uri, write):
            return list(batch)
    except LedgerError:
        pass  # one by one it will be said what stands in the way
    return [key for key, value in batch.items() if records.put(key, value)]
