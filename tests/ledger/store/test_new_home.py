"""A store that is just being made, and a home that was moved."""

from __future__ import annotations

import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from maineffect.contracts import RunResult
from maineffect.journey.plan.check import check
from maineffect.journey.plan.place import Place
from maineffect.journey.plan.requests import plan_requests
from maineffect.journey.run.submission import open_submission, stored_submission
from maineffect.ledger.store.connection import prepare
from maineffect.register import freeze
from maineffect.study import analyse_sweep, driver_record, logs, resubmit, status, write_report

STUDY = """\
schema_version: 1
name: moved
trainable: mine:train
factors: {a: {levels: [0, 1]}}
design: {kind: full, replicates: 2}
responses: {y: {goal: maximize}}
"""
TRAINABLE = """
def train(request, context):
    print("trained in the new place")
    return {"y": 1.0 + request.levels["a"]}
"""
OPENS = """
import sys
from pathlib import Path
from maineffect.journey.plan.place import Place
from maineffect.ledger.store.connection import ask, prepare
from maineffect.ledger.store.registry import registry
place = Place(home=Path(sys.argv[1]))
sys.stdin.readline()
prepare(place.uri())
ask(place.uri(), lambda store: store.search_experiments(max_results=5))
print(registry(place.uri(), create=True).tracking_run_id)
"""


def opened_at_once(home: Path, processes: int) -> list[str]:
    """What each process found that opened the same new home at the same moment."""
    started = [
        subprocess.Popen(
            [sys.executable, "-c", OPENS, str(home)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(processes)
    ]
    for process in started:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    ended = [process.communicate(timeout=500) for process in started]
    assert [err for _, err in ended if "Error" in err] == []
    return [out.strip().splitlines()[-1] for out, _ in ended]


@pytest.mark.live
def test_processes_that_open_a_new_home_at_once_find_one_store(tmp_path: Path) -> None:
    assert len(set(opened_at_once(tmp_path / "home", 4))) == 1


@pytest.mark.slow
def test_twenty_processes_open_a_new_home_at_once(tmp_path: Path) -> None:
    assert len(set(opened_at_once(tmp_path / "home", 20))) == 1


@pytest.mark.ray
@pytest.mark.timeout(300)
def test_a_folder_that_was_renamed_is_read_and_gone_on_with(tmp_path: Path) -> None:
    """Study and home lie in one folder, as they do by default; after two of four runs the folder is renamed."""
    old = tmp_path / "before"
    old.mkdir()
    (old / "mine.py").write_text(TRAINABLE)
    path = old / "my-study.yaml"
    path.write_text(STUDY)
    place, checked = Place(home=old / ".maineffect"), check(path)
    prepare(place.uri())
    registration = freeze.require_registered(checked.study, checked.design, path, again=False, now=datetime.now(UTC))
    ledger = open_submission(checked, place, registration)
    done = plan_requests(checked, ledger.sweep_id)[:2]
    for request in done:
        assert ledger.claim(request.run_id, 1, "test")
        attempt = ledger.start_attempt(request, 1, place.home / "runs" / request.run_id)
        attempt.log(1, {"reward": 0.5})
        assert attempt.commit(RunResult({"y": 5.0}), seconds=1.0)

    new = tmp_path / "after"
    shutil.move(old, new)
    place = Place(home=new / ".maineffect")
    assert stored_submission("moved", place)[0].path == new / "my-study.yaml"
    assert status("moved", place)["counts"]["finished"] == 2
    ended = resubmit("moved", place)
    assert ended["counts"] == {"planned": 0, "running": 0, "finished": 4, "failed": 0}
    assert not old.exists(), "nothing was written to where the home was"
    fresh = next(run for run in ended["runs"] if run["run_id"] not in {request.run_id for request in done})
    assert "trained in the new place" in logs("moved", fresh["run_id"], place)["attempts"][0]["output"]
    record = driver_record("moved", place)["record"]
    assert "is resubmitted: 4 runs" in record
    assert record.count("attempt 1 is started") == 2
    result = analyse_sweep("moved", place)
    assert {curve.run_id for curve in result.curves} == {request.run_id for request in done}
    assert write_report(result, place).is_relative_to(new)
    assert not old.exists()
