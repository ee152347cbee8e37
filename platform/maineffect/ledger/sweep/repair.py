"""Making the MLflow UI agree with the records: for people only, the records are never changed.

Attempts whose worker was killed stay "running" in the UI, and a tag may be missing because the store was away when it
was due. Nothing here is needed for a sweep to go on.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from maineffect.contracts import RunState
from maineffect.errors import LedgerError
from maineffect.ledger.attempt.publish import Identity, mirror, publish, published, spool_path
from maineffect.ledger.attempt.serving import open_broker
from maineffect.ledger.attempt.upload import upload_all
from maineffect.ledger.store.connection import ask
from maineffect.ledger.sweep.ledger import MlflowLedger
from maineffect.ledger.sweep.looks import stopped_at

__all__ = ["Leftovers", "close_ghosts", "driving", "mirror_sweep", "publish_leftovers"]


@dataclass(frozen=True)
class Leftovers:
    """What was found in the folders of attempts and sent.

    Attributes:
        committed: Runs that have their result now.
        superseded: Runs whose result had come from another attempt.
        waiting: Runs whose result the store still does not take.
    """

    committed: tuple[str, ...] = ()
    superseded: tuple[str, ...] = ()
    waiting: tuple[str, ...] = ()


def publish_leftovers(ledger: MlflowLedger, folder: Path, *, patience: float = 5.0) -> Leftovers:
    """Send results that a slow or absent store could not take when they were made.

    Args:
        ledger: The sweep.
        folder: Folder that holds the folders of the sweep's attempts, at most three levels down.
        patience: Seconds of waiting for the store, per call.
    """
    sorted_by: dict[str, list[str]] = {"committed": [], "superseded": [], "waiting": []}
    for place, identity in _attempts(ledger, folder):
        if published(place) or not (place / "result").is_dir():
            continue
        try:
            won = publish(ledger.uri, ledger.entry, place, patience=patience)
        except LedgerError:
            sorted_by["waiting"].append(identity.run_id)
        else:
            sorted_by["committed" if won else "superseded"].append(identity.run_id)
    return Leftovers(*(tuple(run_ids) for run_ids in sorted_by.values()))


def close_ghosts(ledger: MlflowLedger, folder: Path | None = None) -> list[str]:
    """End tracking runs that still look alive though their attempt ended, lost, or was never recorded as started.

    Args:
        ledger: The sweep.
        folder: Folder of attempts on this machine; what their spools still hold is uploaded first.

    Returns:
        Tracking runs that were ended.
    """
    records = ledger.records.read()
    alive = _living(ledger)
    started = {
        value.partition(":")[0]: key.removeprefix("start.") for key, value in records.items() if key[:6] == "start."
    }
    attempts = _attempts(ledger, folder) if folder is not None and alive else ()
    spools = {identity.tracking_run_id: spool_path(place) for place, identity in attempts}
    closed = []
    for tracking in alive:
        run_id, _, attempt = started.get(tracking, "").rpartition(".a")
        commit = records.get(f"commit.{run_id}", "")
        ended = records.get(f"end.{run_id}.a{attempt}", "")
        if run_id and not commit and not ended:
            continue  # as far as anybody knows, it runs
        if tracking in spools:
            upload_all(ledger.uri, tracking, spools[tracking], patience=10.0)
        if commit.startswith(f"a{attempt}:"):
            mirror(ledger.uri, tracking, {"me.state": "finished"}, "FINISHED")
        else:
            failure = ended.partition(":")[0] or ("superseded" if commit else "lost")
            state = "failed" if ended else failure
            mirror(ledger.uri, tracking, {"me.state": state, "me.failure": failure}, "KILLED")
        closed.append(tracking)
    return closed


def _living(ledger: MlflowLedger) -> list[str]:
    """Attempts that the UI shows as running. A search, so never for decisions and never in a loop."""
    query = f"tags.\"me.sweep\" = '{ledger.sweep_id}' and tags.\"mlflow.parentRunId\" = '{ledger.entry.sweep_run}'"
    running: list[str] = []
    token: str | None = None
    while True:
        page = ask(
            ledger.uri,
            lambda store: store.search_runs(
                [ledger.entry.experiment_id],
                f"{query} and attributes.status = 'RUNNING'",
                max_results=500,
                page_token=token,  # noqa: B023
            ),
        )
        running += [run.info.run_id for run in page]
        token = page.token
        if not token:
            return running


def _attempts(ledger: MlflowLedger, folder: Path) -> Iterator[tuple[Path, Identity]]:
    """Folders of this sweep's attempts, up to three levels down (checkpoints below them are not looked through)."""
    for depth in range(4):
        for path in sorted(folder.glob("*/" * depth + "attempt.json")):
            identity = Identity.load(path.parent)
            if identity is not None and identity.sweep_id == ledger.sweep_id:
                yield path.parent, identity


def mirror_sweep(ledger: MlflowLedger, planned: int) -> None:
    """Show on the sweep's own page how far it is."""
    state = ledger.state()
    counts = {kind: sum(run.state is kind for run in state.runs.values()) for kind in RunState}
    counts[RunState.PLANNED] = planned - len(state.runs) + counts[RunState.PLANNED]
    done = counts[RunState.FINISHED] == planned
    running = counts[RunState.RUNNING] > 0
    word = "finished" if done else "running" if running else "cancelled" if state.cancelled_by else "incomplete"
    if word == "incomplete" and stopped_at(ledger.control.read()) is not None:
        word = "stopped-early"
    tags = {"me.state": word, **{f"me.runs.{kind.value}": str(count) for kind, count in counts.items()}}
    status = {"running": "RUNNING", "cancelled": "KILLED", "incomplete": "FAILED"}.get(word, "FINISHED")
    mirror(ledger.uri, ledger.entry.sweep_run, tags, status)


@contextlib.contextmanager
def driving(ledger: MlflowLedger, folder: Path) -> Iterator[None]:
    """What a driver does around the running of a sweep.

    Before: results that an earlier store outage left in ``folder`` are recorded, so that their runs are not run again.
    Meanwhile: the runs of this machine are served. Afterwards: what people see is made to agree with the records.

    Raises:
        LedgerError: The store does not answer at the start.
    """
    publish_leftovers(ledger, folder)
    with open_broker(ledger.uri):
        try:
            yield
        finally:
            with contextlib.suppress(LedgerError):
                publish_leftovers(ledger, folder)
                close_ghosts(ledger, folder)
                mirror_sweep(ledger, ledger.entry.runs)
