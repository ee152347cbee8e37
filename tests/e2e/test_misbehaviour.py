"""Trainables that raise, diverge, return nonsense, hang or die: each is named, the others go on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

pytestmark = pytest.mark.ray

STUDY = """\
schema_version: 1
name: misbehaviour
trainable: bad:train
factors:
  way: {levels: [fine, raises, not_a_number, wrong_name, nothing, hangs, dies, diverges]}
design: {kind: full, replicates: 1}
responses: {skill: {smallest_effect: 0.5}}
analysis: {terms: main}
resources: {cpus: 1, timeout: 8s, retries: 1}
"""

TRAINABLE = """\
import os, time
from maineffect.contracts import RunDiverged

def train(request, context):
    way = request.levels["way"]
    context.log(0, {"reward": 0.5})
    if way == "raises":
        raise ValueError("the learning rate is a vegetable")
    if way == "not_a_number":
        return {"skill": float("nan")}
    if way == "wrong_name":
        return {"skil": 1.0}
    if way == "nothing":
        return {}
    if way == "hangs":
        time.sleep(600)
    if way == "dies":
        os._exit(9)
    if way == "diverges":
        raise RunDiverged("entropy is gone")
    return {"skill": 1.0}
"""


@pytest.mark.slow
def test_every_way_to_fail_is_classified_and_the_others_go_on(workbench) -> None:
    workbench.study.write_text(STUDY)
    (workbench.folder / "bad.py").write_text(TRAINABLE)
    document = workbench.document("submit", "study.yaml", expect=5)
    assert document["counts"] == {"finished": 1, "failed": 7, "running": 0, "planned": 0}
    way = {run["run_id"]: run["levels"]["way"] for run in document["runs"]}
    failures = {way[failure["run_id"]]: failure for failure in document["failures"]}
    assert {name: failure["class"] for name, failure in failures.items()} == {
        "raises": "user-error",
        "not_a_number": "diverged",
        "wrong_name": "bad-result",
        "nothing": "bad-result",
        "hangs": "timeout",
        "dies": "lost",
        "diverges": "diverged",
    }
    assert "the learning rate is a vegetable" in failures["raises"]["message"]
    assert "skil" in failures["wrong_name"]["message"]
    assert "8 s" in failures["hangs"]["message"]
    # Only a lost worker is tried again by itself, and only as often as the study allows.
    assert {name: failure["attempts"] for name, failure in failures.items()} == {
        **dict.fromkeys(failures, 1),
        "dies": 2,
    }
    said = workbench.run("status", "latest").stdout
    assert "user-error" in said
    assert "timeout" in said


@pytest.mark.slow
def test_interrupting_leaves_a_sweep_that_goes_on(workbench) -> None:
    workbench.plan(sleep=3.0)
    process = subprocess.Popen(
        [sys.executable, "-m", "maineffect", "submit", "study.yaml"],
        cwd=workbench.folder,
        env=workbench.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and len(workbench.started()) < 3:
        time.sleep(0.3)
    mine = psutil.Process(process.pid).children(recursive=True)
    os.kill(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=240)
    assert process.returncode == 130, errors
    assert "submit" in errors
    assert "Traceback" not in errors
    _, alive = psutil.wait_procs(mine, timeout=20)
    assert [child.name() for child in alive] == [], "no orphan process stays behind"
    before = workbench.document("status", "latest")
    assert before["counts"]["finished"] < 8
    assert before["counts"]["running"] == 0

    workbench.plan(sleep=0.0)
    after = workbench.document("submit", "study.yaml")
    assert after["counts"]["finished"] == 8
    again = [run for run in workbench.started() if workbench.started().count(run) > 1]
    finished_before = {run["run_id"] for run in before["runs"] if run["state"] == "finished"}
    assert not finished_before & set(again)


@pytest.mark.slow
def test_a_cancelled_sweep_starts_nothing_until_it_is_resubmitted(workbench) -> None:
    workbench.plan(fail_once=[workbench.document("design", "study.yaml")["runs"][0]["run_id"]])
    workbench.run("submit", "study.yaml", expect=5)
    workbench.run("cancel", "latest")
    assert workbench.document("status", "latest")["cancelled"] is True
    assert workbench.document("resubmit", "latest")["counts"]["finished"] == 8
    assert workbench.document("status", "latest")["cancelled"] is False
