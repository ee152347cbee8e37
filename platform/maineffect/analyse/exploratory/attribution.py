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
from scipy import stats

from maineffect.analyse.fit.respond import Answer, Fitted, answer
from maineffect.analyse.fit.surface import Surface
from maineffect.analyse.record.result import Attribution
from maineffect.contracts import Level
from maineffect.design.model.terms import term_factors
from maineffect.spec.responses import Goal
from maineffect.spec.study import StudySpec

__all__ = ["attribute", "extreme_cells", "shapley_rows"]

Floats = NDArray[np.float64]
Configuration = Mapping[str, Level]
_GRID = 50_000
_ROUNDING = 1e-12


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


def attribute(study: StudySpec, fits: Mapping[str, Fitted], warnings: list[str]) -> list[Attribution]:
    """Decomposition of each response's gap between two configurations.

    The study names the configurations; by default they are all first and all last levels. Where the data are to choose
    them (worst and best fitted cell), the intervals hold for all pairs of cells and all factors at once.

    Args:
        study: With ``analysis.attribution``.
        fits: Response → fit.
        warnings: Gets what the reader must know.
    """
    attributions: list[Attribution] = []
    asked = study.analysis.attribution
    for name, fitted in fits.items():
        if not fitted.model.terms or fitted.fit.total[fitted.column] == 0:
            continue
        chosen = asked == "worst_to_best"
        if chosen:
            minimise = study.responses[name].goal is Goal.MINIMIZE
            start, end = extreme_cells(fitted.surface, fitted.inference.beta, larger_is_better=not minimise)
        else:
            start, end = _named(study)
        rows = shapley_rows(fitted.surface, start, end)
        if not fitted.fit.estimable(np.array([*rows.values()])).all():
            warnings.append(f"{name}: the gap cannot be attributed, because some cells have no runs")
            continue
        attributions += _parts(fitted, rows, start, end, chosen=chosen)
    if attributions and asked == "worst_to_best":
        warnings.append(
            "attribution compares the worst and the best fitted cell, chosen by the data: its gap is optimistic, and "
            "its intervals hold for all pairs of cells and all factors at once (Scheffé)"
        )
    return attributions


def _named(study: StudySpec) -> tuple[dict[str, Level], dict[str, Level]]:
    """The configurations that the study names; a factor that it leaves out goes from its first to its last level."""
    asked = study.analysis.attribution
    first, last = ({}, {}) if isinstance(asked, str) else (asked.start, asked.to)
    return (
        {name: first.get(name, factor.levels[0]) for name, factor in study.factors.items()},
        {name: last.get(name, factor.levels[-1]) for name, factor in study.factors.items()},
    )


def _parts(
    fitted: Fitted, rows: Mapping[str, Floats], start: Configuration, end: Configuration, *, chosen: bool
) -> list[Attribution]:
    contributions = {factor: answer(fitted, row) for factor, row in rows.items()}
    parts = [contribution.estimate for contribution in contributions.values()]
    # Parts that cancel leave rounding behind, which no reader should take for a change.
    gap = 0.0 if abs(sum(parts)) <= _ROUNDING * sum(map(abs, parts)) else float(sum(parts))
    attributions = []
    for factor, contribution in contributions.items():
        half = _scheffe(fitted, contribution) if chosen else contribution.half_width
        attributions.append(
            Attribution(
                response=fitted.name,
                factor=factor,
                from_level=start[factor],
                to_level=end[factor],
                contribution=contribution.estimate,
                ci_low=None if half is None else contribution.estimate - half,
                ci_high=None if half is None else contribution.estimate + half,
                gap=gap,
                simultaneous=chosen,
            )
        )
    return attributions


def _scheffe(fitted: Fitted, contribution: Answer) -> float | None:
    """√(r F_{1 − α; r, df}) standard errors, r the number of independent effects (Scheffé (1953) Biometrika 40:87)."""
    if contribution.std_error is None or contribution.df is None:
        return None
    count = sum(fitted.model.spans[term].stop - fitted.model.spans[term].start for term in fitted.model.terms)
    return float(np.sqrt(count * stats.f.isf(fitted.alpha, count, contribution.df))) * contribution.std_error


def extreme_cells(
    surface: Surface, beta: Floats, *, larger_is_better: bool
) -> tuple[dict[str, Level], dict[str, Level]]:
    """The worst and the best cell of the fitted surface, of the first 50,000."""
    factors = surface.model.factors
    size = prod(len(factor.levels) for factor in factors)
    grid = islice(product(*(factor.levels for factor in factors)), min(size, _GRID))
    cells = [dict(zip((f.name for f in factors), choice, strict=True)) for choice in grid]
    predicted = np.array([surface.at(cell) @ beta for cell in cells])
    worst, best = int(np.argmin(predicted)), int(np.argmax(predicted))
    return (cells[worst], cells[best]) if larger_is_better else (cells[best], cells[worst])
