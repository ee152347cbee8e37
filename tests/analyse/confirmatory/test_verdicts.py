"""The registered rule."""

from __future__ import annotations

from dataclasses import replace

import pytest
from scipy import stats

from maineffect.analyse.confirmatory.findings import evidence_of, finding
from maineffect.analyse.confirmatory.verdicts import Claim, claim_of, decide, deciding_p_value
from maineffect.analyse.record.result import HypothesisResult

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


FAR_BELOW, BELOW, ZERO, ABOVE, FAR_ABOVE = "at most −δ", "between −δ and 0", "zero", "between 0 and δ", "at least δ"
MIRROR = {FAR_BELOW: FAR_ABOVE, BELOW: ABOVE, ZERO: ZERO, ABOVE: BELOW, FAR_ABOVE: FAR_BELOW}
OPEN, OPPOSITE = "the interval leaves it open", "the effect has the opposite direction"
SMALLER = "smaller than the smallest effect of interest"
LARGE = "there is an effect; whether it is as large as claimed is open"
NOT_AS_LARGE = "there is an effect, not as large as claimed"
WAITS = "equivalence is not decided yet"

# What remains possible → how a claim of an increase reads it, of zero and of the smallest effect; then a claim of a
# difference, likewise. Written down from the rule in the module's first lines.
READINGS: dict[tuple[str, ...], tuple[tuple[str, str], ...]] = {
    (FAR_ABOVE,): (("supported", ""),) * 4,
    (ABOVE, FAR_ABOVE): (("supported", ""), ("inconclusive", LARGE)) * 2,
    (ABOVE,): (("supported", f"though it is {SMALLER}"), ("negligible", NOT_AS_LARGE)) * 2,
    (BELOW, ZERO, ABOVE): (("negligible", ""),) * 4,
    (FAR_BELOW, BELOW, ZERO, ABOVE, FAR_ABOVE): (("inconclusive", OPEN),) * 4,
    (BELOW,): (
        ("refuted", f"{OPPOSITE} and is {SMALLER}"), ("refuted", f"{OPPOSITE} and is {SMALLER}"),
        ("supported", f"though it is {SMALLER}"), ("negligible", NOT_AS_LARGE),
    ),
    (FAR_BELOW, BELOW): (("refuted", OPPOSITE),) * 2 + (("supported", ""), ("inconclusive", LARGE)),
    (FAR_BELOW,): (("refuted", OPPOSITE),) * 2 + (("supported", ""),) * 2,
}  # fmt: skip


@pytest.mark.parametrize("found", list(READINGS))
def test_every_reading_of_every_finding(found: tuple[str, ...]) -> None:
    """Estimates are taken beyond the margin, so that no reason is about the estimate alone."""
    mirrored = tuple(MIRROR[state] for state in found)
    claims = [(d, b) for d in ("increase", "different") for b in ("zero", "smallest_effect")]
    for (direction, beyond), said in zip(claims, READINGS[found], strict=True):
        claim = replace(BASE, direction=direction, beyond=beyond)
        assert decide(claim, found) == said  # type: ignore[arg-type]
        reverse = replace(claim, direction={"increase": "decrease"}.get(direction, direction), estimate=-1.0)
        assert decide(reverse, mirrored) == said  # type: ignore[arg-type]
        early = {"negligible": ("inconclusive", said[1] or WAITS)}.get(said[0], said)
        assert decide(claim, found, equivalence=False) == early  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ((FAR_ABOVE,), ("refuted", f"the effect is larger than the {SMALLER.removeprefix('smaller than the ')}")),
        ((FAR_BELOW,), ("refuted", f"the effect is larger than the {SMALLER.removeprefix('smaller than the ')}")),
        ((ABOVE,), ("negligible", "there is an effect, and it is smaller than what matters")),
        ((BELOW,), ("negligible", "there is an effect, and it is smaller than what matters")),
        ((BELOW, ZERO, ABOVE), ("negligible", "")),
        ((ABOVE, FAR_ABOVE), ("inconclusive", "the interval reaches beyond the smallest effect of interest")),
        ((FAR_BELOW, BELOW, ZERO, ABOVE, FAR_ABOVE), ("inconclusive", "the interval reaches beyond the smallest effect of interest")),
    ],
)  # fmt: skip
def test_every_reading_of_a_claim_of_negligibility(found: tuple[str, ...], said: tuple[str, str]) -> None:
    claim = replace(BASE, direction="negligible")
    assert decide(claim, found) == said  # type: ignore[arg-type]
    early = {"negligible": ("inconclusive", "equivalence is decided at the last look")}.get(said[0], said)
    assert decide(claim, found, equivalence=False) == early  # type: ignore[arg-type]


def test_without_a_margin_there_are_three_states() -> None:
    claim = replace(BASE, margin=None)
    for direction, said in {"increase": "supported", "decrease": "refuted", "different": "supported"}.items():
        assert decide(replace(claim, direction=direction), ("positive",))[0] == said
        assert decide(replace(claim, direction=direction), ("negative", "zero", "positive")) == ("inconclusive", OPEN)
    assert decide(replace(claim, beyond="smallest_effect"), ("positive",)) == ("supported", ""), "there is no bar"
    assert not replace(claim, beyond="smallest_effect").barred


def test_an_estimate_below_the_margin_is_said_and_one_at_it_is_not() -> None:
    for estimate, said in ((0.49, "though its estimate lies below the smallest effect of interest"), (0.5, "")):
        claim = replace(BASE, estimate=estimate)
        assert decide(claim, (ABOVE, FAR_ABOVE)) == ("supported", said)
        assert decide(replace(claim, direction="decrease", estimate=-estimate), (FAR_BELOW, BELOW))[1] == said
        assert decide(replace(claim, beyond="smallest_effect"), (FAR_ABOVE,)) == ("supported", "")


def test_which_side_denies_the_claim() -> None:
    for direction, against in {"increase": (-1.0,), "decrease": (1.0,), "different": (), "negligible": ()}.items():
        for estimate in (-1.0, 0.0, 1.0):
            claim = replace(BASE, direction=direction, beyond="smallest_effect", estimate=estimate)
            assert claim.against == (estimate in against)
            evidence = evidence_of(estimate, 0.5, 20.0, 0.5)
            decides = evidence.zero if claim.against else evidence.beyond
            assert deciding_p_value(claim, evidence) == decides
            assert deciding_p_value(replace(claim, beyond="zero"), evidence) == evidence.zero
            assert deciding_p_value(claim, replace(evidence, beyond=None)) == evidence.zero


def test_a_claim_needs_an_estimate_and_its_error_with_degrees_of_freedom() -> None:
    judged = HypothesisResult(
        id="H1", response="y", term="A", verdict="supported", direction="increase", estimate=0.7, std_error=0.4, df=20.0
    )
    claim = claim_of(judged)
    assert claim is not None
    assert (claim.direction, claim.estimate, claim.std_error, claim.df) == ("increase", 0.7, 0.4, 20.0)
    for missing in ({"estimate": None}, {"std_error": None}, {"std_error": 0.0}, {"df": None}, {"df": 0.0}):
        assert claim_of(judged.model_copy(update=missing)) is None, missing
