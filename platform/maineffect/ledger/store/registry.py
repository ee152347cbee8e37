"""The registry of sweeps: one run whose write-once params name every sweep of the store.

How two drivers that start at the same moment get the same sweep: searching and then creating always duplicates, tags
can be overwritten. What a store does hold unique is an experiment's *name*, and it writes an experiment together with
its tags in one transaction. So the registry's run is named by a tag of the experiment ``_maineffect.registry``, and
each sweep by a param ``sweep.<id>`` of that run. Whoever loses deletes what it made and uses what stands.
"""

from __future__ import annotations

import difflib
import json
from dataclasses import asdict, dataclass

from maineffect.errors import LedgerError, UsageError
from maineffect.ledger.store import quick
from maineffect.ledger.store.connection import ask
from maineffect.ledger.store.records import Records
from maineffect.ledger.store.texts import redact
from maineffect.ledger.store.tracking import artifact_root, nothing_yet

__all__ = ["SweepEntry", "experiment", "find_entry", "hidden_experiment", "list_sweeps", "registry", "sweep_entry"]

_HIDDEN = "_maineffect"
_POINTER = "_maineffect.registry"
_TAG = "me.registry"
_FOR_PEOPLE = "Bookkeeping of maineffect: claims, ends and commits. Do not delete: it is what a sweep knows of itself."


@dataclass(frozen=True)
class SweepEntry:
    """One sweep of the store.

    Attributes:
        created: Seconds since 1970.
        runs: Number of planned runs.
        experiment_id: Experiment named after the study.
        sweep_run: The run that people see; attempts are its children.
        ledger_run: Claims, starts, ends and commits.
        results_run: Results of the runs.
        control_run: Cancels and reopenings.
    """

    sweep_id: str
    study: str
    created: float
    runs: int
    experiment_id: str
    sweep_run: str
    ledger_run: str
    results_run: str
    control_run: str

    def value(self) -> str:
        """As it is written."""
        return json.dumps({key: value for key, value in asdict(self).items() if key != "sweep_id"})


def registry(uri: str, *, create: bool) -> Records | None:
    """The registry's records, or None if there is none and none is to be made.

    Raises:
        LedgerError: The store does not answer, or its ``_maineffect.registry`` is not ours.
    """
    if not create and nothing_yet(uri):
        return None
    pointer = quick.experiment_named(uri, _POINTER) or ask(uri, lambda store: store.get_experiment_by_name(_POINTER))
    if pointer is None and not create:
        return None
    if pointer is None:
        holder = hidden_experiment(uri)
        candidate = ask(uri, lambda store: store.create_run(holder, run_name="registry").info.run_id)
        ask(uri, lambda store: store.set_terminated(candidate, "FINISHED"))
        if not _create_experiment(uri, _POINTER, {_TAG: candidate, "mlflow.note.content": _FOR_PEOPLE}):
            ask(uri, lambda store: store.delete_run(candidate))
        pointer = ask(uri, lambda store: store.get_experiment_by_name(_POINTER))
    run = pointer.tags.get(_TAG) if pointer is not None else None
    if run is None:
        raise LedgerError(
            f"the experiment {_POINTER!r} in {redact(uri)} is not maineffect's",
            "rename that experiment, or give another --tracking-uri",
        )
    return Records(uri, run)


def hidden_experiment(uri: str) -> str:
    """Id of the experiment that holds the bookkeeping, apart from what people look at."""
    return experiment(uri, _HIDDEN, {"mlflow.note.content": _FOR_PEOPLE})


def experiment(uri: str, name: str, tags: dict[str, str] | None = None) -> str:
    """Id of the experiment with this name, made if absent. A lost race is a find.

    Raises:
        LedgerError: It was deleted: its name is taken but nothing can be logged to it.
    """
    existing = ask(uri, lambda store: store.get_experiment_by_name(name))
    if existing is None:
        _create_experiment(uri, name, tags or {})
        existing = ask(uri, lambda store: store.get_experiment_by_name(name))
    if existing is None or existing.lifecycle_stage == "deleted":
        shown_id = f"{existing.experiment_id}" if existing is not None else "<id>"
        raise LedgerError(
            f"the experiment {name!r} in {redact(uri)} is deleted",
            f"restore it: mlflow experiments restore --experiment-id {shown_id}; or rename the study",
        )
    return str(existing.experiment_id)


def _create_experiment(uri: str, name: str, tags: dict[str, str]) -> bool:
    """Whether this call created it."""
    from mlflow.exceptions import MlflowException

    root = artifact_root(uri)

    def create(store):  # type: ignore[no-untyped-def]
        try:
            store.create_experiment(name, artifact_location=f"{root}/{name}" if root else None, tags=tags)
        except MlflowException as error:
            if getattr(error, "error_code", "") != "RESOURCE_ALREADY_EXISTS":
                raise
            return False
        return True

    return bool(ask(uri, create))


def sweep_entry(sweep_id: str, value: str) -> SweepEntry:
    """A registry line, read.

    Raises:
        LedgerError: Another version of maineffect wrote it.
    """
    try:
        return SweepEntry(sweep_id=sweep_id, **json.loads(value))
    except (ValueError, TypeError) as error:
        raise LedgerError(
            f"the registry's line of {sweep_id} cannot be read: {error}",
            "read it with the version of maineffect that wrote it",
        ) from None


def list_sweeps(uri: str) -> list[SweepEntry]:
    """Every sweep of the store, oldest first. Creates nothing; an absent SQLite file holds no sweeps."""
    records = registry(uri, create=False)
    if records is None:
        return []
    lines = {key.removeprefix("sweep."): value for key, value in records.read().items() if key.startswith("sweep.")}
    return sorted((sweep_entry(*line) for line in lines.items()), key=lambda entry: (entry.created, entry.sweep_id))


def find_entry(uri: str, reference: str) -> SweepEntry:
    """A sweep by its id, by its study's name (the latest), or by the word ``latest``.

    Raises:
        UsageError: There is none; names the nearest.
    """
    entries = list_sweeps(uri)
    by_id = [entry for entry in entries if entry.sweep_id == reference]
    by_name = [entry for entry in entries if entry.study == reference]
    matches = by_id or by_name or (entries if reference == "latest" else [])
    if matches:
        return matches[-1]
    if not entries:
        raise UsageError(f"no sweep {reference!r}: the ledger {redact(uri)} holds none", "maineffect submit STUDY")
    names = sorted({name for entry in entries for name in (entry.sweep_id, entry.study)})
    close = difflib.get_close_matches(reference, names, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(close)}?" if close else f"known: {', '.join(names[:10])}"
    raise UsageError(f"no sweep {reference!r} in the ledger {redact(uri)}", hint)
