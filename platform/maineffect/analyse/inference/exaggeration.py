"""Winner's curse: what a significant estimate from a small study is worth.

Gelman and Carlin (2014) Perspect. Psychol. Sci. 9:641: power, type S error (wrong sign) and exaggeration ratio of
estimates that reach significance, given a true effect and a standard error.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from maineffect.errors import AnalysisError

__all__ = ["Exaggeration", "exaggeration"]


@dataclass(frozen=True)
class Exaggeration:
    """Design analysis.

    Attributes:
        power: Chance of significance.
        type_s: Chance of the wrong sign, given significance.
        ratio: Expected |estimate| over the true effect, given significance.
    """

    power: float
    type_s: float
    ratio: float


def exaggeration(effect: float, std_error: float, alpha: float = 0.05) -> Exaggeration:
    """Closed form for a normal estimate (truncated-normal means; Lu, Qiu and Deng (2019) Psychol. Methods 24:590)."""
    if effect == 0 or not std_error > 0:
        raise AnalysisError("the true effect must not be 0, the standard error must be positive", "state δ and se")
    z, shift = float(stats.norm.isf(alpha / 2)), abs(effect) / std_error
    above, below = float(stats.norm.sf(z - shift)), float(stats.norm.cdf(-z - shift))
    power = above + below
    # E|X|; X ~ N(shift, 1), outside ±z.
    mean = shift * (above - below) + float(stats.norm.pdf(z - shift) + stats.norm.pdf(z + shift))
    return Exaggeration(power, below / power, float(np.float64(mean / power / shift)))
