"""Two phases of one study in one test, with the error rate that was kept back for both.

Inverse-normal combination: Z = √w·z₁ + √(1−w)·z₂ with zₖ = Φ⁻¹(1 − pₖ) of each phase's own one-sided t test. Size and
cells of the second phase may depend on the data of the first (Lehmacher and Wassmer (1999) Biometrics 55:1286; Cui,
Hung and Wang (1999) Biometrics 55:853). |z₁| and |Z| are held to the bounds of a group-sequential plan with information
w and 1, so that a null is rejected in α over both. The p-value is the smallest α whose bounds are crossed by now (Liu
and Anderson (2008) JASA 103:1621), so that Holm's method applies to it as to any other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

from maineffect.analyse.confirmatory.assurance import Rule, decided_by
from maineffect.analyse.confirmatory.findings import Evidence
from maineffect.analyse.confirmatory.sequential import (
    crossing_probabilities,
    nominal_levels,
    spending,
    spending_bounds,
)
from maineffect.analyse.confirmatory.verdicts import Claim
from maineffect.spec.study import Reserve, StudySpec

__all__ = ["PhaseTest", "combined_evidence", "deciding_rule", "offered_reserve", "repeated_interval"]

Floats = NDArray[np.float64]
_SMALLEST, _LARGEST = 1e-12, 0.999
_REACH = 1e4


@dataclass(frozen=True)
class PhaseTest:
    """What one phase says of a contrast by itself."""

    estimate: float
    std_error: float
    df: float


def _score(estimate: Floats | float, error: Floats | float, df: float, against: float) -> Floats:
    """Φ⁻¹(1 − p) of the one-sided t test that the effect exceeds a value; symmetric, without loss in the tails."""
    t = (np.asarray(estimate) - against) / np.asarray(error)
    return np.asarray(-np.sign(t) * special.ndtri(special.stdtr(df, -np.abs(t))))


def _scores(phases: Sequence[PhaseTest], weight: float, against: float) -> list[float]:
    """z₁ after the first phase, and Z after the second."""
    each = [float(_score(phase.estimate, phase.std_error, phase.df, against)) for phase in phases]
    if len(each) < 2:
        return each
    return [each[0], float(np.sqrt(weight) * each[0] + np.sqrt(1 - weight) * each[1])]


def combined_evidence(phases: Sequence[PhaseTest], margin: float | None, reserve: Reserve) -> Evidence:
    """P-values of one contrast over the phases so far, to be compared with the study's α.

    Args:
        phases: One or two, in order.
        margin: Smallest effect of interest δ, if any.
        reserve: As registered.
    """

    def above(value: float) -> float:
        return _p_value(_scores(phases, reserve.weight, value), reserve)

    def below(value: float) -> float:
        return _p_value([-z for z in _scores(phases, reserve.weight, value)], reserve)

    up, down = above(0.0), below(0.0)
    sign = 1 if up < down or (up == down and _scores(phases, reserve.weight, 0.0)[-1] >= 0) else -1
    if margin is None:
        return Evidence(sign, min(up, down))
    # A side has half of the level; each of two one-sided tests of equivalence has all of it.
    inside = max(above(-margin), below(margin)) / 2
    return Evidence(sign, min(up, down), min(above(margin), below(-margin)), inside)


def _p_value(scores: Sequence[float], reserve: Reserve) -> float:
    """The smallest two-sided level at which one of the scores lies above its bound."""
    first, *later = scores
    p = _first_level(first, reserve)
    return min(p, _second_level(later[0], reserve)) if later else p


def _first_level(score: float, reserve: Reserve) -> float:
    """The level at which the first phase's bound is this score: the spending function, inverted."""
    if score <= 0:
        return 1.0
    crossed, weight = 2 * float(special.ndtr(-score)), reserve.weight
    if reserve.spending == "pocock":
        return float(min(1.0, crossed / np.log1p((np.e - 1) * weight)))
    return float(min(1.0, 4 * special.ndtr(np.sqrt(weight) * special.ndtri(crossed / 4))))


def _second_level(score: float, reserve: Reserve) -> float:
    """The level at which the second phase's bound is this score."""
    if score <= 0:
        return 1.0

    def excess(log_level: float) -> float:
        level = float(np.exp(log_level))
        spent = spending(reserve.weight, level, reserve.spending)
        bound = float(-special.ndtri(spent / 2))
        return crossing_probabilities([bound, score], [reserve.weight, 1.0])[1] - (level - spent)

    low, high = np.log(_SMALLEST), np.log(_LARGEST)
    if excess(low) < 0:
        return _SMALLEST
    if excess(high) > 0:
        return 1.0
    return float(np.exp(optimize.brentq(excess, low, high, xtol=1e-9)))


def repeated_interval(phases: Sequence[PhaseTest], alpha: float, reserve: Reserve) -> tuple[float, float, float]:
    """Effects that the phases so far do not reject at their bound, and the one that they contradict least.

    The interval holds at every phase (Jennison and Turnbull (1989) JRSS-B 51:305); the estimate is the effect at which
    the combined score is zero, which of one phase is its own.

    Returns:
        Estimate, lower and upper limit.
    """
    bound = spending_bounds((reserve.weight, 1.0), alpha, reserve.spending)[len(phases) - 1]
    ends = [(p.estimate, p.std_error) for p in phases]
    low = min(b - _REACH * s for b, s in ends)
    high = max(b + _REACH * s for b, s in ends)

    def root(target: float) -> float:
        return float(
            optimize.brentq(lambda value: _scores(phases, reserve.weight, value)[-1] - target, low, high, xtol=1e-12)
        )

    return root(0.0), root(bound), root(-bound)


def deciding_rule(claim: Claim, level: float, reserve: Reserve) -> Rule:
    """What decides after a second phase, for many of its estimates at once.

    Args:
        claim: With the first phase's estimate, which crossed no bound.
        level: Two-sided level of the claim in its family.
        reserve: As registered.
    """
    weight = reserve.weight
    bound = spending_bounds((weight, 1.0), level, reserve.spending)[1]
    one_sided = spending_bounds((weight, 1.0), min(2 * level, _LARGEST), reserve.spending)[1]

    def rule(estimate: Floats, error: Floats, df: float) -> NDArray[np.bool_]:
        def score(against: float) -> Floats:
            first = _score(claim.estimate, claim.std_error, claim.df, against)
            return np.asarray(np.sqrt(weight) * first + np.sqrt(1 - weight) * _score(estimate, error, df, against))

        margin = claim.margin
        inside = np.zeros(len(estimate), dtype=bool)
        if margin is not None:
            inside = (score(-margin) >= one_sided) & (score(margin) <= -one_sided)
        return decided_by(
            claim, above=lambda bar: score(bar) >= bound, below=lambda bar: score(bar) <= -bound, inside=inside
        )

    return rule


def offered_reserve(study: StudySpec) -> str | None:
    """What it would cost to keep error back for a follow-up; None where that is not possible, or done."""
    analysis = study.analysis
    if not study.hypotheses or analysis.follow_up or analysis.sequential or study.follow_up:
        return None
    pocock, obrien_fleming = (
        nominal_levels((0.5, 1.0), analysis.alpha, kind)[0] for kind in ("pocock", "obrien_fleming")
    )
    return (
        "a follow-up of this sweep would be judged on its new runs alone; with analysis.follow_up: "
        f"{{phases: 2, spending: pocock}} both would count, and this sweep's claims be held to {pocock:.2g} instead of "
        f"{analysis.alpha:g} ({obrien_fleming:.2g} with obrien_fleming)"
    )
