"""The verbs at ten thousand runs, on a ledger that was filled through the real ledger API (this takes minutes)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(2400)]

RUNS = 10_240
LIMITS = {"submit --dry-run": 3.0, "status": 3.0, "analyse": 15.0}
STUDY = """\
schema_version: 1
name: many
trainable: known:train
factors:
{factors}
design: {{kind: full, replicates: 10}}
responses: {{y: {{smallest_effect: 0.5}}, z: {{goal: minimize, smallest_effect: 0.5}}}}
hypotheses: [{{id: H1, term: a, response: y, direction: increase}}]
analysis: {{terms: two_way}}
"""


def run(*words: str, folder: Path) -> tuple[str, float]:
    """Standard output and the wall time of a process of its own: what a user waits for."""
    started = time.perf_counter()
    done = subprocess.run([sys.executable, *words], cwd=folder, capture_output=True, text=True, timeout=1800)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout, time.perf_counter() - started


def test_ten_thousand_runs(tmp_path: Path) -> None:
    factors = "\n".join(f"  {name}: {{levels: [0, 1]}}" for name in "abcdefghij")
    (tmp_path / "study.yaml").write_text(STUDY.format(factors=factors))
    (tmp_path / "known.py").write_text("def train(request, context):\n    return {'y': 1.0, 'z': 0.0}\n")
    home = tmp_path / "home"
    script = Path(__file__).with_name("fill_ledger.py")
    said, _ = run(str(script), "study.yaml", str(home), str(min(2, os.cpu_count() or 1)), folder=tmp_path)
    print(f"\n{said.strip()}")
    words = {
        "submit --dry-run": ["submit", "study.yaml", "--dry-run"],
        "status": ["status", "many"],
        "analyse": ["analyse", "many"],
    }
    answers = {}
    for verb, command in words.items():
        taken = []
        for _ in range(2):
            answers[verb], seconds = run("-m", "maineffect", *command, "--home", str(home), "--json", folder=tmp_path)
            taken.append(seconds)
        print(f"  {verb:18s} {min(taken):6.2f} s, limit {LIMITS[verb]:.0f} s")
        assert min(taken) < LIMITS[verb]
    assert json.loads(answers["submit --dry-run"])["finished"] == RUNS
    assert json.loads(answers["status"])["counts"]["finished"] == RUNS
    effects = json.loads(answers["analyse"])["responses"]["y"]["effects"]
    found = {effect["term"]: effect["estimate"] for effect in effects}
    assert abs(found["a"] - 3.0) < 0.1
    assert abs(found["b:c"] + 0.5) < 0.1, "half the difference of differences"
