"""Item scores, a measured covariate and regime overfit, from a real sweep through the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.ray, pytest.mark.slow]

STUDY = """\
schema_version: 1
name: items
trainable: known:train
factors:
  a: {levels: [0.0, 1.0]}
  b: {levels: [low, high]}
design: {kind: full, replicates: 3}
responses:
  skill: {goal: maximize, unit: share}
  wild: {goal: maximize, unit: share}
analysis: {terms: main, covariates: [base], overfit: {regime_overfit: [skill, wild]}}
resources: {cpus: 1, timeout: 2m}
seed: 7
"""

# 40 items of unequal difficulty; ability rises with a and with what was there before training.
TRAINABLE = '''\
"""A trainable with item scores."""
import math

from maineffect.contracts import RunResult
from maineffect.seeds import generator


def train(request, context):
    rng = generator(context.seed("noise"), request.run_id)
    hard = generator(request.evaluation_seed, "items").normal(size=40)
    base = float(rng.normal())
    ability = 1.5 * (request.levels["a"] - 0.5) + 0.3 * base
    rows = [
        {"item_id": f"i{k}", "score": float(rng.random() < 1 / (1 + math.exp(-ability - h)))} for k, h in enumerate(hard)
    ]
    share = sum(row["score"] for row in rows) / 40
    wild = share - 0.1 * request.levels["a"] + 0.01 * float(rng.normal())
    return RunResult({"skill": share, "wild": wild}, {"base": base}, rows)


train.response_names = lambda: ("skill", "wild")
'''


def test_items_covariates_and_overfit_come_from_the_ledger(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(STUDY)
    (tmp_path / "known.py").write_text(TRAINABLE)

    def run(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "maineffect", *words],
            cwd=tmp_path,
            env={**os.environ, "MAINEFFECT_HOME": str(tmp_path / "home")},
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    run("submit", "study.yaml")
    result: dict[str, Any] = json.loads(run("analyse", "latest", "--items", "--json"))
    (model,) = result["item_models"]
    assert (model["runs"], model["items"], model["method"]) == (12, 40, "laplace")
    a = next(effect for effect in model["effects"] if effect["term"] == "a")
    assert a["ci_low"] > 0
    skill = result["responses"]["skill"]
    assert [use["name"] for use in skill["covariates"]] == ["base"]
    assert skill["model"]["df_error"] == 12 - 3 - 1, (
        "mean, A, B and the covariate: runs of their own seeds share no block"
    )
    gap = next(e for e in result["responses"]["regime_overfit"]["effects"] if e["term"] == "a")
    assert gap["estimate"] == pytest.approx(0.1, abs=0.03)
    page = Path(run("report", "latest").strip().splitlines()[-1]).read_text(encoding="utf-8")
    assert "Main effects on item scores, runs and items crossed" in page
    assert "regime_overfit" in page
    without = Path(run("report", "latest", "--no-items").strip().splitlines()[-1]).read_text(encoding="utf-8")
    assert "Main effects on item scores, runs and items crossed" not in without
