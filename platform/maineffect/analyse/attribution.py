"""Which factor contributed what to the gap between two configurations: exact Shapley values of the fitted surface."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from math import factorial

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from maineffect.analyse.contrasts import cell_contrast
from maineffect.analyse.fit import Fit
from maineffect.analyse.result import Attribution
from maineffect.contracts import Level
from maineffect.design.terms import term_factors
from maineffect.spec.factors import Factor

__all__ = ["shapley_attribution"]

_MOST_FACTORS_IN_A_TERM = 6


def shapley_attribution(
    fit: Fit,
    factors: Mapping[str, Factor],
    response: str,
    start: Mapping[str, Level],
    end: Mapping[str, Level],
    alpha: float,
) -> list[Attribution]:
    """Share of each factor in the change from one configuration to another.

    A Shapley value (Shapley 1953) is linear in the surface, and the surface is linear in its coefficients, so each
    share is a contrast c'β with standard error √(c'Vc): no sampling. Term by term: in a term with factors F the share
    of i is Σ over S ⊆ F∖{i} of |S|!(|F|−|S|−1)!/|F|! · [v(S ∪ i) − v(S)].

    Returns:
        One entry per factor; contributions sum to the gap.
    """
    p = fit.model.matrix.shape[1]
    gap_vector = cell_contrast(fit.model, factors, end) - cell_contrast(fit.model, factors, start)
    gap = fit.estimate(gap_vector)
    result = []
    for name in factors:
        vector: NDArray[np.float64] = np.zeros(p)
        for term in fit.model.terms:
            names = term_factors(term)
            if name in names and len(names) <= _MOST_FACTORS_IN_A_TERM:
                vector[fit.model.spans[term]] = _share(fit, factors, term, name, start, end)
        estimate, error = fit.estimate(vector), fit.std_error(vector)
        half = float(stats.t.isf(alpha / 2, fit.df_error)) * error if fit.df_error > 0 else float("nan")
        result.append(
            Attribution(
                response=response,
                factor=name,
                from_level=start[name],
                to_level=end[name],
                contribution=estimate,
                ci_low=estimate - half,
                ci_high=estimate + half,
                gap=gap,
            )
        )
    return result


def _share(
    fit: Fit, factors: Mapping[str, Factor], term: str, name: str, start: Mapping[str, Level], end: Mapping[str, Level]
) -> NDArray[np.float64]:
    names = list(dict.fromkeys(term_factors(term)))
    others = [other for other in names if other != name]
    span = fit.model.spans[term]

    def value(moved: set[str]) -> NDArray[np.float64]:
        levels = {other: (end if other in moved else start)[other] for other in names}
        return cell_contrast(fit.model, factors, levels)[span]

    total = np.zeros(span.stop - span.start)
    for size in range(len(others) + 1):
        weight = factorial(size) * factorial(len(names) - size - 1) / factorial(len(names))
        for group in combinations(others, size):
            total += weight * (value({*group, name}) - value(set(group)))
    return total
