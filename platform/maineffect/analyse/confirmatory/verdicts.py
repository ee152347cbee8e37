"""The registered rule: a finding and a claim → supported, refuted, negligible or inconclusive.

The finding (:mod:`maineffect.analyse.confirmatory.findings`) does not depend on the claim's wording; this is how it is
read. The same rule holds at interim looks and at the end.

supported     all that remains possible lies beyond zero (or the smallest effect of interest, as registered) as claimed
refuted       all that remains possible lies beyond zero on the other side; of a claim of negligibility: beyond ±δ
negligible    the effect lies inside ± the smallest effect of interest
inconclusive  otherwise
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from maineffect.analyse.confirmatory.findings import Evidence, State
from maineffect.analyse.record.result import HypothesisResult

__all__ = ["Claim", "Verdict", "claim_of", "decide", "deciding_p_value"]

Verdict = Literal["supported", "refuted", "negligible", "inconclusive"]
_NEGATIVE: set[State] = {"at most −δ", "between −δ and 0", "negative"}
_POSITIVE: set[State] = {"at least δ", "between 0 and δ", "positive"}
_INSIDE: set[State] = {"between −δ and 0", "zero", "between 0 and δ"}


@dataclass(frozen=True)
class Claim:
    """A hypothesis with its estimate.

    Attributes:
        direction: ``increase``, ``decrease``, ``different`` or ``negligible``.
        beyond: What the effect must lie beyond: ``zero`` or ``smallest_effect``.
        margin: Smallest effect of interest δ, if any.
        estimate: In the response's units.
        std_error: Its standard error.
        df: Degrees of freedom.
        critical: Half-width of the 1 − α interval in standard errors.
    """

    direction: str
    beyond: str
    margin: float | None
    estimate: float
    std_error: float
    df: float
    critical: float

    @property
    def barred(self) -> bool:
        """Whether the claim is about more than the smallest effect of interest."""
        return self.beyond == "smallest_effect" and self.margin is not None

    @property
    def against(self) -> bool:
        """Whether the estimate lies on the side that the claim denies."""
        return {"increase": self.estimate < 0, "decrease": self.estimate > 0}.get(self.direction, False)


def claim_of(result: HypothesisResult) -> Claim | None:
    """The claim of a judged hypothesis; None where there is no error estimate."""
    if result.estimate is None or not result.std_error or not result.df:
        return None
    return Claim(
        result.direction, result.beyond, result.sesoi, result.estimate, result.std_error, result.df, float("nan")
    )


def deciding_p_value(claim: Claim, evidence: Evidence) -> float:
    """Of the test by which a claim would be supported, or refuted where the estimate lies on the other side."""
    if claim.barred and not claim.against and evidence.beyond is not None:
        return evidence.beyond
    return evidence.zero


def decide(claim: Claim, found: tuple[State, ...], *, equivalence: bool = True) -> tuple[Verdict, str]:
    """Verdict and, where it needs one, the reason.

    Args:
        claim: With its estimate.
        found: What remains possible, at the level that the claim is held to.
        equivalence: Whether negligibility may be found: not at an interim look before the last.
    """
    left = set(found)
    inside = left <= _INSIDE and claim.margin is not None
    if claim.direction == "negligible":
        return _negligible(left, inside=inside, equivalence=equivalence)
    sides = {"increase": [_POSITIVE], "decrease": [_NEGATIVE]}.get(claim.direction, [_POSITIVE, _NEGATIVE])
    if claim.barred:
        sides = [side - _INSIDE for side in sides]
    if any(left <= side for side in sides):
        return "supported", _smaller(claim, inside=inside)
    if claim.direction != "different" and left <= (_NEGATIVE if claim.direction == "increase" else _POSITIVE):
        small = " and is smaller than the smallest effect of interest" if inside else ""
        return "refuted", f"the effect has the opposite direction{small}"
    if inside:
        small = "there is an effect, not as large as claimed" if "zero" not in left else ""
        return ("negligible", small) if equivalence else ("inconclusive", small or "equivalence is not decided yet")
    if claim.barred and (left <= _POSITIVE or left <= _NEGATIVE):
        return "inconclusive", "there is an effect; whether it is as large as claimed is open"
    return "inconclusive", "the interval leaves it open"


def _smaller(claim: Claim, *, inside: bool) -> str:
    if inside:
        return "though it is smaller than the smallest effect of interest"
    if claim.margin is not None and not claim.barred and abs(claim.estimate) < claim.margin:
        return "though its estimate lies below the smallest effect of interest"
    return ""


def _negligible(left: set[State], *, inside: bool, equivalence: bool) -> tuple[Verdict, str]:
    if inside and equivalence:
        return "negligible", "" if "zero" in left else "there is an effect, and it is smaller than what matters"
    if len(left) == 1 and not inside:
        return "refuted", "the effect is larger than the smallest effect of interest"
    if inside:
        return "inconclusive", "equivalence is decided at the last look"
    return "inconclusive", "the interval reaches beyond the smallest effect of interest"
