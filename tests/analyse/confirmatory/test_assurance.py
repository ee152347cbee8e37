"""Further replicates that decide with a chance of 80 %."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from maineffect.analyse.confirmatory.assurance import _decided, chance_of_decision, replicates_needed
from maineffect.analyse.confirmatory.findings import evidence_of, finding
from maineffect.analyse.confirmatory.verdicts import Claim, decide

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
    decided = _decided(claim, estimates, errors, 9.0, 0.05)
    for estimate, error, one in zip(estimates.tolist(), errors.tolist(), decided.tolist(), strict=True):
        verdict = _verdict(replace(claim, estimate=estimate, std_error=error))
        assert one == (verdict != "inconclusive"), (estimate, error, verdict)
