"""The users' day: submit a sweep, see what failed, resubmit exactly that, read the report."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

pytestmark = pytest.mark.ray


def test_failed_runs_are_named_resubmitted_and_analysed_once(workbench) -> None:
    runs = [run["run_id"] for run in workbench.document("design", "study.yaml")["runs"]]
    assert len(runs) == 8
    chosen = sorted([runs[1], runs[4], runs[6]])
    workbench.plan(fail_once=chosen)

    first = workbench.document("submit", "study.yaml", expect=5)
    assert first["counts"] == {"finished": 5, "failed": 3, "running": 0, "planned": 0}
    assert sorted(failure["run_id"] for failure in first["failures"]) == chosen
    assert all(set(failure["levels"]) == {"a", "b", "c"} for failure in first["failures"])
    assert first["failed_at"] is None, "three of eight runs here and there are at no place"
    assert all("planned failure" in failure["message"] for failure in first["failures"])
    assert Counter(workbench.started()) == Counter(runs)  # user errors are not retried

    (listed,) = workbench.document("sweeps")["sweeps"]
    assert (listed["sweep"], listed["runs"]) == (first["sweep"], 8)
    assert listed["counts"] == {"finished": 5, "failed": 3, "running": 0, "planned": 0}

    second = workbench.document("resubmit", "latest")
    assert second["counts"]["finished"] == 8
    assert sorted(workbench.started()[8:]) == chosen

    again = workbench.run("submit", "study.yaml")
    assert len(workbench.started()) == 11, "nothing that finished runs again"
    assert first["sweep"] in again.stdout

    result = workbench.document("analyse", "latest")
    assert result["n_runs"] == 8
    assert result["n_missing"] == 0
    assert sorted(row["run_id"] for row in result["runs"]) == sorted(runs)
    effects = {effect["term"]: effect for effect in result["responses"]["skill"]["effects"]}
    assert effects["a"]["estimate"] == pytest.approx(2.0, abs=0.15)
    assert effects["b"]["estimate"] == pytest.approx(0.0, abs=0.15)
    assert effects["c"]["estimate"] == pytest.approx(-1.0, abs=0.15)
    assert {h["id"]: h["verdict"] for h in result["hypotheses"]} == {"H1": "supported", "H2": "negligible"}

    # The finished sweep is a pilot: its spread, in the response's units, plans the next one.
    pilot = workbench.document("power", "study.yaml", "--pilot", "latest", "--replicates", "2,4")
    spread = pilot["spread"]["skill"]
    assert spread["sigma"] == pytest.approx(result["responses"]["skill"]["model"]["sigma"])
    assert spread["cautious"] > spread["sigma"]
    row = next(row for row in pilot["terms"] if row["term"] == "a")
    assert row["mde_by_response"]["skill"]["mde"] == pytest.approx(row["mde_sigma"] * spread["sigma"])
    assert pilot["hypotheses"][0]["power_alone"] > 0.99

    path = Path(workbench.run("report", "latest").stdout.strip().splitlines()[-1])
    page = path.read_text(encoding="utf-8")
    assert "supported" in page
    assert "known-effects" in page


def test_a_changed_plan_is_refused_until_registered_anew(workbench) -> None:
    first = workbench.run("register", "study.yaml").stdout.strip()
    workbench.study.write_text(workbench.study.read_text().replace("seed: 7", "seed: 8"))
    refused = workbench.run("submit", "study.yaml", expect=4)
    assert "seed" in refused.stderr
    assert "--anew" in refused.stderr
    assert workbench.started() == []
    assert workbench.run("register", "study.yaml", "--anew").stdout.strip() != first


def test_dry_run_writes_nothing(workbench) -> None:
    shutil.rmtree(workbench.folder / "home")
    preview = workbench.document("submit", "study.yaml", "--dry-run")
    assert len(preview["would_run"]) == 8
    assert not (workbench.folder / "home").exists()
    assert not list(workbench.folder.glob("*.registration.json"))


@pytest.mark.slow
def test_kill_nine_of_the_submitter_loses_and_repeats_nothing(workbench) -> None:
    workbench.plan(sleep=1.5)
    process = subprocess.Popen(
        [sys.executable, "-m", "maineffect", "submit", "study.yaml"],
        cwd=workbench.folder,
        env=workbench.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 120
    finished: set[str] = set()
    while time.monotonic() < deadline and len(finished) < 3:
        assert process.poll() is None, "the sweep ended before it could be killed"
        time.sleep(0.5)
        if len(workbench.started()) >= 4:
            status = workbench.document("status", "latest")
            finished = {run["run_id"] for run in status["runs"] if run["state"] == "finished"}
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert len(finished) >= 3

    workbench.plan(sleep=0.0)
    workbench.run("submit", "study.yaml")
    entered = Counter(workbench.started())
    assert all(entered[run_id] == 1 for run_id in finished), "a finished run was repeated"
    result = workbench.document("analyse", "latest")
    assert result["n_runs"] == 8
    assert len({row["run_id"] for row in result["runs"]}) == 8
