"""Sweeps in the store: one visible run for people, one ledger run of write-once records, one registry of all sweeps."""

from __future__ import annotations

import difflib
import json
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maineffect.contracts import FailureClass, LedgerState, RunRequest
from maineffect.errors import LedgerError, UsageError
from maineffect.ledger.attempt import MlflowAttempt
from maineffect.ledger.provenance import provenance
from maineffect.ledger.records import Records, parse
from maineffect.ledger.tracking import artifact_root, client, store_errors

__all__ = [
    "MlflowLedger",
    "SweepEntry",
    "find_sweep",
    "list_sweeps",
    "log_file",
    "open_sweep",
    "read_documents",
    "sweep_details",
]

_HOME = "_maineffect"


@dataclass(frozen=True)
class SweepEntry:
    """A line of the registry."""

    sweep_id: str
    study: str
    ledger_run: str
    sweep_run: str
    created: float


@dataclass(frozen=True)
class MlflowLedger:
    """Implements :class:`maineffect.contracts.RunLedger`. Picklable; every process connects for itself."""

    uri: str
    entry: SweepEntry
    experiment_id: str

    @property
    def sweep_id(self) -> str:
        """The sweep whose records these are."""
        return self.entry.sweep_id

    @property
    def records(self) -> Records:
        """The sweep's write-once records."""
        return Records(self.uri, self.entry.ledger_run)

    def state(self) -> LedgerState:
        """Every run's state, in one call."""
        return parse(self.records.read())[0]

    def claim(self, run_id: str, attempt: int, owner: str) -> bool:
        """Put-if-absent: true for exactly one owner."""
        return self.records.put(f"claim.{run_id}.a{attempt}", owner)

    def owner(self, run_id: str, attempt: int) -> str | None:
        """Owner that claimed an attempt, if it was claimed."""
        return self.records.read().get(f"claim.{run_id}.a{attempt}")

    def start_attempt(self, request: RunRequest, attempt: int, run_dir: Path) -> MlflowAttempt:
        """Create the tracking run of a claimed attempt, child of the sweep's run."""
        from mlflow.entities import Param

        store = client(self.uri)
        tags = {
            "mlflow.parentRunId": self.entry.sweep_run,
            "me.sweep": self.sweep_id,
            "me.run": request.run_id,
            "me.cell": request.cell_id,
            "me.attempt": str(attempt),
            "me.state": "running",
            "me.code": request.code_version,
            **{f"me.{name}": value for name, value in provenance().items()},
        }
        params = {**request.levels, "seed": request.seed, "replicate": request.replicate, "cell": request.cell_id}
        with store_errors(self.uri):
            run = store.create_run(self.experiment_id, run_name=f"{request.run_id} a{attempt}", tags=tags)
            tracking = run.info.run_id
            store.log_batch(
                tracking, params=[Param(k[:250], str(v)[:6000]) for k, v in params.items()], synchronous=True
            )
            store.log_dict(tracking, dict(request.settings), "settings.json")
        self.records.put(f"attempt.{request.run_id}.a{attempt}", tracking)
        return MlflowAttempt(self.records, request.run_id, attempt, tracking, run_dir)

    def end_attempt(self, run_id: str, attempt: int, failure: FailureClass, message: str) -> bool:
        """End an attempt whose worker cannot do it any more."""
        line = (message.strip().splitlines() or [failure.value])[0][:500]
        won = self.records.put(f"end.{run_id}.a{attempt}", f"{failure.value}|0|{line}")
        tracking = self.records.read().get(f"attempt.{run_id}.a{attempt}")
        if won and tracking is not None:
            with store_errors(self.uri):
                client(self.uri).set_tag(tracking, "me.state", failure.value)
                client(self.uri).set_terminated(tracking, "KILLED")
        return won

    def cancel(self, who: str) -> None:
        """No new claims from here on."""
        self._number("cancel", who)

    def cancelled(self) -> bool:
        """Whether the cancel record stands."""
        return self.state().cancelled_by is not None

    def reopen(self, who: str) -> None:
        """Lift a cancel; does nothing when none stands."""
        if self.cancelled():
            self._number("reopen", who)

    def _number(self, kind: str, who: str) -> None:
        records = self.records.read()
        number = sum(key.startswith(f"{kind}.") for key in records) + 1
        self.records.put(f"{kind}.{number}", who)


def _experiment(uri: str, name: str) -> str:
    """Id of an experiment, created if absent; a lost race is a find."""
    from mlflow.exceptions import MlflowException

    store = client(uri)
    with store_errors(uri):
        found = store.get_experiment_by_name(name)
        if found is not None:
            if found.lifecycle_stage == "deleted":
                raise LedgerError(
                    f"experiment {name!r} is deleted in {uri}", "restore it in the MLflow UI, or rename the study"
                )
            return str(found.experiment_id)
        try:
            return str(store.create_experiment(name, artifact_location=artifact_root(uri)))
        except MlflowException:
            again = store.get_experiment_by_name(name)
            if again is None:
                raise
            return str(again.experiment_id)


def _registry(uri: str, *, create: bool = True) -> Records | None:
    """The registry's records. Its run id is an experiment's tag: created with it, in one transaction."""
    from mlflow.exceptions import MlflowException

    store = client(uri)
    with store_errors(uri):
        found = store.get_experiment_by_name(_HOME)
        if found is None and not create:
            return None
        if found is None:
            holder = _experiment(uri, f"{_HOME}/runs")
            run = store.create_run(holder, run_name="registry")
            try:
                store.create_experiment(_HOME, artifact_root(uri), tags={"me.registry": run.info.run_id})
            except MlflowException:
                store.delete_run(run.info.run_id)
            found = store.get_experiment_by_name(_HOME)
        if found is None or "me.registry" not in found.tags:
            raise LedgerError(
                f"experiment {_HOME!r} is not maineffect's", "give another --tracking-uri, or rename that experiment"
            )
        return Records(uri, found.tags["me.registry"])


def open_sweep(
    uri: str, sweep_id: str, *, study: str, documents: Mapping[str, str], tags: Mapping[str, str], description: str = ""
) -> MlflowLedger:
    """Open a sweep, creating it if it is new. Two drivers at the same moment get the same one.

    Args:
        documents: File name → text kept with the sweep (study, plan, design).
        tags: Facts for people and searches.
    """
    registry = _registry(uri)
    assert registry is not None
    experiment = _experiment(uri, study)
    key = f"sweep.{sweep_id}"
    standing = registry.read().get(key)
    if standing is None:
        candidate = _create(uri, experiment, sweep_id, study, documents, tags, description)
        if not registry.put(key, candidate):
            with store_errors(uri):
                for run in json.loads(candidate)[:2]:
                    client(uri).delete_run(run)
        standing = registry.read()[key]
    return MlflowLedger(uri, _entry(sweep_id, standing), experiment)


def _create(
    uri: str,
    experiment: str,
    sweep_id: str,
    study: str,
    documents: Mapping[str, str],
    tags: Mapping[str, str],
    description: str,
) -> str:
    store = client(uri)
    holder = _experiment(uri, f"{_HOME}/runs")
    with store_errors(uri):
        ledger_run = store.create_run(holder, run_name=f"ledger {sweep_id}").info.run_id
        notes = {"mlflow.note.content": description, "me.sweep": sweep_id, "me.state": "sweep", **tags}
        sweep_run = store.create_run(experiment, run_name=f"sweep {sweep_id}", tags=notes).info.run_id
        for name, text in documents.items():
            store.log_text(sweep_run, text, name)
    return json.dumps([ledger_run, sweep_run, study, round(time.time(), 3), uuid.uuid4().hex[:8]])


def _entry(sweep_id: str, value: str) -> SweepEntry:
    ledger_run, sweep_run, study, created, _ = json.loads(value)
    return SweepEntry(sweep_id, study, ledger_run, sweep_run, created)


def list_sweeps(uri: str) -> list[SweepEntry]:
    """Every sweep of the store, oldest first."""
    registry = _registry(uri, create=False)
    if registry is None:
        return []
    entries = [
        _entry(key.removeprefix("sweep."), value) for key, value in registry.read().items() if key.startswith("sweep.")
    ]
    return sorted(entries, key=lambda entry: entry.created)


def find_sweep(uri: str, reference: str) -> MlflowLedger:
    """A sweep by its id, by its study's name (the latest), or by the word ``latest``.

    Raises:
        UsageError: There is none; names the nearest.
    """
    entries: Sequence[SweepEntry] = list_sweeps(uri)
    matches = [entry for entry in entries if reference == "latest" or reference in (entry.sweep_id, entry.study)]
    if not matches:
        names = sorted({name for entry in entries for name in (entry.sweep_id, entry.study)})
        close = difflib.get_close_matches(reference, names, n=1)
        hint = (
            f"did you mean {close[0]!r}?"
            if close
            else f"known: {', '.join(names) or 'no sweeps yet; maineffect submit STUDY'}"
        )
        raise UsageError(f"no sweep {reference!r} in this ledger", hint)
    entry = matches[-1]
    return MlflowLedger(uri, entry, _experiment(uri, entry.study))


def read_documents(ledger: MlflowLedger, names: Sequence[str]) -> dict[str, str]:
    """Texts kept with the sweep."""
    import tempfile

    texts = {}
    with store_errors(ledger.uri), tempfile.TemporaryDirectory() as folder:
        for name in names:
            path = client(ledger.uri).download_artifacts(ledger.entry.sweep_run, name, folder)
            texts[name] = Path(path).read_text(encoding="utf-8")
    return texts


def log_file(ledger: MlflowLedger, path: Path) -> None:
    """Keep a file, such as the report, with the sweep."""
    with store_errors(ledger.uri):
        client(ledger.uri).log_artifact(ledger.entry.sweep_run, str(path))


def sweep_details(ledger: MlflowLedger) -> tuple[LedgerState, dict[str, dict[str, Any]]]:
    """State and committed results, in one call."""
    return parse(ledger.records.read())
