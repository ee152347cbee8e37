"""The registered rule."""

from __future__ import annotations

from dataclasses import replace

import pytest

from maineffect.analyse.confirmatory.verdicts import Claim, decide, decision_p_value, replicates_needed

BASE = Claim("increase", "zero", 0.5, 1.0, 0.1, 20.0, 2.086)


def _verdict(claim: Claim) -> str:
    return decide(claim, decision_p_value(claim), 0.05)[0]


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        ({}, "supported"),
        ({"estimate": -1.0}, "refuted"),
        ({"estimate": 0.05}, "negligible"),
        ({"estimate": 0.45, "std_error": 0.5}, "inconclusive"),
        ({"beyond": "smallest_effect"}, "supported"),
        ({"beyond": "smallest_effect", "estimate": 0.6}, "inconclusive"),
        ({"direction": "decrease"}, "refuted"),
        ({"direction": "decrease", "estimate": -1.0}, "supported"),
        ({"direction": "different", "estimate": -1.0}, "supported"),
        ({"direction": "different", "estimate": 0.0}, "negligible"),
        ({"direction": "negligible"}, "refuted"),
        ({"direction": "negligible", "estimate": 0.0}, "negligible"),
        ({"direction": "negligible", "estimate": 0.45}, "inconclusive"),
        ({"margin": None, "estimate": 0.05}, "inconclusive"),
        ({"margin": None}, "supported"),
    ],
)
def test_rule(change: dict[str, object], verdict: str) -> None:
    assert _verdict(replace(BASE, **change)) == verdict  # type: ignore[arg-type]


def test_a_small_but_certain_effect_is_supported_and_says_so() -> None:
    claim = replace(BASE, estimate=0.25, std_error=0.05)
    assert decide(claim, decision_p_value(claim), 0.05) == (
        "supported", "though it is smaller than the smallest effect of interest",
    )  # fmt: skip


def test_adjustment_can_take_a_verdict_away() -> None:
    claim = replace(BASE, estimate=0.22, margin=None)
    assert _verdict(claim) == "supported"
    assert decide(claim, 0.2, 0.05)[0] == "inconclusive"


def test_replicates_needed_decides_when_followed() -> None:
    claim = replace(BASE, estimate=0.3, std_error=0.25, margin=None)
    extra = replicates_needed(claim, 0.05, 3, 8)
    assert extra is not None
    from scipy import stats

    def after(more: int) -> str:
        df = claim.df + more * 7
        se = claim.std_error * (3 / (3 + more)) ** 0.5
        return _verdict(replace(claim, std_error=se, df=df, critical=float(stats.t.isf(0.025, df))))

    assert after(extra) == "supported"
    assert after(extra - 1) == "inconclusive"


def test_no_number_of_replicates_decides_an_effect_on_the_border() -> None:
    assert replicates_needed(replace(BASE, estimate=0.5, beyond="smallest_effect"), 0.05, 3, 8) is None
