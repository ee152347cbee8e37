"""What is added to an analysis: transport, trends, curves, items, screening, aggregates, simple effects."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError
from scipy import stats

from maineffect.analyse.exploratory_report import add_exploratory, item_variances
from maineffect.analyse.inference.exaggeration import exaggeration
from maineffect.analyse.record.result import AnalysisResult
from maineffect.analyse.run import analyse


def _both(study: Any, table: pd.DataFrame, **more: Any) -> AnalysisResult:
    return add_exploratory(analyse(study, table, draws=99), study, table, **more)


def test_simple_effects_are_differences_of_cell_means(make_study: Any, make_table: Any) -> None:
    table = make_table(effects={"A": 2.0})
    result = analyse(make_study(terms="two_way"), table, draws=99)
    cells = table.groupby(["A", "B"])["y"].mean()
    found = {(e.factor, *e.given.items()): e for e in result.responses["y"].simple_effects}
    assert len(found) == 12
    for level in (0, 1):
        one = found["A", ("B", level)]
        assert one.estimate == pytest.approx(cells[1, level] - cells[0, level])
        sigma = result.responses["y"].model.sigma
        assert sigma is not None
        assert one.std_error == pytest.approx(sigma * np.sqrt(2 / 4))
        assert one.ci_low is not None
        assert one.ci_low < one.estimate
    assert analyse(make_study(terms="main"), table, draws=99).responses["y"].simple_effects == []


def test_significant_effects_say_how_far_they_may_exaggerate(make_study: Any, make_table: Any) -> None:
    table = make_table(effects={"A": 5.0})
    effects = {e.term: e for e in analyse(make_study(response={"smallest_effect": 0.5}), table).responses["y"].effects}
    a = effects["A"]
    assert a.std_error is not None
    expected = exaggeration(0.5, a.std_error)
    assert (a.type_s, a.exaggeration) == (expected.type_s, expected.ratio)
    for one in effects.values():
        assert (one.exaggeration is not None) == (one.p_value is not None and one.p_value <= 0.05)


def test_transport_weights_simple_effects(make_study: Any, make_table: Any) -> None:
    table = make_table(effects={"A": 1.0})
    table["y"] += 4.0 * table["A"] * table["B"]
    study = make_study(terms="two_way", analysis={"terms": "two_way", "transport": {"B": {0: 0.9, 1: 0.1}}})
    result = _both(study, table)
    cells = table.groupby(["A", "B"])["y"].mean()
    by_level = [cells[1, b] - cells[0, b] for b in (0, 1)]
    moved = {one.factor: one for one in result.transported}
    assert moved["A"].estimate == pytest.approx(0.9 * by_level[0] + 0.1 * by_level[1])
    assert moved["A"].designed == pytest.approx(np.mean(by_level))
    assert moved["A"].ci_low is not None
    assert moved["B"].target == {}
    assert moved["B"].estimate == pytest.approx(moved["B"].designed)
    assert _both(make_study(), make_table()).transported == []


@pytest.mark.parametrize("target", [{"Z": {"0": 1}}, {"A": {"7": 1}}, {"A": {"0": -1, "1": 2}}, {"A": {"0": 0}}])
def test_a_target_that_the_study_does_not_have_is_refused(make_study: Any, target: Any) -> None:
    with pytest.raises(ValidationError, match="transport"):
        make_study(analysis={"transport": target})


def test_trend_of_an_effect_over_a_covariate(make_study: Any) -> None:
    """The effect of A is 1 + 2·log2(steps): its slope per doubling is 2."""
    rng = np.random.default_rng(0)
    rows = [(a, s) for a in (0, 1) for s in (100, 200, 400) for _ in range(4)]
    table = pd.DataFrame(rows, columns=["A", "steps"])
    table["y"] = table["A"] * (1 + 2 * np.log2(table["steps"])) + rng.normal(0, 0.05, len(table))
    study = make_study({"A": {"levels": [0, 1]}, "steps": {"levels": [100, 200, 400]}}, terms="two_way")
    trends = {(t.factor, t.covariate): t for t in _both(study, table).trends}
    one = trends["A", "steps"]
    assert one.scale == "log2"
    assert one.ci_low is not None
    assert one.ci_high is not None
    cells = table.groupby(["A", "steps"])["y"].mean()
    # Three equally spaced log-levels: the least-squares slope is half the difference of the outer effects.
    by_hand = ((cells[1, 400] - cells[0, 400]) - (cells[1, 100] - cells[0, 100])) / 2
    assert one.slope == pytest.approx(by_hand)
    assert one.slope == pytest.approx(2.0, abs=0.1)
    assert one.ci_low < one.slope < one.ci_high


def test_curves_become_bands_and_responses(make_study: Any, make_table: Any) -> None:
    table = make_table(replicates=3)
    table["run_id"] = [f"r{i}" for i in range(len(table))]
    steps = list(range(0, 101, 10))
    rng = np.random.default_rng(3)
    curves = {
        run: (steps, [s * (0.01 + 0.02 * a) + e for s, e in zip(steps, rng.normal(0, 0.05, 11), strict=True)])
        for run, a in zip(table["run_id"], table["A"], strict=True)
    }
    study = make_study(analysis={"terms": "main", "thresholds": {"reward": 0.5}})
    result = _both(study, table, curves={"reward": curves})
    bands = {band.term: band for band in result.curve_effects}
    assert bands["A"].first_step is not None
    assert bands["A"].first_step <= 20
    assert bands["B"].first_step is None
    assert bands["A"].critical > 2
    areas = {e.term: e.estimate for e in result.curve_responses["area under reward"].effects}
    assert areas["A"] == pytest.approx(1.0, abs=0.05)
    times = {e.term: e.estimate for e in result.curve_responses["steps to reward 0.5"].effects}
    assert times["A"] == pytest.approx(50 / 3 - 50, abs=4)
    assert set(result.responses) == {"y"}


def test_runs_that_never_reach_the_threshold_are_said(make_study: Any, make_table: Any) -> None:
    table = make_table(replicates=2)
    table["run_id"] = [f"r{i}" for i in range(len(table))]
    curves = {run: ([0, 1, 2], [0.0, 0.1 * i, 0.2 * i]) for i, run in enumerate(table["run_id"])}
    result = _both(make_study(analysis={"terms": "main", "thresholds": {"m": 1.0}}), table, curves={"m": curves})
    assert any("5 run(s) never reach m 1" in warning for warning in result.warnings)


def _items(run_sd: float, rest_sd: float, runs: int = 12, items: int = 50) -> dict[str, pd.DataFrame]:
    rng = np.random.default_rng(1)
    hard = rng.normal(0, 1, items)
    return {
        f"r{i}": pd.DataFrame(
            {"item": range(items), "score": hard + rng.normal(0, run_sd) + rng.normal(0, rest_sd, items)}
        )
        for i in range(runs)
    }


def test_item_variances_advise_seeds_or_items() -> None:
    cells = {f"r{i}": "one" for i in range(12)}
    seeds = item_variances(_items(1.0, 0.5), cells, [])[0]
    assert (seeds.advice, seeds.runs, seeds.items, seeds.score) == ("more seeds", 12, 50, "score")
    assert seeds.run == pytest.approx(1.0, rel=0.9)
    assert seeds.residual == pytest.approx(0.25, rel=0.2)
    assert seeds.std_error == pytest.approx(np.sqrt(2 * (seeds.run + seeds.residual / 50) / 12))
    items = item_variances(_items(0.02, 3.0), cells, [])[0]
    assert items.advice == "more items"


def test_item_variances_equal_the_two_way_anova() -> None:
    """One condition: classical expected mean squares of runs × items without replication (statsmodels as oracle)."""
    import statsmodels.formula.api as smf
    from statsmodels.stats.anova import anova_lm

    tables = _items(0.7, 0.5, runs=5, items=8)
    long = pd.concat([own.assign(run=run) for run, own in tables.items()])
    mean_sq = anova_lm(smf.ols("score ~ C(run) + C(item)", long).fit())["mean_sq"]
    found = item_variances(tables, dict.fromkeys(tables, "one"), [])[0]
    assert found.residual == pytest.approx(mean_sq["Residual"])
    assert found.run == pytest.approx((mean_sq["C(run)"] - mean_sq["Residual"]) / 8)
    assert found.item == pytest.approx((mean_sq["C(item)"] - mean_sq["Residual"]) / 5)


def test_item_tables_that_cannot_be_crossed_are_said() -> None:
    warnings: list[str] = []
    assert item_variances({"a": pd.DataFrame({"x": [1.0]}), "b": pd.DataFrame({"x": [2.0]})}, {}, warnings) == []
    assert "no item column" in warnings[0]
    assert item_variances({}, {}, warnings) == []
    twice = pd.DataFrame({"item": [1, 1], "score": [0.0, 1.0]})
    assert item_variances({"a": twice, "b": twice}, {}, warnings) == []
    assert "repeat or lack an item" in warnings[1]


def test_screening_is_exploratory_and_finds_the_active_terms(make_study: Any, make_table: Any) -> None:
    table = make_table("ABCD", 1, effects={"A": 6.0, "C": -4.0}, sd=0.5)
    table["y"] += 5.0 * table["A"] * table["C"]
    found = _both(make_study("ABCD"), table).screening
    assert len(found) == 1
    assert found[0].exploratory
    assert {"A", "C", "A:C"} <= set(found[0].terms)
    assert found[0].method == "aicc"


def test_aggregates_compare_last_with_first_level(make_study: Any, make_table: Any) -> None:
    table = make_table(replicates=2, effects={"A": 1.5})
    result = _both(make_study(), table)
    one = next(a for a in result.aggregates if a.factor == "A")
    first, last = (table.loc[table["A"] == level, "y"].to_numpy() for level in (0, 1))
    # P(last > first) with ties as halves is the Mann–Whitney statistic over all pairs.
    pairs = stats.mannwhitneyu(last, first).statistic / (len(first) * len(last))
    assert one.probability == pytest.approx(float(pairs))
    assert one.probability_low <= one.probability <= one.probability_high
    assert one.difference_low < one.iqm_last - one.iqm_first < one.difference_high
    assert result.aggregates == _both(make_study(), table).aggregates
