"""Covariates known before training, and regime overfit as a response."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError
from scipy import stats

from maineffect.analyse.exploratory_report import add_exploratory
from maineffect.analyse.run import analyse
from maineffect.analyse.simulation.planned import planned_model
from maineffect.analyse.table.covariates import with_covariates
from maineffect.design.build import build_design
from maineffect.design.power_report import RunSpread, beside_covariates, power_report
from maineffect.errors import AnalysisError, UsageError
from maineffect.journey.plan.place import Checked
from maineffect.journey.plan.power import PowerQuestion, planned_power
from maineffect.register.plan import plan_document, plan_hash
from maineffect.spec.crosscheck import cross_check, parts_of

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
    assert add_exploratory(direct, study, merged).trends == []
    assert with_covariates(make_study(), table, measures) is table


@pytest.mark.parametrize("studies", [30, pytest.param(120, marks=pytest.mark.slow)])
def test_adjustment_keeps_the_error_rate_and_coverage(make_study: Any, make_table: Any, studies: int) -> None:
    study = make_study(analysis=ASKED)
    covered = []
    for seed in range(studies):
        table = make_table(replicates=2, seed=seed)
        table["base"] = np.random.default_rng(10_000 + seed).normal(size=len(table))
        table["y"] += 2.0 * table["base"]
        effects = analyse(study, table, draws=9).responses["y"].effects
        covered += [e.ci_low is not None and e.ci_high is not None and e.ci_low <= 0 <= e.ci_high for e in effects]
    assert np.mean(covered) == pytest.approx(0.95, abs=3 * np.sqrt(0.95 * 0.05 / (3 * studies)))


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
    whole = add_exploratory(result, study, table)
    assert {one.response for one in whole.seed_variances} == {"y", "outside", "gap"}
    table.loc[2, "outside"] = np.nan
    assert analyse(study, table, draws=99).responses["gap"].model.df_error == 24 - 3 - 3 - 1


def test_hypotheses_may_be_about_regime_overfit(make_study: Any, make_table: Any) -> None:
    table = make_table(replicates=4, effects={"A": 3.0})
    table["outside"] = np.random.default_rng(1).normal(size=len(table))
    claims = [
        {"id": "H1", "term": "A", "response": "gap", "direction": "increase"},
        {"id": "H2", "term": "B", "response": "gap", "direction": "negligible", "smallest_effect": 2.5},
        {"id": "H3", "term": "A", "response": "y", "direction": "increase"},
    ]
    options = {"terms": "main", "overfit": {"gap": ["y", "outside"]}}
    study = make_study(responses=("y", "outside"), hypotheses=claims, analysis=options)
    assert cross_check(parts_of(study)) == []
    result = add_exploratory(analyse(study, table, draws=99), study, table)
    verdicts = {one.id: one.verdict for one in result.hypotheses}
    assert verdicts == {"H1": "supported", "H2": "negligible", "H3": "supported"}
    by_hand = make_study(responses=("gap", "y"), hypotheses=claims)
    same = analyse(by_hand, table.assign(gap=table["y"] - table["outside"]), draws=99)
    for one, other in zip(result.hypotheses, same.hypotheses, strict=True):
        assert (one.estimate, one.p_value) == pytest.approx((other.estimate, other.p_value))
        assert one.verdict == other.verdict


def test_a_claim_about_overfit_needs_a_known_name_and_its_own_margin(make_study: Any) -> None:
    options = {"terms": "main", "overfit": {"gap": ["y", "z"]}}
    claims = [
        {"id": "H1", "term": "A", "response": "gap", "direction": "negligible"},
        {"id": "H2", "term": "A", "response": "gaap"},
    ]
    study = make_study(responses=("y", "z"), hypotheses=claims, analysis=options)
    said = [f"{found.message}; {found.hint}" for found in cross_check(parts_of(study))]
    assert "needs a smallest effect of interest; set hypotheses.0.smallest_effect" in said[0]
    assert said[1].startswith("no response 'gaap'")
    assert "gap" in said[1]


def test_power_of_a_claim_about_overfit(make_study: Any) -> None:
    """Nobody knows the spread of a difference from that of its parts: refused, unless a pilot measured it."""
    claim = {"id": "H1", "term": "A", "response": "gap", "direction": "increase", "smallest_effect": 1.0}
    study = make_study(
        responses=("y", "z"),
        hypotheses=[claim],
        design={"kind": "full", "replicates": 2},
        analysis={"terms": "main", "overfit": {"gap": ["y", "z"]}},
    )
    design = build_design(study)
    (entry,) = power_report(study, design, {"y": RunSpread(1.0), "z": RunSpread(1.0)}, replicates=[2])["hypotheses"]
    assert entry["power_alone"] is None
    assert "a spread of its own: give --pilot" in entry["reason"]
    (known,) = power_report(study, design, {"gap": RunSpread(1.0, 10.0)}, replicates=[2])["hypotheses"]
    assert 0.3 < known["power_alone"] < 0.8


@pytest.mark.parametrize(("replicates", "r2"), [(1, 0.5), (2, 0.0), (2, 0.5)])
def test_power_with_a_covariate_is_what_simulation_finds(make_study: Any, replicates: int, r2: float) -> None:
    """One covariate that explains R² of a run's variance, fitted beside the design by plain least squares."""
    claim = {"id": "H1", "term": "A", "response": "y", "direction": "increase"}
    study = make_study(
        response={"smallest_effect": 1.2},
        hypotheses=[claim],
        design={"kind": "full", "replicates": replicates},
        analysis={"terms": "main", "covariates": ["base"]},
    )
    design = build_design(study)
    spread = beside_covariates(RunSpread(1.0), r2)
    report = power_report(
        study, design, {"y": spread}, replicates=[replicates], fitted=lambda made: planned_model(study, made)
    )
    (entry,) = report["hypotheses"]
    rng, studies = np.random.default_rng(5), 4_000
    cells = np.array([[levels[name] for name in "ABC"] for levels in map(design.levels_of, design.runs)])
    base = np.column_stack([np.ones(len(cells)), 2.0 * cells - 1])
    if replicates > 1:
        base = np.column_stack([base, [run.replicate - 1.5 for run in design.runs]])
    hits = 0
    for _ in range(studies):
        z = rng.normal(size=len(cells))
        x = np.column_stack([base, z])
        y = 0.6 * base[:, 1] + np.sqrt(r2) * z + np.sqrt(1 - r2) * rng.normal(size=len(cells))
        inverse = np.linalg.inv(x.T @ x)
        beta = inverse @ x.T @ y
        df = len(y) - x.shape[1]
        t = beta[1] / np.sqrt(inverse[1, 1] * np.sum((y - x @ beta) ** 2) / df)
        hits += abs(t) > stats.t.isf(0.025, df)
    assert entry["power_alone"] == pytest.approx(hits / studies, abs=0.04)


def test_what_power_assumes_of_covariates_is_said(make_study: Any) -> None:
    study = make_study(analysis={"terms": "main", "covariates": ["base"]}, design={"kind": "full", "replicates": 2})
    checked = Checked(Path("study.yaml"), study, build_design(study), {}, "0")

    def asked(**known: Any) -> Any:
        return planned_power(checked, PowerQuestion(replicates=(2,), **known), lambda name: None)  # type: ignore[arg-type]

    silent, told = asked(sigma=1.0), asked(sigma=1.0, covariate_r2=0.36)
    assert "as if it explained nothing; state --covariate-r2" in silent["covariates"]["note"]
    assert "base explain(s) 36%" in told["covariates"]["note"]
    assert told["spread"]["y"]["sigma"] == pytest.approx(0.8)
    assert told["terms"][0]["mde_by_response"]["y"]["mde"] == pytest.approx(
        0.8 * silent["terms"][0]["mde_by_response"]["y"]["mde"]
    )
    assert silent["terms"][0]["df_error"] == 16 - 1 - 3 - 1
    with pytest.raises(UsageError, match="twice"):
        asked(pilot="latest", covariate_r2=0.3)
    with pytest.raises(UsageError, match="not between 0 and 1"):
        asked(sigma=1.0, covariate_r2=1.0)
    bare = make_study(analysis={"terms": "main"})
    with pytest.raises(UsageError, match="none is registered"):
        planned_power(
            Checked(Path("study.yaml"), bare, build_design(bare), {}, "0"),
            PowerQuestion(sigma=1.0, covariate_r2=0.3),
            lambda name: None,  # type: ignore[arg-type]
        )
