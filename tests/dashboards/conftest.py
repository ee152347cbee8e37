"""A real sweep with one failed run, transcripts and hostile texts, and the dashboard's environment."""

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
name: watched
question: Does the dashboard say what the analysis says?
trainable: watched:train
factors:
  a: {levels: [0.0, 1.0]}
  b: {levels: ["<script>alert(1)</script>", plain]}
design: {kind: full, replicates: 2}
responses:
  skill: {goal: maximize, smallest_effect: 0.5}
hypotheses:
  - {id: H1, term: a, response: skill, direction: increase}
analysis: {terms: main}
resources: {cpus: 1, timeout: 10m, retries: 0}
seed: 7
"""

TRAINABLE = '''\
"""A trainable that keeps transcripts and fails once in one cell."""
import json
import os
import time
from pathlib import Path

from maineffect.contracts import RunResult
from maineffect.seeds import generator


def train(request, context):
    until = os.environ.get("WATCHED_UNTIL")
    for step in range(3):
        context.log(step, {"reward": step / 3 + request.levels["a"]})
        while until and not Path(until).exists():
            time.sleep(0.1)
    mark = Path(__file__).with_name("mended")
    if request.levels["a"] == 1.0 and request.replicate == 1 and request.levels["b"] == "plain" and not mark.exists():
        raise RuntimeError("planned <b>failure</b>")
    noise = generator(context.seed("noise"), request.run_id).normal(0.0, 0.05)
    turns = [{"by": "world", "text": "Who <i>did</i> it?"}, {"by": "policy", "text": f"search {request.levels['a']}"}]
    line = {"item_id": "one", "answer": "<img src=http://example.org/x>", "confidence": 0.5, "cited": "d1",
            "turns": turns, "reward": {"correct": 1.0, "cost": -0.25}}
    texts = {"transcripts.jsonl": json.dumps(line) + "\\n"}
    return RunResult({"skill": float(2.0 * request.levels["a"] + noise)}, {}, None, texts)
'''


@dataclass
class Watched:
    """A folder with a study, a home and a sweep in it."""

    folder: Path
    here: Callable[..., subprocess.CompletedProcess[str]]

    @property
    def home(self) -> Path:
        return self.folder / "home"

    def submit(self, expect: int) -> None:
        """The sweep, in a process of its own."""
        done = subprocess.run(
            [sys.executable, "-m", "maineffect", "submit", "study.yaml", "--json"],
            cwd=self.folder,
            env={**os.environ, "MAINEFFECT_HOME": str(self.home)},
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == expect, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"

    def document(self, *words: str) -> dict[str, Any]:
        environment = {"MAINEFFECT_HOME": str(self.home)}
        document = json.loads(self.here(*words, "--json", cwd=self.folder, environment=environment).stdout)
        assert isinstance(document, dict)
        return document


@pytest.fixture(scope="session")
def watched(tmp_path_factory: pytest.TempPathFactory, here: Callable[..., subprocess.CompletedProcess[str]]) -> Watched:
    folder = tmp_path_factory.mktemp("watched")
    (folder / "study.yaml").write_text(STUDY)
    (folder / "watched.py").write_text(TRAINABLE)
    bench = Watched(folder, here)
    ready_home(bench.home)
    bench.submit(expect=5)
    return bench
