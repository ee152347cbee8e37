"""The profiler's grid: its averages are the marginal means, its differences the effects, its size is bounded."""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd
import pytest

from maineffect.analyse.exploratory.profiler import MOST_CELLS
from maineffect.analyse.run import analyse
from maineffect.design.build import build_design
from maineffect.design.emit import design_rows
from maineffect.spec.study import StudySpec


def _study(factors: dict[str, list[object]], kind: dict[str, object], terms: object = "main") -> StudySpec:
    return StudySpec.model_validate(
        {
            "schema_version": 1,
            "name": "profiled",
            "question": "?",
            "factors": {name: {"name": name, "levels": levels} for name, levels in factors.items()},
            "design": kind,
            "analysis": {"terms": terms},
            "responses": {"y": {"name": "y"}},
            "hypotheses": [{"id": "H1", "term": next(iter(factors)), "response": "y", "direction": "different"}],
        }
    )


def _analysed(study: StudySpec) -> object:
    design = build_design(study)
    table = pd.DataFrame(design_rows(design))
    rng = np.random.default_rng(3)
    first = next(iter(study.factors))
    codes = pd.Categorical(table[first].astype(str)).codes
    table["y"] = 5.0 + codes + rng.normal(0, 0.3, len(table))
    return analyse(study, table, design=design)


def test_averages_of_the_grid_are_the_marginal_means() -> None:
    study = _study(
        {"A": ["a", "b", "c"], "B": [0.0, 0.5, 2.0], "C": [False, True]},
        {"kind": "full", "replicates": 2},
        "two_way",
    )
    result = _analysed(study)
    profiler = result.profiler
    assert profiler.factors == ["A", "B", "C"]
    assert profiler.averaged == []
    grid = list(product(*(profiler.levels[name] for name in profiler.factors)))
    estimates = profiler.responses["y"].estimate
    assert len(grid) == len(estimates) == 18
    for mean in result.responses["y"].means:
        held = [profiler.factors.index(name) for name in mean.levels]
        of_cell = [
            e
            for cell, e in zip(grid, estimates, strict=True)
            if all(cell[i] == mean.levels[profiler.factors[i]] for i in held)
        ]
        assert np.mean(of_cell) == pytest.approx(mean.estimate, abs=1e-9)


def test_intervals_are_those_of_a_saturated_mean() -> None:
    """With all interactions a cell's prediction is its mean, ± t·s/√n, replicates being blocks (Montgomery, sec. 4.1)."""
    from scipy import stats

    study = _study(
        {"A": [0, 1], "B": [0, 1]}, {"kind": "full", "replicates": 5, "common_random_numbers": True}, "two_way"
    )
    result = _analysed(study)
    by_cell: dict[tuple[object, object], list[float]] = {}
    for run in result.runs:
        by_cell.setdefault((run.levels["A"], run.levels["B"]), []).append(run.responses["y"])
    trace = result.profiler.responses["y"]
    model = result.responses["y"].model
    assert model.df_error == 12  # 20 runs − 4 cells − 4 for five blocks
    half = stats.t.isf(0.025, 12) * model.sigma / np.sqrt(5)
    for i, cell in enumerate(product([0, 1], [0, 1])):
        assert trace.estimate[i] == pytest.approx(np.mean(by_cell[cell]))
        assert trace.half_width[i] == pytest.approx(half)


def test_many_factors_are_averaged_and_the_strongest_kept() -> None:
    factors: dict[str, list[object]] = {f"f{i}": [0, 1] for i in range(10)}
    result = _analysed(_study(factors, {"kind": "fractional", "resolution": 4, "replicates": 1}))
    profiler = result.profiler
    assert 2 ** len(profiler.factors) == MOST_CELLS
    assert "f0" in profiler.factors
    assert len(profiler.averaged) == 2
    both = [
        np.array(profiler.responses["y"].estimate).reshape([2] * 8).take(i, axis=profiler.factors.index("f0"))
        for i in (0, 1)
    ]
    effect = next(e for e in result.responses["y"].effects if e.term == "f0")
    assert (both[1] - both[0]).mean() == pytest.approx(effect.estimate)
