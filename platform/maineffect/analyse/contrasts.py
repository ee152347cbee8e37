"""Contrasts that people ask for, as vectors over the model's columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from maineffect.contracts import Level
from maineffect.design.terms import ModelMatrix, factor_columns, term_factors
from maineffect.spec.factors import Factor

__all__ = ["Contrast", "cell_contrast", "term_contrasts"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Contrast:
    """A named linear combination of coefficients."""

    term: str
    name: str
    vector: Floats


def _part_columns(part: str, factor: Factor, level: Level, squared: set[str]) -> Floats:
    linear = part.removesuffix("^2") in squared
    columns, _ = factor_columns(factor, [level], linear_only=linear)
    return np.asarray(columns[0] ** 2 if part.endswith("^2") else columns[0])


def _squared(model: ModelMatrix) -> set[str]:
    return {part.removesuffix("^2") for term in model.terms for part in term.split(":") if part.endswith("^2")}


def cell_contrast(model: ModelMatrix, factors: Mapping[str, Factor], levels: Mapping[str, Level]) -> Floats:
    """Row of the model at some factors' levels, averaged over all others and over blocks.

    Sum-to-zero columns average to zero over the levels of a factor, so a term counts only if all its factors are set;
    explicit quadratics average to the mean of their squares.
    """
    squared = _squared(model)
    row = np.zeros(model.matrix.shape[1])
    row[model.spans["1"]] = 1.0
    for term in model.terms:
        value = np.ones(1)
        for part in term.split(":"):
            factor = factors[part.removesuffix("^2")]
            if factor.name in levels:
                columns = _part_columns(part, factor, levels[factor.name], squared)
            else:
                columns = np.mean([_part_columns(part, factor, level, squared) for level in factor.levels], axis=0)
                columns = np.where(np.abs(columns) < 1e-12, 0.0, columns)
            value = (value[:, None] * columns[None, :]).reshape(-1)
        row[model.spans[term]] = value
    return row


def term_contrasts(model: ModelMatrix, factors: Mapping[str, Factor], term: str) -> list[Contrast]:
    """The contrasts of a term: high − low for two levels, one per component otherwise.

    For two-level factors the contrast is 2 × the coefficient: mean(high) − mean(low), and for an interaction half the
    difference of the simple effects (Montgomery, Design and Analysis of Experiments, 8th ed., sec. 6.2).
    """
    span = model.spans[term]
    width = span.stop - span.start
    parts = [factors[name] for name in term_factors(term)]

    def unit(column: int, scale: float) -> Floats:
        vector = np.zeros(model.matrix.shape[1])
        vector[span.start + column] = scale
        return vector

    if width == 1 and not term.endswith("^2"):
        return [Contrast(term, "high − low", unit(0, 2.0))]
    if len(parts) == 1 and not parts[0].is_numeric and parts[0].kind == "categorical":
        return [
            Contrast(term, f"{level} − mean", _level_vector(model, parts[0], level, span)) for level in parts[0].levels
        ]
    return [
        Contrast(term, model.columns[span.start + i].removeprefix(term) or "quadratic", unit(i, 1.0))
        for i in range(width)
    ]


def _level_vector(model: ModelMatrix, factor: Factor, level: Level, span: slice) -> Floats:
    vector = np.zeros(model.matrix.shape[1])
    vector[span] = factor_columns(factor, [level])[0][0]
    return vector


def level_grid(factors: Sequence[Factor]) -> list[dict[str, Level]]:
    """Every combination of the factors' levels."""
    names = [factor.name for factor in factors]
    return [dict(zip(names, values, strict=True)) for values in product(*(factor.levels for factor in factors))]
