"""Which factor moves the best value of a nuisance, and the error of effects between tuned groups."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from scipy import stats
from statsmodels.stats.anova import anova_lm

from maineffect.analyse.record.tuning import TrialScore
from maineffect.analyse.run import analyse_with_fits
from maineffect.analyse.tuning import errors_of_groups, nuisance_curves, nuisance_interactions
from maineffect.design.build import build_design
from maineffect.spec.study import StudySpec

POINTS = (-0.9, -0.6, -0.2, 0.0, 0.3, 0.5, 0.8, 1.0)


def trials(shift: float, seed: int, own_points: bool = False) -> list[TrialScore]:
    """2² cells × 8 points; factor a moves the best value from −shift/2 to shift/2."""
    rng = np.random.default_rng(seed)
    found = []
    for a in (0.0, 1.0):
        for b in ("x", "y"):
            for point in rng.uniform(-1, 1, len(POINTS)) if own_points else POINTS:
                score = -2 * (point - shift * (a - 0.5)) ** 2 + 0.5 * a + rng.normal(0, 0.5)
                at = {"rate": 10.0**point}
                found.append(TrialScore(levels={"a": a, "b": b}, values=at, coded={"rate": float(point)}, score=score))
    return found


@pytest.mark.parametrize("own_points", [False, True])
def test_the_test_is_that_of_statsmodels(own_points: bool) -> None:
    """F of a:rate and b:rate beside cells and points (or a quadratic), by anova_lm, type III."""
    scores = trials(0.6, 1, own_points)
    frame = pd.DataFrame(
        [{"y": s.score, "r": s.coded["rate"], "point": f"p{s.coded['rate']:.2f}", **s.levels} for s in scores]
    )
    frame["a"] -= 0.5
    frame["bb"] = np.where(frame["b"] == "x", -0.5, 0.5)
    surface = "r + I(r**2)" if own_points else "C(point)"
    fitted = smf.ols(f"y ~ {surface} + a*bb + a:r + bb:r", frame).fit()
    table = anova_lm(fitted, typ=3)
    found = {one.factor: one for one in nuisance_interactions(scores, ("a", "b"), ("a",))}
    for factor, row in (("a", "a:r"), ("b", "bb:r")):
        assert pytest.approx(table.loc[row, "F"]) == found[factor].F
        assert found[factor].p_value == pytest.approx(table.loc[row, "PR(>F)"])
        assert found[factor].df_error == table.loc["Residual", "df"]
    assert (found["a"].compromise, found["b"].compromise) == (True, False)
    assert found["a"].p_adjusted == pytest.approx(2 * found["a"].p_value), "Holm over two pairs"


def test_a_planted_shift_is_found_and_none_is_found_where_there_is_none() -> None:
    """Of 200 sets of trials without a shift .05 ± 3 Monte Carlo errors of .0154 say there is one, of either factor."""
    assert all(nuisance_interactions(trials(1.0, seed), ("a", "b"), ())[0].factor == "a" for seed in range(20))
    found = [nuisance_interactions(trials(0.0, seed), ("a", "b"), ())[0].p_adjusted <= 0.05 for seed in range(200)]
    assert abs(float(np.mean(found)) - 0.05) <= 3 * 0.0154


def test_too_few_trials_say_nothing() -> None:
    assert nuisance_interactions(trials(1.0, 1)[:4], ("a", "b"), ()) == []


def test_curves_are_means_and_the_quadratic_through_them() -> None:
    scores = trials(0.6, 2)
    low, high = nuisance_curves(scores, "a", "rate", log=True)
    assert (low.level, high.level) == (0.0, 1.0)
    assert [x for x, _ in low.points] == pytest.approx([10.0**p for p in POINTS])
    mine = [s for s in scores if s.levels["a"] == 0.0]
    assert low.points[0][1] == pytest.approx(np.mean([s.score for s in mine if s.coded["rate"] == -0.9]))
    expected = np.polyval(np.polyfit([s.coded["rate"] for s in mine], [s.score for s in mine], 2), np.log10(low.x))
    assert low.fitted == pytest.approx(expected)


def test_the_error_between_cells_is_that_of_their_means() -> None:
    """By hand: mean square of the unfitted interactions of 8 cell means, against that of 24 runs by least squares."""
    nuisance = {"rate": {"binds": "train.rate", "range": [-1.0, 1.0], "default": 0.0}}
    study = StudySpec.model_validate(
        {
            "schema_version": 1,
            "name": "cells",
            "factors": {name: {"name": name, "levels": [0.0, 1.0]} for name in "abc"},
            "design": {"kind": "full", "replicates": 3},
            "responses": {"skill": {"name": "skill", "goal": "maximize"}},
            "analysis": {"terms": "main"},
            "tuning": {"scope": "cell", "nuisance": nuisance, "trials": 8, "response": "skill"},
        }
    )
    design = build_design(study)
    rng = np.random.default_rng(5)
    luck = {cell.cell_id: rng.normal() for cell in design.cells}
    table = pd.DataFrame(
        [
            {"run_id": r.run_id, **design.levels_of(r), "skill": luck[r.cell_id] + rng.normal(0, 0.3)}
            for r in design.runs
        ]
    )
    result, fits = analyse_with_fits(study, table, design=design)
    means = table.groupby(["a", "b", "c"], as_index=False)["skill"].mean()
    cells, runs = (smf.ols("skill ~ a + b + c", frame).fit() for frame in (means, table))
    effect = result.responses["skill"].effects[0]
    assert (effect.std_error, effect.df) == (pytest.approx(cells.bse["a"]), pytest.approx(4))
    assert effect.p_value == pytest.approx(2 * stats.t.sf(abs(cells.tvalues["a"]), 4))
    error = errors_of_groups(study, fits)[0]
    assert (error.response, error.term) == ("skill", "a")
    assert (error.std_error, error.df) == (pytest.approx(cells.bse["a"]), pytest.approx(4))
    assert (error.std_error_runs, error.df_runs) == (pytest.approx(runs.bse["a"]), 20)
