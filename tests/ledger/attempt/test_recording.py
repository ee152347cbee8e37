"""An attempt leaves a person something to look at, and exactly one attempt becomes the run's result."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from maineffect.contracts import FailureClass, RunRequest, RunResult, RunState
from maineffect.ledger.attempt.recording import MlflowAttempt
from maineffect.ledger.store.connection import client
from maineffect.ledger.sweep.curves import read_items
from maineffect.ledger.sweep.ledger import MlflowLedger, sweep_results

RESULT = RunResult(
    responses={"skill": 0.1 + 0.2},
    measures={"brier": float("nan"), "ratio": float("inf"), "steps": 3},
    items=[{"id": 1, "right": True, "note": "a"}, {"id": 2, "right": False, "note": 7}],
    texts={"transcripts/sample.jsonl": '{"q": 1}\n', "../../escape.txt": "x", "result.json": "mine"},
)


@pytest.fixture
def begun(sweep: MlflowLedger, requests: list[RunRequest], tmp_path: Path) -> MlflowAttempt:
    assert sweep.claim(requests[0].run_id, 1, "me")
    return sweep.start_attempt(requests[0], 1, tmp_path / "a1")


def test_a_committed_attempt_shows_everything(
    sweep: MlflowLedger, requests: list[RunRequest], begun: MlflowAttempt
) -> None:
    for step in range(1500):
        begun.log(step, {"reward": step / 10})
    assert begun.commit(RESULT, seconds=12.3456)

    request = requests[0]
    status = sweep.state().runs[request.run_id]
    assert (status.state, status.committed_attempt, status.seconds) == (RunState.FINISHED, 1, 12.346)
    run = client(sweep.uri).get_run(status.tracking_run_id)
    assert run.info.status == "FINISHED"
    assert run.info.run_name == f"{request.run_id} a1"
    assert run.data.params == {
        "hops": "1",
        "reward__x__-e622b731": "plain",
        "seed": "101",
        "replicate": "1",
        "block": "1",
    }
    assert run.data.tags["mlflow.parentRunId"] == sweep.entry.sweep_run
    assert {run.data.tags[f"me.{name}"] for name in ("sweep", "run", "cell", "attempt", "state")} == {
        sweep.sweep_id,
        request.run_id,
        request.cell_id,
        "1",
        "finished",
    }
    metrics = run.data.metrics
    assert metrics["skill"] == 0.1 + 0.2, "to the last digit"
    assert math.isnan(metrics["measure/brier"])
    assert metrics["measure/ratio"] > 1e308
    assert metrics["seconds"] == 12.346
    assert len(client(sweep.uri).get_metric_history(run.info.run_id, "train/reward")) == 1500
    kept = {file.path for file in client(sweep.uri).list_artifacts(run.info.run_id)}
    assert kept == {"result.json", "curves.json", "items.parquet", "transcripts", "escape.txt", "texts"}


def test_the_result_comes_back_to_the_last_digit(
    sweep: MlflowLedger, requests: list[RunRequest], begun: MlflowAttempt
) -> None:
    begun.commit(RESULT, seconds=1.0)
    result = sweep_results(sweep)[requests[0].run_id]
    assert result["responses"] == {"skill": 0.1 + 0.2}
    assert math.isnan(result["measures"]["brier"])
    assert result["measures"]["ratio"] == math.inf
    items = read_items(sweep, requests[0].run_id)
    assert items is not None
    assert items["right"].tolist() == [True, False]
    assert [json.loads(note) for note in items["note"]] == ["a", 7], "a column of mixed types is kept as JSON"


def test_committing_again_changes_nothing(
    sweep: MlflowLedger, requests: list[RunRequest], begun: MlflowAttempt
) -> None:
    for step in range(50):
        begun.log(step, {"reward": 1.0})
    assert begun.commit(RESULT, seconds=1.0)
    before = sweep.records.read()
    assert begun.commit(RunResult({"skill": 9.0}), seconds=2.0), "the result that was written first stays"
    assert sweep.records.read() == before
    assert sweep_results(sweep)[requests[0].run_id]["responses"]["skill"] == 0.1 + 0.2
    tracking = sweep.state().runs[requests[0].run_id].tracking_run_id
    assert len(client(sweep.uri).get_metric_history(tracking, "train/reward")) == 50


def test_of_two_attempts_exactly_one_is_the_result(
    sweep: MlflowLedger, requests: list[RunRequest], begun: MlflowAttempt, tmp_path: Path
) -> None:
    request = requests[0]
    sweep.end_attempt(request.run_id, 1, FailureClass.LOST, "no answer")
    assert sweep.claim(request.run_id, 2, "other")
    second = sweep.start_attempt(request, 2, tmp_path / "a2")
    assert second.commit(RunResult({"skill": 2.0}), seconds=1.0)
    assert not begun.commit(RunResult({"skill": 1.0}), seconds=1.0), "the zombie loses"
    status = sweep.state().runs[request.run_id]
    assert (status.committed_attempt, status.attempts) == (2, 2)
    assert sweep_results(sweep)[request.run_id]["responses"] == {"skill": 2.0}
    zombie = client(sweep.uri).get_run(sweep.records.read()[f"start.{request.run_id}.a1"].partition(":")[0])
    assert zombie.info.status == "KILLED"
    assert zombie.data.tags["me.state"] == "superseded"


def test_a_failure_is_named_and_its_traceback_kept(
    sweep: MlflowLedger, requests: list[RunRequest], begun: MlflowAttempt, tmp_path: Path
) -> None:
    begun.log(0, {"reward": 0.5})
    detail = "Traceback …\nfailed to reach postgresql://me:hunter22@db/x\nValueError: boom"
    begun.fail(FailureClass.USER_ERROR, "ValueError: boom\nat postgresql://me:hunter22@db/x", detail=detail, seconds=2)
    status = sweep.state().runs[requests[0].run_id]
    assert status.state is RunState.FAILED
    assert status.ends[0].failure is FailureClass.USER_ERROR
    assert status.ends[0].message == "ValueError: boom at postgresql://me:***@db/x"
    assert status.ends[0].seconds == 2.0
    run = client(sweep.uri).get_run(status.tracking_run_id)
    assert run.info.status == "FAILED"
    assert run.data.tags["me.failure"] == "user-error"
    assert run.data.metrics["train/reward"] == 0.5
    kept = Path(client(sweep.uri).download_artifacts(run.info.run_id, "traceback.txt")).read_text()
    assert "ValueError: boom" in kept
    everything = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert not any(b"hunter22" in content for content in everything), "no secret anywhere on disk"


def test_a_cancelled_attempt_is_killed_not_failed(sweep: MlflowLedger, begun: MlflowAttempt) -> None:
    begun.fail(FailureClass.CANCELLED, "cancelled by ann", seconds=1)
    run = next(iter(sweep.state().runs.values())).tracking_run_id
    assert client(sweep.uri).get_run(run).info.status == "KILLED"


def test_an_end_by_the_driver_and_one_by_the_worker_do_not_both_stand(
    sweep: MlflowLedger, requests: list[RunRequest], begun: MlflowAttempt
) -> None:
    assert sweep.end_attempt(requests[0].run_id, 1, FailureClass.LOST, "its node is gone")
    begun.fail(FailureClass.USER_ERROR, "late", seconds=1)
    assert [end.failure for end in sweep.state().runs[requests[0].run_id].ends] == [FailureClass.LOST]
    assert not sweep.end_attempt(requests[0].run_id, 1, FailureClass.TIMEOUT, "too long")


def test_numbers_of_other_kinds_and_many_measures(
    sweep: MlflowLedger, requests: list[RunRequest], begun: MlflowAttempt
) -> None:
    measures = {f"m{k} (%)": np.float32(k) for k in range(1200)}
    assert begun.commit(RunResult({"skill": np.float64(0.3)}, measures), seconds=1)  # type: ignore[arg-type]
    result = sweep_results(sweep)[requests[0].run_id]
    assert result["responses"]["skill"] == 0.3
    assert result["measures"]["m1199 (%)"] == 1199.0
