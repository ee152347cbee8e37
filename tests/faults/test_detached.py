"""The verbs on a cluster of separate processes: submitted and forgotten, cancelled and resubmitted from anywhere."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from maineffect.cli import sweeps
from maineffect.code_version import OtherCodeError
from maineffect.errors import MaineffectError, UsageError
from maineffect.execute.cluster.jobs import job_logs, job_of
from maineffect.journey.run.detached import driver_logs, driver_state
from maineffect.ledger.sweep.jobs import JobNote, latest_job, note_job
from maineffect.study import Place, preview

pytestmark = pytest.mark.ray

STUDY = """\
schema_version: 1
name: on-a-cluster
question: Does it matter where a sweep runs?
trainable: known:train
factors:
  a: {levels: [0.0, 1.0]}
  b: {levels: [1, 3]}
design: {kind: full, replicates: 2}
responses:
  skill: {goal: maximize, smallest_effect: 0.5}
hypotheses:
  - {id: H1, term: a, response: skill, direction: increase}
analysis: {terms: main}
resources: {cpus: 1, timeout: 2m, retries: 1}
seed: 7
"""

TRAINABLE = """\
import time
from maineffect.seeds import generator

def train(request, context):
    for step in range(3):
        context.check_cancelled()
        context.log(step, {"reward": step / 3})
        time.sleep(0.1)
    noise = generator(context.seed("noise"), request.run_id).normal(0.0, 0.05)
    return {"skill": float(5.0 + 2.0 * request.levels["a"] - 0.5 * request.levels["b"] + noise)}
"""


@dataclass
class Desk:
    """A folder with the study, and the command line with a home of one's choice."""

    folder: Path

    def run(self, home: str, *words: str, expect: int = 0) -> dict[str, Any]:
        done = subprocess.run(
            [sys.executable, "-m", "maineffect", *words, "--json"],
            cwd=self.folder,
            env={**os.environ, "MAINEFFECT_HOME": str(self.folder.parent / home)},
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == expect, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return json.loads(done.stdout or "{}")


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    folder = tmp_path / "study"
    folder.mkdir()
    (folder / "study.yaml").write_text(STUDY)
    (folder / "known.py").write_text(TRAINABLE)
    return Desk(folder)


def found(result: dict[str, Any]) -> dict[str, Any]:
    """What an analysis found, without where and when."""
    rows = [{name: row[name] for name in ("run_id", "levels", "responses")} for row in result["runs"]]
    kept = {name: value for name, value in result.items() if name not in ("facts", "runs", "curves")}
    curves = {(curve["run_id"], curve["metric"]): curve["values"] for curve in result["curves"]}
    return {"rows": rows, "curves": curves, **kept}


@pytest.mark.slow  # a minute: two jobs on a cluster, and the same sweep once more on this machine
def test_a_detached_sweep_survives_its_client_and_ends_with_the_same_report(desk, cluster, wait) -> None:
    dashboard = f"http://127.0.0.1:{cluster.dashboard}"
    detach = ("--detach", "--address", dashboard)
    first = desk.run("far", "submit", "study.yaml", *detach)
    sweep = first["sweep"]
    assert (first["created"], first["job"]) == (True, f"me-{sweep}-r1")
    assert desk.run("far", "submit", "study.yaml", *detach)["created"] is False, "one driver at a time"
    wait(lambda: desk.run("far", "status", sweep)["counts"]["finished"] >= 1)

    desk.run("far", "cancel", sweep)
    wait(lambda: job_of(dashboard, sweep).status in ("SUCCEEDED", "FAILED"))
    halted = desk.run("far", "status", sweep)
    assert halted["cancelled"]
    assert halted["counts"]["running"] == 0
    assert 1 <= halted["counts"]["finished"] < 8

    again = desk.run("far", "resubmit", sweep, *detach)
    assert (again["created"], again["job"]) == (True, f"me-{sweep}-r2")
    wait(lambda: job_of(dashboard, sweep).status in ("SUCCEEDED", "FAILED"))
    assert desk.run("far", "status", sweep)["counts"]["finished"] == 8, job_logs(dashboard, sweep)

    here = desk.run("near", "submit", "study.yaml")
    assert here["sweep"] == sweep
    far, near = desk.run("far", "analyse", sweep), desk.run("near", "analyse", sweep)
    assert found(far) == found(near)
    assert far["facts"]["design"] == near["facts"]["design"]


# The client can import it; the driver, which was told what code it is sent for, cannot.
NOT_THERE = 'import os\nassert "MAINEFFECT_CODE" not in os.environ, "there is no GPU library here"\n'


@pytest.mark.slow  # half a minute: a cluster starts, a job fails on it and another one ends
def test_watching_waits_for_a_driver_and_says_when_it_failed_before_any_run(desk, cluster) -> None:
    detach = ("--detach", "--address", f"http://127.0.0.1:{cluster.dashboard}")
    (desk.folder / "known.py").write_text(NOT_THERE + TRAINABLE)
    sent = desk.run("far", "submit", "study.yaml", *detach)
    sweep = sent["sweep"]
    ended = desk.run("far", "status", sweep, "--watch")
    assert (ended["job"]["job"], ended["job"]["status"], ended["job"]["active"]) == (sent["job"], "FAILED", False)
    assert (ended["counts"]["finished"], ended["counts"]["failed"]) == (0, 0)
    text = sweeps.status_text(ended)
    assert "which has ended (FAILED), before any run began" in text
    assert f"maineffect logs --job {sweep}" in text
    said = desk.run("far", "logs", "--job", sweep)
    assert "there is no GPU library here" in said["output"]
    assert said["job"] == sent["job"]

    (desk.folder / "known.py").write_text(TRAINABLE)
    assert desk.run("far", "submit", "study.yaml", *detach, "--send-code")["job"] != sent["job"]
    ended = desk.run("far", "status", sweep, "--watch")
    assert ended["counts"]["finished"] == 8, "it waited for the driver to start, and for the runs"
    assert desk.run("far", "logs", "--job", "latest", "--follow")["status"] == "SUCCEEDED"


def test_a_driver_that_was_sent_for_other_code_runs_nothing(desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a job on a cluster finds whose image has not the code that the client saw."""
    study, place = desk.folder / "study.yaml", Place(home=desk.folder.parent / "x")
    monkeypatch.setenv("MAINEFFECT_CODE", "known:train@0123456789ab")
    with pytest.raises(OtherCodeError, match="the sweep was submitted with 0123456789ab") as refused:
        preview(study, place)
    assert "build the image again" in refused.value.hint
    assert refused.value.exit_code == 3
    monkeypatch.setenv("MAINEFFECT_CODE", "another.study:train@0123456789ab")
    assert len(preview(study, place)["would_run"]) == 8


def test_sending_code_needs_a_cluster(desk) -> None:
    assert "--address" in desk.run("x", "submit", "study.yaml", "--send-code", expect=2)["error"]["hint"]
    assert not (desk.folder.parent / "x").exists(), "refused before anything was written"


def test_what_a_driver_printed_is_asked_of_its_cluster(bench) -> None:
    place = Place(home=bench.home, tracking_uri=bench.ledger.uri)
    assert latest_job(bench.ledger) is None
    with pytest.raises(UsageError, match=f"no driver of {bench.ledger.sweep_id} was sent to a cluster"):
        driver_logs("latest", place)
    for number, address in ((1, "http://127.0.0.1:1"), (2, "http://127.0.0.1:1"), (1, "http://127.0.0.1:2")):
        for _ in range(2):
            note_job(bench.ledger, JobNote(f"me-r{number}", address))
        assert latest_job(bench.ledger) == JobNote(f"me-r{number}", address)
    assert sum(key.startswith("job.") for key in bench.ledger.control.read()) == 3, "one note a job"
    assert bench.ledger.state().cancelled_by is None
    with pytest.raises(MaineffectError, match=r"the Ray cluster at http://127\.0\.0\.1:2 does not take jobs"):
        driver_logs("latest", place)
    state = driver_state({"job": "me-r1", "address": "http://127.0.0.1:1"})
    assert (state["status"], state["active"]) == (None, False)
    assert "http://127.0.0.1:1 does not take jobs" in state["message"]


def test_detaching_needs_the_dashboard_and_keeps_passwords_off_it(desk) -> None:
    assert "dashboard" in desk.run("x", "submit", "study.yaml", "--detach", expect=2)["error"]["message"]
    words = ("--detach", "--address", "http://127.0.0.1:1", "--tracking-uri", "http://me:secret@127.0.0.1:2")
    refused = desk.run("x", "submit", "study.yaml", *words, expect=2)
    assert "password" in refused["error"]["message"]
    assert "secret" not in json.dumps(refused)
