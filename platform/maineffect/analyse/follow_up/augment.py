"""Cells of a new phase: mirror images, the smallest set that separates terms, levels between two."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import prod
from typing import Any

import numpy as np

from maineffect.contracts import Level
from maineffect.design.kinds.factorial import full_factorial
from maineffect.design.kinds.foldover import folded, semifolded
from maineffect.design.kinds.fractional import fractional
from maineffect.design.kinds.optimal import optimal
from maineffect.design.model.terms import expand_terms, model_matrix
from maineffect.errors import DesignError
from maineffect.spec.factors import Factor
from maineffect.spec.requests import FractionalRequest, OptimalRequest
from maineffect.spec.study import StudySpec

__all__ = ["CellRow", "mirrors", "optimal_cells", "projected", "with_middle"]

CellRow = Mapping[str, Level]
_MOST_CELLS = 4_096
_STARTS = 5
_SPARE = 4
"""Rows beyond the parameters of the model: error degrees of freedom of the phase by itself."""


def mirrors(study: StudySpec, cells: Sequence[CellRow]) -> Iterator[tuple[str, tuple[CellRow, ...]]]:
    """Semi-foldover, foldovers on one factor, and the full foldover of a two-level design: name and added cells."""
    factors = tuple(study.factors.values())
    if any(len(f.levels) != 2 for f in factors) or any(cell[f.name] not in f.levels for cell in cells for f in factors):
        return
    names = [f.name for f in factors]
    signs = np.array([[1 if cell[f.name] == f.levels[1] else -1 for f in factors] for cell in cells])

    def as_cells(rows: Any) -> tuple[CellRow, ...]:
        return tuple({f.name: f.levels[int(v > 0)] for f, v in zip(factors, row, strict=True)} for row in rows)

    try:
        half = semifolded(signs, names, blocks=True)
    except DesignError:
        return
    reversed_names = names[0] if len(names) == 1 else ", ".join(half.reversed)
    what = "all factors" if len(half.reversed) == len(names) else reversed_names
    yield f"semi-foldover ({what} reversed where {half.kept} is high)", as_cells(half.signs[len(signs) :])
    for fold in (*names, "full"):
        try:
            rows = folded(signs, names, fold)
        except DesignError:
            continue
        label = "full foldover" if fold == "full" else f"foldover on {fold}"
        yield label, as_cells(rows[len(signs) :])


def optimal_cells(study: StudySpec, terms: Sequence[str]) -> tuple[CellRow, ...]:
    """The D-optimal cells that estimate some terms by themselves, with four degrees of freedom left for error.

    Returns:
        Nothing where there are too many combinations to search, or none estimate the terms.
    """
    factors = tuple(study.factors.values())
    if prod(len(f.levels) for f in factors) > _MOST_CELLS:
        return ()
    asked = expand_terms(factors, tuple(terms))
    one = {f.name: [f.levels[0]] for f in factors}
    parameters = model_matrix(factors, one, asked).matrix.shape[1]
    runs = -(-(parameters + _SPARE) // 4) * 4
    request = OptimalRequest(kind="optimal", runs=runs, model=asked, starts=_STARTS)
    try:
        return optimal(study.model_copy(update={"design": request, "follow_up": None})).rows
    except DesignError:
        return ()


def projected(study: StudySpec, dropped: Sequence[str], runs: int) -> tuple[CellRow, ...]:
    """The design of the remaining factors for at most as many runs; those dropped stay at their first level."""
    kept = {name: factor for name, factor in study.factors.items() if name not in dropped}
    held = {name: study.factors[name].levels[0] for name in dropped}
    cells: Sequence[CellRow] = ()
    if prod(len(f.levels) for f in kept.values()) <= runs:
        cells = full_factorial(tuple(kept.values()))
    elif all(len(f.levels) == 2 for f in kept.values()):
        size = 1 << (runs.bit_length() - 1)
        request = FractionalRequest(kind="fractional", runs=size)
        try:
            cells = fractional(study.model_copy(update={"factors": kept, "design": request, "follow_up": None})).rows
        except DesignError:
            return ()
    return tuple({name: held.get(name, cell.get(name, "")) for name in study.factors} for cell in cells)


def with_middle(factor: Factor) -> Factor | None:
    """A numeric factor of two levels with one between them; None where there is none (whole numbers side by side)."""
    if not factor.is_numeric or len(factor.levels) != 2:
        return None
    low, high = (float(level) for level in factor.levels)
    middle: Level = (low + high) / 2
    if all(isinstance(level, int) for level in factor.levels):
        middle = int(low + high) // 2
        if middle in factor.levels:
            return None
    return factor.model_copy(update={"levels": (factor.levels[0], middle, factor.levels[1])})
