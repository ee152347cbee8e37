"""Terms and the model matrix: one coding for design, power and analysis.

A term is factor names joined by ``:`` in the study's order; ``A^2`` is an explicit quadratic. Names are looked up,
never evaluated. Coding follows Montgomery, Design and Analysis of Experiments (8th ed.), ch. 6 and 10: −1/+1 for two
levels (effect = 2 × coefficient), orthogonal polynomials for numeric factors, sum-to-zero contrasts otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from maineffect.contracts import Level
from maineffect.errors import DesignError
from maineffect.spec.factors import Factor, FactorKind, level_key
from maineffect.spec.requests import ModelTerms

__all__ = ["Coding", "ModelMatrix", "block_columns", "expand_terms", "factor_columns", "model_matrix", "term_factors"]

Floats = NDArray[np.float64]
Coding = Literal["effect", "orthonormal"]


@dataclass(frozen=True)
class ModelMatrix:
    """A model matrix that knows which columns belong to which term.

    Attributes:
        matrix: (n, p).
        columns: p readable labels.
        terms: Terms as asked, canonical.
        spans: Term → its columns; ``1`` is the intercept, ``block`` the blocks.
    """

    matrix: Floats
    columns: tuple[str, ...]
    terms: tuple[str, ...]
    spans: Mapping[str, slice]


def term_factors(term: str) -> tuple[str, ...]:
    """Factor names of a term, quadratics included once: ``A^2:B`` → (A, B)."""
    return tuple(part.removesuffix("^2") for part in term.split(":"))


def expand_terms(factors: Sequence[Factor], terms: ModelTerms) -> tuple[str, ...]:
    """Canonical terms: main effects first, then by order, each in the study's order.

    Raises:
        DesignError: A term names no factor.
    """
    names = [factor.name for factor in factors]
    if terms == "second_order":
        squares = tuple(f"{factor.name}^2" for factor in factors if factor.is_numeric and len(factor.levels) > 2)
        terms = (*expand_terms(factors, "two_way"), *squares)
    if isinstance(terms, str):
        highest = {"main": 1, "two_way": 2, "full": len(names)}[terms]
        return tuple(":".join(group) for k in range(1, highest + 1) for group in combinations(names, k))
    position = {name: i for i, name in enumerate(names)}
    canonical: dict[str, tuple[int, tuple[tuple[int, bool], ...]]] = {}
    for term in terms:
        parts = term.split(":")
        unknown = [part for part in parts if part.removesuffix("^2") not in position]
        if unknown:
            raise DesignError(f"term {term!r} names no factor {unknown[0]!r}", f"factors: {', '.join(names)}")
        ordered = sorted(parts, key=lambda part: (position[part.removesuffix("^2")], part.endswith("^2")))
        key = tuple((position[part.removesuffix("^2")], part.endswith("^2")) for part in ordered)
        canonical.setdefault(":".join(ordered), (sum(1 + square for _, square in key), key))
    return tuple(sorted(canonical, key=lambda term: canonical[term]))


def factor_columns(
    factor: Factor, values: Sequence[Level], *, coding: Coding = "effect", linear_only: bool = False
) -> tuple[Floats, tuple[str, ...]]:
    """Contrast columns of one factor over the given rows.

    Returns:
        (n, L − 1) columns (one column if ``linear_only``) and their labels.

    Raises:
        DesignError: A value is not numeric where it must be, or no level of the factor.
    """
    if factor.is_numeric and (linear_only or len(factor.levels) == 2):
        low, high = float(factor.levels[0]), float(factor.levels[-1])
        x = np.array([float(value) for value in values])
        return ((2 * x - low - high) / (high - low))[:, None] * _linear_scale(factor, coding), (factor.name,)
    contrasts, labels = _contrasts(factor, coding)
    index = {level_key(level): i for i, level in enumerate(factor.levels)}
    try:
        rows = [index[level_key(value)] for value in values]
    except KeyError:
        return _interpolated(factor, values, coding), labels
    return contrasts[rows], labels


def _linear_scale(factor: Factor, coding: Coding) -> float:
    if coding == "effect":
        return 1.0
    levels = np.array([float(v) for v in factor.levels])
    coded = (2 * levels - levels[0] - levels[-1]) / (levels[-1] - levels[0])
    return float(1 / np.sqrt(np.mean(coded**2)))


def _contrasts(factor: Factor, coding: Coding) -> tuple[Floats, tuple[str, ...]]:
    """(L, L − 1) contrasts over the levels."""
    count = len(factor.levels)
    if count == 2:
        return np.array([[-1.0], [1.0]]), (factor.name,)
    if factor.kind in (FactorKind.CONTINUOUS, FactorKind.ORDINAL):
        numeric = [float(v) for v in factor.levels] if factor.is_numeric else list(range(count))
        matrix = _polynomials(np.array(numeric, dtype=float))
        degrees = ["linear", "quadratic", "cubic"] + [f"degree {k}" for k in range(4, count)]
        labels = tuple(f"{factor.name}[{degree}]" for degree in degrees[: count - 1])
        return (matrix * np.sqrt(count) if coding == "orthonormal" else matrix / np.abs(matrix).max(axis=0)), labels
    if coding == "orthonormal":
        # Helmert contrasts with unit mean square; any orthonormal basis gives the same determinant.
        helmert = np.array(
            [[1.0 / j if i < j else (-1.0 if i == j else 0.0) for j in range(1, count)] for i in range(count)]
        )
        matrix = helmert / np.sqrt(np.mean(helmert**2, axis=0))
    else:
        matrix = np.vstack([np.eye(count - 1), -np.ones((1, count - 1))])
    return matrix, tuple(f"{factor.name}[{level}]" for level in factor.levels[:-1])


def _polynomials(x: Floats) -> Floats:
    """(L, L − 1) orthogonal polynomials of degree 1..L−1 with unit norm, increasing leading sign."""
    powers = np.vander((x - x.mean()) / (np.ptp(x) or 1.0), len(x), increasing=True)
    q, r = np.linalg.qr(powers)
    return np.asarray((q * np.sign(np.diag(r)))[:, 1:])


def _interpolated(factor: Factor, values: Sequence[Level], coding: Coding) -> Floats:
    """Contrasts at numeric values between the levels (centre points): the polynomials' own values."""
    level_keys = {level_key(level) for level in factor.levels}
    strange = [value for value in values if level_key(value) not in level_keys]
    if not factor.is_numeric or any(isinstance(v, bool | str) for v in strange):
        raise DesignError(
            f"{factor.name} has no level {strange[0]!r}", f"levels: {', '.join(map(repr, factor.levels))}"
        )
    contrasts, _ = _contrasts(factor, coding)
    levels = np.array([float(v) for v in factor.levels])
    x = np.array([float(v) for v in values])
    basis = np.linalg.solve(np.vander(levels, increasing=True), contrasts)
    return np.asarray(np.vander(x, len(levels), increasing=True) @ basis)


def model_matrix(
    factors: Sequence[Factor],
    rows: Mapping[str, Sequence[Level]],
    terms: ModelTerms,
    *,
    blocks: Sequence[object] | None = None,
    intercept: bool = True,
    coding: Coding = "effect",
) -> ModelMatrix:
    """Build the model matrix.

    Args:
        factors: In the study's order.
        rows: Factor name → n levels.
        terms: ``main``, ``two_way``, ``second_order``, ``full`` or a list.
        blocks: n block labels; sum-to-zero columns are added when there is more than one.
        intercept: Whether the first column is ones.
        coding: ``effect`` for estimation; ``orthonormal`` (unit mean square over the levels) for efficiency.
    """
    names = expand_terms(factors, terms)
    by_name = {factor.name: factor for factor in factors}
    squared = {part.removesuffix("^2") for term in names for part in term.split(":") if part.endswith("^2")}
    n = len(next(iter(rows.values())))
    parts: list[Floats] = []
    labels: list[str] = []
    spans: dict[str, slice] = {}

    def add(term: str, columns: Floats, names_: Sequence[str]) -> None:
        spans[term] = slice(len(labels), len(labels) + columns.shape[1])
        parts.append(columns)
        labels.extend(names_)

    if intercept:
        add("1", np.ones((n, 1)), ["1"])
    if blocks is not None and len(set(blocks)) > 1:
        add("block", *block_columns(blocks))
    cache: dict[str, tuple[Floats, tuple[str, ...]]] = {}
    for term in names:
        columns: Floats = np.ones((n, 1))
        label: tuple[str, ...] = ("",)
        for part in term.split(":"):
            if part not in cache:
                cache[part] = _part(part, by_name, rows, squared, coding)
            more, more_labels = cache[part]
            columns = (columns[:, :, None] * more[:, None, :]).reshape(n, -1)
            label = tuple(f"{a}:{b}" if a else b for a in label for b in more_labels)
        add(term, columns, label)
    matrix = np.hstack(parts) if parts else np.empty((n, 0))
    return ModelMatrix(matrix, tuple(labels), names, spans)


def _part(
    part: str, by_name: Mapping[str, Factor], rows: Mapping[str, Sequence[Level]], squared: set[str], coding: Coding
) -> tuple[Floats, tuple[str, ...]]:
    name = part.removesuffix("^2")
    columns, labels = factor_columns(by_name[name], rows[name], coding=coding, linear_only=name in squared)
    if part.endswith("^2"):
        return columns[:, :1] ** 2, (part,)
    return columns, labels


def block_columns(blocks: Sequence[object]) -> tuple[Floats, list[str]]:
    """Sum-to-zero columns for blocks in order of first appearance."""
    distinct_blocks = list(dict.fromkeys(blocks))
    contrasts = np.vstack([np.eye(len(distinct_blocks) - 1), -np.ones((1, len(distinct_blocks) - 1))])
    index = {block: i for i, block in enumerate(distinct_blocks)}
    return contrasts[[index[block] for block in blocks]], [f"block[{block}]" for block in distinct_blocks[:-1]]
