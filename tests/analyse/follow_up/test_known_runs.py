"""A sweep's runs as a search starts from them: blocks and other factors leave nothing behind, noise stays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from maineffect.analyse.follow_up.known_runs import known_runs
from maineffect.design.build import build_design
from maineffect.design.emit import design_rows
from maineffect.spec.phases.optimise import OptimiseRequest
from maineffect.spec.study import StudySpec

REQUEST = {
    "from": "s",
    "factors": {"a": {"range": [0, 1]}, "b": {"range": [0, 1]}},
    "fixed": {"c": 1, "d": "q"},
    "objectives": {"y": "maximize"},
    "runs": 8,
    "confirm": {"against": {"a": 0, "b": 0}},
}


def study(**design: Any) -> StudySpec:
    return StudySpec.model_validate(
        {
            "schema_version": 1,
            "name": "s",
            "factors": {
                "a": {"name": "a", "levels": [0, 1]},
                "b": {"name": "b", "levels": [0, 1]},
                "c": {"name": "c", "levels": [0, 4]},
                "d": {"name": "d", "levels": ["p", "q"]},
            },
            "design": {"kind": "full", "replicates": 3, "common_random_numbers": True, **design},
            "responses": {"y": {"name": "y"}},
            "analysis": {"terms": "two_way"},
        }
    )


def truth(a: Any, b: Any, c: Any, q: Any) -> Any:
    return 2 * a - b + 0.5 * a * b + 0.25 * c + 3 * q + 0.1 * a * c - 2 * b * q


def table_of(asked: StudySpec, noise: float = 0.0) -> tuple[Any, pd.DataFrame]:
    design = build_design(asked)
    table = pd.DataFrame(design_rows(design))
    blocks = table["replicate"].to_numpy() * 10.0
    y = truth(table["a"], table["b"], table["c"], (table["d"] == "q").astype(float))
    draw = np.random.default_rng(1).normal(0, noise, len(table)) if noise else 0.0
    table["y"], table["status"], table["seconds"] = y + blocks + draw, "finished", 3600.0
    return design, table


def test_blocks_and_fixed_factors_leave_nothing_behind() -> None:
    """Replicates 10 apart; every run is moved to c = 1, between its levels, and d = q, by the registered model."""
    asked = study()
    design, table = table_of(asked)
    known, spent = known_runs(asked, design, table, OptimiseRequest.model_validate(REQUEST), {})
    assert len(known) == 48
    for run in known:
        expected = truth(run.values["a"], run.values["b"], 1.0, 1.0) + 20.0  # the middle of the blocks
        assert run.scores["y"] == pytest.approx(expected, abs=1e-6)
    # Two contrasts of blocks; c, d, and their products with a, b and each other.
    assert spent == 2 + 2 + 5


def test_noise_stays_and_what_is_outside_or_lost_is_left_out() -> None:
    asked = study()
    design, table = table_of(asked, noise=1.0)
    table.loc[[0, 5], "y"] = np.nan
    narrow = {**REQUEST, "factors": {"a": {"range": [0, 0.5]}, "b": {"range": [0, 1]}}}
    known, _ = known_runs(asked, design, table, OptimiseRequest.model_validate(narrow), {})
    assert len(known) == 24 - int((table.loc[[0, 5], "a"] == 0).sum())
    assert {run.values["a"] for run in known} == {0}
    values = np.array([run.scores["y"] - truth(0, run.values["b"], 1.0, 1.0) for run in known])
    assert 0.6 < values.std() < 1.2


def test_a_cost_is_a_number_like_any_other() -> None:
    asked = study()
    design, table = table_of(asked)
    request = {**REQUEST, "objectives": {"y": "maximize", "cost/cpu_hours": "minimize"}}
    hours = (1.0 + table["a"] + 2 * (table["d"] == "q")).tolist()
    known, _ = known_runs(asked, design, table, OptimiseRequest.model_validate(request), {"cost/cpu_hours": hours})
    for run in known:
        assert run.scores["cost/cpu_hours"] == pytest.approx(3.0 + run.values["a"])
