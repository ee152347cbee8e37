"""Transport: effects re-weighted to a stated distribution of factor levels ("in the wild").

A designed experiment averages over levels equally; deployment does not. The target's effect is Σ w_k·effect_k, a
linear contrast of the fitted surface (standardisation; Cole and Stuart (2010) Am. J. Epidemiol. 172:107). What the
weights cannot know, a level never run, is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from maineffect.analyse.fit.respond import Answer, Fitted, answer
from maineffect.contracts import Level
from maineffect.errors import AnalysisError

__all__ = ["Standardised", "standardise", "transported_effect"]


@dataclass(frozen=True)
class Standardised:
    """A weighted effect.

    Attributes:
        estimate: Σ w·effect.
        std_error: √Σ w²·se² (independent effects).
        effective_fraction: (Σw)²/(K·Σw²), Kish's effective share of the strata: how much precision the weights leave.
    """

    estimate: float
    std_error: float
    effective_fraction: float


def standardise(effects: Sequence[float], std_errors: Sequence[float], weights: Sequence[float]) -> Standardised:
    """Weight independent effects (one per stratum) to a target distribution; weights are normalised."""
    w = np.asarray(weights, dtype=float)
    if np.any(w < 0) or not w.sum() > 0:
        raise AnalysisError("weights must not be negative, and not all zero", "state shares of the target distribution")
    w = w / w.sum()
    estimate = float(w @ np.asarray(effects, dtype=float))
    std_error = float(np.sqrt(np.sum((w * np.asarray(std_errors, dtype=float)) ** 2)))
    return Standardised(estimate, std_error, float(1 / (len(w) * np.sum(w**2))))


def transported_effect(fitted: Fitted, factor: str, target: Mapping[str, Mapping[Level, float]]) -> Answer:
    """Effect of a factor (last minus first level) when the other factors follow a target distribution.

    Args:
        fitted: Of one response.
        factor: Whose effect.
        target: Other factor → {level: share}; factors not named are averaged equally. Shares are normalised.

    Raises:
        AnalysisError: A name or level that the study does not have, negative shares, or cells without runs.
    """
    surface = fitted.surface
    if factor not in surface.factors:
        raise AnalysisError(f"no factor {factor!r}", f"factors: {', '.join(surface.factors)}")
    weights = {name: _shares(fitted, name, shares) for name, shares in target.items() if name != factor}
    first, last = surface.factors[factor].levels[0], surface.factors[factor].levels[-1]
    ends = [_shares(fitted, factor, {level: 1.0}) for level in (first, last)]
    row = surface.weighted({**weights, factor: ends[1]}) - surface.weighted({**weights, factor: ends[0]})
    if not fitted.fit.estimable(row[None, :]).all():
        raise AnalysisError(f"the effect of {factor} on that target needs cells that have no runs", "run those cells")
    return answer(fitted, row)


def _shares(fitted: Fitted, name: str, shares: Mapping[Level, float]) -> np.ndarray:
    if name not in fitted.surface.factors:
        raise AnalysisError(f"no factor {name!r}", f"factors: {', '.join(fitted.surface.factors)}")
    levels = fitted.surface.factors[name].levels
    unknown = [level for level in shares if level not in levels]
    if unknown:
        raise AnalysisError(f"{name} has no level {unknown[0]!r}", f"levels: {', '.join(map(repr, levels))}")
    w = np.array([float(shares.get(level, 0.0)) for level in levels])
    if np.any(w < 0) or not w.sum() > 0:
        raise AnalysisError(f"shares of {name} must not be negative, and not all zero", "state shares per level")
    return np.asarray(w / w.sum())
