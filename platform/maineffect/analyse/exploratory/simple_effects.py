"""What an effect depends on: simple effects at the other factor's levels, and the trend of an effect over a covariate.

Both are linear contrasts of the fitted surface, so that their intervals come from the same covariance as the effects'.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from maineffect.analyse.fit.respond import Answer, Fitted, answer_all
from maineffect.analyse.record.result import SimpleEffect, Trend
from maineffect.contracts import Level
from maineffect.design.model.terms import term_factors

__all__ = ["scaling_trends", "simple_effects"]

Floats = NDArray[np.float64]


def _pairs(fitted: Fitted) -> list[tuple[str, str]]:
    """Ordered pairs of factors that interact in the model: (whose effect, at whose levels)."""
    groups = {frozenset(term_factors(term)) for term in fitted.model.terms}
    names = [factor.name for factor in fitted.model.factors]
    return [pair for pair in permutations(names, 2) if frozenset(pair) in groups]


def _effect_row(fitted: Fitted, name: str, given: Mapping[str, Level]) -> Floats:
    levels = fitted.surface.factors[name].levels
    return fitted.surface.at({**given, name: levels[-1]}) - fitted.surface.at({**given, name: levels[0]})


def _ends(answer: Answer) -> tuple[float | None, float | None]:
    half = answer.half_width
    return (None, None) if half is None else (answer.estimate - half, answer.estimate + half)


def simple_effects(fitted: Fitted) -> list[SimpleEffect]:
    """Effect of each factor (last minus first level) at every level of each factor that it interacts with.

    Effects that need cells without runs are left out.
    """
    asked = [(name, other, level) for name, other in _pairs(fitted) for level in fitted.surface.factors[other].levels]
    if not asked:
        return []
    rows = np.array([_effect_row(fitted, name, {other: level}) for name, other, level in asked])
    estimable = fitted.fit.estimable(rows)
    effects = []
    for (name, other, level), answer, ok in zip(asked, answer_all(fitted, rows), estimable, strict=True):
        if ok:
            levels = fitted.surface.factors[name].levels
            low, high = _ends(answer)
            effects.append(
                SimpleEffect(
                    factor=name, given={other: level}, contrast=f"{levels[-1]} − {levels[0]}", estimate=answer.estimate,
                    std_error=answer.std_error, df=answer.df, ci_low=low, ci_high=high, p_value=answer.p_value,
                )
            )  # fmt: skip
    return effects


def scaling_trends(fitted: Fitted) -> list[Trend]:
    """Least-squares slope of a factor's effect over the levels of a numeric factor that it interacts with.

    Σ w_k·effect_k with w_k = (x_k − x̄)/Σ(x − x̄)²; x is log₂ of the level where all levels are positive and span a
    factor of four (steps, parameters), else the level itself.
    """
    trends = []
    for name, other in _pairs(fitted):
        factor = fitted.surface.factors[other]
        if not factor.is_numeric:
            continue
        x = np.array([float(level) for level in factor.levels])
        wide = bool(x.min() > 0 and x.max() >= 4 * x.min())
        centred = (np.log2(x) if wide else x) - np.mean(np.log2(x) if wide else x)
        weights = centred / np.sum(centred**2)
        rows = np.array([_effect_row(fitted, name, {other: level}) for level in factor.levels])
        row = (weights @ rows)[None, :]
        if not fitted.fit.estimable(row)[0]:
            continue
        (answer,) = answer_all(fitted, row)
        low, high = _ends(answer)
        trends.append(
            Trend(
                response=fitted.name, factor=name, covariate=other, scale="log2" if wide else "linear",
                slope=answer.estimate, ci_low=low, ci_high=high, p_value=answer.p_value,
            )
        )  # fmt: skip
    return trends
