"""Reading SQLite directly gives what MLflow gives, without MLflow."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

from maineffect.contracts import RunRequest, RunResult
from maineffect.ledger.attempt.upload import PREFIX
from maineffect.ledger.store import quick
from maineffect.ledger.store.connection import client
from maineffect.ledger.store.registry import list_sweeps
from maineffect.ledger.sweep.ledger import MlflowLedger


@pytest.fixture
def used(sweep: MlflowLedger, requests: list[RunRequest], tmp_path: Path) -> MlflowLedger:
    sweep.claim(requests[0].run_id, 1, "mé")
    record = sweep.start_attempt(requests[0], 1, tmp_path / "a1")
    record.log(0, {"loss": 1.0})
    record.commit(RunResult({"skill": 1 / 3}, {"brier": math.nan}), seconds=1)
    return sweep


def test_both_ways_give_the_same(used: MlflowLedger) -> None:
    store = client(used.uri)
    for run in (used.entry.ledger_run, used.entry.results_run, used.entry.control_run, used.entry.sweep_run):
        asked = store.get_run(run)
        assert quick.params(used.uri, run) == asked.data.params
        assert quick.artifact_uri(used.uri, run) == asked.info.artifact_uri
        assert quick.tags(used.uri, run) == asked.data.tags
    tracking = used.state().runs[next(iter(used.state().runs))].tracking_run_id
    measured, asked = quick.metrics(used.uri, tracking), store.get_run(tracking).data.metrics
    assert measured is not None
    assert math.isnan(measured.pop("measure/brier"))
    assert math.isnan(asked.pop("measure/brier"))
    assert measured == asked
    curves = quick.histories(used.uri, tracking, PREFIX)
    assert curves == {f"{PREFIX}loss": {p.step: p.value for p in store.get_metric_history(tracking, f"{PREFIX}loss")}}
    assert curves == {f"{PREFIX}loss": {0: 1.0}}
    assert len(used.records.read()) == 3
    key = f"commit.{next(iter(used.state().runs))}"
    assert quick.param(used.uri, used.entry.ledger_run, key) == used.records.read()[key]
    assert quick.param(used.uri, used.entry.ledger_run, "commit.none") is None
    for name in ("known", "_maineffect.registry"):
        asked = store.get_experiment_by_name(name)
        found = quick.experiment_named(used.uri, name)
        assert found is not None
        assert (found.experiment_id, found.lifecycle_stage) == (asked.experiment_id, asked.lifecycle_stage)
        assert found.artifact_location == asked.artifact_location
        assert found.tags == asked.tags


def test_what_is_not_as_expected_is_left_to_mlflow(used: MlflowLedger, tmp_path: Path) -> None:
    assert quick.params(used.uri, "0" * 32) is None
    assert quick.params("http://127.0.0.1:1", used.entry.ledger_run) is None
    assert quick.params(f"sqlite:///{tmp_path}/none.db", "x") is None
    assert not (tmp_path / "none.db").exists()
    assert quick.experiment_named(used.uri, "none") is None
    assert quick.histories("http://127.0.0.1:1", "x", PREFIX) is None
    (tmp_path / "text.db").write_text("no database at all" * 100)
    assert quick.params(f"sqlite:///{tmp_path}/text.db", "x") is None


def test_status_and_results_need_no_mlflow(used: MlflowLedger, tmp_path: Path) -> None:
    code = """
import json, sys
from pathlib import Path
from maineffect.ledger.sweep.ledger import find_sweep, load_sweep, stored_sweep, sweep_results
from maineffect.ledger.sweep.curves import read_curves
ledger = find_sweep(sys.argv[1], "latest")
run = next(iter(ledger.state().runs))
print(json.dumps([
    sweep_results(ledger)[run]["responses"]["skill"], ledger.cancelled(), stored_sweep(ledger).study_text,
    list(read_curves(ledger, Path(sys.argv[2]))[run]),
    [module for module in ("mlflow", "pandas", "ray", "torch") if module in sys.modules],
]))
"""
    words = [sys.executable, "-c", code, used.uri, str(tmp_path / "cache")]
    said = json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout)
    assert said == [1 / 3, False, "name: known\n# a comment that must survive\n", ["loss"], []]
    assert len(list_sweeps(used.uri)) == 1
