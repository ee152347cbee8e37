"""Interim looks after complete waves of replicates, with alpha spending.

Recursive integration: Armitage, McPherson and Rowe (1969) JRSS-A 132:235; Jennison and Turnbull (2000) Group Sequential
Methods, ch. 19. Spending functions: Lan and DeMets (1983) Biometrika 70:659. Z bounds applied to a t statistic from
few runs reject 12–26 % instead of 5 %, so bounds are used on the p-value scale: each look compares the p-value of its
own t test with a nominal level.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special, stats

from maineffect.errors import AnalysisError

__all__ = [
    "Interim",
    "crossing_probabilities",
    "interim_look",
    "nominal_levels",
    "spending",
    "spending_bounds",
]

Floats = NDArray[np.float64]
Spending = Literal["obrien_fleming", "pocock"]
_GRID = 400


def spending(fraction: float, alpha: float, kind: Spending) -> float:
    """Two-sided error spent when a fraction of the information is in.

    O'Brien–Fleming-like 4(1 − Φ(z_{α/4}/√t)) (each side 2(1 − Φ(z_{α/4}/√t))); Pocock-like α·ln(1 + (e − 1)t).
    """
    if fraction <= 0:
        return 0.0
    t = min(fraction, 1.0)
    if kind == "pocock":
        return float(alpha * np.log1p((np.e - 1) * t))
    return float(4 * special.ndtr(special.ndtri(alpha / 4) / np.sqrt(t)))


def crossing_probabilities(bounds: Sequence[float], fractions: Sequence[float], drift: float = 0.0) -> list[float]:
    """Probability of first leaving ±bounds at each look.

    Args:
        bounds: K critical values of |Z|.
        fractions: K increasing information fractions.
        drift: E[Z] at full information.
    """
    probabilities: list[float] = []
    grid = weights = density = np.empty(0)
    previous = 0.0
    for look, (bound, now) in enumerate(zip(bounds, fractions, strict=True)):
        # The score S = Z√t has independent increments with variance t.
        edge, step = bound * np.sqrt(now), np.sqrt(now - previous)
        mean = drift * (now - previous)
        if look == 0:
            probabilities.append(float(_outside(np.zeros(1), edge, mean, step)[0]))
        else:
            probabilities.append(float(np.sum(weights * density * _outside(grid, edge, mean, step))))
        if look == len(bounds) - 1:
            break  # no later look needs the density
        nodes, node_weights = _legendre()
        new = edge * nodes
        if look == 0:
            density = _density(new, mean, step)
        else:
            density = _density(new[:, None] - grid[None, :], mean, step) @ (weights * density)
        grid, weights, previous = new, edge * node_weights, now
    return probabilities


def _outside(start: Floats, edge: float, mean: float, sd: float) -> Floats:
    """P(|start + N(mean, sd²)| > edge)."""
    return np.asarray(special.ndtr((start + mean - edge) / sd) + special.ndtr((-edge - start - mean) / sd))


def _density(step: Floats, mean: float, sd: float) -> Floats:
    return np.asarray(np.exp(-(((step - mean) / sd) ** 2) / 2) / (sd * np.sqrt(2 * np.pi)))


@lru_cache(maxsize=1)
def _legendre() -> tuple[Floats, Floats]:
    nodes, weights = np.polynomial.legendre.leggauss(_GRID)
    return nodes, weights


@lru_cache(maxsize=256)
def _bounds(fractions: tuple[float, ...], alpha: float, kind: Spending) -> tuple[float, ...]:
    bounds: list[float] = []
    for k, fraction in enumerate(fractions):
        target = spending(fraction, alpha, kind) - (spending(fractions[k - 1], alpha, kind) if k else 0.0)

        def excess(c: float, upto: int = k, level: float = target) -> float:
            return crossing_probabilities([*bounds, c], fractions[: upto + 1])[-1] - level

        bounds.append(float(optimize.brentq(excess, 0.1, 12.0, xtol=1e-7)) if target > 1e-14 else 12.0)
    return tuple(bounds)


def spending_bounds(fractions: Sequence[float], alpha: float, kind: Spending = "obrien_fleming") -> tuple[float, ...]:
    """Critical values of |Z| at each look.

    Raises:
        AnalysisError: Fractions do not increase within (0, 1].
    """
    looks = tuple(float(t) for t in fractions)
    if not looks or looks[0] <= 0 or looks[-1] > 1 + 1e-9 or any(b <= a for a, b in pairwise(looks)):
        raise AnalysisError(
            f"information fractions must increase within (0, 1]: {looks}", "use wave/waves, such as 1/4, 2/4, 3/4, 1"
        )
    return _bounds(looks, float(alpha), kind)


def nominal_levels(fractions: Sequence[float], alpha: float, kind: Spending = "obrien_fleming") -> list[float]:
    """Two-sided p-value below which each look stops: 2(1 − Φ(c_k)), to be compared with the p-value of a t test."""
    return [float(2 * stats.norm.sf(c)) for c in spending_bounds(fractions, alpha, kind)]


@dataclass(frozen=True)
class Interim:
    """What an interim look says.

    Attributes:
        look: 1-based wave.
        level: Nominal two-sided level of this look.
        p_value: Of this look's t test.
        decision: ``efficacy``, ``futility`` or ``continue`` (at the last look: ``efficacy`` or ``end``).
        ci_low: Repeated confidence interval, valid at every look (Jennison and Turnbull (1989) JRSS-B 51:305).
        ci_high: Its upper end.
        conditional_power: Chance of efficacy at the end if the effect is the assumed one; None at the last look.
    """

    look: int
    level: float
    p_value: float
    decision: Literal["efficacy", "futility", "continue", "end"]
    ci_low: float
    ci_high: float
    conditional_power: float | None


def interim_look(
    estimate: float,
    std_error: float,
    df: float,
    *,
    look: int,
    looks: int,
    alpha: float = 0.05,
    kind: Spending = "obrien_fleming",
    assumed: float | None = None,
    futility: float = 0.1,
    p_value: float | None = None,
    bar: float = 0.0,
    first: int = 1,
) -> Interim:
    """Judge one effect after a complete wave.

    Args:
        estimate: Of all waves so far.
        std_error: Its standard error.
        df: Degrees of freedom.
        look: 1-based; waves are of equal size.
        looks: Planned number of looks.
        alpha: Total two-sided error.
        kind: Spending function.
        assumed: Effect for the futility rule, with its sign: usually the smallest effect of interest in the claimed
            direction; the estimate if None.
        futility: Stop (non-binding) when conditional power falls below this.
        p_value: Two-sided, of the test that decides; that of the t test against zero if None.
        bar: What the effect must lie beyond, with its sign: ± the smallest effect of interest, or zero (either side).
        first: Wave of the first planned look.

    Raises:
        AnalysisError: The look is not among the planned ones.
    """
    if not 1 <= first <= look <= looks:
        raise AnalysisError(f"look {look} is not among the {looks} planned", "register the number of waves")
    fractions = [k / looks for k in range(first, looks + 1)]
    level = nominal_levels(fractions, alpha, kind)[look - first]
    if p_value is None:
        p_value = float(2 * stats.t.sf(abs(estimate) / std_error, df))
    half = float(stats.t.isf(level / 2, df)) * std_error
    last = spending_bounds(fractions, alpha, kind)[-1]
    power = None if look == looks else _conditional_power(estimate, std_error, look / looks, last, assumed, bar)
    decision: Literal["efficacy", "futility", "continue", "end"] = "continue" if look < looks else "end"
    if p_value <= level:
        decision = "efficacy"
    elif power is not None and power < futility:
        decision = "futility"
    return Interim(
        look=look,
        level=level,
        p_value=p_value,
        decision=decision,
        ci_low=estimate - half,
        ci_high=estimate + half,
        conditional_power=power,
    )


def _conditional_power(
    estimate: float, std_error: float, t: float, bound: float, assumed: float | None, bar: float
) -> float:
    """P(Z_K beyond its bound | data so far), effect as assumed (Lan, Simon and Halperin (1982)).

    On either side of zero; beyond a bar on the bar's side only.
    """
    full = std_error * np.sqrt(t)
    side = float(np.sign(bar)) or 1.0
    effect = side * ((estimate if assumed is None else assumed) - bar)
    estimate = side * (estimate - bar)
    score, mean, sd = estimate / std_error * np.sqrt(t), effect / full * (1 - t), np.sqrt(1 - t)
    above = float(stats.norm.sf((bound - score - mean) / sd))
    return above if bar else above + float(stats.norm.cdf((-bound - score - mean) / sd))
