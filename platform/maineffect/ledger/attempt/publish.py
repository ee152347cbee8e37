"""From an attempt's folder into the ledger: everything first, counted, and the one commit record last.

Works on files alone, so the process that trained, a later one, or another one on the same machine may do it; doing it
twice changes nothing.
"""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from maineffect.contracts import FailureClass
from maineffect.errors import LedgerError, StoreRefusedError
from maineffect.ledger.attempt.results import digest, read_result
from maineffect.ledger.attempt.spool import metric_key
from maineffect.ledger.attempt.upload import PREFIX, upload_all
from maineffect.ledger.store import quick
from maineffect.ledger.store.artifacts import artifact_folder
from maineffect.ledger.store.broker import operation
from maineffect.ledger.store.connection import ask, explain
from maineffect.ledger.store.records import Records, split_result
from maineffect.ledger.store.registry import SweepEntry
from maineffect.ledger.store.state import Commit
from maineffect.ledger.store.texts import redact

__all__ = ["Identity", "mirror", "publish", "published"]

_RESPONSE, _MEASURE, _SECONDS = "response/", "measure/", "seconds"
_IDENTITY, _PUBLISHED, _SPOOL = "attempt.json", "published", "spool.jsonl"


@dataclass(frozen=True)
class Identity:
    """Which attempt a folder belongs to; kept in the folder as ``attempt.json``, and a part of its result.

    ``code`` and ``content`` say what was run, by which the result is recognised later.
    """

    sweep_id: str
    run_id: str
    cell_id: str
    attempt: int
    tracking_run_id: str
    code: str = ""
    content: str = ""

    def save(self, folder: Path) -> None:
        """Write it to the folder, with private mode."""
        aside = folder / f".{_IDENTITY}.{os.getpid()}"
        aside.write_text(json.dumps(asdict(self)))
        aside.chmod(0o600)
        aside.replace(folder / _IDENTITY)

    @classmethod
    def load(cls, folder: Path) -> Identity | None:
        """Read it, or None where no attempt was begun."""
        try:
            return cls(**json.loads((folder / _IDENTITY).read_text()))
        except (OSError, ValueError, TypeError):
            return None


def spool_path(folder: Path) -> Path:
    """Where an attempt's training metrics are."""
    return folder / _SPOOL


def published(folder: Path) -> bool:
    """Whether the folder's result is in the ledger already (its own commit, or another attempt's)."""
    return (folder / _PUBLISHED).exists()


@operation
def publish(uri: str, entry: SweepEntry, folder: Path, *, patience: float) -> bool:
    """Send an attempt's result and commit it.

    Args:
        uri: Tracking URI.
        entry: The sweep.
        folder: The attempt's folder, with a complete ``result``.
        patience: Seconds of waiting for the store, per call.

    Returns:
        Whether this attempt is the run's result.

    Raises:
        LedgerError: The store did not take everything; the folder keeps it, and this may be called again.
    """
    identity = Identity.load(folder)
    if identity is None or not (folder / "result").is_dir():
        raise LedgerError(f"{folder} holds no result to record", "resubmit the run")
    text = (folder / "result" / "result.json").read_text(encoding="utf-8")
    content = read_result(text)
    upload_all(uri, identity.tracking_run_id, spool_path(folder), patience=patience)
    finals = _finals(content)
    _log_finals(uri, identity.tracking_run_id, finals, content["finished_ms"], patience)
    _send(uri, identity.tracking_run_id, folder / "result", patience)
    _verify(uri, identity.tracking_run_id, finals, folder / "result", patience)
    results = Records(uri, entry.results_run)
    for key, part in split_result(identity.run_id, identity.attempt, text).items():
        if not results.put(key, part, patience=patience):
            raise StoreRefusedError(f"{key} holds another result already, and keeps it", "resubmit the run")
    commit = Commit(identity.attempt, identity.tracking_run_id, digest(text), content["seconds"])
    won = Records(uri, entry.ledger_run).put(f"commit.{identity.run_id}", commit.value(), patience=patience)
    (folder / _PUBLISHED).write_text("committed" if won else "superseded")
    if won:
        mirror(uri, identity.tracking_run_id, {}, "FINISHED")
    else:
        mirror(uri, identity.tracking_run_id, {"me.state": "superseded"}, "KILLED")
    return won


def _finals(content: Mapping[str, Any]) -> dict[str, float]:
    """Final numbers as a person sees them: responses under their own names, the rest apart."""
    named = {metric_key(_response_name(name)): value for name, value in content["responses"].items()}
    named |= {metric_key(f"{_MEASURE}{name}"): value for name, value in content["measures"].items()}
    return {**named, _SECONDS: content["seconds"]}


def _response_name(name: str) -> str:
    """A response keeps its name, unless a curve, a measure or the run's time could have it too."""
    return f"{_RESPONSE}{name}" if name.startswith((PREFIX, _MEASURE, _RESPONSE)) or name == _SECONDS else name


def _log_finals(uri: str, run: str, finals: Mapping[str, float], moment: int, patience: float) -> None:
    """Final numbers, and in the same call the state that the commit is about to give."""
    from mlflow.entities import Metric, RunTag

    metrics = [Metric(name, value, moment, 0) for name, value in finals.items()]
    tags = [RunTag("me.state", "finished")]
    for start in range(0, len(metrics), 900):
        batch = metrics[start : start + 900]
        ask(uri, lambda store: store.log_batch(run, metrics=batch, tags=tags, synchronous=True), patience=patience)  # noqa: B023


def _send(uri: str, run: str, folder: Path, patience: float) -> None:
    place = artifact_folder(uri, run)
    if place is None:
        ask(uri, lambda store: store.log_artifacts(run, str(folder)), patience=patience)
        return
    try:
        shutil.copytree(folder, place, dirs_exist_ok=True)
    except OSError as error:
        raise explain(uri, error) from None


def _verify(uri: str, run: str, finals: Mapping[str, float], folder: Path, patience: float) -> None:
    """A store that says yes and keeps nothing must not lead to a commit."""
    kept = quick.metrics(uri, run)
    if kept is None:
        kept = ask(uri, lambda store: dict(store.get_run(run).data.metrics), patience=patience)
    numbers = [name for name, value in finals.items() if not _same(kept.get(name), value)]
    sizes = _sizes(uri, run, patience)
    files = []
    for path in folder.iterdir():
        right = (None, path.stat().st_size) if path.is_file() else (None, 0)
        files += [] if path.name in sizes and sizes[path.name] in right else [path.name]
    for missing, store in ((numbers, "tracking store"), (files, "artifact store")):
        if missing:
            raise StoreRefusedError(
                f"the ledger {redact(uri)} does not hold what it was given for run {run}: {', '.join(missing[:5])}",
                f"see what its {store} says of it",
            )


def _sizes(uri: str, run: str, patience: float) -> dict[str, int | None]:
    """What the artifact store holds of a run, at its top: name → size of a file, None of a folder."""
    place = artifact_folder(uri, run)
    if place is not None:
        return {path.name: path.stat().st_size if path.is_file() else None for path in place.iterdir()}
    return ask(uri, lambda store: {file.path: file.file_size for file in store.list_artifacts(run)}, patience=patience)


def _same(kept: float | None, value: float) -> bool:
    if kept is None:
        return False
    # MLflow keeps infinities as the largest double.
    return kept == value or (math.isnan(kept) and math.isnan(value)) or (math.isinf(value) and abs(kept) > 1e308)


@operation
def mirror(uri: str, run: str, tags: Mapping[str, str], status: str, *, patience: float = 5.0) -> bool:
    """Show a state to people. Never read for decisions, so a failure is harmless; ``repair`` makes up for it."""
    from mlflow.entities import RunTag

    entries = [RunTag(name, value[:5000]) for name, value in tags.items()]
    try:
        if entries:
            ask(uri, lambda store: store.log_batch(run, tags=entries, synchronous=True), patience=patience)
        ask(uri, lambda store: store.set_terminated(run, status), patience=patience)
    except LedgerError:
        return False
    return True


@operation
def close_failed(uri: str, run: str, folder: Path, failure: FailureClass, message: str) -> None:
    """Show a failed attempt to people: curves, traceback, state. Does what it can and raises nothing."""
    status = "KILLED" if failure in (FailureClass.CANCELLED, FailureClass.LOST) else "FAILED"
    try:
        upload_all(uri, run, spool_path(folder), patience=10.0)
        _send(uri, run, folder / "failure", 10.0)
    except LedgerError:
        pass
    mirror(uri, run, {"me.state": "failed", "me.failure": failure.value, "me.message": message}, status)
