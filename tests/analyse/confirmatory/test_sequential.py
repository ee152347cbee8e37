"""Bounds, levels, repeated intervals and conditional power of interim looks, held to published numbers."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from maineffect.analyse.confirmatory.sequential import (
    crossing_probabilities,
    interim_look,
    nominal_levels,
    spending,
    spending_bounds,
)
from maineffect.errors import AnalysisError

FIVE = [0.2, 0.4, 0.6, 0.8, 1.0]


def test_bounds_of_lan_and_demets() -> None:
    """Two-sided 5 %, five looks: Reboussin, DeMets, Kim and Lan (2000) Control. Clin. Trials 21:190 (LanDeM)."""
    assert spending_bounds(FIVE, 0.05) == pytest.approx((4.8769, 3.3569, 2.6803, 2.2898, 2.0310), abs=2e-4)
    assert spending_bounds(FIVE, 0.05, "pocock") == pytest.approx((2.4380, 2.4268, 2.4101, 2.3966, 2.3859), abs=2e-4)
    assert nominal_levels(FIVE, 0.05) == pytest.approx([1.08e-6, 7.88e-4, 7.36e-3, 2.203e-2, 4.226e-2], rel=5e-3)


def test_what_is_spent() -> None:
    """Half of the information: 4(1 − Φ(2.2414·√2)) = .00305, and .05·ln(1 + (e − 1)/2) = .03101."""
    assert spending(0.5, 0.05, "obrien_fleming") == pytest.approx(0.00305, abs=5e-6)
    assert spending(0.5, 0.05, "pocock") == pytest.approx(0.03101, abs=5e-6)
    for kind in ("obrien_fleming", "pocock"):
        assert spending(0.0, 0.05, kind) == spending(-0.5, 0.05, kind) == 0.0
        assert spending(0.001, 0.05, "pocock") > 0
        assert spending(1.0, 0.05, kind) == spending(1.5, 0.05, kind) == pytest.approx(0.05, rel=1e-12)


def test_power_of_five_looks_with_drift() -> None:
    """Simulated paths of a Brownian motion with drift leave the bounds as often as the integration says."""
    bounds, drift, paths = [2.6, 2.5, 2.4, 2.3, 2.2], 1.5, 100_000
    steps = np.random.default_rng(0).normal(drift * 0.2, np.sqrt(0.2), (paths, 5))
    outside = np.abs(np.cumsum(steps, axis=1) / np.sqrt(FIVE)) >= bounds
    first = np.where(outside.any(axis=1), outside.argmax(axis=1), 5)
    seen = np.bincount(first, minlength=6)[:5] / paths
    assert crossing_probabilities(bounds, FIVE, drift) == pytest.approx(seen, abs=4 * np.sqrt(0.2 / paths))


def test_a_look_that_spends_nothing_cannot_be_crossed() -> None:
    assert spending_bounds([1.0], 0.3) == pytest.approx((stats.norm.isf(0.15),), abs=1e-6), "one look is the plain test"
    assert spending_bounds([0.01, 1.0], 0.05) == pytest.approx((12.0, stats.norm.isf(0.025)), abs=1e-5)


@pytest.mark.parametrize("fractions", [[], [0.0, 1.0], [-0.1, 1.0], [0.5, 0.5, 1.0], [0.6, 0.5], [0.5, 1.1]])
def test_fractions_that_do_not_increase_are_refused(fractions: list[float]) -> None:
    with pytest.raises(AnalysisError, match="must increase within"):
        spending_bounds(fractions, 0.05)


@pytest.mark.parametrize(("look", "looks", "first"), [(0, 4, 1), (5, 4, 1), (2, 4, 3), (1, 4, 0)])
def test_a_look_that_is_not_planned_is_refused(look: int, looks: int, first: int) -> None:
    with pytest.raises(AnalysisError, match=f"look {look} is not among the {looks} planned"):
        interim_look(1.0, 0.5, 10, look=look, looks=looks, first=first)


def test_decision_and_interval_of_a_look() -> None:
    """The level is the look's own, p and interval are those of t: at the level itself the interval ends at zero."""
    level = nominal_levels([0.25, 0.5, 0.75, 1.0], 0.05)[1]
    half = float(stats.t.isf(level / 2, 10)) * 0.5
    at = interim_look(half * (1 + 1e-9), 0.5, 10, look=2, looks=4)
    assert (at.look, at.decision) == (2, "efficacy")
    assert at.level == pytest.approx(level)
    assert at.p_value == pytest.approx(level, rel=1e-6)
    assert (at.ci_low, at.ci_high) == pytest.approx((0.0, 2 * half), abs=1e-8)
    assert interim_look(half * (1 - 1e-9), 0.5, 10, look=2, looks=4).decision == "continue"
    assert interim_look(-half * (1 + 1e-9), 0.5, 10, look=2, looks=4).decision == "efficacy"
    assert interim_look(half, 0.5, 10, look=2, looks=4, p_value=level).decision == "efficacy"


def test_looks_that_begin_later_have_the_levels_of_their_own_fractions() -> None:
    levels = nominal_levels([0.5, 0.75, 1.0], 0.05, "pocock")
    for look, level in zip((2, 3, 4), levels, strict=True):
        said = interim_look(0.1, 0.5, 10, look=look, looks=4, first=2, kind="pocock")
        assert said.level == pytest.approx(level)


def test_the_last_look_ends_and_has_no_conditional_power() -> None:
    last = interim_look(0.1, 0.5, 10, look=4, looks=4)
    assert (last.decision, last.conditional_power) == ("end", None)
    assert interim_look(5.0, 0.5, 10, look=4, looks=4).decision == "efficacy"


def _power(b: float, t: float, drift: float, bound: float) -> float:
    """B-values, Lan and Wittes (1988) Biometrics 44:579: B(1) given B(t) is normal, B(t) + drift(1 − t), 1 − t."""
    return float(stats.norm.sf(bound, b + drift * (1 - t), np.sqrt(1 - t)))


@pytest.mark.parametrize(("look", "assumed"), [(1, None), (1, 0.9), (2, 0.4), (3, None), (3, -0.4)])
def test_conditional_power(look: int, assumed: float | None) -> None:
    """At look k of 4 the standard error at the end is SE·√(k/4), which turns an effect into a drift."""
    t, estimate, error = look / 4, 0.7, 0.5
    bound = spending_bounds([0.25, 0.5, 0.75, 1.0], 0.05)[-1]
    b = estimate / error * np.sqrt(t)
    drift = (estimate if assumed is None else assumed) / (error * np.sqrt(t))
    expected = _power(b, t, drift, bound) + _power(-b, t, -drift, bound)
    said = interim_look(estimate, error, 12, look=look, looks=4, assumed=assumed, futility=0.0)
    assert said.conditional_power == pytest.approx(expected, rel=1e-9)
    assert said.decision == "continue"


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_conditional_power_beyond_a_bar_is_about_its_side(side: float) -> None:
    """An effect of 1.2 in the bar's direction is .7 beyond ±.5; far on the other side nothing can be found."""
    t, error, bar = 0.5, 0.4, 0.5
    bound = spending_bounds([0.25, 0.5, 0.75, 1.0], 0.05)[-1]
    expected = _power(0.7 / error * np.sqrt(t), t, 0.7 / (error * np.sqrt(t)), bound)
    said = interim_look(side * 1.2, error, 12, look=2, looks=4, bar=side * bar)
    assert said.conditional_power == pytest.approx(expected, rel=1e-9)
    other = interim_look(-side * 1.2, error, 12, look=2, looks=4, bar=side * bar, p_value=0.5)
    assert other.conditional_power == pytest.approx(0.0, abs=1e-6)
    assert other.decision == "futility"


def test_futility_is_below_its_limit_and_never_before_efficacy() -> None:
    said = interim_look(0.7, 0.5, 12, look=2, looks=4, assumed=0.4)
    power = said.conditional_power
    assert power is not None
    assert said.decision == "continue", "the limit is .1 unless stated"
    assert power > 0.1
    assert interim_look(0.7, 0.5, 12, look=2, looks=4, assumed=0.4, futility=power).decision == "continue"
    assert interim_look(0.7, 0.5, 12, look=2, looks=4, assumed=0.4, futility=power + 1e-9).decision == "futility"
    crossed = interim_look(9.0, 0.5, 12, look=2, looks=4, assumed=-30.0, futility=1.0)
    assert crossed.decision == "efficacy"
