"""Learning curves."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pandas as pd
import pytest

from maineffect.analyse.exploratory.learning import (
    area_under_curve,
    curve_effects,
    on_grid,
    steps_to_threshold,
)
from maineffect.errors import AnalysisError
from maineffect.spec.study import StudySpec

STEPS = np.arange(1, 41)


def _curves(table: Any, seed: int, effect: float) -> dict[str, tuple[Any, Any]]:
    """Smooth noise per run; the effect of A sets in at step 20."""
    rng = np.random.default_rng(seed)
    curves = {}
    for run_id, a in zip(table["run_id"], table["A"], strict=True):
        noise = np.cumsum(rng.normal(size=40)) / np.sqrt(STEPS)
        curves[run_id] = (STEPS, noise + effect * a * (STEPS > 20))
    return curves


@pytest.fixture
def runs(make_table: Any) -> Any:
    table = make_table(replicates=4)
    table["run_id"] = [f"r{i}" for i in range(len(table))]
    return table.drop(columns="replicate")


def test_an_effect_is_dated(make_study: Any, runs: Any) -> None:
    effects = {e.term: e for e in curve_effects(make_study(), runs, _curves(runs, 0, 6.0), points=40)}
    assert effects["A"].first_step is not None
    assert 20 < effects["A"].first_step <= 24
    assert effects["B"].first_step is None
    assert effects["A"].estimate[-1] == pytest.approx(6.0, abs=1.5)


def test_bands_hold_at_all_steps_together(make_study: Any, runs: Any) -> None:
    """Pointwise intervals would miss 0 somewhere in far more than one in twenty null studies."""
    study, misses, pointwise = make_study(), 0, 0
    studies = 120
    for seed in range(studies):
        effect = next(e for e in curve_effects(study, runs, _curves(runs, seed, 0.0), points=20) if e.term == "A")
        misses += bool(np.any((effect.band_low > 0) | (effect.band_high < 0)))
        pointwise += bool(np.any(np.abs(effect.estimate) > 2.048 * effect.std_error))
    assert misses / studies == pytest.approx(0.05, abs=3 * np.sqrt(0.05 * 0.95 / studies))
    assert pointwise > misses


def test_curves_meet_on_their_common_steps() -> None:
    curves = [([0, 10, 20], [0.0, 1.0, 2.0]), ([5, 10, 15], [1.0, None, 3.0])]
    grid, values = on_grid(curves, points=3)
    assert grid.tolist() == [5.0, 10.0, 15.0]
    assert values.tolist() == [[0.5, 1.0, 1.5], [1.0, 2.0, 3.0]]
    with pytest.raises(AnalysisError, match="two points"):
        on_grid([([0, 10], [0.0, 1.0]), ([5, 15], [None, 3.0])])
    with pytest.raises(AnalysisError, match="common range"):
        on_grid([([0, 1], [0.0, 1.0]), ([5, 15], [2.0, 3.0])])


def test_summaries_of_a_curve() -> None:
    assert area_under_curve([0, 10, 30], [0, 1, 1]) == pytest.approx(25 / 30)
    assert steps_to_threshold([0, 10, 20], [0.0, 0.4, 0.8], 0.6) == pytest.approx(15.0)
    assert steps_to_threshold([0, 10], [0.7, 0.9], 0.6) == 0.0
    assert steps_to_threshold([0, 10, 20], [0.0, 0.4, 0.5], 0.6) is None


def _band_coverage(df: int, studies: int, seed: int) -> float:
    """Share of studies without an effect whose band holds 0 at every step; curves are smooth with rough noise."""
    rng = np.random.default_rng(seed)
    factors = {6: "A", 11: "AB", 25: "ABC"}[df]
    runs = {6: 8, 11: 16, 25: 32}[df]
    cells = np.array(list(itertools.product([0, 1], repeat=len(factors))))
    levels = np.tile(cells, (runs // len(cells), 1))
    terms = {6: ["A"], 11: ["A", "B", "A:B"], 25: "two_way"}[df]
    study = StudySpec.model_validate(
        {
            "schema_version": 1, "name": "bands", "factors": {n: {"name": n, "levels": [0, 1]} for n in factors},
            "design": {"kind": "full", "replicates": 1}, "responses": {"y": {"name": "y"}},
            "analysis": {"terms": terms},
        }
    )  # fmt: skip
    table = pd.DataFrame(levels, columns=list(factors)).assign(run_id=[f"r{i}" for i in range(runs)], y=0.0)
    x = np.linspace(0, 1, 25)
    root = np.linalg.cholesky(np.exp(-0.5 * ((x[:, None] - x) / 0.15) ** 2) + 0.2 * np.eye(25))
    held = []
    for _ in range(studies):
        curves = rng.standard_normal((runs, 25)) @ root.T
        found = curve_effects(study, table, {f"r{i}": (list(range(25)), curves[i].tolist()) for i in range(runs)})
        effect = next(e for e in found if e.term == "A")
        held.append(bool(np.all((effect.band_low <= 0) & (effect.band_high >= 0))))
    return float(np.mean(held))


@pytest.mark.slow
@pytest.mark.parametrize("df", [6, 11, 25])
def test_a_band_holds_at_all_steps_together_with_few_degrees_of_freedom(df: int) -> None:
    """One variance for all steps covered .85 at 6 degrees of freedom."""
    assert _band_coverage(df, 400, 3) == pytest.approx(0.95, abs=3 * np.sqrt(0.05 * 0.95 / 400))
