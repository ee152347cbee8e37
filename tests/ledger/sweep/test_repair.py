"""What people see is made to agree with the records; results left behind by an outage are recorded before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from maineffect.contracts import FailureClass, RunRequest, RunResult, RunState
from maineffect.errors import LedgerError
from maineffect.ledger.attempt import recording as attempt_module
from maineffect.ledger.store.connection import client
from maineffect.ledger.sweep.ledger import MlflowLedger, sweep_results
from maineffect.ledger.sweep.repair import close_ghosts, driving, mirror_sweep, publish_leftovers


@pytest.fixture
def abandoned(
    sweep: MlflowLedger, requests: list[RunRequest], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> MlflowLedger:
    """Run 0: its result is on disk, the store was away at the commit. Run 1: killed in mid-training."""

    def away(*args: object, **kwargs: object) -> bool:
        raise LedgerError("the store is away", "wait")

    for request in requests[:2]:
        sweep.claim(request.run_id, 1, "me")
        record = sweep.start_attempt(request, 1, tmp_path / request.run_id / "a1")
        record.log(0, {"loss": 1.0})
        if request is requests[0]:
            with monkeypatch.context() as patch:
                patch.setattr(attempt_module, "publish", away)
                with pytest.raises(LedgerError, match="away"):
                    record.commit(RunResult({"skill": 0.5}), seconds=1)
        else:
            record._uploader.stop()
    return sweep


def test_leftovers_are_recorded_once(abandoned: MlflowLedger, requests: list[RunRequest], tmp_path: Path) -> None:
    assert abandoned.state().runs[requests[0].run_id].state is RunState.RUNNING
    assert publish_leftovers(abandoned, tmp_path).committed == (requests[0].run_id,)
    assert publish_leftovers(abandoned, tmp_path) == type(publish_leftovers(abandoned, tmp_path))()
    assert sweep_results(abandoned)[requests[0].run_id]["responses"] == {"skill": 0.5}


def test_a_leftover_that_came_too_late_is_superseded(
    abandoned: MlflowLedger, requests: list[RunRequest], tmp_path: Path
) -> None:
    request = requests[0]
    abandoned.end_attempt(request.run_id, 1, FailureClass.LEDGER, "the store was away")
    abandoned.claim(request.run_id, 2, "me")
    second = abandoned.start_attempt(request, 2, tmp_path / request.run_id / "a2")
    assert second.commit(RunResult({"skill": 0.7}), seconds=1)
    leftovers = publish_leftovers(abandoned, tmp_path)
    assert (leftovers.committed, leftovers.superseded) == ((), (request.run_id,))
    assert sweep_results(abandoned)[request.run_id]["responses"] == {"skill": 0.7}


def test_driving_begins_with_leftovers_and_ends_with_no_ghost(
    abandoned: MlflowLedger, requests: list[RunRequest], tmp_path: Path
) -> None:
    with driving(abandoned, tmp_path):
        assert abandoned.state().runs[requests[0].run_id].state is RunState.FINISHED, "before anything runs"
        abandoned.records.put(f"end.{requests[1].run_id}.a1", "lost:0.000:its process is gone")
    store = client(abandoned.uri)
    runs = {run.info.run_name: run for run in store.search_runs([abandoned.entry.experiment_id])}
    assert runs[f"{requests[0].run_id} a1"].info.status == "FINISHED"
    ghost = runs[f"{requests[1].run_id} a1"]
    assert (ghost.info.status, ghost.data.tags["me.failure"]) == ("KILLED", "lost")
    assert ghost.data.metrics["train/loss"] == 1.0, "what its spool still held is kept"
    shown = runs[f"sweep {abandoned.sweep_id}"]
    assert (shown.info.status, shown.data.tags["me.state"]) == ("FAILED", "incomplete")
    assert shown.data.tags["me.runs.finished"] == "1"
    assert shown.data.tags["me.runs.failed"] == "1"
    assert shown.data.tags["me.runs.planned"] == "6"


def test_what_runs_as_far_as_anybody_knows_is_left_alone(abandoned: MlflowLedger, requests: list[RunRequest]) -> None:
    assert close_ghosts(abandoned) == []
    assert abandoned.state().runs[requests[1].run_id].state is RunState.RUNNING


def test_a_cancelled_sweep_looks_cancelled(sweep: MlflowLedger, requests: list[RunRequest]) -> None:
    sweep.claim(requests[0].run_id, 1, "me")
    sweep.cancel("ann")
    mirror_sweep(sweep, len(requests))
    assert client(sweep.uri).get_run(sweep.entry.sweep_run).info.status == "RUNNING", "one run has not stopped yet"
    sweep.end_attempt(requests[0].run_id, 1, FailureClass.CANCELLED, "stopped")
    mirror_sweep(sweep, len(requests))
    assert client(sweep.uri).get_run(sweep.entry.sweep_run).info.status == "KILLED"


def test_a_finished_sweep_looks_finished(sweep: MlflowLedger, requests: list[RunRequest], tmp_path: Path) -> None:
    for request in requests:
        sweep.claim(request.run_id, 1, "me")
        sweep.start_attempt(request, 1, tmp_path / request.run_id).commit(RunResult({"skill": 1.0}), seconds=1)
    mirror_sweep(sweep, len(requests))
    run = client(sweep.uri).get_run(sweep.entry.sweep_run)
    assert (run.info.status, run.data.tags["me.state"]) == ("FINISHED", "finished")
