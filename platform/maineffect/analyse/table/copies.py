"""Rows that stand in a table more than once: files that were put one after the other look like replicates.

Equal values of one cell are no proof: two runs that solve 21 of 40 items are two runs. They are held against how often
values of this grain would agree by chance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from maineffect.analyse.table.parsing import place_of
from maineffect.errors import AnalysisError
from maineffect.spec.study import StudySpec

__all__ = ["check_copies"]

Floats = NDArray[np.float64]
_FINE = 0.5
_CHANCE, _CHANCE_THROUGHOUT = 1e-4, 1e-2
_LEAST_VALUES, _MOST_ROWS, _TINY = 3, 400, 1e-9
_NEAR = 0.2
"""Share of the pairs of a cell that is near enough to tell how dense its values lie."""


def check_copies(study: StudySpec, table: pd.DataFrame, cells: Sequence[str]) -> None:
    """Refuse a table whose rows are copies of others.

    A copy has the cell and all values of an earlier row. If a share q of the pairs of a cell lies within w of each
    other, two values in steps of h agree with probability qh/(2w), and at least as often as values of two cells do. The
    sum over the pairs of each cell is the mean of the number of copies by chance, taken as Poisson. More than that is
    refused: below one in ten thousand, or one in a hundred where every row stands in the table equally often. Each
    repeated value counts once, and one that several cells have (a ceiling, the score of a collapse) not at all; where
    values are that coarse throughout, nothing is told.

    Args:
        study: Whose responses are compared.
        table: Tidy, one row per run.
        cells: Cell of each row.

    Raises:
        AnalysisError: Rows are copies.
    """
    values = table[list(study.responses)].to_numpy(dtype=float)
    whole = np.flatnonzero(np.isfinite(values).any(axis=1)).tolist()
    rows: dict[tuple[str, bytes], list[int]] = {}
    places: dict[bytes, set[str]] = {}
    for i in whole:
        rows.setdefault((cells[i], values[i].tobytes()), []).append(i)
        places.setdefault(values[i].tobytes(), set()).add(cells[i])
    own = [members for (_, value), members in rows.items() if len(places[value]) == 1]
    copied = [members for members in own if len(members) > 1]
    if not copied or len(places) < _FINE * len(rows):
        return
    throughout = len(own) == len(rows) and len({len(members) for members in own}) == 1
    by_chance = _expected(values, {i: cells[i] for i in whole}, [members[0] for members in rows.values()])
    if stats.poisson.sf(len(copied) - 1, by_chance) > (_CHANCE_THROUGHOUT if throughout else _CHANCE):
        return
    extra = sum(len(members) - 1 for members in copied)
    what = f"{extra} row(s) are copies of others"
    if throughout:
        what = f"all {len(rows)} runs stand in the table {len(whole) // len(rows)} times"
    original, copy, *_ = copied[0]
    raise AnalysisError(
        f"{what}, in every value: {place_of(table, copy)} is {place_of(table, original)} again",
        "were files put one after the other, or do replicates share one seed? keep each run once",
    )


def _expected(values: Floats, cells: Mapping[int, str], kept: Sequence[int]) -> float:
    """Mean number of copies by chance, by the response of the finest grain."""
    members: dict[str, list[int]] = {}
    for i, cell in cells.items():
        members.setdefault(cell, []).append(i)
    names = np.array([cells[i] for i in kept])
    means = []
    for column in values.T:
        known = column[list(kept)]
        step, usual, across = _step(known), _agreement(known, _step(known)) or 1.0, _across(known, names)
        each = []
        for rows in members.values():
            own = _agreement(column[rows], step)
            pairs = len(rows) * (len(rows) - 1) / 2
            each.append(min(pairs * max(usual if own is None else own, across), len(rows) - 1.0))
        means.append(sum(each))
    return min(means)


def _step(values: Floats) -> float:
    """The grain of a response: the largest step of which all differences are multiples (Euclid)."""
    distinct = np.unique(values[np.isfinite(values)])
    if len(distinct) < 2:
        return float("inf")
    gaps, least = np.diff(distinct), _TINY * float(np.ptp(distinct))
    step = float(gaps[0])
    for gap in gaps[1:].tolist():
        rest = gap
        while rest > least:
            step, rest = rest, abs(step - rest * round(step / rest))
    return max(step, least)


def _across(values: Floats, cells: NDArray[np.str_]) -> float:
    """Share of the pairs from two cells that agree, half a pair added."""
    chosen, names = values[:_MOST_ROWS], cells[:_MOST_ROWS]
    pairs = np.triu(names[:, None] != names[None, :])
    return float((np.sum(pairs & (chosen[:, None] == chosen[None, :])) + 0.5) / max(1, pairs.sum()))


def _agreement(values: Floats, step: float) -> float | None:
    """Probability that two values agree; None where there are too few different ones to tell."""
    finite = values[np.isfinite(values)][:_MOST_ROWS]
    if len(np.unique(finite)) < _LEAST_VALUES:
        return None
    apart = np.abs(finite[:, None] - finite[None, :])[np.triu_indices(len(finite), 1)]
    near = float(np.quantile(apart[apart > 0], _NEAR))
    return min(1.0, _NEAR * step / (2 * near))
