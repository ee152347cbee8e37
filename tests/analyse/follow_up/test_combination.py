"""Two phases in one test: bounds, p-values, intervals, error rate."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from maineffect.analyse.confirmatory.assurance import NewPhase, assurance
from maineffect.analyse.confirmatory.findings import finding
from maineffect.analyse.confirmatory.verdicts import Claim, decide
from maineffect.analyse.follow_up.combination import (
    PhaseTest,
    combined_evidence,
    deciding_rule,
    offered_reserve,
    repeated_interval,
)
from maineffect.spec.study import Reserve

OBF, POCOCK = Reserve(phases=2), Reserve(phases=2, spending="pocock")
MANY = 1e9


def _phase(z: float, df: float = MANY) -> PhaseTest:
    return PhaseTest(z, 1.0, df)


@pytest.mark.parametrize(
    ("reserve", "first", "second"),
    # Two equally spaced looks, two-sided α .05: Lan–DeMets bounds as gsDesign and ldbounds print them.
    [(OBF, 2.9626, 1.9686), (POCOCK, 2.1570, 2.2010)],
)
def test_the_bounds_are_those_of_two_equal_looks(reserve: Reserve, first: float, second: float) -> None:
    assert combined_evidence([_phase(first)], None, reserve).zero == pytest.approx(0.05, rel=5e-3)
    halves = [_phase(second / np.sqrt(2)), _phase(second / np.sqrt(2))]
    assert combined_evidence(halves, None, reserve).zero == pytest.approx(0.05, rel=5e-3)


def test_what_crossed_in_the_first_phase_stands() -> None:
    evidence = combined_evidence([_phase(-4.0), _phase(3.0)], None, OBF)
    assert evidence.sign == -1
    assert evidence.zero < 0.05


def test_the_interval_leaves_out_what_the_bound_rejects() -> None:
    phases = [PhaseTest(0.8, 0.5, 12), PhaseTest(1.4, 0.4, 9)]
    estimate, low, high = repeated_interval(phases, 0.05, OBF)
    assert low < estimate < high
    bound = 1.9686
    for value, expected in ((low, bound), (high, -bound), (estimate, 0.0)):
        each = [stats.norm.isf(stats.t.sf((p.estimate - value) / p.std_error, p.df)) for p in phases]
        assert np.sqrt(0.5) * sum(each) == pytest.approx(expected, abs=2e-3)
    assert repeated_interval(phases[:1], 0.05, OBF)[0] == pytest.approx(0.8)


def test_equivalence_takes_two_one_sided_tests_at_the_whole_level() -> None:
    """Known variance, two equal phases, bounds of 2α two-sided: both one-sided scores are the margin over √½·s."""
    bound = 1.6449  # with little spent before, the last bound is nearly that of one look: z of .05
    margin = (bound + 0.03) / np.sqrt(2)
    phases = [_phase(0.0), _phase(0.0)]
    assert combined_evidence(phases, margin, OBF).equivalence == pytest.approx(0.05, abs=0.004)
    tight = combined_evidence(phases, margin * 1.5, OBF)
    claim = Claim("negligible", "zero", margin * 1.5, 0.0, 1.0, MANY, 1.96)
    assert decide(claim, finding(tight, 0.05))[0] == "negligible"


@pytest.mark.parametrize("reserve", [OBF, POCOCK], ids=["obrien_fleming", "pocock"])
def test_a_null_is_rejected_at_its_rate_over_both_phases(reserve: Reserve) -> None:
    """Second phases whose size follows the first: few runs after a large z, many after a small one."""
    rng = np.random.default_rng(11)
    draws, rejected, pooled = 1_000, 0, 0
    for _ in range(draws):
        b, s = rng.standard_normal() / 2, np.sqrt(rng.chisquare(8) / 8) / 2
        first = PhaseTest(b, s, 8)
        if combined_evidence([first], None, reserve).zero <= 0.05:
            rejected += 1
            pooled += 2 * stats.t.sf(abs(b) / s, 8) <= 0.05
            continue
        runs = 8 if abs(b) / s > 1 else 24
        scale, df = 2 / np.sqrt(2 * runs), runs - 5
        second = PhaseTest(scale * rng.standard_normal(), scale * np.sqrt(rng.chisquare(df) / df), df)
        rejected += combined_evidence([first, second], None, reserve).zero <= 0.05
        naive = [stats.norm.isf(stats.t.sf(p.estimate / p.std_error, p.df)) for p in (first, second)]
        open_first = 2 * stats.t.sf(abs(b) / s, 8) > 0.05
        pooled += not open_first or abs(sum(naive)) / np.sqrt(2) > stats.norm.isf(0.025)
    error = np.sqrt(0.05 * 0.95 / draws)
    assert rejected / draws == pytest.approx(0.05, abs=3 * error)
    assert pooled / draws > 0.05 + 2 * error


@pytest.mark.parametrize(("direction", "margin"), [("increase", None), ("different", 0.6), ("negligible", 0.6)])
def test_the_chance_of_a_decision_is_counted_by_the_verdicts_themselves(direction: str, margin: float | None) -> None:
    claim = Claim(direction, "zero", margin, 0.3, 0.25, 20.0, 2.0)
    rule, rng = deciding_rule(claim, 0.05, OBF), np.random.default_rng(2)
    estimates, errors = rng.normal(0.3, 0.4, 60), rng.uniform(0.05, 0.4, 60)
    first = PhaseTest(claim.estimate, claim.std_error, claim.df)
    for estimate, error, decided in zip(estimates, errors, rule(estimates, errors, 12.0), strict=True):
        evidence = combined_evidence([first, PhaseTest(estimate, error, 12.0)], margin, OBF)
        if evidence.equivalence is not None and abs(estimate) > 0.6:
            continue  # one side of equivalence crossed in each phase: the chance does not count on it
        assert decided == (decide(claim, finding(evidence, 0.05))[0] != "inconclusive"), (estimate, error)
    alone = assurance(claim, 0.05, NewPhase(1.0, 16.0))
    both = assurance(claim, 0.05, NewPhase(1.0, 16.0), rule=rule)
    assert both != alone


def test_what_a_reserve_costs_is_said_before_the_first_run_only(first_study: Any, followed: Any) -> None:
    """Two-sided levels of the first of two looks: .0031 and .0310 (Lan–DeMets bounds 2.963 and 2.157)."""
    offer = offered_reserve(first_study())
    assert offer is not None
    assert "held to 0.031 instead of 0.05 (0.0031 with obrien_fleming)" in offer
    assert offered_reserve(first_study(analysis={"follow_up": {"phases": 2}})) is None
    assert offered_reserve(followed(first_study())) is None
