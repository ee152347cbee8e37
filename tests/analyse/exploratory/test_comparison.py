"""Two analyses side by side: known answers for difference and pooling, and what must not be compared."""

from __future__ import annotations

import pytest
from scipy import stats

from maineffect.analyse.exploratory.comparison import compare
from maineffect.analyse.record.result import AnalysisResult, Effect, ModelSummary, ResponseResult, RunRow, SweepFacts


def _result(
    estimates: dict[str, float], se: float, df: float, name: str, levels: list[object], **facts: object
) -> AnalysisResult:
    half = float(stats.t.isf(0.025, df)) * se
    effects = [
        Effect(
            term=term, contrast="high − low", kind="main", estimate=value, std_error=se, df=df,
            ci_low=value - half, ci_high=value + half,
        )
        for term, value in estimates.items()
    ]  # fmt: skip
    return AnalysisResult(
        study="s",
        plan_hash=name * 8,
        n_runs=8,
        n_missing=0,
        responses={"y": ResponseResult(effects=effects, model=ModelSummary(formula="y ~ 1"))},
        facts=SweepFacts(
            sweep_id=name,
            registered_hash="h",
            factors=[{"name": term, "levels": levels} for term in estimates],
            provenance=facts.get("provenance", {}),
        ),
        runs=facts.get("runs", []),
    )


def test_difference_and_pooling_by_hand() -> None:
    """v = 0.04 and 0.01: the difference has variance 0.05, the pooled estimate weights 1 to 4 and variance 0.008."""
    first, second = _result({"A": 1.0}, 0.2, 8, "one", [0, 1]), _result({"A": 1.5}, 0.1, 8, "two", [0, 1])
    found = compare(first, second).effects[0]
    assert found.difference == pytest.approx(0.5)
    df = 0.05**2 / (0.04**2 / 8 + 0.01**2 / 8)
    half = stats.t.isf(0.025, df) * 0.05**0.5
    assert (found.difference_low, found.difference_high) == pytest.approx((0.5 - half, 0.5 + half))
    assert found.p_value == pytest.approx(2 * stats.t.sf(0.5 / 0.05**0.5, df))
    assert found.pooled == pytest.approx(0.2 * 1.0 + 0.8 * 1.5)
    pooled_df = 0.008**2 / ((0.2**2 * 0.04) ** 2 / 8 + (0.8**2 * 0.01) ** 2 / 8)
    wide = stats.t.isf(0.025, pooled_df) * 0.008**0.5
    assert found.pooled_high - found.pooled == pytest.approx(wide)
    assert found.agreement == "differ"  # p = 0.046


def test_difference_is_welchs_test() -> None:
    """With variances s²/n and n − 1 degrees of freedom the p-value is that of SciPy's Welch test."""
    a, b = [4.1, 5.0, 4.7, 5.3], [6.0, 6.9, 5.8, 7.4, 6.6]
    welch = stats.ttest_ind(a, b, equal_var=False)
    sem = [stats.sem(a), stats.sem(b)]
    first = _result({"A": sum(a) / 4}, float(sem[0]), 3, "one", [0, 1])
    second = _result({"A": sum(b) / 5}, float(sem[1]), 4, "two", [0, 1])
    assert compare(first, second).effects[0].p_value == pytest.approx(welch.pvalue)


def test_words_of_agreement_after_holm() -> None:
    first = _result({"A": 1.0, "B": 0.0, "C": 3.0}, 0.1, 50, "one", [0, 1])
    second = _result({"A": 1.1, "B": 0.05, "C": 1.0}, 0.1, 50, "two", [0, 1])
    words = {e.term: e.agreement for e in compare(first, second).effects}
    assert words == {"A": "same", "B": "compatible", "C": "differ"}
    assert all(e.p_adjusted >= e.p_value for e in compare(first, second).effects)


def test_other_levels_and_missing_terms_are_not_compared() -> None:
    first, second = (
        _result({"A": 1.0, "B": 2.0}, 0.1, 5, "one", [0, 1]),
        _result({"A": 1.0, "D": 2.0}, 0.1, 5, "two", [0, 2]),
    )
    comparison = compare(first, second)
    assert comparison.effects == []
    assert any("A has other levels" in why for why in comparison.apart)
    assert any(why == "B is not estimated in two" for why in comparison.apart)
    assert any(why == "D is not estimated in one" for why in comparison.apart)


def test_changes_and_shared_runs_are_told() -> None:
    run = RunRow(run_id="r", levels={"A": 0}, tracking_run_id="t", seed=1)
    first = _result({"A": 1.0}, 0.1, 5, "one", [0, 1], provenance={"me.code": "abc", "x": "1"}, runs=[run])
    second = _result({"A": 1.0}, 0.1, 5, "two", [0, 1], provenance={"me.code": "def", "x": "2"}, runs=[run])
    comparison = compare(first, second)
    assert {(c.what, c.first, c.second) for c in comparison.changes} >= {("code", "abc", "def")}
    assert not any(c.what == "x" for c in comparison.changes)
    facts = [
        r.facts.model_copy(update={"settings": {"train": {"steps": n, "lr": 0.1}}})
        for r, n in ((first, 2), (second, 3))
    ]
    told = compare(*(r.model_copy(update={"facts": f}) for r, f in zip((first, second), facts, strict=True)))
    assert [(c.what, c.first, c.second) for c in told.changes if "settings" in c.what] == [
        ("settings.train.steps", "2", "3")
    ]
    assert any("1 runs count in both" in warning for warning in comparison.warnings)


def test_without_error_estimates_nothing_is_claimed() -> None:
    first = _result({"A": 1.0}, 0.1, 5, "one", [0, 1])
    bare = first.responses["y"].model_copy(
        update={"effects": [Effect(term="A", contrast="high − low", kind="main", estimate=2.0)]}
    )
    found = compare(first, first.model_copy(update={"responses": {"y": bare}})).effects[0]
    assert (found.difference, found.agreement, found.pooled) == (1.0, "unknown", None)
