"""The registered rule."""

from __future__ import annotations

from dataclasses import replace

import pytest
from scipy import stats

from maineffect.analyse.confirmatory.findings import evidence_of, finding
from maineffect.analyse.confirmatory.verdicts import Claim, decide, deciding_p_value

BASE = Claim("increase", "zero", 0.5, 1.0, 0.1, 20.0, 2.086)


def _decide(claim: Claim, level: float = 0.05, *, equivalence: bool = True) -> tuple[str, str]:
    evidence = evidence_of(claim.estimate, claim.std_error, claim.df, claim.margin)
    return decide(claim, finding(evidence, level), equivalence=equivalence)


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        ({}, "supported"),
        ({"estimate": -1.0}, "refuted"),
        ({"estimate": 0.05}, "negligible"),
        ({"estimate": 0.45, "std_error": 0.5}, "inconclusive"),
        ({"beyond": "smallest_effect"}, "supported"),
        ({"beyond": "smallest_effect", "estimate": 0.6}, "inconclusive"),
        # Beyond zero on the other side refutes a claim of more than the bar, whether or not it is as far as −δ.
        ({"beyond": "smallest_effect", "estimate": -0.4}, "refuted"),
        ({"beyond": "smallest_effect", "estimate": 0.25}, "negligible"),
        ({"direction": "decrease"}, "refuted"),
        ({"direction": "decrease", "estimate": -1.0}, "supported"),
        ({"direction": "different", "estimate": -1.0}, "supported"),
        ({"direction": "different", "estimate": 0.0}, "negligible"),
        ({"direction": "different", "beyond": "smallest_effect", "estimate": -0.6}, "inconclusive"),
        ({"direction": "negligible"}, "refuted"),
        ({"direction": "negligible", "estimate": 0.0}, "negligible"),
        ({"direction": "negligible", "estimate": 0.45}, "inconclusive"),
        ({"direction": "negligible", "estimate": 0.6}, "inconclusive"),
        ({"margin": None, "estimate": 0.05}, "inconclusive"),
        ({"margin": None}, "supported"),
    ],
)
def test_rule(change: dict[str, object], verdict: str) -> None:
    assert _decide(replace(BASE, **change))[0] == verdict  # type: ignore[arg-type]


def test_a_small_but_certain_effect_is_supported_and_says_so() -> None:
    assert _decide(replace(BASE, estimate=0.25, std_error=0.05)) == (
        "supported", "though it is smaller than the smallest effect of interest",
    )  # fmt: skip
    assert _decide(replace(BASE, estimate=0.45, std_error=0.1)) == (
        "supported", "though its estimate lies below the smallest effect of interest",
    )  # fmt: skip


def test_between_zero_and_the_bar_it_is_not_as_large_as_claimed() -> None:
    claim = replace(BASE, beyond="smallest_effect", estimate=0.25, std_error=0.05)
    assert _decide(claim) == ("negligible", "there is an effect, not as large as claimed")
    assert _decide(claim, equivalence=False) == ("inconclusive", "there is an effect, not as large as claimed")


def test_equivalence_waits_where_it_is_not_decided_yet() -> None:
    assert _decide(replace(BASE, direction="negligible", estimate=0.0), equivalence=False)[0] == "inconclusive"
    assert _decide(replace(BASE, estimate=0.0), equivalence=False)[0] == "inconclusive"


def test_a_stricter_level_can_take_a_verdict_away() -> None:
    claim = replace(BASE, estimate=0.22, margin=None)
    assert _decide(claim)[0] == "supported"
    assert _decide(claim, 0.01)[0] == "inconclusive"


def test_the_deciding_test_is_that_of_the_claimed_side() -> None:
    claim = replace(BASE, beyond="smallest_effect", estimate=0.6)
    evidence = evidence_of(claim.estimate, claim.std_error, claim.df, claim.margin)
    assert deciding_p_value(claim, evidence) == pytest.approx(2 * stats.t.sf(1.0, 20))
    other = replace(claim, estimate=-1.0)
    evidence = evidence_of(other.estimate, other.std_error, other.df, other.margin)
    assert deciding_p_value(other, evidence) == pytest.approx(2 * stats.t.sf(10.0, 20))
