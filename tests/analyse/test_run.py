"""The public function on tables with strata, failures and hypotheses of every kind."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from maineffect.analyse.confirmatory.bootstrap import wild_cluster_test
from maineffect.analyse.exploratory.transport import targets_of, transported_effect
from maineffect.analyse.fit.responses import fit_responses
from maineffect.analyse.run import analyse
from maineffect.design.build import build_design
from maineffect.design.emit import design_rows
from maineffect.errors import AnalysisError
from maineffect.register.plan import plan_document

H1 = {"id": "H1", "term": "A", "response": "y", "direction": "increase"}


def test_replicates_are_blocks(make_study: Any, make_table: Any) -> None:
    table = make_table(replicates=3)
    table["y"] += 100.0 * table["replicate"]
    result = analyse(make_study(), table)
    assert result.responses["y"].model.df_error == 24 - 1 - 2 - 3
    assert result.responses["y"].model.sigma == pytest.approx(1.0, rel=0.4)
    components = result.responses["y"].variance_components
    assert components is not None
    assert components["block"] == pytest.approx(100.0**2, rel=0.05)


def test_effects_are_differences_of_means(make_study: Any, make_table: Any) -> None:
    table = make_table(effects={"A": 2.0})
    effects = {e.term: e for e in analyse(make_study(terms="two_way"), table).responses["y"].effects}
    for name in "ABC":
        means = table.groupby(name)["y"].mean()
        assert effects[name].estimate == pytest.approx(means[1] - means[0])
        assert effects[name].contrast == "high − low"
    cells = table.groupby(["A", "B"])["y"].mean()
    half = ((cells[1, 1] - cells[0, 1]) - (cells[1, 0] - cells[0, 0])) / 2
    assert effects["A:B"].estimate == pytest.approx(half)


def test_numeric_levels_get_polynomials(make_study: Any) -> None:
    table = pd.DataFrame({"dose": [1, 2, 4] * 4, "y": [1.0, 2.0, 4.0] * 4})
    table["y"] += np.tile([0.1, -0.1], 6)
    effects = analyse(make_study({"dose": {"levels": [1, 2, 4]}}), table).responses["y"].effects
    assert [e.contrast for e in effects] == ["linear", "quadratic"]
    assert effects[0].estimate == pytest.approx(3.0, abs=0.2)
    assert effects[1].estimate == pytest.approx(0.0, abs=0.2)


def test_declared_scores_of_failed_runs(make_study: Any, make_table: Any) -> None:
    table = make_table(effects={"A": 1.0}).assign(status="finished")
    table.loc[0, ["status", "y"]] = ["diverged", np.nan]
    table.loc[1, ["status", "y"]] = ["lost", np.nan]
    scored = analyse(make_study(response={"on_failure": -3.0}), table)
    assert (scored.n_runs, scored.n_missing) == (15, 1)
    assert any("declared beforehand" in warning for warning in scored.warnings)
    missing = analyse(make_study(), table)
    assert (missing.n_runs, missing.n_missing) == (14, 2)
    by_hand = table.copy()
    by_hand.loc[0, "y"] = -3.0
    expected = analyse(make_study(), by_hand.drop(index=1).drop(columns="status"))
    for a, b in zip(scored.responses["y"].effects, expected.responses["y"].effects, strict=True):
        assert a.estimate == b.estimate
    failed = [run for run in scored.runs if run.failure]
    assert [(run.status, run.responses["y"]) for run in failed] == [("diverged", None), ("lost", None)]


def test_lost_runs_name_what_they_cost(make_study: Any) -> None:
    study = make_study("ABCD", terms="main", design={"kind": "fractional", "resolution": 4})
    design = build_design(study)
    table = pd.DataFrame(design_rows(design)).assign(y=np.arange(8.0) ** 2)
    whole = analyse(study, table, design=design)
    assert whole.n_missing == 0
    kept = table[(table["A"] == 0)]
    broken = analyse(study, kept, design=design)
    assert broken.n_missing == 4
    assert [run.status for run in broken.runs].count("missing") == 4
    text = "\n".join(broken.warnings)
    assert "A can no longer be estimated" in text
    restored = text.split("these runs restore the design: ")[1].split("\n")[0].split(", ")
    assert len(restored) == 1
    again = pd.concat([kept, table[table["run_id"].isin(restored)]])
    assert not any("no longer" in warning for warning in analyse(study, again, design=design).warnings)


def test_failure_that_follows_a_factor_is_named(make_study: Any, make_table: Any) -> None:
    table = make_table(replicates=3).assign(status="finished")
    table.loc[(table["B"] == 1) & (table["replicate"] < 3), ["status", "y"]] = ["oom-gpu", np.nan]
    warnings = analyse(make_study(), table).warnings
    assert any(warning.startswith("failure depends on B") for warning in warnings)
    assert not any(warning.startswith("failure depends on A") for warning in warnings)


@pytest.mark.parametrize(
    ("effect", "direction", "verdict"),
    [(2.0, "increase", "supported"), (2.0, "decrease", "refuted"), (0.0, "negligible", "negligible"),
     (0.0, "increase", "negligible"), (2.0, "different", "supported")],
)  # fmt: skip
def test_verdicts_of_planted_effects(
    make_study: Any, make_table: Any, effect: float, direction: str, verdict: str
) -> None:
    table = make_table(replicates=4, effects={"A": effect}, sd=0.3, seed=3)
    study = make_study(response={"smallest_effect": 0.5}, hypotheses=[{**H1, "direction": direction}])
    result = analyse(study, table)
    (judged,) = result.hypotheses
    assert judged.verdict == verdict
    if direction != "negligible":
        assert judged.p_permutation is not None
        assert (judged.p_permutation < 0.01) == (effect > 0)
    registered = [e for e in result.responses["y"].effects if e.registered]
    assert [e.term for e in registered] == ["A"]


def test_an_open_question_says_how_many_replicates(make_study: Any, make_table: Any) -> None:
    table = make_table(replicates=2, seed=5)
    study = make_study(response={"smallest_effect": 0.2}, hypotheses=[H1])
    (judged,) = analyse(study, table).hypotheses
    assert judged.verdict == "inconclusive"
    assert judged.replicates_needed is None or judged.replicates_needed > 2


def test_a_claim_about_categories_uses_all_pairs(make_study: Any) -> None:
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"model": ["a", "b", "c"] * 8})
    table["y"] = rng.normal(size=24) + 3.0 * (table["model"] == "b")
    study = make_study(
        {"model": {"levels": ["a", "b", "c"]}}, hypotheses=[{**H1, "term": "model", "direction": "different"}]
    )
    (judged,) = analyse(study, table).hypotheses
    assert judged.verdict == "supported"
    assert judged.contrast in {"b − a", "c − b"}
    from scipy import stats

    groups = [table[table["model"] == level]["y"] for level in "abc"]
    tukey = float(stats.tukey_hsd(*groups).pvalue.min())
    assert judged.p_value is not None
    assert judged.p_value == pytest.approx(tukey, abs=2e-3)


def test_a_hypothesis_that_cannot_be_judged_says_why(make_study: Any, make_table: Any) -> None:
    study = make_study(hypotheses=[H1, {**H1, "id": "H2", "term": "B"}])
    table = make_table(replicates=3)
    result = analyse(study, table[table["A"] == 0])
    assert result.hypotheses[0].verdict == "inconclusive"
    assert "did not vary" in (result.hypotheses[0].reason or "")
    assert result.hypotheses[0].p_adjusted is None
    assert result.hypotheses[1].p_adjusted == result.hypotheses[1].p_value


def test_registered_interaction_goes_before_its_aliases(make_study: Any) -> None:
    """In a 2^(4−1) AB = CD: the registered one is fitted, and names the other."""
    study = make_study(
        "ABCD",
        terms="two_way",
        design={"kind": "fractional", "resolution": 4, "replicates": 2},
        hypotheses=[{**H1, "term": "C:D", "direction": "different"}],
    )
    design = build_design(study)
    table = pd.DataFrame(design_rows(design))
    table["y"] = np.random.default_rng(0).normal(size=16) + 3.0 * (table["C"] ^ table["D"])
    result = analyse(study, table)
    effects = {e.term: e for e in result.responses["y"].effects}
    assert effects["C:D"].aliased_with == ["A:B"]
    assert "A:B" not in effects
    assert result.hypotheses[0].estimate == pytest.approx(-3.0, abs=1.5)
    assert result.hypotheses[0].aliased_with == ["A:B"]


def test_complex_aliasing_fits_no_arbitrary_interaction(make_study: Any) -> None:
    """Plackett–Burman, 12 runs, 7 factors: 21 interactions in four degrees of freedom."""
    first = np.array([1, 1, -1, 1, 1, 1, -1, -1, -1, 1, -1])
    matrix = np.vstack([*(np.roll(first, i) for i in range(11)), -np.ones(11, dtype=int)])
    names = "ABCDEFG"
    table = pd.DataFrame({name: (matrix[:, i] + 1) // 2 for i, name in enumerate(names)})
    table["y"] = np.random.default_rng(0).normal(size=12)
    result = analyse(make_study(names, terms="two_way"), table)
    assert [e.term for e in result.responses["y"].effects] == list(names)
    assert len(result.responses["y"].not_estimable) == 21
    assert result.responses["y"].model.df_error == 4
    assert any("bias" in warning for warning in result.warnings)


def test_whole_plots_without_replication_are_not_tested(make_study: Any) -> None:
    """One whole plot per level: its effect has an estimate and no error; within plots all is well."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame([(a, b, r) for a in (0, 1) for b in (0, 1) for r in range(3)], columns=["A", "B", "r"])
    table = table.assign(y=rng.normal(size=12), whole_plot=table["A"]).drop(columns="r")
    study = make_study("AB", design={"kind": "split_plot", "hard_to_change": ["A"]}, hypotheses=[H1])
    result = analyse(study, table)
    effects = {e.term: e for e in result.responses["y"].effects}
    assert effects["A"].p_value is None
    assert effects["B"].p_value is not None
    assert result.hypotheses[0].verdict == "inconclusive"
    assert any("not replicated" in warning for warning in result.warnings)


def test_robust_intervals_on_request(make_study: Any, make_table: Any) -> None:
    import statsmodels.api as sm

    table = make_table(replicates=3).drop(columns="replicate")
    table["run_id"] = range(24)
    study = make_study(analysis={"terms": "main", "robust": "hc3"})
    effects = analyse(study, table).responses["y"].effects
    x = np.column_stack([np.ones(24), 2 * table[["A", "B", "C"]].to_numpy() - 1])
    expected = 2 * sm.OLS(table["y"].to_numpy(), x).fit(cov_type="HC3").bse[1:]
    assert [e.std_error for e in effects] == pytest.approx(expected)


def test_the_wild_bootstrap_stands_beside_each_claim(make_study: Any, make_table: Any) -> None:
    table = make_table(effects={"A": 0.8}, sd=1.0, replicates=4)
    study = make_study(terms="main", hypotheses=[{"id": "H1", "term": "A", "response": "y"}])
    (claim,) = analyse(study, table).hypotheses
    fitted = fit_responses(study, table)["y"]
    row = fitted.surface.contrasts("A")[0].row
    assert claim.p_wild == wild_cluster_test(fitted.fit.x, fitted.y, row, draws=9_999, seed=study.seed)
    assert claim.p_wild == pytest.approx(claim.p_value, abs=0.03), "equal variances: both are right"
    few = analyse(study, table.head(4), draws=99).hypotheses[0]
    assert few.p_wild is None, "four runs have no signs to draw"


def test_transport_reweights_an_interaction(make_study: Any, make_table: Any) -> None:
    table = make_table(effects={"A": 1.0}, sd=0.1, replicates=4)
    table["y"] += 2.0 * table["A"] * table["B"]
    fitted = fit_responses(make_study(terms="two_way"), table)["y"]
    wild = transported_effect(fitted, "A", targets_of(make_study(analysis={"transport": {"B": {"0": 0.9, "1": 0.1}}})))
    assert wild.estimate == pytest.approx(1.2, abs=0.15)
    assert transported_effect(fitted, "A", []).estimate == pytest.approx(2.0, abs=0.15)
    assert wild.half_width is not None
    with pytest.raises(AnalysisError, match="no factor 'Z'"):
        transported_effect(fitted, "Z", [])


def test_responses_share_a_fit_but_not_their_missing_runs(make_study: Any, make_table: Any) -> None:
    table = make_table(replicates=3)
    table["z"] = table["y"] * 2
    table.loc[3, "z"] = np.nan
    both = analyse(make_study(responses=("y", "z")), table)
    alone = analyse(make_study(responses=("z",)), table)
    assert both.responses["z"].effects[0].estimate == alone.responses["z"].effects[0].estimate
    assert both.responses["y"].model.df_error == both.responses["z"].model.df_error + 1  # type: ignore[operator]
    assert both.n_missing == 0


def test_the_same_table_gives_the_same_document(make_study: Any, make_table: Any) -> None:
    study = make_study(terms="two_way", hypotheses=[H1])
    assert analyse(study, make_table()).model_dump_json() == analyse(study, make_table()).model_dump_json()


def test_share_intervals_cover() -> None:
    """η² of a true noncentrality: 95 % intervals cover it."""
    from scipy import stats

    from maineffect.analyse.fit.anova import share_interval

    rng = np.random.default_rng(0)
    df, df_error, nc = 2, 20, 8.0
    truth = nc / (nc + 24)  # 24 runs: the mean, a term, a block of one degree of freedom, and the error
    draws = stats.ncf.rvs(df, df_error, nc, size=300, random_state=rng)
    covered = [low <= truth <= high for low, high in (share_interval(f, df, df_error, 0.05, 24) for f in draws)]
    assert np.mean(covered) == pytest.approx(0.95, abs=3 * np.sqrt(0.95 * 0.05 / 300))


def test_lost_runs_of_a_balanced_design_are_judged_by_hc2(make_study: Any, make_table: Any) -> None:
    """The main p-value then is HC2 with Bell–McCaffrey degrees of freedom, and the reader is told."""
    from maineffect.analyse.fit.least_squares import least_squares
    from maineffect.analyse.fit.robust import RobustInference
    from maineffect.design.model.terms import model_matrix

    table = make_table(replicates=4, effects={"A": 2.0})
    whole = analyse(make_study(), table, draws=99)
    assert not any("HC2" in warning for warning in whole.warnings)
    assert {e.df for e in whole.responses["y"].effects} == {32 - 4 - 3}
    broken = table.copy()
    broken.loc[[0, 9, 13], "y"] = np.nan
    result = analyse(make_study(hypotheses=[H1]), broken, draws=99)
    assert any("HC2 standard errors with Bell–McCaffrey" in warning for warning in result.warnings)
    kept = broken.dropna()
    study = make_study()
    rows = {name: kept[name].tolist() for name in "ABC"}
    model = model_matrix(tuple(study.factors.values()), rows, ("A", "B", "C"), blocks=kept["replicate"].tolist())
    fit = least_squares(model.matrix, kept[["y"]].to_numpy())
    row = np.zeros((1, model.matrix.shape[1]))
    row[0, model.spans["A"]] = 2.0
    expected = RobustInference(fit, 0, "hc2").contrasts(row)
    a = result.responses["y"].effects[0]
    assert (a.estimate, a.std_error, a.df) == pytest.approx(
        (expected.estimate[0], expected.std_error[0], expected.df[0])
    )
    assert a.df is not None
    assert a.df < 29 - 4 - 3
    assert result.hypotheses[0].std_error == a.std_error


def test_lost_runs_are_given_their_worst_values(make_study: Any, make_table: Any) -> None:
    """Every filling-in of two lost runs with values within the limits: the bounds are the extremes of least squares."""
    table = make_table(replicates=2, effects={"A": 1.0})
    table["y"] = 1 / (1 + np.exp(-table["y"]))
    claims = [{"id": "H1", "term": "A", "response": "y", "direction": "increase"}]
    study = make_study(response={"limits": [0.0, 1.0]}, hypotheses=claims)
    whole = analyse(study, table, draws=19)
    assert not any("lost run(s) lain" in warning for warning in whole.warnings)
    lost = [1, 14]
    found = []
    for one, other in product([0.0, 0.37, 1.0], repeat=2):
        filled = table.copy()
        filled.loc[lost, "y"] = [one, other]
        found.append(next(e.estimate for e in analyse(study, filled, draws=19).responses["y"].effects if e.term == "A"))
    gone = table.copy()
    gone.loc[lost, "y"] = np.nan
    (said,) = [w for w in analyse(study, gone, draws=19).warnings if "lost run(s) lain" in w]
    assert f"would lie in [{min(found):.4g}, {max(found):.4g}]" in said
    assert "H1: had the 2 lost run(s)" in said
    with pytest.raises(ValidationError, match="the smaller value, then the larger"):
        make_study(response={"limits": [1.0, 0.0]})
    bare = make_study(hypotheses=claims)
    assert plan_document(study, build_design(study))["study"]["responses"]["y"]["limits"] == [0.0, 1.0]
    assert "limits" not in plan_document(bare, build_design(bare))["study"]["responses"]["y"]
