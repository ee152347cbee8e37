"""One tidy row per planned run, from committed attempts alone."""

from __future__ import annotations

import json
import math
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from maineffect.contracts import FailureClass, RunRequest, RunResult
from maineffect.design.model.model import Cell, Design
from maineffect.errors import LedgerError, UsageError
from maineffect.ledger.store.connection import client
from maineffect.ledger.sweep.collect import collect
from maineffect.ledger.sweep.curves import read_curves
from maineffect.ledger.sweep.ledger import MlflowLedger
from maineffect.spec.factors import Factor


def _run(ledger: MlflowLedger, request: RunRequest, attempt: int, folder: Path, skill: float | None) -> None:
    assert ledger.claim(request.run_id, attempt, "me")
    record = ledger.start_attempt(request, attempt, folder / request.run_id / f"a{attempt}")
    for step in range(500):
        record.log(step, {"loss": skill or -1.0})
    if skill is None:
        record.fail(FailureClass.USER_ERROR, f"boom {attempt}\nmore", seconds=2.0)
    else:
        assert record.commit(RunResult({"skill": skill}, {"brier": skill / 2}), seconds=5.0)


@pytest.fixture
def mixed(sweep: MlflowLedger, requests: list[RunRequest], tmp_path: Path) -> MlflowLedger:
    """Run 0 finished, run 1 finished at its second attempt, run 2 failed, run 3 runs, the rest is missing."""
    _run(sweep, requests[0], 1, tmp_path, 0.1)
    _run(sweep, requests[1], 1, tmp_path, None)
    _run(sweep, requests[1], 2, tmp_path, 1 / 3)
    _run(sweep, requests[2], 1, tmp_path, None)
    _run(sweep, requests[2], 2, tmp_path, None)
    assert sweep.claim(requests[3].run_id, 1, "me")
    return sweep


def test_every_run_is_one_row(mixed: MlflowLedger, design: Design) -> None:
    collected = collect(mixed, design, ("skill",))
    table = collected.table
    assert table["run_id"].tolist() == [run.run_id for run in design.runs]
    assert table["status"].tolist() == ["finished", "finished", "user-error", "running"] + 4 * ["missing"]
    assert table["skill"].tolist()[:2] == [0.1, 1 / 3]
    assert table["skill"].isna().tolist() == [False, False] + 6 * [True]
    assert table["hops"].tolist() == [1, 1, 2, 2, 1, 1, 2, 2]
    assert table["reward('x')"].tolist() == 4 * ["plain", "shaped"]
    assert table["attempts"].tolist() == [1, 2, 2, 1, 0, 0, 0, 0]
    assert table["seconds"].tolist()[:2] == [5.0, 5.0]
    assert table["lost_seconds"].tolist() == [0, 2, 4, 0, 0, 0, 0, 0]
    assert table["message"].tolist()[:4] == [None, None, "boom 2 more", None]
    assert table["replicate"].tolist() == [1, 1, 1, 1, 2, 2, 2, 2]
    assert [(f.run_id, f.failure, f.attempts) for f in collected.failures] == [(design.runs[2].run_id, "user-error", 2)]
    assert {run: numbers["brier"] for run, numbers in collected.measures.items()} == {
        design.runs[0].run_id: 0.05,
        design.runs[1].run_id: 1 / 6,
    }


def test_a_result_that_was_tampered_with_is_refused(mixed: MlflowLedger, design: Design) -> None:
    database = sqlite3.connect(mixed.uri.removeprefix("sqlite:///"))
    key = f"result.{design.runs[0].run_id}.a1.0"
    text = database.execute("SELECT value FROM params WHERE key = ?", [key]).fetchone()[0]
    database.execute("UPDATE params SET value = ? WHERE key = ?", [text.replace("0.1", "0.9"), key])
    database.commit()
    database.close()
    with pytest.raises(LedgerError, match="not the one that was committed"):
        collect(mixed, design, ("skill",))


def test_a_factor_named_like_a_column_is_refused(sweep: MlflowLedger, design: Design) -> None:
    named = replace(
        design, factors=(Factor(name="seconds", levels=(1, 2)),), cells=(Cell("c", {"seconds": 1}),), runs=()
    )
    with pytest.raises(UsageError, match="'seconds'"):
        collect(sweep, named, ("skill",))


def test_curves_are_those_of_committed_runs_and_thinned(mixed: MlflowLedger, design: Design, tmp_path: Path) -> None:
    curves = read_curves(mixed, tmp_path / "cache")
    assert set(curves) == {run.run_id for run in design.runs[:2]}
    curve = curves[design.runs[0].run_id]["loss"]
    assert len(curve["steps"]) == 200
    assert (curve["steps"][0], curve["steps"][-1]) == (0, 499)
    assert set(curve["values"]) == {0.1}
    only = read_curves(mixed, tmp_path / "cache", runs=[design.runs[1].run_id], most=10)
    assert list(only) == [design.runs[1].run_id]
    assert len(only[design.runs[1].run_id]["loss"]["steps"]) == 10


@pytest.mark.parametrize("killed", [False, True], ids=["failed", "killed"])
def test_a_resumed_run_has_the_curve_of_all_its_attempts(
    sweep: MlflowLedger, requests: list[RunRequest], tmp_path: Path, killed: bool
) -> None:
    request = requests[0]
    sweep.claim(request.run_id, 1, "me")
    first = sweep.start_attempt(request, 1, tmp_path / "a1")
    for step in range(8):  # the last checkpoint was at step 5
        first.log(step, {"loss": float(step), "early": 1.0})
    if killed:
        from maineffect.ledger.attempt.upload import upload_all

        first._uploader.stop()
        upload_all(sweep.uri, first._identity.tracking_run_id, tmp_path / "a1" / "spool.jsonl", patience=5)
        sweep.end_attempt(request.run_id, 1, FailureClass.LOST, "killed")
    else:
        first.fail(FailureClass.OOM_HOST, "no memory", seconds=1)
    sweep.claim(request.run_id, 2, "me")
    second = sweep.start_attempt(request, 2, tmp_path / "a2")
    for step in range(5, 11):
        second.log(step, {"loss": 100.0 + step})
    assert second.commit(RunResult({"skill": math.pi}), seconds=1)
    curves = read_curves(sweep, tmp_path / "cache")[request.run_id]
    assert curves["loss"]["steps"] == list(range(11))
    assert curves["loss"]["values"] == [0, 1, 2, 3, 4, 105, 106, 107, 108, 109, 110]
    assert curves["early"]["steps"] == list(range(8))


def test_what_a_person_reads_in_result_json_is_what_was_committed(mixed: MlflowLedger, design: Design) -> None:
    status = mixed.state().runs[design.runs[1].run_id]
    path = client(mixed.uri).download_artifacts(status.tracking_run_id, "result.json")
    content = json.loads(Path(path).read_text())
    assert content["responses"] == {"skill": 1 / 3}
    assert (content["run_id"], content["attempt"]) == (design.runs[1].run_id, 2)
