"""What the runs say of an effect, whatever was claimed: which of five statements remain possible.

With a smallest effect of interest δ the effect θ lies in one of θ ≤ −δ, −δ < θ < 0, θ = 0, 0 < θ < δ, θ ≥ δ; without
one it is negative, zero or positive. Directions and bars are tested two-sided (half the level a side), equivalence by
two one-sided tests at the level. At every θ at most one of "not zero" and "inside ±δ" is an error, so that one level
serves all tests of one claim (partitioning: Finner and Strassburger (2002) Ann. Statist. 30:1194).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from scipy import special

from maineffect.analyse.inference.equivalence import tost

__all__ = ["Evidence", "State", "evidence_of", "finding"]

State = Literal["at most −δ", "between −δ and 0", "zero", "between 0 and δ", "at least δ", "negative", "positive"]
_BELOW: tuple[State, ...] = ("at most −δ", "between −δ and 0")
_ABOVE: tuple[State, ...] = ("between 0 and δ", "at least δ")


@dataclass(frozen=True)
class Evidence:
    """P-values of all that can be found of one effect.

    Attributes:
        sign: 1 or −1: the side on which the estimate lies.
        zero: Two-sided, against no effect.
        beyond: Two-sided, against −δ ≤ θ ≤ δ; None without δ.
        equivalence: Two one-sided tests against θ ≤ −δ and θ ≥ δ; None without δ.
    """

    sign: int
    zero: float
    beyond: float | None = None
    equivalence: float | None = None

    @property
    def settled(self) -> float:
        """The level from which on nothing more can be found: one statement is left, or the next cannot be reached."""
        if self.beyond is None or self.equivalence is None:
            return self.zero
        return min(self.beyond, max(self.zero, self.equivalence))


def evidence_of(estimate: float, std_error: float, df: float, margin: float | None) -> Evidence:
    """P-values of one contrast by t.

    Args:
        estimate: In the response's units.
        std_error: Its standard error, positive.
        df: Degrees of freedom.
        margin: Smallest effect of interest δ > 0, if any.
    """
    size = abs(estimate)
    sign = -1 if estimate < 0 else 1
    zero = _two_sided(size / std_error, df)
    if margin is None:
        return Evidence(sign, zero)
    inside = tost(estimate, std_error, df, margin).p_value
    return Evidence(sign, zero, _two_sided((size - margin) / std_error, df), inside)


def _two_sided(t: float, df: float) -> float:
    return float(min(1.0, 2 * special.stdtr(df, -t)))


def finding(evidence: Evidence, level: float) -> tuple[State, ...]:
    """The statements that remain possible when every test of the claim is held to a level."""
    up = evidence.sign > 0
    if evidence.beyond is None or evidence.equivalence is None:
        if evidence.zero <= level:
            return ("positive",) if up else ("negative",)
        return ("negative", "zero", "positive")
    if evidence.beyond <= level:
        return (_ABOVE[1] if up else _BELOW[0],)
    left: tuple[State, ...] = (*_BELOW, "zero", *_ABOVE)
    if evidence.zero <= level:
        left = _ABOVE if up else _BELOW
    if evidence.equivalence <= level:
        left = tuple(state for state in left if state not in (_BELOW[0], _ABOVE[1]))
    return left
