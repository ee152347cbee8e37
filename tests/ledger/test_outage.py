"""The MLflow server is killed and comes back: no step is stalled, nothing is lost, nothing comes twice."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from maineffect.contracts import FailureClass, RunRequest, RunResult, RunState
from maineffect.errors import LedgerError
from maineffect.ledger.attempt import recording as attempt_module
from maineffect.ledger.store.connection import client
from maineffect.ledger.sweep.collect import collect
from maineffect.ledger.sweep.curves import read_curves, read_items
from maineffect.ledger.sweep.ledger import MlflowLedger, open_sweep, stored_sweep
from maineffect.ledger.sweep.repair import publish_leftovers


@pytest.fixture
def remote(server, plan: dict[str, Any]) -> MlflowLedger:
    if server.process is None:
        server.start()
    return open_sweep(server.uri, "known-12345678", study_name="known", study_text="name: known\n", plan=plan)


@pytest.mark.live
def test_a_server_that_dies_and_comes_back(
    server, remote: MlflowLedger, design, requests: list[RunRequest], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = requests[0]
    assert remote.claim(request.run_id, 1, "me")
    record = remote.start_attempt(request, 1, tmp_path / "a1")
    slowest = 0.0
    for step in range(1200):
        if step == 400:
            server.kill()
        started = time.perf_counter()
        record.log(step, {"loss": step / 3, "reward": -float(step)})
        slowest = max(slowest, time.perf_counter() - started)
        time.sleep(0.002)
    assert slowest < 0.5, "no step waits for the store"
    result = RunResult({"skill": 0.7}, items=[{"id": 1, "right": True}])
    monkeypatch.setattr(attempt_module, "_COMMIT_PATIENCE", 0.5)
    with pytest.raises(LedgerError, match="does not answer"):
        record.commit(result, seconds=2.0)

    server.start()
    assert remote.state().runs[request.run_id].state is RunState.RUNNING, "nothing was committed half"
    # Another process may finish it from the files, and the run itself may try again: both give one result.
    leftovers = publish_leftovers(remote, tmp_path)
    assert leftovers.committed == (request.run_id,)
    assert publish_leftovers(remote, tmp_path).committed == ()
    assert record.commit(result, seconds=2.0)

    tracking = remote.state().runs[request.run_id].tracking_run_id
    for key in ("train/loss", "train/reward"):
        history = client(remote.uri).get_metric_history(tracking, key)
        assert sorted(point.step for point in history) == list(range(1200)), "each step once"
    assert collect(remote, design, ("skill",)).table["skill"].tolist()[0] == 0.7
    assert len(read_curves(remote, tmp_path / "cache")[request.run_id]["loss"]["steps"]) == 200
    items = read_items(remote, request.run_id)
    assert items is not None
    assert items.to_dict("records") == [{"id": 1, "right": True}]


@pytest.mark.live
def test_everything_works_through_a_server(remote: MlflowLedger, requests: list[RunRequest], tmp_path: Path) -> None:
    assert stored_sweep(remote).study_text == "name: known\n"
    request = requests[1]
    assert remote.claim(request.run_id, 1, "me")
    assert not remote.claim(request.run_id, 1, "you")
    record = remote.start_attempt(request, 1, tmp_path / "a1")
    record.fail(FailureClass.OOM_GPU, "CUDA out of memory", detail="Traceback", seconds=1.5)
    status = remote.state().runs[request.run_id]
    assert status.ends[0].failure is FailureClass.OOM_GPU
    run = client(remote.uri).get_run(status.tracking_run_id)
    assert (run.info.status, run.data.tags["me.failure"]) == ("FAILED", "oom-gpu")
    remote.cancel("ann")
    assert not remote.claim(request.run_id, 2, "me")
    remote.reopen("ann")
