"""Attribution: which factor contributes how much to the gap between two configurations.

Shapley value (Shapley, 1953) of the game v(S) = fitted response when the factors in S are at their ``to`` level and
the others at their ``from`` level. Every term of the model depends on its own factors only, so the value is an exact
sum over subsets of each term's factors: a linear contrast c'β̂, with standard error √(c'Vc). Contributions sum to the
gap (efficiency axiom), and so do their contrasts.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations, islice, product
from math import factorial, prod

import numpy as np
from numpy.typing import NDArray

from maineffect.analyse.fit.surface import Surface
from maineffect.contracts import Level
from maineffect.design.model.terms import term_factors

__all__ = ["configurations", "shapley_rows"]

Floats = NDArray[np.float64]
Configuration = Mapping[str, Level]
_GRID = 50_000


def _weight(size: int, players: int) -> float:
    return factorial(size) * factorial(players - size - 1) / factorial(players)


def shapley_rows(surface: Surface, start: Configuration, end: Configuration) -> dict[str, Floats]:
    """Row c of each factor's contribution to the gap from ``start`` to ``end``.

    Args:
        surface: Of the fitted model.
        start: Level of every factor in the first configuration.
        end: The same in the second.
    """
    rows = {name: np.zeros(surface.width) for name in surface.factors}
    for term in surface.model.terms:
        names = tuple(dict.fromkeys(term_factors(term)))
        span = surface.model.spans[term]
        values = {
            chosen: surface.term_at(term, {name: (end if name in chosen else start)[name] for name in names})
            for size in range(len(names) + 1)
            for chosen in combinations(names, size)
        }
        for name in names:
            others = tuple(other for other in names if other != name)
            for size in range(len(others) + 1):
                for chosen in combinations(others, size):
                    joined = tuple(other for other in names if other in chosen or other == name)
                    rows[name][span] += _weight(size, len(names)) * (values[joined] - values[chosen])
    return rows


def configurations(
    surface: Surface, beta: Floats, *, larger_is_better: bool
) -> tuple[dict[str, Level], dict[str, Level]]:
    """The two configurations whose gap is explained.

    All factors low to all factors high when each has two levels; otherwise the worst and the best cell of the fitted
    surface (which the data chose: their intervals are then too short, and the caller says so).
    """
    factors = surface.model.factors
    if all(len(factor.levels) == 2 for factor in factors):
        return {f.name: f.levels[0] for f in factors}, {f.name: f.levels[-1] for f in factors}
    size = prod(len(factor.levels) for factor in factors)
    grid = islice(product(*(factor.levels for factor in factors)), min(size, _GRID))
    cells = [dict(zip((f.name for f in factors), choice, strict=True)) for choice in grid]
    predicted = np.array([surface.at(cell) @ beta for cell in cells])
    worst, best = int(np.argmin(predicted)), int(np.argmax(predicted))
    return (cells[worst], cells[best]) if larger_is_better else (cells[best], cells[worst])
