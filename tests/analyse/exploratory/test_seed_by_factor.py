"""Seed × factor, and blocks as drawn from many."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from maineffect.analyse.exploratory.seed_by_factor import between_blocks
from maineffect.analyse.exploratory_report import add_exploratory
from maineffect.analyse.fit.responses import fit_responses
from maineffect.analyse.record.result import AnalysisResult, SeedVariance
from maineffect.analyse.run import analyse


def _both(study: Any, table: pd.DataFrame) -> AnalysisResult:
    return add_exploratory(analyse(study, table, draws=99), study, table)


def _scattered(seed: int, sd: float, blocks: int = 6, names: str = "AB", copies: int = 1) -> pd.DataFrame:
    """The effect of A differs between blocks with a standard deviation; runs have standard deviation 1."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(
        [c for _ in range(blocks * copies) for c in product([0, 1], repeat=len(names))], columns=list(names)
    )
    table["block"] = np.repeat(np.arange(blocks), copies * 2 ** len(names))
    table["y"] = rng.normal(size=len(table)) + rng.normal(size=blocks)[table["block"]]
    table["y"] += (1.0 + sd * rng.normal(size=blocks))[table["block"]] * (table["A"] - 0.5)
    return table


def _of(result: AnalysisResult, term: str) -> SeedVariance:
    return next(one for one in result.seed_variances if one.term == term)


def test_the_test_is_that_of_the_anova_with_factor_by_block(make_study: Any) -> None:
    """Statsmodels: Type III of y ~ A*B + block*A + block*B with sum coding."""
    import statsmodels.formula.api as smf
    from statsmodels.stats.anova import anova_lm

    table = _scattered(0, 1.0)
    table = table.drop(index=[3, 10])
    found = _both(make_study("AB", terms="two_way"), table)
    fit = smf.ols("y ~ C(A, Sum)*C(B, Sum) + C(block, Sum)*C(A, Sum) + C(block, Sum)*C(B, Sum)", table).fit()
    oracle = anova_lm(fit, typ=3)
    for name in "AB":
        one = _of(found, name)
        row = oracle.loc[next(key for key in oracle.index if "block" in key and f"C({name}" in key)]
        assert (one.F, one.df, one.p_value) == pytest.approx((row["F"], row["df"], row["PR(>F)"]), rel=1e-6)
        assert one.df_error == oracle.loc["Residual", "df"]


def test_balanced_blocks_equal_the_mixed_anova_by_hand(make_study: Any) -> None:
    """The effect of each block: their spread is the variance, and t over blocks the interval."""
    table = _scattered(1, 2.0, blocks=8, copies=2)
    one = _of(_both(make_study("AB", terms="main"), table), "A")
    cells = table.groupby(["block", "A"])["y"].mean().unstack()
    by_block = cells[1] - cells[0]
    assert one.estimate == pytest.approx(by_block.mean())
    assert one.std_error == pytest.approx(by_block.std(ddof=1) / np.sqrt(8))
    half = stats.t.isf(0.025, 7) * by_block.std(ddof=1) / np.sqrt(8)
    assert (one.ci_low, one.ci_high) == pytest.approx((by_block.mean() - half, by_block.mean() + half))
    # Var(effect of a block) = σ²_effect + 4σ²/8 with eight runs in it.
    assert one.F is not None
    error = by_block.var(ddof=1) / one.F
    assert one.sd**2 == pytest.approx(by_block.var(ddof=1) - error)
    assert one.sd == pytest.approx(2.0, rel=0.6)
    assert not one.on_boundary


@pytest.mark.parametrize("studies", [60, pytest.param(200, marks=pytest.mark.slow)])
def test_a_scattered_effect_is_said_and_a_steady_one_is_on_the_boundary_half_the_time(
    make_study: Any, studies: int
) -> None:
    result = _both(make_study("AB", terms="main"), _scattered(2, 4.0, blocks=8))
    assert any("effect of A" in w and "differs between blocks" in w for w in result.warnings)
    assert not any("effect of B" in w and "differs between blocks" in w for w in result.warnings)
    study = make_study("AB", terms="main")
    steady = [between_blocks(fit_responses(study, _scattered(seed, 0.0)), [])[0] for seed in range(studies)]
    # F with 5 and 6 degrees of freedom lies below 1 in 51 % of studies.
    below = stats.f.cdf(1, 5, 6)
    assert np.mean([one.on_boundary for one in steady]) == pytest.approx(below, abs=3 * np.sqrt(0.25 / studies))
    assert all((one.sd == 0.0) == one.on_boundary for one in steady)
    rejected = np.mean([one.p_value is not None and one.p_value <= 0.05 for one in steady])
    assert rejected == pytest.approx(0.05, abs=3 * np.sqrt(0.05 * 0.95 / studies))


@pytest.mark.parametrize("studies", [30, pytest.param(150, marks=pytest.mark.slow)])
def test_only_the_interval_over_blocks_covers_where_effects_scatter(make_study: Any, studies: int) -> None:
    study = make_study("AB", terms="main")
    over, within = [], []
    for seed in range(studies):
        result = _both(study, _scattered(seed, 3.0, blocks=6, copies=2))
        one, usual = _of(result, "A"), next(e for e in result.responses["y"].effects if e.term == "A")
        assert one.ci_low is not None
        assert one.ci_high is not None
        assert usual.ci_low is not None
        assert usual.ci_high is not None
        over.append(one.ci_low <= 1.0 <= one.ci_high)
        within.append(usual.ci_low <= 1.0 <= usual.ci_high)
    assert np.mean(over) == pytest.approx(0.95, abs=3 * np.sqrt(0.95 * 0.05 / studies))
    assert np.mean(within) < 0.85


def test_without_blocks_nothing_is_said(make_study: Any, make_table: Any) -> None:
    assert _both(make_study(), make_table().drop(columns="replicate").assign(run_id=range(16))).seed_variances == []


def _random(make_study: Any, terms: Any = "main") -> Any:
    return make_study("AB", analysis={"terms": terms, "blocks": "random"})


def test_balanced_random_blocks_give_the_effects_of_fixed_ones(make_study: Any) -> None:
    table = _scattered(3, 0.0)
    fixed = analyse(make_study("AB", terms="main"), table, draws=99).responses["y"]
    random = analyse(_random(make_study), table, draws=99).responses["y"]
    assert random.model.formula.endswith("(1 | block)")
    assert random.model.stratum == "block + run"
    for a, b in zip(fixed.effects, random.effects, strict=True):
        assert (a.estimate, a.std_error, a.df) == pytest.approx((b.estimate, b.std_error, b.df), rel=1e-6)
    # The mean's interval now holds for blocks not yet run: it is wider.
    a, b = (next(m for m in one.means if m.term == "A") for one in (fixed, random))
    assert b.ci_high is not None
    assert b.ci_low is not None
    assert a.ci_high is not None
    assert a.ci_low is not None
    assert b.ci_high - b.ci_low > a.ci_high - a.ci_low
    assert random.variance_components is not None
    assert fixed.variance_components is not None
    assert random.variance_components["block"] == pytest.approx(fixed.variance_components["block"], rel=1e-6)


def test_unbalanced_random_blocks_have_the_reml_estimates_of_statsmodels(make_study: Any) -> None:
    import statsmodels.api as sm

    table = _scattered(4, 0.0, blocks=8).drop(index=[0, 5, 6, 13, 22])
    found = analyse(_random(make_study), table, draws=99).responses["y"]
    x = np.column_stack([np.ones(len(table)), 2 * table[["A", "B"]].to_numpy() - 1])
    oracle = sm.MixedLM(table["y"].to_numpy(), x, table["block"].to_numpy()).fit(reml=True)
    assert [e.estimate for e in found.effects] == pytest.approx((2 * oracle.fe_params[1:]).tolist(), abs=1e-4)
    assert found.variance_components is not None
    assert found.variance_components["block"] == pytest.approx(float(oracle.cov_re[0, 0]), rel=1e-3)
    assert found.variance_components["residual"] == pytest.approx(float(oracle.scale), rel=1e-3)


def test_random_blocks_without_variance_are_flagged(make_study: Any) -> None:
    table = _scattered(5, 0.0)
    table["y"] -= 0.9 * table.groupby("block")["y"].transform("mean")
    result = analyse(_random(make_study), table, draws=99)
    assert result.responses["y"].on_boundary == ["block"]
    assert any("variance between blocks is estimated as 0 (boundary)" in w for w in result.warnings)
    fixed = analyse(make_study("AB", terms="main"), table, draws=99).responses["y"]
    assert fixed.on_boundary == ["block"]


def test_a_verdict_under_random_blocks_has_its_randomisation_test(make_study: Any) -> None:
    table = _scattered(6, 0.0, blocks=8)
    claims = [{"id": "H1", "term": "A", "response": "y"}]
    one, other = (
        analyse(make_study("AB", analysis={"terms": "main", "blocks": kind}, hypotheses=claims), table).hypotheses[0]
        for kind in ("random", "fixed")
    )
    assert one.p_permutation == pytest.approx(other.p_permutation)
    assert one.p_value == pytest.approx(other.p_value, rel=1e-5)
    assert one.p_robust is None


def test_a_split_plot_judges_what_varies_within_whole_plots(make_study: Any, make_table: Any) -> None:
    """B × block and C × block beside the whole plots, by statsmodels' nested models; A is refused, and said so."""
    import statsmodels.formula.api as smf

    rng = np.random.default_rng(11)
    table = make_table(replicates=5, seed=11, effects={"A": 1.0, "B": 0.5})
    table["whole_plot"] = [f"{r}-{a}" for r, a in zip(table["replicate"], table["A"], strict=True)]
    shift = {plot: 2.0 * rng.normal() for plot in table["whole_plot"].unique()}
    slope = {block: 1.5 * rng.normal() for block in range(1, 6)}
    table["y"] += table["whole_plot"].map(shift) + table["B"] * table["replicate"].map(slope)
    study = make_study(terms="two_way", design={"kind": "split_plot", "hard_to_change": ["A"]})
    result = _both(study, table)
    found = {one.term: one for one in result.seed_variances}
    assert set(found) == {"B", "C"}
    assert any("the effect of A differs between blocks cannot be told" in warning for warning in result.warnings)
    frame = table.assign(P=table["whole_plot"].astype(str), R=table["replicate"].astype(str))
    model = "y ~ P + B + C + A:B + A:C + B:C"
    whole = smf.ols(f"{model} + R:B + R:C", frame).fit()
    for term, other in (("B", "C"), ("C", "B")):
        less = smf.ols(f"{model} + R:{other}", frame).fit()
        f, p, df = whole.compare_f_test(less)
        one = found[term]
        assert (one.F, one.p_value, one.df) == pytest.approx((f, p, df))
        assert one.df_error == whole.df_resid
        ms = f * whole.mse_resid
        assert one.std_error == pytest.approx(np.sqrt(ms * 4 / len(table))), "balanced: the classical error"
        means = table.groupby(term)["y"].mean()
        assert one.estimate == pytest.approx(means[1] - means[0])
