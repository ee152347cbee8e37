"""A run that the store refuses ends as failed with the store's reason; its result is kept, and can be taken up."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from maineffect.contracts import FailureClass, RunState
from maineffect.execute.attempt.context import attempt_folder
from maineffect.execute.cluster.needs import Needs
from maineffect.journey.run.kept import record_kept_results
from maineffect.ledger.store.connection import client
from maineffect.ledger.sweep.ledger import sweep_results

# Somebody deletes the run's page in MLflow while it trains: from then on the store refuses everything for it.
TRAINABLE = """
import json, os
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
from mlflow import MlflowClient
from pathlib import Path

def train(request, context):
    with Path(request.settings["diary"]).open("a") as file:
        file.write(request.run_id + "\\n")
    if request.run_id in request.settings["deleted"]:
        tracking = json.loads((context.run_dir / "attempt.json").read_text())["tracking_run_id"]
        MlflowClient(request.settings["uri"]).delete_run(tracking)
    return {"skill": 0.5 + request.levels["a"]}
"""


@pytest.mark.live
@pytest.mark.ray
@pytest.mark.usefixtures("ray_here")
@pytest.mark.timeout(300)
def test_a_refused_run_fails_the_sweep_ends_and_its_result_is_taken_up(bench: Any) -> None:
    (bench.folder / "deleting.py").write_text(TRAINABLE)
    uri = bench.ledger.uri
    requests = [replace(request, trainable="deleting:train") for request in bench.requests(3, uri=uri, deleted=["r1"])]
    runs = bench.run(requests, Needs(timeout=120, retries=2))
    assert {run_id: status.state for run_id, status in runs.items()} == {
        "r0": RunState.FINISHED,
        "r1": RunState.FAILED,
        "r2": RunState.FINISHED,
    }
    (end,) = runs["r1"].ends
    assert end.failure is FailureClass.REFUSED
    assert not end.failure.transient, "the same result would be refused again"
    assert "refused" in end.message
    folder = attempt_folder(bench.home, requests[1].sweep_id, "r1", 1)
    assert str(folder) in end.message
    assert (folder / "result" / "result.json").is_file()
    assert sorted(bench.diary.read_text().split()) == ["r0", "r1", "r2"], "each was trained once"

    told: list[str] = []
    assert record_kept_results(bench.ledger, bench.home, None, told.append) == []
    assert any("refused again" in line for line in told)

    client(uri).restore_run(runs["r1"].tracking_run_id)
    assert record_kept_results(bench.ledger, bench.home, ["r0"], told.append) == [], "only what was chosen"
    other = bench.folder / "another home"
    assert record_kept_results(bench.ledger, other, None, told.append) == ["r1"], "found where its attempt ran"
    assert bench.ledger.state().runs["r1"].state is RunState.FINISHED
    assert sweep_results(bench.ledger)["r1"]["responses"] == {"skill": 1.5}
    runs = bench.run(requests, Needs(timeout=120, retries=2), retry_failed=True)
    assert sorted(bench.diary.read_text().split()) == ["r0", "r1", "r2"], "nothing is trained again"
