"""The allowed cells of a study as rows of numbers: what an optimiser may choose from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from maineffect.contracts import Level
from maineffect.design.model.terms import model_matrix
from maineffect.errors import DesignError
from maineffect.spec.crosscheck import same_level
from maineffect.spec.factors import Factor, FactorKind

__all__ = ["MOST_CANDIDATES", "Candidates", "candidate_levels", "candidates"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
MOST_CANDIDATES = 100_000


@dataclass(frozen=True)
class Candidates:
    """Every combination of levels, with its model row.

    Attributes:
        levels: Levels that each of the k factors may take, in the study's order.
        features: (N, p) model rows, orthonormal coding, intercept first. N is the product of the level counts.
        allowed: (N,) whether a cell is not forbidden.
        strides: (k,) index of a cell = Σ level index × stride.
        counts: (k,) levels of each factor.
    """

    names: tuple[str, ...]
    levels: tuple[tuple[Level, ...], ...]
    features: Floats
    allowed: NDArray[np.bool_]
    strides: Ints
    counts: Ints

    def codes(self, index: Ints) -> Ints:
        """(…, k) level indices of cells."""
        return np.asarray(index[..., None] // self.strides % self.counts)

    def cell(self, index: int) -> dict[str, Level]:
        """Levels of one cell."""
        picks = self.codes(np.array(index))
        return {name: self.levels[j][int(pick)] for j, (name, pick) in enumerate(zip(self.names, picks, strict=True))}


def candidate_levels(factor: Factor, grid: int | None) -> tuple[Level, ...]:
    """The values that a factor may take: its levels, or an even grid between them for continuous factors.

    A factor whose levels are all whole numbers keeps to whole numbers.
    """
    if grid is None or factor.kind is not FactorKind.CONTINUOUS:
        return factor.levels
    low, high = float(factor.levels[0]), float(factor.levels[-1])
    points = np.linspace(low, high, grid)
    if all(isinstance(level, int) for level in factor.levels):
        return tuple(dict.fromkeys(int(v) for v in np.round(points)))
    return tuple(float(v) for v in np.round(points, 12))


def candidates(
    factors: Sequence[Factor],
    terms: Sequence[str],
    *,
    forbid: Sequence[Mapping[str, Level]] = (),
    grid: int | None = None,
) -> Candidates:
    """All cells of a study with their rows of the model.

    Args:
        forbid: Combinations that no cell may hold.
        grid: Values tried of each continuous factor; None for its levels.

    Raises:
        DesignError: Too many cells to list, or all are forbidden.
    """
    levels = tuple(candidate_levels(factor, grid) for factor in factors)
    counts = np.array([len(values) for values in levels])
    total = int(np.prod(counts.astype(object)))
    if total > MOST_CANDIDATES:
        raise DesignError(
            f"{total:,} combinations of levels are more than an optimal design can search ({MOST_CANDIDATES:,})",
            "use kind: fractional, orthogonal_array or plackett_burman, fewer levels, or a coarser design.grid",
        )
    strides = np.concatenate([[1], np.cumprod(counts)[:-1]]).astype(np.intp)
    codes = np.arange(total)[:, None] // strides % counts
    names = tuple(factor.name for factor in factors)
    rows = {name: [values[c] for c in codes[:, j]] for j, (name, values) in enumerate(zip(names, levels, strict=True))}
    allowed = np.ones(total, dtype=bool)
    for entry in forbid:
        hit = np.ones(total, dtype=bool)
        for name, level in entry.items():
            j = names.index(name)
            hit &= np.isin(
                codes[:, j], [i for i, candidate_level in enumerate(levels[j]) if same_level(candidate_level, level)]
            )
        allowed &= ~hit
    if not allowed.any():
        raise DesignError("the forbidden combinations leave no cell", "remove one of design.forbid")
    features = model_matrix(factors, rows, tuple(terms), coding="orthonormal").matrix
    return Candidates(
        names=names, levels=levels, features=features, allowed=allowed, strides=strides, counts=counts.astype(np.intp)
    )
