"""Covariates known before training, and regime overfit as a response."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from maineffect.analyse.covariates import with_covariates
from maineffect.analyse.run import analyse
from maineffect.analyse.supplement import supplement
from maineffect.design.build import build_design
from maineffect.errors import AnalysisError
from maineffect.register.plan import plan_document, plan_hash

ASKED = {"terms": "main", "covariates": ["base"]}


@pytest.fixture
def table(make_table: Any) -> pd.DataFrame:
    table = make_table(replicates=3, effects={"A": 1.0})
    table["base"] = np.random.default_rng(8).normal(50, 3, len(table))
    table["y"] += 0.5 * table["base"]
    return table


def test_adjusted_effects_are_those_of_least_squares(make_study: Any, table: pd.DataFrame) -> None:
    import statsmodels.formula.api as smf

    found = analyse(make_study(analysis=ASKED), table, draws=99).responses["y"]
    # Formulas read names from everywhere: a factor called C breaks them.
    centred = table.rename(columns={"C": "D"}).assign(base=table["base"] - table["base"].mean())
    coded = "y ~ C(replicate) + I(2*A-1) + I(2*B-1) + I(2*D-1) + base"
    oracle = smf.ols(coded, centred).fit()
    for i, effect in enumerate(found.effects):
        name = f"I(2 * {'ABD'[i]} - 1)"
        assert (effect.estimate, effect.std_error) == pytest.approx((2 * oracle.params[name], 2 * oracle.bse[name]))
        assert effect.p_value == pytest.approx(oracle.pvalues[name])
        assert effect.df == oracle.df_resid == 24 - 3 - 3 - 1
    (use,) = found.covariates
    assert (use.slope, use.std_error, use.p_value) == pytest.approx(
        (oracle.params["base"], oracle.bse["base"], oracle.pvalues["base"])
    )
    assert use.sigma_with == pytest.approx(np.sqrt(oracle.mse_resid))
    bare = smf.ols(coded.removesuffix(" + base"), centred).fit()
    assert use.sigma_without == pytest.approx(np.sqrt(bare.mse_resid))
    row = next(row for row in found.anova if row.term == "base")
    assert (row.df, row.F) == pytest.approx((1, oracle.tvalues["base"] ** 2))
    assert found.model.formula.endswith("+ base")


def test_the_covariate_is_centred_so_that_means_are_those_of_an_average_run(
    make_study: Any, table: pd.DataFrame
) -> None:
    adjusted = analyse(make_study(analysis=ASKED), table, draws=99).responses["y"]
    means = [m.estimate for m in adjusted.means if m.term == "A"]
    assert np.mean([m for m in means if m is not None]) == pytest.approx(table["y"].mean())
    plain = analyse(make_study(), table, draws=99).responses["y"]
    assert plain.covariates == []
    a, b = (next(e for e in one.effects if e.term == "A") for one in (adjusted, plain))
    assert a.std_error is not None
    assert b.std_error is not None
    assert a.std_error < 0.8 * b.std_error
    assert (a.estimate - 1.0) ** 2 < (b.estimate - 1.0) ** 2


def test_what_is_no_use_is_left_out_with_the_reason(make_study: Any, table: pd.DataFrame) -> None:
    study = make_study(analysis=ASKED)
    plain = analyse(make_study(), table, draws=99).responses["y"]
    for values, why in ((7.0, "same in all runs"), (2.0 * table["A"], "function of the design")):
        result = analyse(study, table.assign(base=values), draws=99)
        assert any(f"covariate base was left out: it is {why}" in w or why in w for w in result.warnings)
        assert [e.estimate for e in result.responses["y"].effects] == [e.estimate for e in plain.effects]
    saturated = make_study(analysis={"terms": "full", "covariates": ["base"]})
    result = analyse(saturated, table[table["replicate"] == 1], draws=99)
    assert any("no degrees of freedom are left for it" in w for w in result.warnings)
    assert result.responses["y"].lenth is not None


def test_a_covariate_that_the_factors_move_is_said(make_study: Any, table: pd.DataFrame) -> None:
    quiet = analyse(make_study(analysis=ASKED), table, draws=99)
    assert not any("differs between levels" in w for w in quiet.warnings)
    moved = analyse(make_study(analysis=ASKED), table.assign(base=table["base"] + 10 * table["A"]), draws=99)
    assert any("the covariate base differs between levels of the factors" in w for w in moved.warnings)
    (use,) = moved.responses["y"].covariates
    assert use.p_design is not None
    assert use.p_design < 0.001


def test_runs_without_a_value_have_the_mean_and_no_value_at_all_is_refused(
    make_study: Any, table: pd.DataFrame
) -> None:
    table.loc[[0, 5], "base"] = np.nan
    result = analyse(make_study(analysis=ASKED), table, draws=99)
    assert any("covariate base: 2 run(s) without a value have the mean" in w for w in result.warnings)
    assert result.n_runs == 24
    with pytest.raises(AnalysisError, match="no run has a value of the covariate 'base'"):
        analyse(make_study(analysis=ASKED), table.drop(columns="base"), draws=99)
    with pytest.raises(AnalysisError, match="base is 'high', not a number"):
        analyse(make_study(analysis=ASKED), table.astype({"base": object}).assign(base="high"), draws=99)


def test_measures_of_the_runs_serve_as_covariates(make_study: Any, table: pd.DataFrame) -> None:
    table["run_id"] = [f"r{i}" for i in range(len(table))]
    measures = {run: {"base": value, "other": 1.0} for run, value in zip(table["run_id"], table["base"], strict=True)}
    study = make_study(analysis=ASKED)
    direct = analyse(study, table, draws=99)
    measured = analyse(study, table.drop(columns="base"), draws=99, measures=measures)
    assert measured.responses == direct.responses
    merged = with_covariates(study, table.drop(columns="base"), measures)
    assert supplement(direct, study, merged).trends == []
    assert with_covariates(make_study(), table, measures) is table


def test_adjustment_keeps_the_error_rate_and_coverage(make_study: Any, make_table: Any) -> None:
    study = make_study(analysis=ASKED)
    covered = []
    for seed in range(120):
        table = make_table(replicates=2, seed=seed)
        table["base"] = np.random.default_rng(10_000 + seed).normal(size=len(table))
        table["y"] += 2.0 * table["base"]
        effects = analyse(study, table, draws=9).responses["y"].effects
        covered += [e.ci_low is not None and e.ci_high is not None and e.ci_low <= 0 <= e.ci_high for e in effects]
    assert np.mean(covered) == pytest.approx(0.95, abs=3 * np.sqrt(0.95 * 0.05 / 360))


def test_unused_options_leave_the_plan_alone_and_used_ones_change_it(make_study: Any) -> None:
    plain = make_study()
    design = build_design(plain)
    document = plan_document(plain, design)
    assert not {"covariates", "overfit", "blocks"} & set(document["study"]["analysis"])
    same = make_study(analysis={"terms": "main", "covariates": [], "overfit": {}, "blocks": "fixed"})
    assert plan_hash(plan_document(same, design)) == plan_hash(document)
    for option in ({"covariates": ["base"]}, {"blocks": "random"}):
        changed = plan_document(make_study(analysis={"terms": "main", **option}), design)
        assert plan_hash(changed) != plan_hash(document)
        assert set(option) <= set(changed["study"]["analysis"])


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"covariates": ["A"]}, "is a factor or response"),
        ({"covariates": ["base", "base"]}, "occurs twice"),
        ({"overfit": {"y": ["y", "z"]}}, "choose a new name"),
        ({"overfit": {"gap": ["y", "nothing"]}}, "no response 'nothing'"),
        ({"overfit": {"gap": ["y", "y"]}}, "must be two responses in one unit"),
    ],
)
def test_options_that_make_no_sense_are_refused(make_study: Any, option: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        make_study(responses=("y", "z"), analysis={"terms": "main", **option})


def test_regime_overfit_is_a_response_of_its_own(make_study: Any, make_table: Any) -> None:
    table = make_table(replicates=3, effects={"A": 2.0})
    table["outside"] = np.random.default_rng(1).normal(size=len(table))
    study = make_study(responses=("y", "outside"), analysis={"terms": "main", "overfit": {"gap": ["y", "outside"]}})
    result = analyse(study, table, draws=99)
    assert list(result.responses) == ["y", "outside", "gap"]
    by_hand = analyse(make_study(responses=("gap",)), table.assign(gap=table["y"] - table["outside"]), draws=99)
    for one, other in zip(result.responses["gap"].effects, by_hand.responses["gap"].effects, strict=True):
        assert (one.estimate, one.std_error, one.p_value) == pytest.approx(
            (other.estimate, other.std_error, other.p_value)
        )
    assert result.responses["gap"].goal == "minimize"
    assert result.runs[0].responses["gap"] == pytest.approx(table["y"][0] - table["outside"][0])
    whole = supplement(result, study, table)
    assert {one.response for one in whole.seed_variances} == {"y", "outside", "gap"}
    table.loc[2, "outside"] = np.nan
    assert analyse(study, table, draws=99).responses["gap"].model.df_error == 24 - 3 - 3 - 1
