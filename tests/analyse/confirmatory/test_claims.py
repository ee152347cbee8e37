"""Claims of several contrasts, of correlated estimates, of unreplicated designs, and of what has no error: by hand."""

from __future__ import annotations

from itertools import combinations, product
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from maineffect.analyse.confirmatory.assurance import replicates_needed
from maineffect.analyse.confirmatory.verdicts import Claim
from maineffect.analyse.record.result import HypothesisResult
from maineffect.analyse.run import analyse
from maineffect.spec.study import StudySpec

LEVELS = ["u", "v", "w"]
SHARED = {"kind": "full", "common_random_numbers": True}


def _study(claims: list[dict[str, Any]], factors: dict[str, list[Any]], **more: Any) -> StudySpec:
    named = {name: {"name": name, "levels": levels} for name, levels in factors.items()}
    return StudySpec.model_validate(
        {
            "schema_version": 1,
            "name": "claims",
            "factors": named,
            "design": {"kind": "full", "replicates": 4},
            "responses": {"y": {"name": "y"}, "z": {"name": "z"}},
            "hypotheses": [{"id": f"H{i}", "response": "y", **claim} for i, claim in enumerate(claims, start=1)],
            "analysis": {"terms": "main"},
            **more,
        }
    )


def _table(factors: dict[str, list[Any]], replicates: int, seed: int = 0) -> pd.DataFrame:
    rows = [
        {**dict(zip(factors, cell, strict=True)), "replicate": r}
        for r in range(1, replicates + 1)
        for cell in product(*factors.values())
    ]
    rng = np.random.default_rng(seed)
    return pd.DataFrame(rows).assign(y=rng.normal(size=len(rows)), z=rng.normal(size=len(rows)))


def _judged(study: StudySpec, table: pd.DataFrame) -> list[HypothesisResult]:
    return analyse(study, table, draws=19).hypotheses


def test_correlated_estimates_of_one_response_count_as_such_within_a_family() -> None:
    """Twenty of 24 runs have A = B: the joint distribution of |t| is integrated by scipy; other responses count as 0."""
    both = {"A": [0, 1], "B": [0, 1]}
    table = pd.DataFrame({"A": [0] * 12 + [1] * 12, "B": [0] * 10 + [1] * 12 + [0] * 2})
    rng = np.random.default_rng(4)
    table["y"] = 10 * (rng.normal(size=24) + 1.2 * table["A"] - 1.2 * table["B"])
    table["z"] = rng.normal(size=24)
    study = _study(
        [{"term": "A", "response": "z"}, {"term": "A"}, {"term": "B"}], both,
        analysis={"terms": "main", "correction": "max_t"}, design={"kind": "full"},
    )  # fmt: skip
    x = np.column_stack([np.ones(24), table["A"], table["B"]])
    unscaled = np.linalg.inv(x.T @ x)
    between = unscaled[1, 2] / np.sqrt(unscaled[1, 1] * unscaled[2, 2])
    assert between < -0.6
    shape = np.array([[1, 0, 0], [0, 1, between], [0, between, 1.0]])
    joint = stats.multivariate_t(np.zeros(3), shape, df=21, seed=0)
    gains = []
    for one, name, column in zip(_judged(study, table), ("z", "y", "y"), (1, 1, 2), strict=True):
        beta, rest, *_ = np.linalg.lstsq(x, table[name], rcond=None)
        t = abs(beta[column]) / np.sqrt(rest[0] / 21 * unscaled[column, column])
        assert one.p_value == pytest.approx(2 * stats.t.sf(t, 21))
        right = 1 - joint.cdf(np.full(3, t), lower_limit=np.full(3, -t))
        assert one.p_adjusted == _simulated(right)
        gains.append(
            1
            - stats.multivariate_t(np.zeros(3), np.eye(3), df=21, seed=0).cdf(np.full(3, t), lower_limit=np.full(3, -t))
            - right
        )
    assert max(gains) > 0.02, "the correlation is seen"


def _simulated(p: float) -> Any:
    """A p-value as 40,000 seeded draws of the largest |t| give it: within four Monte Carlo errors."""
    return pytest.approx(p, abs=4 * np.sqrt(p * (1 - p) / 40_000) + 5e-5)


def _three(direction: str, margin: float | None, spread: float) -> tuple[HypothesisResult, dict[str, Any]]:
    """One claim about three levels, eight runs each in four blocks, and what Tukey's method has of it."""
    factors = {"C": LEVELS, "B": [0, 1]}
    table = _table(factors, 4, 1)
    table["y"] += spread * table["C"].map({"u": 0.0, "v": 1.0, "w": 0.4})
    claim = {"term": "C", "direction": direction, **({} if margin is None else {"smallest_effect": margin})}
    (found,) = _judged(_study([claim], factors, analysis={"terms": "main", "correction": "none"}), table)
    means, df = table.groupby("C")["y"].mean(), 24 - 7
    x = np.column_stack(
        [*(table["C"] == level for level in LEVELS), table["B"], *(table["replicate"] == r for r in (2, 3, 4))]
    )
    sse = float(np.linalg.lstsq(x.astype(float), table["y"], rcond=None)[1][0])
    se = np.sqrt(sse / df * 2 / 8)
    pairs = {f"{b} − {a}": float(means[b] - means[a]) for a, b in combinations(LEVELS, 2)}
    return found, {"pairs": pairs, "se": se, "df": df}


@pytest.mark.parametrize(("margin", "spread"), [(None, 1.5), (0.9, 1.5), (3.0, 0.3)])
def test_of_three_levels_one_pair_must_differ_by_tukeys_method(margin: float | None, spread: float) -> None:
    found, right = _three("different", margin, spread)
    pairs, se, df = right["pairs"], right["se"], right["df"]
    widest = max(pairs, key=lambda pair: abs(pairs[pair]))
    assert found.contrast == widest
    assert found.estimate == pytest.approx(pairs[widest])
    size = abs(pairs[widest])
    assert found.p_zero == _simulated(stats.studentized_range.sf(np.sqrt(2) * size / se, 3, df))
    half = stats.studentized_range.isf(0.05, 3, df) / np.sqrt(2) * se
    assert (found.ci_low, found.ci_high) == pytest.approx((pairs[widest] - half, pairs[widest] + half), abs=0.02)
    if margin is None:
        assert found.p_beyond is None
        assert found.p_equivalence is None
        return
    over = (size - margin) / se
    beyond = stats.studentized_range.sf(np.sqrt(2) * over, 3, df) if over > 0 else 1.0
    assert found.p_beyond == _simulated(beyond)
    worst = max(stats.t.sf((margin - abs(pair)) / se, df) for pair in pairs.values())
    assert found.p_equivalence == pytest.approx(worst, rel=1e-6)


@pytest.mark.parametrize("spread", [0.3, 1.5])
def test_of_three_levels_all_pairs_must_lie_inside_the_margin(spread: float) -> None:
    """Intersection-union: the pair that is least inside decides, each at its own t."""
    found, right = _three("negligible", 3.0, spread)
    pairs, se, df = right["pairs"], right["se"], right["df"]
    widest = max(pairs, key=lambda pair: abs(pairs[pair]))
    worst = stats.t.sf((3.0 - abs(pairs[widest])) / se, df)
    assert found.p_equivalence == pytest.approx(worst, rel=1e-6)
    assert found.contrast == widest
    half = stats.t.isf(0.025, df) * se
    assert (found.ci_low, found.ci_high) == pytest.approx((pairs[widest] - half, pairs[widest] + half))
    assert found.verdict == ("negligible" if worst <= 0.05 else "inconclusive")


def test_over_new_seeds_several_contrasts_are_held_by_bonferroni() -> None:
    """Six replicates, three pairs of levels: t on five degrees of freedom, each with its own variance."""
    factors = {"C": LEVELS, "B": [0, 1]}
    table = _table(factors, 6, 2)
    table["y"] += table["C"].map({"u": 0.0, "v": 1.5, "w": 0.5})
    study = _study(
        [{"term": "C"}], factors, design={**SHARED, "replicates": 6}, analysis={"terms": "main", "inference": "seeds"}
    )
    (found,) = _judged(study, table)
    means = table.groupby(["replicate", "C"])["y"].mean().unstack()
    t = {}
    for a, b in combinations(LEVELS, 2):
        each = (means[b] - means[a]).to_numpy()
        t[f"{b} − {a}"] = (each.mean(), each.std(ddof=1) / np.sqrt(6))
    best = max(t, key=lambda pair: abs(t[pair][0]) / t[pair][1])
    estimate, se = t[best]
    assert found.contrast == best
    assert found.p_value == pytest.approx(min(1.0, 6 * stats.t.sf(abs(estimate) / se, 5)))
    half = stats.t.isf(0.05 / 6, 5) * se
    assert (found.ci_low, found.ci_high) == pytest.approx((estimate - half, estimate + half))


def test_further_replicates_over_new_seeds_count_what_a_replicate_adds() -> None:
    """One degree of freedom, or one a pooled term: a replicate is that many units and one more."""
    factors = {name: [0, 1] for name in "ABC"}
    table = _table(factors, 8, 4)
    table["y"] += 0.25 * table["A"]
    few = table.assign(y=table["y"].where((table["replicate"] <= 4) | (table["A"] == 0)))
    cases = (
        ({"kind": "seeds"}, table, 7, 2),
        ({"kind": "seeds", "pool": True}, table, 21, 4),
        ({"kind": "seeds"}, few, 3, 2),
    )
    for inference, rows, df, units in cases:
        analysis = {"terms": "main", "inference": inference}
        study = _study([{"term": "A"}], factors, design={**SHARED, "replicates": 8}, analysis=analysis)
        (h,) = _judged(study, rows)
        assert (h.verdict, h.df) == ("inconclusive", pytest.approx(df))
        assert h.estimate is not None and h.std_error is not None and h.df is not None and h.level is not None  # noqa: PT018
        claim = Claim(h.direction, h.beyond, h.sesoi, h.estimate, h.std_error, h.df, 2.0)
        assert h.replicates_needed == replicates_needed(claim, h.level, 8, units)
        # One unit counts as two: a replicate that costs a degree of freedom adds at least one.
        assert h.replicates_needed != replicates_needed(claim, h.level, 8, 6 - units)


def test_an_unreplicated_design_is_judged_by_lenths_method() -> None:
    """PSE = 1.5 · median of what lies below 2.5 · s₀, s₀ = 1.5 · median; t on m/3 (Lenth (1989) Technometrics 31:469)."""
    factors = {name: [0, 1] for name in "ABCD"}
    table = _table(factors, 1, 5).drop(columns="replicate")
    table["y"] += 3.0 * table["A"]
    claims = [{"term": "B", "smallest_effect": 2.0, "direction": "negligible"}, {"term": "A"}]
    study = _study(claims, factors, design={"kind": "full"}, analysis={"terms": "full", "correction": "none"})
    b, a = _judged(study, table)
    signs = {name: np.where(table[name] == 1, 1.0, -1.0) for name in "ABCD"}
    effects = [
        float(np.prod([signs[name] for name in names], axis=0) @ table["y"]) / 8
        for size in (1, 2, 3, 4)
        for names in combinations("ABCD", size)
    ]
    sizes = np.abs(effects)
    pse = 1.5 * np.median(sizes[sizes < 2.5 * 1.5 * np.median(sizes)])
    assert b.estimate == pytest.approx(effects[1])
    assert b.p_equivalence == pytest.approx(stats.t.sf((2.0 - abs(effects[1])) / pse, 15 / 3), rel=1e-6)
    assert (b.std_error, b.df) == (None, None)
    assert a.estimate == pytest.approx(effects[0])
    assert a.p_zero is not None
    assert b.p_zero is not None
    assert a.p_zero < 0.05 < b.p_zero


def test_each_claim_has_the_reason_of_its_own_term() -> None:
    factors = {"Z": [0, 1], "B": [0, 1], "A": [0, 1]}
    table = _table(factors, 4)
    table = table[(table["Z"] == 0) & (table["B"] == 1)]
    study = _study([{"term": "B"}, {"term": "Z"}, {"term": "A", "response": "z"}], factors)
    b, z, a = _judged(study, table.assign(z=np.nan))
    assert (b.verdict, z.verdict, a.verdict) == ("inconclusive",) * 3
    assert "B did not vary" in (b.reason or "")
    assert "Z did not vary" in (z.reason or "")
    assert a.reason
    assert "not estimable" not in a.reason


def test_a_claim_of_which_some_contrasts_need_empty_cells_names_these() -> None:
    factors = {"A": [0, 1], "C": LEVELS}
    table = _table(factors, 4)
    table = table[(table["A"] == 0) | (table["C"] != "w")]
    study = _study([{"term": "A:C"}, {"term": "A"}], factors, analysis={"terms": "two_way"})
    interaction, _ = _judged(study, table)
    assert interaction.verdict == "inconclusive"
    assert "A:C is not estimable" in (interaction.reason or "")
    assert "A = 1, C = w" in (interaction.reason or "")
    assert interaction.estimate is None


def test_why_a_claim_has_no_error() -> None:
    factors = {name: [0, 1] for name in "AB"}
    saturated = _study([{"term": "A"}], factors, design={"kind": "full"}, analysis={"terms": "full"})
    (found,) = _judged(saturated, _table(factors, 1).drop(columns="replicate"))
    assert found.reason == "there is no error estimate" or found.p_value is not None
    seeds = {"terms": "main", "inference": "seeds"}
    study = _study([{"term": "A"}], factors, design={**SHARED, "replicates": 3}, analysis=seeds)
    (few,) = _judged(study, _table(factors, 3))
    assert few.reason == "a claim about new seeds needs 4 replicates in which the runs determine A"
    exact = _table(factors, 3)
    (none,) = _judged(study, exact.assign(y=1.0 * exact["A"] + 2.0 * exact["B"]))
    assert none.reason == "there is no error estimate"


def test_simultaneous_intervals_of_a_split_plot_hold_at_the_fewest_degrees_of_freedom() -> None:
    """Orthogonal effects over one χ² with the plots' three: P(max|t| ≤ c) as a mean over quantiles of that χ²."""
    factors = {name: [0, 1] for name in "ABC"}
    design = {"kind": "split_plot", "hard_to_change": ["A"], "replicates": 4, "common_random_numbers": True}
    study = _study([], factors, design=design, analysis={"terms": "two_way"})
    table = _table(factors, 4, 6).assign(block=lambda t: t["replicate"])
    table["whole_plot"] = [f"{r}.{a}" for r, a in zip(table["replicate"], table["A"], strict=True)]
    table["y"] += 2 * np.random.default_rng(7).normal(size=8)[pd.factorize(table["whole_plot"])[0]]
    effects = {effect.term: effect for effect in analyse(study, table, draws=19).responses["y"].effects}
    assert effects["A"].df == pytest.approx(3)
    assert effects["B"].df == pytest.approx(19)
    s = np.sqrt(stats.chi2.ppf((np.arange(20_000) + 0.5) / 20_000, 3) / 3)
    for effect in effects.values():
        assert effect.simultaneous_low is not None and effect.simultaneous_high is not None  # noqa: PT018
        critical = (effect.simultaneous_high - effect.estimate) / (effect.std_error or 0.0)
        assert np.mean((2 * stats.norm.cdf(critical * s) - 1) ** 6) == pytest.approx(0.95, abs=1e-3)
        assert effect.estimate - effect.simultaneous_low == pytest.approx(effect.simultaneous_high - effect.estimate)


def test_a_level_without_runs_leaves_no_claim_about_all_levels() -> None:
    factors = {"C": LEVELS, "B": [0, 1]}
    table = _table(factors, 4)
    (found,) = _judged(_study([{"term": "C"}], factors), table[table["C"] != "w"])
    assert (found.verdict, found.estimate) == ("inconclusive", None)
    assert found.reason == "C is not estimable: needs cells that have no runs: C = w"


def test_a_claim_about_an_aliased_term_says_with_what() -> None:
    """Of the half with A = BC a main effect is also the interaction of the others; of the full factorial it is not."""
    factors = {name: [0, 1] for name in "ABC"}
    table = _table(factors, 4, 8)
    table["y"] += 5.0 * table["A"]
    half = table[(table["A"] + table["B"] + table["C"]) % 2 == 1]
    study = _study([{"term": "A"}], factors)
    (alone,), (aliased,) = _judged(study, table), _judged(study, half)
    assert (alone.verdict, alone.reason, alone.aliased_with) == ("supported", None, [])
    assert (aliased.verdict, aliased.reason, aliased.aliased_with) == ("supported", "cannot be told from B:C", ["B:C"])


@pytest.mark.parametrize("levels", [2, 3])
def test_the_test_for_unequal_variances_speaks_of_one_contrast_only(levels: int) -> None:
    """Four scattered runs against forty steady ones: Welch would not find what the pooled test does."""
    rng = np.random.default_rng(12)
    names = LEVELS[:levels]
    sizes, spreads = (4, 40, 40)[:levels], (4.0, 0.3, 0.3)[:levels]
    values = []
    for size, spread in zip(sizes, spreads, strict=True):
        noise = rng.normal(size=size)
        values.append(spread * (noise - noise.mean()) / noise.std(ddof=1))
    values[0] += 2.5
    table = pd.DataFrame({"C": np.repeat(names, sizes), "y": np.concatenate(values)}).assign(z=0.0)
    study = _study([{"term": "C"}], {"C": names}, design={"kind": "full"})
    (found,) = _judged(study, table)
    assert (found.verdict, found.p_robust is not None) == ("supported", True)
    said = any("unequal variances" in caveat for caveat in found.caveats)
    assert said == (levels == 2), found.caveats


def test_only_what_is_decided_alone_and_not_in_the_family_says_so() -> None:
    """p of about .03 beside another claim: Holm's level is .025. One that is open in any case says nothing of it."""
    factors = {name: [0, 1] for name in "AB"}
    table = _table(factors, 6, 9)
    x = np.column_stack([np.ones(24), table["A"], table["B"], *(table["replicate"] == r for r in range(2, 7))]).astype(
        float
    )
    rest = table["y"] - x @ np.linalg.lstsq(x, table["y"], rcond=None)[0]
    se = np.sqrt(float(rest @ rest) / 16 * 4 / 24)
    table["y"] = rest + stats.t.isf(0.015, 16) * se * table["A"] + 0.1 * se * table["B"]
    a, b = _judged(_study([{"term": "A"}, {"term": "B"}], factors), table)
    assert a.p_value == pytest.approx(0.03)
    assert a.p_adjusted == pytest.approx(0.06)
    assert a.verdict == b.verdict == "inconclusive"
    assert a.reason == "the interval leaves it open; it would be decided alone, not within the registered family"
    assert b.reason == "the interval leaves it open"
    assert (a.level, b.level) == (pytest.approx(0.025), pytest.approx(0.025))
    (alone,) = _judged(_study([{"term": "A"}], factors), table)
    assert (alone.verdict, alone.reason, alone.level) == ("supported", None, pytest.approx(0.05))


@pytest.mark.parametrize("largest", [2.99, 1.0])
def test_a_p_value_that_is_too_small_for_a_number_is_zero(largest: float) -> None:
    """360 steady runs: inside a margin of 3 by 200 standard errors, all pairs or all but one."""
    factors = {"C": LEVELS, "B": [0, 1]}
    table = _table(factors, 60, 13).drop(columns="replicate")
    table["y"] = 0.05 * table["y"] + table["C"].map({"u": 0.0, "v": largest, "w": largest / 2})
    claim = {"term": "C", "direction": "negligible", "smallest_effect": 3.0}
    (found,) = _judged(_study([claim], factors, design={"kind": "full"}), table)
    means = table.groupby("C")["y"].mean()
    x = np.column_stack([*(table["C"] == level for level in LEVELS), table["B"]]).astype(float)
    se = np.sqrt(float(np.linalg.lstsq(x, table["y"], rcond=None)[1][0]) / 356 * 2 / 120)
    right = stats.t.sf((3.0 - float(means["v"] - means["u"])) / se, 356)
    assert found.p_equivalence == pytest.approx(right, rel=1e-5)
    assert (right == 0.0) == (largest == 1.0)
    assert found.contrast == "v − u"
    assert found.verdict == ("negligible" if right <= 0.05 else "inconclusive")
