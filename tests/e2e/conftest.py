"""A study with a trainable of known effects, and the real command line: sweeps in a process of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.homes import ready_home

STUDY = """\
schema_version: 1
name: known-effects
question: Does the platform find effects that were built in?
trainable: known:train
factors:
  a: {levels: [0.0, 1.0]}
  b: {levels: [low, high]}
  c: {levels: [1, 3]}
design: {kind: fractional, resolution: 3, replicates: 2}
responses:
  skill: {goal: maximize, smallest_effect: 0.5}
hypotheses:
  - {id: H1, term: a, response: skill, direction: increase}
  - {id: H2, term: b, response: skill, direction: negligible}
analysis: {terms: main}
resources: {cpus: 1, timeout: 2m, retries: 1}
seed: 7
"""

# Effects: a +2, b 0, c −1 per step of 2; noise comes from the run's own seed and is small.
TRAINABLE = '''\
"""A trainable whose effects are known."""
import json
import os
import time
from pathlib import Path

from maineffect.seeds import generator


def train(request, context):
    flags = Path(os.environ["KNOWN_FLAGS"])
    with (flags / "started.txt").open("a") as file:
        file.write(request.run_id + "\\n")
    plan = json.loads((flags / "plan.json").read_text()) if (flags / "plan.json").exists() else {}
    for step in range(3):
        context.log(step, {"reward": step / 3})
        time.sleep(plan.get("sleep", 0.0) / 3)
    if request.run_id in plan.get("fail_once", []):
        mark = flags / f"failed-{request.run_id}"
        if not mark.exists():
            mark.touch()
            raise RuntimeError(f"planned failure of {request.run_id}")
    noise = generator(context.seed("noise"), request.run_id).normal(0.0, 0.05)
    levels = request.levels
    skill = 5.0 + 2.0 * levels["a"] - 0.5 * levels["c"] + noise
    return {"skill": float(skill), "extra": 1.0}
'''


@dataclass
class Workbench:
    """A folder with a study, and the command line to run on it."""

    folder: Path
    here: Callable[..., subprocess.CompletedProcess[str]]

    @property
    def study(self) -> Path:
        return self.folder / "study.yaml"

    @property
    def flags(self) -> Path:
        return self.folder / "flags"

    def plan(self, **plan: Any) -> None:
        """Tell the trainable how to misbehave."""
        (self.flags / "plan.json").write_text(json.dumps(plan))

    def environment(self) -> dict[str, str]:
        return {**os.environ, "MAINEFFECT_HOME": str(self.folder / "home"), "KNOWN_FLAGS": str(self.flags)}

    def run(self, *words: str, expect: int = 0) -> subprocess.CompletedProcess[str]:
        """Run ``maineffect`` and hold it to its exit code; what starts no run is called in this process."""
        if words[0] not in ("submit", "resubmit") or "--dry-run" in words:
            return self.here(*words, cwd=self.folder, environment=self.environment(), expect=expect)
        done = subprocess.run(
            [sys.executable, "-m", "maineffect", *words],
            cwd=self.folder,
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == expect, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def document(self, *words: str, expect: int = 0) -> dict[str, Any]:
        """Run with ``--json`` and return the one document on stdout."""
        document = json.loads(self.run(*words, "--json", expect=expect).stdout)
        assert isinstance(document, dict)
        return document

    def started(self) -> list[str]:
        """Run ids in the order in which the trainable was really entered."""
        file = self.flags / "started.txt"
        return file.read_text().split() if file.exists() else []


@pytest.fixture
def workbench(tmp_path: Path, here: Callable[..., subprocess.CompletedProcess[str]]) -> Workbench:
    (tmp_path / "study.yaml").write_text(STUDY)
    (tmp_path / "known.py").write_text(TRAINABLE)
    (tmp_path / "flags").mkdir()
    ready_home(tmp_path / "home")
    return Workbench(tmp_path, here)
