"""TRL's GRPOTrainer swept as a study: the worked example, from the command line over Ray to analysed responses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.lm, pytest.mark.ray, pytest.mark.timeout(900)]

ROOT = Path(__file__).resolve().parents[2]


def test_grpo_trainer_is_swept_to_analysed_responses(maineffect: Any, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "factor_specs", tmp_path / "factor_specs")
    shutil.copytree(ROOT / "experiments" / "04_trl_grpo", tmp_path / "experiments" / "trl")
    study = "experiments/trl/study.yaml"
    submitted = json.loads(maineffect(tmp_path, "submit", study, "--json"))
    assert submitted["counts"] == {"finished": 8, "failed": 0, "running": 0, "planned": 0}
    result = json.loads(maineffect(tmp_path, "analyse", "latest", "--json"))
    assert (result["n_runs"], result["n_missing"]) == (8, 0)
    for response in ("reward_trained", "answered"):
        assert {effect["term"] for effect in result["responses"][response]["effects"]} == {
            "conflict_rate",
            "learning_rate",
        }
    trained = {run["responses"]["reward_trained"] for run in result["runs"]}
    assert len(trained) > 2, "levels and seeds change what is reached"
    assert all(run["measures"]["steps"] == 2 for run in result["runs"]), "GRPOTrainer made its updates"
    assert any(run["responses"]["answered"] > 0 for run in result["runs"]), "tools are called"
    moved = [run["responses"]["reward_trained"] != run["measures"]["reward_before"] for run in result["runs"]]
    assert any(moved), "two updates at the larger learning rate change what is said"
