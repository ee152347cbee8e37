"""Procedures against published constants and examples; each case carries its source in the JSON file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import optimize, stats

from maineffect.analyse.confirmatory.sequential import (
    crossing_probabilities,
    spending_bounds,
)
from maineffect.analyse.exploratory.aggregate import interquartile_mean
from maineffect.analyse.exploratory.transport import standardise
from maineffect.analyse.inference.equivalence import tost
from maineffect.analyse.inference.exaggeration import exaggeration
from maineffect.analyse.inference.multiplicity import adjust

_FILE: dict[str, Any] = json.loads((Path(__file__).parent / "stats_cases.json").read_text(encoding="utf-8"))
CASES = _FILE["stats"]


@pytest.mark.parametrize("looks", [2, 3, 4, 5])
def test_classical_boundaries(looks: int) -> None:
    """Jennison and Turnbull (2000), Tables 2.1 and 2.3; gsDesign."""
    case = CASES["GS-1"]["computed"]
    fractions = [k / looks for k in range(1, looks + 1)]

    def error(bounds: list[float]) -> float:
        return sum(crossing_probabilities(bounds, fractions)) - 0.05

    pocock = optimize.brentq(lambda c: error([c] * looks), 1.9, 3.0)
    assert pocock == pytest.approx(case["pocock_C"][str(looks)], abs=5e-4)
    constant = optimize.brentq(lambda c: error([c * np.sqrt(looks / k) for k in range(1, looks + 1)]), 1.9, 3.0)
    assert constant == pytest.approx(case["obf_C"][str(looks)], abs=5e-4)
    bounds = [constant * np.sqrt(looks / k) for k in range(1, looks + 1)]
    assert bounds == pytest.approx(case["obf_bounds_Z"][str(looks)], abs=5e-4)


@pytest.mark.parametrize("looks", [1, 2, 3, 4, 5, 10, 20])
def test_peeking_inflates_the_error(looks: int) -> None:
    """Armitage, McPherson and Rowe (1969)."""
    probabilities = crossing_probabilities([stats.norm.isf(0.025)] * looks, [k / looks for k in range(1, looks + 1)])
    assert sum(probabilities) == pytest.approx(CASES["GS-3"]["computed"][str(looks)], abs=6e-4)


@pytest.mark.parametrize("kind", ["obrien_fleming", "pocock"])
def test_spending_bounds_spend_exactly_alpha(kind: Any) -> None:
    fractions = [0.2, 0.5, 0.55, 1.0]
    bounds = spending_bounds(fractions, 0.05, kind)
    assert sum(crossing_probabilities(bounds, fractions)) == pytest.approx(0.05, abs=1e-6)


def test_rliable_aggregates() -> None:
    """rliable's own test values."""
    inputs, computed = CASES["RL-1"]["inputs"], CASES["RL-1"]["computed"]
    assert interquartile_mean(inputs["x"]) == computed["iqm_x"]
    assert interquartile_mean(inputs["y"]) == computed["iqm_y"]
    scores = inputs["A(runs x tasks)"]
    assert interquartile_mean(scores) == pytest.approx(computed["iqm_A"], abs=1e-6)


def test_equivalence_welch_and_paired() -> None:
    """Lakens (2017); TOSTER tests/testthat/test-known_results.R."""
    case = CASES["EQ-1"]["computed"]
    parts = [0.95**2 / 95, 0.83**2 / 89]
    se, df = float(np.sqrt(sum(parts))), sum(parts) ** 2 / (parts[0] ** 2 / 94 + parts[1] ** 2 / 88)
    margin = 0.43 * float(np.sqrt((0.95**2 + 0.83**2) / 2))
    result = tost(5.25 - 5.22, se, df, margin)
    assert df == pytest.approx(case["welch"]["df"], abs=1e-4)
    assert (result.t_lower, result.t_upper) == pytest.approx((case["welch"]["t1"], case["welch"]["t2"]), abs=1e-5)
    assert result.p_value == pytest.approx(case["welch"]["p_TOST"], abs=1e-8)
    assert [result.ci_low, result.ci_high] == pytest.approx(case["welch"]["ci90"], abs=1e-5)
    sd = float(np.sqrt(1.17**2 + 1.29**2 - 2 * 0.75 * 1.17 * 1.29))
    paired = tost(5.83 - 5.75, sd / np.sqrt(65), 64, 0.4 * sd)
    assert (paired.t_lower, paired.t_upper) == pytest.approx((case["paired"]["t1"], case["paired"]["t2"]), abs=1e-5)
    assert paired.p_value == pytest.approx(case["paired"]["p2"], abs=1e-7)


def test_equivalence_sample_size() -> None:
    """powerTOSTtwo: 108 a group for ±0.4 sd, normal approximation."""

    def power(n: float) -> float:
        return float(2 * stats.norm.cdf(0.4 * np.sqrt(n / 2) - stats.norm.isf(0.05)) - 1)

    n = optimize.brentq(lambda size: power(size) - 0.8, 10, 1000)
    assert n == pytest.approx(CASES["EQ-1"]["computed"]["n_per_group"], abs=1e-3)
    # The decision of tost() at that size is the one the formula counts.
    se = float(np.sqrt(2 / np.ceil(n)))
    simulated = np.random.default_rng(1).normal(0, se, 20_000)
    decided = np.mean([tost(x, se, float("inf"), 0.4).p_value <= 0.05 for x in simulated[:4_000]])
    assert decided == pytest.approx(0.8, abs=3 * np.sqrt(0.16 / 4_000) + 0.005)


@pytest.mark.parametrize("method", ["holm", "BH"])
def test_adjusted_p_values(method: str) -> None:
    """R p.adjust on the fifteen p-values of Benjamini and Hochberg (1995)."""
    case = _FILE["doe"]["multiplicity_and_TOST"]["expected"]
    assert adjust(case["p"], method.lower()) == pytest.approx(case["adjusted"][method], rel=1e-6)
    if method in case["rejected_at_.05"]:
        adjusted = adjust(case["p"], method.lower())
        assert sum(p is not None and p <= 0.05 for p in adjusted) == case["rejected_at_.05"][method]


@pytest.mark.parametrize("method", ["holm", "fdr_bh"])
def test_rejections_at_five_percent(method: str) -> None:
    """Benjamini and Hochberg (1995), sec. 3.2: BH rejects four."""
    case = CASES["MT-1"]
    adjusted = adjust(case["inputs"]["p"], method.removeprefix("fdr_"))
    assert adjusted == pytest.approx(case["computed"]["adjusted"][method], abs=1e-6)
    rejected = sum(p is not None and p <= case["inputs"]["q"] for p in adjusted)
    assert rejected == case["computed"]["n_reject"][method]
    assert rejected == case["published"]["n_reject"].get(method, rejected)


def test_adjustment_ignores_missing_tests_and_order() -> None:
    shuffled = [0.0298, None, 0.0001, 0.0459]
    assert adjust(shuffled, "holm") == pytest.approx([0.0596, None, 0.0003, 0.0596])


def test_winners_curse() -> None:
    """Gelman and Carlin (2014) retrodesign()."""
    for key, expected in CASES["WC-1"]["computed"].items():
        effect, se = (float(part) for part in key.split("/"))
        found = exaggeration(effect, se)
        assert found.power == pytest.approx(expected["power"], abs=1e-3)
        assert found.type_s == pytest.approx(expected["typeS"], abs=1e-3)
        assert found.ratio == pytest.approx(expected["exaggeration"], rel=0.01)


def test_standardising_to_deployment() -> None:
    inputs, computed = CASES["TR-1"]["inputs"], CASES["TR-1"]["computed"]
    target = standardise(inputs["level_effects_pp"], inputs["se"], inputs["deploy_w"])
    assert target.estimate == pytest.approx(computed["deploy_average"], abs=1e-6)
    assert target.std_error == pytest.approx(computed["deploy_se"], abs=1e-6)
    assert target.effective_fraction == pytest.approx(0.6849, abs=1e-4)
    design = standardise(inputs["level_effects_pp"], inputs["se"], inputs["design_w"])
    assert (design.estimate, design.std_error) == pytest.approx((2.25, computed["design_se"]), abs=1e-6)
