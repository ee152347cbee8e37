"""Whole sweeps of a plain script by the real command line, on Ray and MLflow: to a report, and to a time limit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.homes import ready_home

pytestmark = pytest.mark.ray

STUDY = """\
schema_version: 1
name: commanded
trainable: command
factors:
  gain: {levels: [0.0, 2.0]}
  words: {levels: ["a; touch owned", "$(touch owned)"]}
design: {kind: full, replicates: 2}
responses:
  skill: {goal: maximize, smallest_effect: 0.5}
hypotheses:
  - {id: H1, term: gain, response: skill, direction: increase}
  - {id: H2, term: words, response: skill, direction: negligible}
analysis: {terms: main}
settings:
  command: >-
    {python} train.py --gain {gain} --words {words} --seed {seed} --out {results} --metrics {metrics}
  env: {SWEEP_TOKEN: "${TEAM_TOKEN}"}
  steps: 3
resources: {cpus: 1, timeout: 2m, retries: 1}
seed: 7
"""

# Effect of gain: +2; of the words: none. Every run leaves a process of its own behind, in another session.
SCRIPT = """\
import argparse, json, os, random, subprocess, sys
p = argparse.ArgumentParser()
for name in ("gain", "words", "seed", "out", "metrics"):
    p.add_argument("--" + name)
a = p.parse_args()
left = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
with open(os.environ["PIDS"], "a") as file:
    print(left.pid, file=file)
print("the words are", a.words, "and the token is", os.environ["SWEEP_TOKEN"])
for step in range(3):
    with open(a.metrics, "a") as file:
        print(json.dumps({"step": step, "reward": step / 3}), file=file)
noise = random.Random(a.seed + a.words).gauss(0, 0.05)
items = [{"item_id": str(n), "score": 1.0} for n in range(3)]
json.dump({"responses": {"skill": 5 + float(a.gain) + noise}, "measures": {"extra": 1}, "items": items}, open(a.out, "w"))
"""

HANGING = """\
import os, subprocess, sys, time
child = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
pids = [os.getpid(), subprocess.Popen([sys.executable, "-c", child], start_new_session=True).pid]
with open(os.environ["PIDS"], "a") as file:
    print(*pids, sep="\\n", file=file, flush=True)
time.sleep(600)
"""


class Desk:
    """A study's folder, and the command line to run on it."""

    def __init__(self, base: Path, study: str, script: str, here: Callable[..., Any]) -> None:
        self.here = here
        self.folder, self.home, self.pids_file = base / "study", base / "home", base / "pids.txt"
        self.folder.mkdir()
        ready_home(self.home)
        (self.folder / "study.yaml").write_text(study)
        (self.folder / "train.py").write_text(script)

    def run(self, *words: str, expect: int = 0) -> str:
        environment = {
            **os.environ,
            "MAINEFFECT_HOME": str(self.home),
            "PIDS": str(self.pids_file),
            "TEAM_TOKEN": "tok-123456789",
        }
        if words[0] != "submit":
            return str(self.here(*words, cwd=self.folder, environment=environment, expect=expect).stdout)
        done = subprocess.run(
            [sys.executable, "-m", "maineffect", *words],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == expect, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def document(self, *words: str, expect: int = 0) -> dict[str, Any]:
        found = json.loads(self.run(*words, "--json", expect=expect))
        assert isinstance(found, dict)
        return found

    def pids(self) -> list[int]:
        return [int(pid) for pid in self.pids_file.read_text().split()]


def test_a_plain_script_is_swept_to_a_report(tmp_path: Path, running, here) -> None:
    desk = Desk(tmp_path, STUDY, SCRIPT, here)
    status = desk.document("submit", "study.yaml")
    assert status["counts"] == {"finished": 8, "failed": 0, "running": 0, "planned": 0}
    assert len(desk.pids()) == 8
    assert [pid for pid in desk.pids() if running(pid)] == []
    assert not (desk.folder / "owned").exists()

    result = desk.document("analyse", "latest")
    effects = {effect["term"]: effect["estimate"] for effect in result["responses"]["skill"]["effects"]}
    assert effects["gain"] == pytest.approx(2.0, abs=0.15)
    assert {h["id"]: h["verdict"] for h in result["hypotheses"]} == {"H1": "supported", "H2": "negligible"}
    curve = next(curve for curve in result["curves"] if curve["metric"] == "reward")
    assert curve["values"] == [0.0, pytest.approx(1 / 3), pytest.approx(2 / 3)]
    assert result["runs"][0]["measures"]["extra"] == 1.0

    printed = desk.run("logs", result["runs"][0]["run_id"])
    assert "the words are" in printed
    assert "token is ***" in printed
    page = Path(desk.run("report", "latest").strip().splitlines()[-1])
    assert "supported" in page.read_text(encoding="utf-8")
    secret = b"tok-123456789"
    assert [path for path in tmp_path.rglob("*") if path.is_file() and secret in path.read_bytes()] == []


@pytest.mark.slow
def test_a_run_beyond_its_time_ends_with_all_it_started(tmp_path: Path, running, here) -> None:
    study = STUDY.replace("timeout: 2m", "timeout: 4s").replace("replicates: 2", "replicates: 1")
    study = study.replace('  words: {levels: ["a; touch owned", "$(touch owned)"]}\n', "").replace(
        " --words {words}", ""
    )
    study = study.replace("  - {id: H2, term: words, response: skill, direction: negligible}\n", "")
    desk = Desk(tmp_path, study, HANGING, here)
    status = desk.document("submit", "study.yaml", expect=5)
    assert {failure["class"] for failure in status["failures"]} == {"timeout"}, status["failures"]
    assert len(desk.pids()) == 4
    assert [pid for pid in desk.pids() if running(pid)] == []
