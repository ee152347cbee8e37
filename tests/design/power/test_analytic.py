"""Power against published values and against first principles."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import stats

from maineffect.design.build import build_design
from maineffect.design.power.analytic import equivalence_power, power_document, power_of, smallest_detectable
from maineffect.design.power.precision import precision_of
from maineffect.design.power_report import RunSpread, power_report, spread_from_parts
from maineffect.errors import UsageError
from maineffect.spec.study import StudySpec

MakeStudy = Callable[..., StudySpec]


def terms(design: Any, **more: Any) -> dict[str, Any]:
    return dict(precision_of(design, **more).terms)


def rows_unit(design: Any, term: str) -> float:
    return float(precision_of(design).terms[term].unit_noncentrality)


def test_two_levels_follow_the_textbook_noncentrality(make_study: MakeStudy) -> None:
    for replicates, n, shared in ((1, 8, False), (3, 24, False), (3, 24, True)):
        asked = {"kind": "full", "replicates": replicates, "common_random_numbers": shared}
        design = build_design(make_study("ABC", asked, "main"))
        for term in terms(design).values():
            assert term.unit_noncentrality == pytest.approx(n / 4)
            assert term.df_error == n - 4 - (replicates - 1) * shared
            assert term.stratum == "runs"


def test_more_levels_use_the_least_favourable_pattern(make_study: MakeStudy) -> None:
    """One-way, four levels, six runs each: λ = nΔ²/2 for a largest difference Δ (daewr Fpower1, 1.5σ: power 0.48503)."""
    design = build_design(
        make_study({"A": ["a", "b", "c", "d"]}, {"kind": "list", "cells": [{"A": x} for x in "abcd"] * 6})
    )
    (term,) = terms(design).values()
    assert term.unit_noncentrality == pytest.approx(3.0)
    assert power_of(term.unit_noncentrality * 1.5**2, term.df, term.df_error, 0.05) == pytest.approx(0.4850324738)


def test_split_plots_are_tested_in_their_strata(make_study: MakeStudy) -> None:
    """Reference case power_mde: 8 whole plots × 4 runs, σ²_wp = .5, σ² = 1, δ = 1.5 (R; also 20,000 simulations)."""
    asked = {"kind": "split_plot", "hard_to_change": ["A"], "whole_plots": 8, "variance_ratio": 0.5}
    study = make_study("ABC", asked, ["A", "B"])
    design = build_design(study)
    found = terms(design)
    assert len(design.runs) == 32
    assert found["A"].df_error == pytest.approx(6)
    assert found["B"].df_error == pytest.approx(23)
    assert found["A"].unit_noncentrality * 1.5**2 == pytest.approx(6.0)
    assert found["B"].unit_noncentrality * 1.5**2 == pytest.approx(18.0)
    assert power_of(6.0, 1, found["A"].df_error, 0.05) == pytest.approx(0.5373401744, abs=1e-6)
    assert power_of(18.0, 1, found["B"].df_error, 0.05) == pytest.approx(0.9821217208, abs=1e-6)
    rows = {row["term"]: row for row in power_document(study, design, sigma=1.0)["terms"]}
    assert rows["A"]["stratum"] == "whole plots"
    assert rows["B"]["stratum"] == "within whole plots"
    # Ignoring whole plots (σ² + σ²_wp as one error, df 29) would promise 0.917 for A: never again.
    assert power_of(32 * 1.5**2 / (4 * 1.5), 1, 29, 0.05) == pytest.approx(0.917328331, abs=1e-6)
    assert power_of(rows_unit(design, "A") * 1.5**2, 1, rows["A"]["df_error"], 0.05) == pytest.approx(
        0.5373401744, abs=1e-6
    )


def test_blocks_of_whole_plots_take_their_degrees_of_freedom(make_study: MakeStudy) -> None:
    """Two-level A in whole plots, r blocks: 2r plots, r − 1 block and 1 treatment df: r − 1 left (Montgomery, 14.4)."""
    for replicates in (2, 3, 5):
        asked = {"kind": "split_plot", "hard_to_change": ["A"], "replicates": replicates}
        found = terms(build_design(make_study("ABC", {**asked, "common_random_numbers": True})))
        assert found["A"].df_error == pytest.approx(replicates - 1)
        assert [found["B"].df_error, found["A:B"].df_error] == pytest.approx([6 * replicates - 5] * 2)


def test_unreplicated_whole_plots_have_no_error_term(make_study: MakeStudy) -> None:
    study = make_study("ABCD", {"kind": "split_plot", "hard_to_change": ["A", "B"]})
    rows = {row["term"]: row for row in power_document(study, build_design(study))["terms"]}
    assert rows["A"]["mde_sigma"] is None
    assert "whole plots" in rows["A"]["reason"]
    assert rows["C"]["mde_sigma"] is not None


def test_saturated_designs_say_why(make_study: MakeStudy) -> None:
    study = make_study("ABC", {"kind": "full"}, "full")
    rows = power_document(study, build_design(study))["terms"]
    assert all(row["mde_sigma"] is None and "replicates" in row["reason"] for row in rows)


def test_a_term_that_varies_in_both_strata_lies_between(make_study: MakeStudy) -> None:
    """Six whole plots of three runs: C is not balanced in them, so its df are neither 4 nor those within."""
    asked = {"kind": "optimal", "runs": 18, "whole_plots": 6, "hard_to_change": ["A"]}
    found = terms(build_design(make_study("ABC", asked, "main")))
    assert found["A"].df_error == pytest.approx(4, abs=0.6)
    assert 4 < found["B"].df_error <= 12
    none = terms(build_design(make_study("ABC", asked, "main")), ratio=0.0)
    many = terms(build_design(make_study("ABC", asked, "main")), ratio=100.0)
    assert none["A"].unit_noncentrality > found["A"].unit_noncentrality > many["A"].unit_noncentrality


@pytest.mark.parametrize(
    ("n", "df", "delta"),
    [
        (8, 4, 2.659470712),
        (16, 14, 1.506634227),
        (16, 5, 1.756951364),
        (32, 25, 1.030655548),
        (32, 16, 1.055195349),
        (64, 42, 0.7169276713),
    ],
)
def test_smallest_detectable_effects(n: int, df: int, delta: float) -> None:
    """Reference case power_mde, R pf: MDE at power .80, alpha .05."""
    assert smallest_detectable(n / 4, 1, df, 0.05) == pytest.approx(delta, rel=1e-8)


@pytest.mark.parametrize(
    ("df", "power"),
    [(14, 0.4612388495), (11, 0.4464661578), (8, 0.421051938), (5, 0.3681575141), (2, 0.2183070748), (1, 0.1257563178)],
)
def test_power_of_one_sigma_in_sixteen_runs(df: int, power: float) -> None:
    """Reference case power_mde: λ = n·δ²/(4σ²) = 4."""
    assert power_of(4.0, 1, df, 0.05) == pytest.approx(power, abs=1e-6)


@pytest.mark.parametrize(
    ("d", "n", "power"), [(0.2, 393, 0.7995942412), (0.5, 64, 0.8014595579), (0.8, 26, 0.8074866151)]
)
def test_cohens_two_sample_sizes(d: float, n: int, power: float) -> None:
    """Cohen (1988), table 2.4.1, through n/4 of 2n runs."""
    assert power_of(2 * n / 4 * d**2, 1, 2 * n - 2, 0.05) == pytest.approx(power, abs=1e-6)


@pytest.mark.parametrize(
    ("f", "k", "n", "power"), [(0.25, 4, 45, 0.8039869129), (0.40, 3, 21, 0.7978177139), (0.28, 4, 20, 0.514979292)]
)
def test_cohens_one_way(f: float, k: int, n: int, power: float) -> None:
    """Cohen (1988), sec. 8.3: λ = n·k·f²."""
    assert power_of(n * k * f**2, k - 1, k * (n - 1), 0.05) == pytest.approx(power, abs=1e-6)


@pytest.mark.parametrize(
    ("d", "n", "power"),
    [
        (1.0, 3, 0.159),
        (1.0, 5, 0.286),
        (1.0, 8, 0.461),
        (1.5, 8, 0.797),
        (2.0, 5, 0.791),
        (3.0, 3, 0.783),
        (3.0, 5, 0.985),
    ],
)
def test_seeds_per_arm(d: float, n: int, power: float) -> None:
    """Reference case POW-1: two-sample t with few seeds (R power.t.test)."""
    assert power_of(2 * n / 4 * d**2, 1, 2 * n - 2, 0.05) == pytest.approx(power, abs=6e-4)


def test_equivalence_power_agrees_with_simulation() -> None:
    rng = np.random.default_rng(1)
    for margin, df in ((3.0, 8), (2.5, 20), (4.0, 4)):
        estimate = rng.standard_normal(200_000)
        spread = np.sqrt(rng.chisquare(df, 200_000) / df)
        found = np.mean(np.abs(estimate) < margin - stats.t.isf(0.05, df) * spread)
        assert equivalence_power(margin, 1.0, df, 0.05) == pytest.approx(found, abs=0.004)


def test_the_spread_of_a_run_has_two_sources() -> None:
    spread = spread_from_parts(0.03, 0.5, 100)
    assert spread.sigma == pytest.approx(np.hypot(0.03, 0.05))
    assert "more items" in spread.advice
    assert "more seeds" in spread_from_parts(0.08, 0.5, 100).advice
    with pytest.raises(UsageError):
        spread_from_parts(-1, 0.5, 10)


def test_a_small_pilot_is_read_with_caution() -> None:
    """Upper 90 % bound: s·√(df/χ²₀.₁) (Browne 1995, Statist. Med. 14:1933–1940, advises as much)."""
    assert RunSpread(1.0, df=5).cautious == pytest.approx(np.sqrt(5 / stats.chi2.ppf(0.1, 5)))
    assert RunSpread(1.0).cautious == 1.0
    assert RunSpread(1.0, df=5).cautious > RunSpread(1.0, df=50).cautious > 1.0


def test_hypotheses_are_judged_at_the_familys_level_and_over_replicates(make_study: MakeStudy) -> None:
    hypotheses = [
        {"id": "H1", "term": "A", "response": "y", "direction": "increase"},
        {"id": "H2", "term": "A:B", "response": "y", "direction": "different"},
        {"id": "H3", "term": "B", "response": "y", "direction": "negligible"},
    ]
    asked = {"kind": "full", "replicates": 2, "common_random_numbers": True}
    study = make_study("ABC", asked, "two_way", hypotheses=hypotheses)
    report = power_report(study, build_design(study), {"y": RunSpread(0.3)}, replicates=[1, 2, 3, 4])
    h1, h2, h3 = report["hypotheses"]
    assert h1["power_alone"] == pytest.approx(power_of(16 / 4 * (0.5 / 0.3) ** 2, 1, 8, 0.05))
    assert h1["power_in_family"] == pytest.approx(power_of(16 / 4 * (0.5 / 0.3) ** 2, 1, 8, 0.05 / 3))
    assert h2["power_in_family"] == h1["power_in_family"]
    assert h3["power_alone"] == pytest.approx(equivalence_power(0.5, 0.3 * 2 / 16**0.5, 8, 0.05))
    powers = [point["power"]["H1"] or 0 for point in report["curve"]]
    assert powers == sorted(powers)
    assert report["needed"]["H1"] == next(p["replicates"] for p in report["curve"] if (p["power"]["H1"] or 0) >= 0.8)
    row = report["terms"][0]
    assert row["mde_by_response"]["y"]["mde"] == pytest.approx(0.3 * row["mde_sigma"])
    assert report["sigma"] == 0.3


def test_without_a_spread_the_reason_is_said(make_study: MakeStudy) -> None:
    hypotheses = [{"id": "H1", "term": "A", "response": "y"}]
    study = make_study("AB", {"kind": "full", "replicates": 3}, hypotheses=hypotheses)
    report = power_report(study, build_design(study), {})
    assert report["hypotheses"][0]["power_alone"] is None
    assert "--sigma" in report["hypotheses"][0]["reason"]
    with pytest.raises(UsageError, match="between 1 and"):
        power_report(study, build_design(study), {}, replicates=[0])


def test_power_for_new_seeds_from_shared_ones_needs_to_know_how_they_differ(make_study: MakeStudy) -> None:
    """The one-sample t test of r contrasts with variance 4σ²/n₀ + τ² each; also simulated, 200,000 noncentral t."""
    asked = {"kind": "full", "replicates": 6, "common_random_numbers": True}
    hypotheses = [{"id": "H1", "term": "A", "response": "y"}]
    study = make_study("AB", asked, "two_way", hypotheses=hypotheses)
    over = study.model_copy(update={"analysis": study.analysis.model_copy(update={"inference": "seeds"})})
    unknown = power_report(over, build_design(over), {"y": RunSpread(0.25)}, replicates=[6])["hypotheses"][0]
    assert unknown["power_alone"] is None
    assert "--tau" in unknown["reason"]
    known = power_report(over, build_design(over), {"y": RunSpread(0.25, tau=0.8)}, replicates=[3, 6])
    found = known["hypotheses"][0]["power_alone"]
    rng = np.random.default_rng(1)
    each = 0.5 + 0.25 * np.sqrt(4 / 4 + 0.8**2) * rng.standard_normal((200_000, 6))
    t = each.mean(axis=1) / (each.std(axis=1, ddof=1) / np.sqrt(6))
    assert found == pytest.approx(np.mean(np.abs(t) > stats.t.isf(0.025, 5)), abs=0.005)
    assert known["curve"][0]["power"]["H1"] is None
