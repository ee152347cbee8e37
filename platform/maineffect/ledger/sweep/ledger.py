"""A sweep in the ledger: opened by whoever submits it, found again by its id, its study's name, or ``latest``."""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maineffect.contracts import AttemptRecord, FailureClass, LedgerState, LeftFolder, RunLedger, RunRequest
from maineffect.errors import LedgerError
from maineffect.ledger.attempt.left import left_folder, tags_of
from maineffect.ledger.attempt.publish import Identity, mirror, publish
from maineffect.ledger.attempt.recording import MlflowAttempt, create_tracking_run
from maineffect.ledger.attempt.results import digest, read_result
from maineffect.ledger.store import quick
from maineffect.ledger.store.artifacts import bring, keep_file, keep_text, read_text
from maineffect.ledger.store.connection import ask, prepare, probe
from maineffect.ledger.store.records import Records, Snapshot, join_result
from maineffect.ledger.store.registry import (
    SweepEntry,
    experiment,
    find_entry,
    hidden_experiment,
    registry,
    sweep_entry,
)
from maineffect.ledger.store.state import cancelled_by, commits, end_value, parse
from maineffect.ledger.store.texts import redact, storable
from maineffect.preparation import PREPARED_FOLDER, PhaseRequest, is_preparatory

__all__ = [
    "PLAN_FILE",
    "STUDY_FILE",
    "MlflowLedger",
    "StoredSweep",
    "find_sweep",
    "load_sweep",
    "log_file",
    "open_sweep",
    "scratch_run",
    "serves_of",
    "stored_sweep",
    "sweep_results",
]

_PUBLISH_PATIENCE = 20.0
_LOOK_PATIENCE = 2.0
_NO_BEAT = "none"
STUDY_FILE, PLAN_FILE, _DESIGN = "study.yaml", "plan.json", "design.csv"


@dataclass(frozen=True)
class MlflowLedger:
    """Implements :class:`maineffect.contracts.RunLedger`. Picklable; every process connects for itself."""

    uri: str = field(repr=False)
    entry: SweepEntry
    seen: tuple[Snapshot, Snapshot] | None = field(default=None, repr=False, compare=False)

    def snapshot(self) -> MlflowLedger:
        """This ledger as it is now: what is read of records and control is read once, and is of one moment."""
        runs = (self.entry.ledger_run, self.entry.control_run)
        return replace(self, seen=(Snapshot(self.uri, runs[0]), Snapshot(self.uri, runs[1])))

    @property
    def sweep_id(self) -> str:
        """The sweep whose records these are."""
        return self.entry.sweep_id

    @property
    def records(self) -> Records:
        """Claims, starts, ends and commits."""
        return self.seen[0] if self.seen is not None else Records(self.uri, self.entry.ledger_run)

    @property
    def control(self) -> Records:
        """Cancels and reopenings, apart from the rest: asked often, so they must be few."""
        return self.seen[1] if self.seen is not None else Records(self.uri, self.entry.control_run)

    def state(self) -> LedgerState:
        """Every run's state, in two calls whatever the number of runs."""
        return parse(self.records.read(), self.control.read())

    def claim(self, run_id: str, attempt: int, owner: str) -> bool:
        """Atomic put-if-absent: true for exactly one owner, and again for that owner. Refused after a cancel."""
        if self.cancelled():
            return False
        return self.records.put(f"claim.{run_id}.a{attempt}", owner)

    def owner(self, run_id: str, attempt: int) -> str | None:
        """Who claimed an attempt."""
        return self.records.get(f"claim.{run_id}.a{attempt}")

    def start_attempt(self, request: RunRequest, attempt: int, run_dir: Path) -> MlflowAttempt:
        """Create the tracking run of a claimed attempt, a child of the sweep's run."""
        run_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        tracking = create_tracking_run(self.uri, self.entry, request, attempt, run_dir)
        self.records.put(f"start.{request.run_id}.a{attempt}", f"{tracking}:{int(time.time() * 1000)}")
        if isinstance(request, PhaseRequest):
            self.records.put(f"serves.{request.run_id}", str(request.serves))
        what = (request.code_version, request.content())
        identity = Identity(self.sweep_id, request.run_id, request.cell_id, attempt, tracking, *what)
        identity.save(run_dir)
        return MlflowAttempt(self.uri, self.entry, identity, run_dir)

    def end_attempt(
        self, run_id: str, attempt: int, failure: FailureClass, message: str, *, seconds: float = 0.0
    ) -> bool:
        """End an attempt whose worker cannot do it any more, and fence it: if it lives after all, it will stop.

        Returns:
            Whether this end stands (false: the worker, or another driver, had ended it otherwise).
        """
        won = self.records.put(f"end.{run_id}.a{attempt}", end_value(failure, seconds, message))
        if won:
            self.control.put(f"fence.{run_id}.a{attempt}", failure.value)
        started = self.records.get(f"start.{run_id}.a{attempt}")
        if won and started is not None:
            tags = {"me.state": "failed", "me.failure": failure.value, "me.message": storable(redact(message))}
            mirror(self.uri, started.partition(":")[0], tags, "KILLED")
        return won

    def publish(self, run_dir: Path) -> bool | None:
        """Record the result that an attempt left in its folder; None if it left none."""
        if Identity.load(run_dir) is None or not (run_dir / "result").is_dir():
            return None
        return publish(self.uri, self.entry, run_dir, patience=_PUBLISH_PATIENCE)

    def fetch_files(self, run_id: str, names: Sequence[str], into: Path) -> bool:
        """Bring files that a finished preparation has made into a folder; whether all of them are there now.

        Raises:
            LedgerError: The store does not answer.
        """
        missing = [name for name in names if not (into / name).exists()]
        commit = commits(self.records.read()).get(run_id) if missing else None
        if commit is None:
            return not missing
        tracking = commit.tracking_run_id
        return all(bring(self.uri, tracking, f"{PREPARED_FOLDER}/{name}", into / name) for name in missing)

    def heartbeat(self, run_id: str, attempt: int) -> str | None:
        """Seconds that the attempt had lived when its uploader last said so; None before it has begun."""
        tracking = _tracking_run(self.records, f"start.{run_id}.a{attempt}")
        if tracking is None:
            return None
        return tags_of(self.uri, tracking, patience=_LOOK_PATIENCE).get("me.heartbeat", "0")

    def note_silent(self, run_id: str, attempt: int, beat: str | None, host: str) -> None:
        """Record that an attempt on ``host`` gave no sign of life for a whole lease since this heartbeat."""
        self.control.put(f"silent.{run_id}.a{attempt}.{beat or _NO_BEAT}", host)

    def silent_on(self, run_id: str, attempt: int) -> str | None:
        """The host of an attempt that was noted as silent, and has given no sign of life since."""
        prefix = f"silent.{run_id}.a{attempt}."
        noted = {key.removeprefix(prefix): host for key, host in self.control.read().items() if key.startswith(prefix)}
        return noted.get(self.heartbeat(run_id, attempt) or _NO_BEAT) if noted else None

    def left_folder(self, run_id: str, attempt: int) -> LeftFolder | None:
        """Where an attempt wrote its files, and whether they can be read here; None before it has begun."""
        tracking = _tracking_run(self.records, f"start.{run_id}.a{attempt}")
        return left_folder(self.uri, tracking) if tracking is not None else None

    def cancel(self, who: str) -> None:
        """No new claims from here on. Cancelling twice is cancelling once."""
        records = self.control.read()
        if cancelled_by(records) is None:
            number = 1 + max((int(key[7:]) for key in records if key.startswith("cancel.")), default=0)
            self.control.put(f"cancel.{number}", redact(who))

    def cancelled(self) -> bool:
        """Whether a cancel stands."""
        return cancelled_by(self.control.read()) is not None

    def reopen(self, who: str) -> None:
        """Lift every cancel that stands."""
        records = self.control.read()
        for key in records:
            if key.startswith("cancel.") and f"reopen.{key[7:]}" not in records:
                self.control.put(f"reopen.{key[7:]}", redact(who))


if TYPE_CHECKING:  # the type checker holds both classes to the contract
    _LEDGER: type[RunLedger] = MlflowLedger
    _RECORD: type[AttemptRecord] = MlflowAttempt


# (records, key) → tracking run. A record that stands never changes: it is read once, and then never again.
_STARTED: dict[tuple[Records, str], str] = {}


def _tracking_run(records: Records, key: str) -> str | None:
    """The tracking run that a start record names; None before the attempt has begun."""
    if (records, key) not in _STARTED:
        started = quick.param(records.uri, records.tracking_run_id, key)
        started = started or records.read(patience=_LOOK_PATIENCE).get(key)
        if started is None:
            return None
        _STARTED[records, key] = started.partition(":")[0]
    return _STARTED[records, key]


@dataclass(frozen=True)
class StoredSweep:
    """What a sweep was submitted with."""

    entry: SweepEntry
    study_text: str
    plan: dict[str, Any]
    tags: dict[str, str]


def open_sweep(
    uri: str,
    sweep_id: str,
    *,
    study_name: str,
    study_text: str,
    plan: Mapping[str, Any],
    design_rows: Sequence[Mapping[str, Any]] = (),
    description: str = "",
    tags: Mapping[str, str] | None = None,
    documents: Mapping[str, str] | None = None,
) -> MlflowLedger:
    """Open a sweep, creating it if it is new. Two drivers at the same moment get the same one.

    Args:
        uri: Tracking URI.
        sweep_id: Identity of the sweep; the same plan is the same sweep.
        study_name: Names the experiment that people see.
        study_text: The study file, kept word by word.
        plan: The registered plan; ``plan["runs"]`` names the planned runs.
        design_rows: The design as a table, for people.
        description: Shown on the sweep's page in the MLflow UI (Markdown).
        tags: Facts about code and machine, such as :func:`maineffect.ledger.attempt.provenance.sweep_facts`.
        documents: Further texts to keep, by file name.

    Raises:
        LedgerError: The store cannot be reached or written.
    """
    prepare(uri)
    lines = registry(uri, create=True)
    assert lines is not None
    key = f"sweep.{sweep_id}"
    stored = lines.read().get(key)
    if stored is None:
        texts = {STUDY_FILE: study_text, PLAN_FILE: json.dumps(plan, ensure_ascii=False), **(documents or {})}
        if design_rows:
            texts[_DESIGN] = _csv(design_rows)
        candidate = _create(uri, sweep_id, study_name, len(plan.get("runs", ())), texts, tags or {}, description)
        if not lines.put(key, candidate.value()):
            _discard(uri, candidate)
        stored = lines.read()[key]
    return MlflowLedger(uri, sweep_entry(sweep_id, stored))


def _create(
    uri: str,
    sweep_id: str,
    study: str,
    runs: int,
    texts: Mapping[str, str],
    tags: Mapping[str, str],
    description: str,
) -> SweepEntry:
    """Everything a sweep needs, complete before it is registered."""
    shown, hidden = experiment(uri, study), hidden_experiment(uri)
    notes = {"me.kind": "sweep", "me.sweep": sweep_id, "me.study": study, "me.state": "open", **tags}
    if description:
        notes["mlflow.note.content"] = redact(description)[:7900]

    def make(experiment_id: str, name: str, tags: Mapping[str, str]) -> str:
        return str(ask(uri, lambda store: store.create_run(experiment_id, run_name=name, tags=dict(tags)).info.run_id))

    sweep_run = make(shown, f"sweep {sweep_id}", notes)
    for name, text in texts.items():
        keep_text(uri, sweep_run, name, text)

    def hide(kind: str) -> str:
        # Params can be written to a run that has ended, and nobody shall take it for a run in progress.
        run = make(hidden, f"{kind} {sweep_id}", {"me.sweep": sweep_id})
        ask(uri, lambda store: store.set_terminated(run, "FINISHED"))
        return run

    return SweepEntry(
        sweep_id=sweep_id,
        study=study,
        created=round(time.time(), 3),
        runs=runs,
        experiment_id=shown,
        sweep_run=sweep_run,
        ledger_run=hide("ledger"),
        results_run=hide("results"),
        control_run=hide("control"),
    )


def _discard(uri: str, entry: SweepEntry) -> None:
    """Another driver's sweep was written first: delete ours, which nobody has read."""
    for run in (entry.sweep_run, entry.ledger_run, entry.results_run, entry.control_run):
        ask(uri, lambda store: store.delete_run(run))  # noqa: B023


def _csv(rows: Sequence[Mapping[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(dict.fromkeys(name for row in rows for name in row)))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def find_sweep(uri: str, reference: str) -> MlflowLedger:
    """A sweep by its id, by its study's name (the latest), or by the word ``latest``.

    Raises:
        UsageError: There is none; names the nearest.
        LedgerError: The store does not answer.
    """
    _probe_standing(uri)
    return MlflowLedger(uri, find_entry(uri, reference))


def load_sweep(uri: str, sweep_id: str) -> MlflowLedger | None:
    """The sweep with this id, or None. Creates nothing."""
    _probe_standing(uri)
    records = registry(uri, create=False)
    line = records.read().get(f"sweep.{sweep_id}") if records is not None else None
    return MlflowLedger(uri, sweep_entry(sweep_id, line)) if line is not None else None


def _probe_standing(uri: str) -> None:
    from maineffect.ledger.store.tracking import nothing_yet

    if not nothing_yet(uri):
        probe(uri)


def stored_sweep(ledger: MlflowLedger) -> StoredSweep:
    """The study text and plan that the sweep was submitted with.

    Raises:
        LedgerError: They are gone from the artifact store.
    """
    run = ledger.entry.sweep_run
    study, plan = (read_text(ledger.uri, run, name) for name in (STUDY_FILE, PLAN_FILE))
    if study is None or plan is None:
        raise LedgerError(
            f"the study and plan of {ledger.sweep_id} are gone from the artifacts of run {run}",
            "restore the artifact store, or submit the study again into a new ledger",
        )
    tags = quick.tags(ledger.uri, run) or ask(ledger.uri, lambda store: dict(store.get_run(run).data.tags))
    return StoredSweep(ledger.entry, study, json.loads(plan), tags)


def sweep_results(ledger: MlflowLedger, records: Mapping[str, str] | None = None) -> dict[str, dict[str, Any]]:
    """Committed results by run id: responses, measures, seconds, attempt. Two calls, whatever the number of runs.

    Args:
        ledger: The sweep.
        records: The ledger run's records, if they were just read.

    Raises:
        LedgerError: A result is not the one that was committed.
    """
    committed = commits(ledger.records.read() if records is None else records)
    parts = Records(ledger.uri, ledger.entry.results_run).read()
    results = {}
    for run_id, commit in committed.items():
        if is_preparatory(run_id):
            continue
        text = join_result(parts, run_id, commit.attempt)
        if digest(text) != commit.sha256:
            raise LedgerError(
                f"the result of {run_id} in the ledger is not the one that was committed",
                f"compare result.json of run {commit.tracking_run_id}: its SHA-256 must be {commit.sha256}",
            )
        results[run_id] = read_result(text)
    return results


def serves_of(ledger: MlflowLedger) -> dict[str, int]:
    """Preparation → how many runs of the sweep start from it."""
    records = ledger.records.read()
    return {key.removeprefix("serves."): int(value) for key, value in records.items() if key.startswith("serves.")}


def scratch_run(uri: str, name: str) -> str:
    """A hidden run to try things on; the caller deletes it."""
    holder = hidden_experiment(uri)
    return str(ask(uri, lambda store: store.create_run(holder, run_name=name).info.run_id))


def log_file(ledger: MlflowLedger, path: Path) -> None:
    """Keep a file, such as the report, with the sweep."""
    keep_file(ledger.uri, ledger.entry.sweep_run, path)
