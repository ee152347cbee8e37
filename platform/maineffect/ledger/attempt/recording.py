"""One attempt being recorded by the process that runs it: a tracking run, a spool, and one commit or one end."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from maineffect.contracts import OUTPUT_FILE, FailureClass, RunRequest, RunResult
from maineffect.errors import LedgerError
from maineffect.ledger.attempt.left import FOLDER
from maineffect.ledger.attempt.output import send_printed
from maineffect.ledger.attempt.provenance import attempt_facts
from maineffect.ledger.attempt.publish import Identity, close_failed, publish, spool_path
from maineffect.ledger.attempt.results import write_failure, write_result
from maineffect.ledger.attempt.spool import Spool, metric_key
from maineffect.ledger.attempt.upload import Uploader
from maineffect.ledger.store.broker import operation
from maineffect.ledger.store.connection import ask
from maineffect.ledger.store.records import Records
from maineffect.ledger.store.registry import SweepEntry
from maineffect.ledger.store.state import cancelled_by, end_value
from maineffect.ledger.store.texts import redact, storable
from maineffect.preparation import PhaseRequest, TrialRequest
from maineffect.record import tell_run

__all__ = ["MlflowAttempt", "create_tracking_run"]

_COMMIT_PATIENCE = 60.0


class MlflowAttempt:
    """Implements :class:`maineffect.contracts.AttemptRecord` over one tracking run.

    Args:
        uri: Tracking URI.
        entry: The sweep.
        identity: Which attempt this is.
        run_dir: The attempt's private directory: spool, result files, identity.
    """

    def __init__(self, uri: str, entry: SweepEntry, identity: Identity, run_dir: Path) -> None:
        self._uri, self._entry, self._identity, self._folder = uri, entry, identity, run_dir
        self._spool = Spool(spool_path(run_dir))
        self._stop_reason: str | None = None
        self._pid = os.getpid()
        self._printed = 0
        self._uploader = Uploader(uri, identity.tracking_run_id, spool_path(run_dir), on_beat=self._look)

    @property
    def stop_reason(self) -> str | None:
        """Why this attempt should stop, as far as the ledger was heard: the sweep was cancelled, or it was fenced."""
        return self._stop_reason

    def _look(self) -> None:
        """Heard with every heartbeat: one small read. Told with it: what was printed since the last one."""
        control = Records(self._uri, self._entry.control_run).read(patience=0.0)
        who = cancelled_by(control)
        if who is not None:
            self._stop_reason = f"cancelled by {who}"
        elif f"fence.{self._identity.run_id}.a{self._identity.attempt}" in control:
            self._stop_reason = "another driver took this run for lost and ended this attempt"
        with contextlib.suppress(OSError):
            size = (self._folder / OUTPUT_FILE).stat().st_size
            if size != self._printed:
                send_printed(self._uri, self._identity.tracking_run_id, self._folder)
                self._printed = size

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Spool training metrics: microseconds, whatever the ledger does."""
        self._spool.log(step, metrics)

    def _require_own_process(self) -> None:
        """End a copy of this process that the trainable forked and that returned into our code: it is not the run."""
        if os.getpid() != self._pid:
            tell_run("a forked child of the run returned from the trainable; it ends here")
            os._exit(1)

    def _tell_losses(self) -> None:
        """Say in the run's log what its curves miss, and how often the store did not take them at once."""
        counts = {
            "values or calls left out of the curves": self._spool.lost,
            "calls thinned, because the spool was nearly full": self._spool.thinned,
            "uploads that failed and were made up for": self._uploader.failures,
        }
        told = [f"{count} {what}" for what, count in counts.items() if count]
        if told:
            tell_run("; ".join(told))

    def commit(self, result: RunResult, *, seconds: float) -> bool:
        """Send everything, then write the one commit record. May be called again after a LedgerError.

        Raises:
            LedgerError: The store did not take everything within a minute. The result is safe in the run's folder.
        """
        self._require_own_process()
        self._uploader.stop()
        self._spool.close()
        self._tell_losses()
        write_result(self._folder, asdict(self._identity), result, seconds, spool_path(self._folder))
        if Identity.load(self._folder) is None:  # a run may clear its own folder: what is sent says whose it is
            self._identity.save(self._folder)
        return publish(self._uri, self._entry, self._folder, patience=_COMMIT_PATIENCE)

    def fail(self, failure: FailureClass, message: str, *, detail: str = "", seconds: float) -> None:
        """Write the end record; the traceback becomes an artifact.

        Raises:
            LedgerError: The store did not take the end record within a minute.
        """
        self._require_own_process()
        self._uploader.stop()
        self._spool.close()
        self._tell_losses()
        ended = Records(self._uri, self._entry.ledger_run)
        key = f"end.{self._identity.run_id}.a{self._identity.attempt}"
        ended.put(key, end_value(failure, seconds, message), patience=_COMMIT_PATIENCE)
        with contextlib.suppress(LedgerError):
            write_failure(self._folder, redact(detail), spool_path(self._folder))
        close_failed(self._uri, self._identity.tracking_run_id, self._folder, failure, storable(redact(message)))


def create_tracking_run(uri: str, entry: SweepEntry, request: RunRequest, attempt: int, folder: Path) -> str:
    """The attempt as people see it: a child of the sweep's run, with factor levels and seed as params."""
    tags = {
        "mlflow.parentRunId": entry.sweep_run,
        "mlflow.source.name": request.trainable,
        "me.sweep": entry.sweep_id,
        "me.run": request.run_id,
        "me.cell": request.cell_id,
        "me.attempt": str(attempt),
        "me.state": "running",
        FOLDER: str(folder.absolute()),
        **attempt_facts(request.code_version),
    }
    names: tuple[str, ...] = ("seed", "replicate", "block", "whole_plot")
    if isinstance(request, PhaseRequest):
        tags |= {"me.phase": request.name, "me.serves": str(request.serves)}
        names = ("seed",)
    if isinstance(request, TrialRequest):
        tags |= {"me.group": request.group, "me.trial": str(request.number)}
    params = {metric_key(name): str(level)[:5000] for name, level in request.levels.items()}
    for name in names:
        if (value := getattr(request, name)) is not None:
            params.setdefault(name, str(value))
    return _create_run(uri, entry.experiment_id, f"{request.run_id} a{attempt}", tags, params)


@operation
def _create_run(uri: str, experiment: str, name: str, tags: dict[str, str], params: dict[str, str]) -> str:
    from mlflow.entities import Param

    run = ask(uri, lambda store: store.create_run(experiment, run_name=name, tags=tags).info.run_id)
    entries = [Param(key, value or "''") for key, value in params.items()]
    for start in range(0, len(entries), 100):
        batch = entries[start : start + 100]
        ask(uri, lambda store: store.log_batch(run, params=batch, synchronous=True))  # noqa: B023
    return str(run)
