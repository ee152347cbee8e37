"""F tests of several degrees of freedom over few whole plots, where Kenward and Roger's moments do not exist."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from maineffect.analyse.fit.mixed import fit_mixed, grouping
from maineffect.analyse.run import analyse
from maineffect.errors import AnalysisError
from maineffect.spec.study import StudySpec

LEVELS, RUNS = 3, 4


def _split_plot(plots_per_level: float, seed: int, effect: float = 0.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Model columns (mean, two whole-plot contrasts, one within), response, plot of each run."""
    rng = np.random.default_rng(seed)
    plots = round(LEVELS * plots_per_level)
    plot = np.repeat(np.arange(plots), RUNS)
    level = np.arange(plots) % LEVELS
    hard = np.column_stack([(level == k).astype(float) - (level == 0) for k in (1, 2)])[plot]
    easy = np.tile([-1.0, 1.0], plots * RUNS // 2)
    y = rng.standard_normal(plots)[plot] + rng.standard_normal(len(plot)) + effect * hard[:, 0]
    return np.column_stack([np.ones(len(plot)), hard, easy]), y, plot


def _strata_f(y: np.ndarray, plot: np.ndarray) -> tuple[float, int]:
    """The classical F of the whole-plot stratum: one-way analysis of plot means (Box, Hunter and Hunter, ch. 9)."""
    means = np.array([y[plot == p].mean() for p in range(plot.max() + 1)])
    groups = [means[np.arange(len(means)) % LEVELS == k] for k in range(LEVELS)]
    return float(stats.f_oneway(*groups).statistic), len(means) - LEVELS


@pytest.mark.parametrize("plots_per_level", [5 / 3, 2, 7 / 3, 3])
@pytest.mark.parametrize("effect", [0.0, 30.0])
def test_of_balanced_plots_it_is_the_strata_f(plots_per_level: float, effect: float) -> None:
    """2, 3, 4 and 6 denominator degrees of freedom; runs are equally many in every plot."""
    x, y, plot = _split_plot(plots_per_level, 4, effect)
    fitted = fit_mixed(x, y, {"whole_plot": grouping(plot.tolist())})
    test = fitted.f_test(np.eye(4)[1:3])
    f, df = _strata_f(y, plot)
    assert (test.df, test.method) == (2, "")
    assert test.df_error == pytest.approx(df, rel=1e-6)
    assert pytest.approx(f, rel=1e-6) == test.F
    assert test.p_value == pytest.approx(stats.f.sf(f, 2, df), rel=1e-5)


@pytest.mark.parametrize("plots_per_level", [5 / 3, 2, 7 / 3])
def test_with_lost_runs_it_is_satterthwaites_and_says_so(plots_per_level: float) -> None:
    x, y, plot = _split_plot(plots_per_level, 5, 30.0)
    kept = np.ones(len(y), dtype=bool)
    kept[[0, 6, 11]] = False
    test = fit_mixed(x[kept], y[kept], {"whole_plot": grouping(plot[kept].tolist())}).f_test(np.eye(4)[1:3])
    assert test.method == "Satterthwaite"
    assert test.F > 5
    assert 1.0 < test.df_error < 5.0
    assert test.p_value == pytest.approx(stats.f.sf(test.F, 2, test.df_error))
    assert test.p_value < 0.2


def _p_value(plots_per_level: float, seed: int, lost: int) -> float:
    """1 where no variances can be found: nothing is rejected then."""
    x, y, plot = _split_plot(plots_per_level, seed)
    kept = np.ones(len(y), dtype=bool)
    kept[np.random.default_rng(seed).choice(len(y), lost, replace=False)] = False
    try:
        fitted = fit_mixed(x[kept], y[kept], {"whole_plot": grouping(plot[kept].tolist())})
    except AnalysisError:
        return 1.0
    return fitted.f_test(np.eye(4)[1:3]).p_value


@pytest.mark.slow
@pytest.mark.parametrize("plots_per_level", [5 / 3, 2, 7 / 3])
def test_it_rejects_at_its_level(plots_per_level: float) -> None:
    studies = 1_500
    p = np.array([_p_value(plots_per_level, seed, 2) for seed in range(studies)])
    assert np.mean(p <= 0.05) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / studies) + 0.01


def test_reml_that_does_not_converge_gives_no_test_between_plots_and_says_so() -> None:
    """Sparse responses on what is left of six plots, on which REML, free and bounded, goes to and fro."""
    rng = np.random.default_rng(28)
    rows = pd.DataFrame({"whole_plot": [f"w{i // 4}" for i in range(24)], "A": [i // 4 % 2 for i in range(24)]})
    rows["B"] = [i % 2 for i in range(24)]
    rows["y"] = rng.standard_normal(24) * (rng.random(24) < 0.4)
    kept = rows[rng.random(24) < 0.7]
    x = np.column_stack([np.ones(len(kept)), 2.0 * kept["A"] - 1, 2.0 * kept["B"] - 1])
    for bounded in (False, True):
        with pytest.raises(AnalysisError, match="REML has not converged"):
            fit_mixed(x, kept["y"].to_numpy(), {"plot": grouping(kept["whole_plot"].tolist())}, bounded=bounded)
    study = StudySpec.model_validate(
        {
            "schema_version": 1,
            "name": "s",
            "factors": {name: {"name": name, "levels": [0, 1]} for name in "AB"},
            "design": {"kind": "split_plot", "hard_to_change": ["A"], "whole_plots": 6},
            "responses": {"y": {"name": "y"}},
            "hypotheses": [{"id": name, "term": name, "response": "y"} for name in "AB"],
            "analysis": {"terms": "main"},
        }
    )
    result = analyse(study, kept, draws=9)
    assert any("REML has not converged" in warning for warning in result.warnings), result.warnings
    between, within = result.hypotheses
    assert (between.p_value, between.verdict) == (None, "inconclusive")
    assert between.reason
    assert within.p_value is not None
    assert {row.term: row.p_value is None for row in result.responses["y"].anova} == {"A": True, "B": False}
