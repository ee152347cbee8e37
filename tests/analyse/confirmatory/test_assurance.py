"""Further replicates that decide with a chance of 80 %."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from maineffect.analyse.confirmatory.assurance import (
    Belief,
    NewPhase,
    assurance,
    chance_of_decision,
    is_decided,
    replicates_needed,
)
from maineffect.analyse.confirmatory.findings import evidence_of, finding
from maineffect.analyse.confirmatory.verdicts import Claim, claim_of, decide
from maineffect.analyse.run import analyse

CLAIM = Claim("different", "zero", None, 0.3, 0.25, 20.0, 2.086)


def test_with_certain_variance_it_is_the_assurance_of_the_textbook() -> None:
    """Flat prior, known variance: θ | data ~ N(d, s²), and P(z beyond) is Φ of a normal ratio (O'Hagan et al. 2005)."""
    claim = replace(CLAIM, df=1e7)
    new = claim.std_error / np.sqrt(2)
    spread = np.sqrt(claim.std_error**2 + claim.std_error**2) / 2  # of the mean of old and new estimate
    z = float(stats.norm.isf(0.025))
    expected = float(stats.norm.sf((z * new - 0.3) / spread) + stats.norm.cdf((-z * new - 0.3) / spread))
    assert chance_of_decision(claim, 0.05, 4, 4, 1e7) == pytest.approx(expected, abs=0.01)


def test_a_stricter_level_needs_more() -> None:
    counts = [replicates_needed(CLAIM, level, 3, 8) for level in (0.05, 0.0125)]
    assert None not in counts
    assert counts[0] < counts[1]  # type: ignore[operator]


def test_none_when_no_number_reaches_it() -> None:
    """Three times a thousand replicates halve the standard error at best: an effect near zero stays open."""
    assert replicates_needed(replace(CLAIM, estimate=0.0), 0.05, 1_000, 8) is None
    assert replicates_needed(replace(CLAIM, estimate=0.0), 0.05, 3, 8) is not None


@pytest.mark.parametrize("margin", [None, 0.6])
def test_what_is_promised_is_decided_in_eighty_of_a_hundred(margin: float | None) -> None:
    """Effects drawn evenly, as the prior has it: of the studies that are told a number, 80 % are decided by it."""
    rng = np.random.default_rng(3)
    decided = []
    while len(decided) < 150:
        truth = rng.uniform(-3, 3)
        r, units = 3, 8
        df = float(r * units - 6)
        scale = 2 / np.sqrt(r * units)
        first, variance = truth + scale * rng.standard_normal(), rng.chisquare(df) / df
        claim = Claim("different", "zero", margin, first, float(scale * np.sqrt(variance)), df, 2.0)
        if _verdict(claim) != "inconclusive":
            continue
        extra = replicates_needed(claim, 0.05, r, units)
        if extra is None:
            continue
        added = extra * (units - 1)
        pooled = (df * variance + rng.chisquare(added)) / (df + added)
        later = truth + 2 / np.sqrt(extra * units) * rng.standard_normal()
        both = (r * first + extra * later) / (r + extra)
        error = float(2 / np.sqrt((r + extra) * units) * np.sqrt(pooled))
        decided.append(_verdict(replace(claim, estimate=both, std_error=error, df=df + added)) != "inconclusive")
    assert np.mean(decided) == pytest.approx(0.8, abs=3 * np.sqrt(0.16 / len(decided)) + 0.02)


def _verdict(claim: Claim) -> str:
    return decide(claim, finding(evidence_of(claim.estimate, claim.std_error, claim.df, claim.margin), 0.05))[0]


@pytest.mark.parametrize(
    ("direction", "margin"),
    [(direction, margin) for direction in ("increase", "decrease", "different") for margin in (None, 0.5)]
    + [("negligible", 0.5)],
)
@pytest.mark.parametrize("beyond", ["zero", "smallest_effect"])
def test_the_rule_for_many_estimates_is_the_rule_of_the_verdicts(
    direction: str, margin: float | None, beyond: str
) -> None:
    estimates = np.repeat(np.linspace(-1.5, 1.5, 25), 4)
    errors = np.tile([0.05, 0.15, 0.3, 0.6], 25)
    claim = replace(CLAIM, direction=direction, beyond=beyond, margin=margin, df=9.0)
    decided = is_decided(claim, estimates, errors, 9.0, 0.05)
    for estimate, error, one in zip(estimates.tolist(), errors.tolist(), decided.tolist(), strict=True):
        verdict = _verdict(replace(claim, estimate=estimate, std_error=error))
        assert one == (verdict != "inconclusive"), (estimate, error, verdict)


def test_of_a_new_phase_alone_it_is_the_assurance_of_the_textbook() -> None:
    """Known variance: new estimate ~ N(b, s² + s²·r), decided beyond z·s·√r (O'Hagan et al. (2005), equation 5)."""
    claim, ratio = replace(CLAIM, df=1e7), 0.5
    z = float(stats.norm.isf(0.025)) * 0.25 * np.sqrt(ratio)
    spread = 0.25 * np.sqrt(1 + ratio)
    expected = float(stats.norm.sf((z - 0.3) / spread) + stats.norm.cdf((-z - 0.3) / spread))
    assert assurance(claim, 0.05, NewPhase(ratio, 1e7)) == pytest.approx(expected, abs=0.005)


def test_a_belief_takes_the_place_of_the_estimate() -> None:
    """An effect that is known: the chance is the power of the new phase's t test, by the noncentral t."""
    claim, phase = replace(CLAIM, df=1e7), NewPhase(1.0, 12.0)
    critical = float(stats.t.isf(0.025, 12))
    power = float(stats.nct.sf(critical, 12, 0.6 / 0.25) + stats.nct.cdf(-critical, 12, 0.6 / 0.25))
    assert assurance(claim, 0.05, phase, belief=Belief(0.6, 0.0)) == pytest.approx(power, abs=0.01)
    assert assurance(claim, 0.05, NewPhase(1.0, 0.0)) == 0.0


def _followed(make_study: Any, sweeps: int, seed: int, width: float) -> tuple[list[float], list[bool]]:
    """Printed chances and whether the new phase decided: truths even over ± so many standard errors, σ even too.

    Together they have the density 1/σ of the flat prior: what is even in standard errors brings the 1/σ.
    """
    rng = np.random.default_rng(seed)
    cells = np.array(list(product([0, 1], repeat=3)), dtype=float)
    study = make_study(
        terms="main",
        response={"smallest_effect": 1.0},
        hypotheses=[{"id": "H1", "term": "A", "response": "y", "direction": "increase"}],
    )
    chances, decided = [], []
    while len(chances) < sweeps:
        sigma = rng.uniform(0.05, 12.0)
        truth = rng.uniform(-width, width) * sigma / 2
        first = _judged(study, cells, 2, truth, sigma, rng)
        claim = claim_of(first)
        if first.verdict != "inconclusive" or claim is None:
            continue
        replicates = int(rng.integers(1, 9))
        chances.append(assurance(claim, 0.05, NewPhase(2 / replicates, 8.0 * replicates - 4)))
        decided.append(_judged(study, cells, replicates, truth, sigma, rng).verdict != "inconclusive")
    return chances, decided


def _judged(study: Any, cells: Any, replicates: int, truth: float, sigma: float, rng: Any) -> Any:
    rows = np.tile(cells, (replicates, 1))
    table = pd.DataFrame(rows.astype(int), columns=list("ABC"))
    table["run_id"] = [f"r{i}" for i in range(len(rows))]
    table["y"] = truth * rows[:, 0] + sigma * rng.standard_normal(len(rows))
    return analyse(study, table, draws=0).hypotheses[0]


def test_the_printed_chance_is_kept(make_study: Any) -> None:
    chances, decided = _followed(make_study, 20, 1, 5)
    error = np.sqrt(np.sum(np.array(chances) * (1 - np.array(chances)))) / len(chances)
    assert np.mean(decided) == pytest.approx(np.mean(chances), abs=3 * error)


@pytest.mark.slow
def test_the_printed_chance_is_kept_in_five_bins(make_study: Any) -> None:
    chances, decided = map(np.array, _followed(make_study, 600, 2, 10))
    for low in (0.0, 0.2, 0.4, 0.6, 0.8):
        here = (chances >= low) & (chances <= low + 0.2)
        error = np.sqrt(np.mean(chances[here] * (1 - chances[here])) / here.sum())
        assert here.sum() > 20
        assert decided[here].mean() == pytest.approx(chances[here].mean(), abs=3 * error + 0.02), low
