"""Linear functionals of the fitted surface: contrasts of a term, marginal means, predictions at a configuration.

Everything that is reported is a row c of numbers on the model's columns, so that one covariance serves all of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, reduce
from itertools import product
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from maineffect.analyse.fit.model import AnalysisModel
from maineffect.contracts import Level
from maineffect.design.model.terms import term_factors
from maineffect.spec.factors import Factor, FactorKind, level_key

__all__ = ["Contrast", "Surface"]

Floats = NDArray[np.float64]
HIGH_LOW = "high − low"


def _kron(a: Floats, b: Floats) -> Floats:
    """Kronecker product of vectors (NumPy's own is ten times slower for short ones)."""
    return np.asarray(np.multiply.outer(a, b).ravel())


@dataclass(frozen=True)
class Contrast:
    """One contrast of one term: a label and its row on the model's columns."""

    term: str
    label: str
    kind: Literal["main", "interaction"]
    row: Floats


class Surface:
    """What can be asked of a model, term by term."""

    def __init__(self, model: AnalysisModel) -> None:
        self.model = model
        self.factors: dict[str, Factor] = {factor.name: factor for factor in model.factors}
        self.index = {factor.name: {level_key(v): i for i, v in enumerate(factor.levels)} for factor in model.factors}
        self.width = model.matrix.shape[1]
        self._columns: dict[tuple[str, ...], Floats] = {}

    def at(self, configuration: Mapping[str, Level | None]) -> Floats:
        """Row that predicts the response at given levels; factors at None or absent are averaged over their levels.

        Blocks are averaged too (their columns sum to zero).
        """
        key = tuple(
            sorted((name, str(type(level)), level) for name, level in configuration.items() if level is not None)
        )
        row = self.model.rows.get(key)
        if row is None:
            row = self.weighted({name: self._weights(name, level) for name, level in configuration.items()})
            row.flags.writeable = False
            self.model.rows[key] = row
        return row

    def weighted(self, weights: Mapping[str, Floats]) -> Floats:
        """Row that predicts the mean over independent factor weights: name → (L,) weights that sum to one."""
        row = self._averaged.copy()
        for term in {term: None for name in weights for term in self._terms_of.get(name, ())}:
            row[self.model.spans[term]] = self._term_row(term, weights)
        return row

    @cached_property
    def _averaged(self) -> Floats:
        """Row of the mean over all levels of all factors."""
        row = np.zeros(self.width)
        row[0] = 1.0
        for term in self.model.terms:
            row[self.model.spans[term]] = self._term_row(term, {})
        return row

    @cached_property
    def _terms_of(self) -> dict[str, list[str]]:
        """Factor → fitted terms that it is part of."""
        terms_by_factor: dict[str, list[str]] = {}
        for term in self.model.terms:
            for name in self._by_factor(term):
                terms_by_factor.setdefault(name, []).append(term)
        return terms_by_factor

    def term_at(self, term: str, configuration: Mapping[str, Level | None]) -> Floats:
        """The part of :meth:`at` that belongs to one term."""
        return self._term_row(term, {name: self._weights(name, level) for name, level in configuration.items()})

    def _weights(self, name: str, level: Level | None) -> Floats:
        count = len(self.factors[name].levels)
        if level is None:
            return np.full(count, 1.0 / count)
        weights = np.zeros(count)
        weights[self.index[name][level_key(level)]] = 1.0
        return weights

    def _part_row(self, name: str, parts: tuple[str, ...], weights: Mapping[str, Floats]) -> Floats:
        """Weighted mean of one factor's columns in a term (both ``A`` and ``A^2`` may occur)."""
        if parts not in self._columns:
            self._columns[parts] = reduce(
                lambda a, b: (a[:, :, None] * b[:, None, :]).reshape(len(a), -1), [self.model.parts[p] for p in parts]
            )
        columns = self._columns[parts]
        count = len(self.factors[name].levels)
        return np.asarray(weights.get(name, np.full(count, 1.0 / count)) @ columns)

    def _term_row(self, term: str, weights: Mapping[str, Floats]) -> Floats:
        row: Floats = np.ones(1)
        for name, parts in self._by_factor(term).items():
            row = _kron(row, self._part_row(name, parts, weights))
        return row

    @staticmethod
    def _by_factor(term: str) -> dict[str, tuple[str, ...]]:
        grouped: dict[str, tuple[str, ...]] = {}
        for part in term.split(":"):
            name = part.removesuffix("^2")
            grouped[name] = (*grouped.get(name, ()), part)
        return grouped

    def contrasts(self, term: str) -> list[Contrast]:
        """The contrasts that are reported for a term.

        Two levels: high − low. Ordered levels with more: the change along each polynomial, from its lowest to its
        highest value. Categories with more: each level minus the mean of the levels. An interaction crosses them;
        with a two-level factor in it, it is how much that factor's effect differs (half the difference for 2 × 2).
        """
        options = [self._options(part) for part in term.split(":")]
        kind: Literal["main", "interaction"] = "main" if ":" not in term else "interaction"
        reported = []
        for choice in product(*options):
            doubled = 2.0 if any(two for _, _, two in choice) else 1.0
            block: Floats = np.full(1, doubled)
            for _, weights, _ in choice:
                block = _kron(block, weights)
            row = np.zeros(self.width)
            row[self.model.spans[term]] = block
            labels = [label for label, _, _ in choice]
            label = HIGH_LOW if all(two for _, _, two in choice) else " × ".join(labels)
            reported.append(Contrast(term, label, kind, row))
        return reported

    def _options(self, part: str) -> list[tuple[str, Floats, bool]]:
        """(label, coefficients on the part's columns, whether it is a high-minus-low part)."""
        name = part.removesuffix("^2")
        factor, columns = self.factors[name], self.model.parts[part]
        if part.endswith("^2"):
            return [(f"{name} ends − centre", np.ones(1), False)]
        if columns.shape[1] == 1:
            return [(f"{name} {HIGH_LOW}", np.ones(1), True)]
        if factor.kind is FactorKind.CATEGORICAL:
            return [(f"{level} − mean", columns[i], False) for i, level in enumerate(factor.levels)]
        degrees = ["linear", "quadratic", "cubic"] + [f"degree {k}" for k in range(4, columns.shape[1] + 1)]
        spread = np.ptp(columns, axis=0)
        return [
            (degree, np.eye(columns.shape[1])[j] * spread[j], False)
            for j, degree in zip(range(columns.shape[1]), degrees, strict=False)
        ]

    def claims(self, term: str) -> list[Contrast]:
        """Contrasts that a hypothesis about a term is judged by: one, or all pairs of levels of a main effect."""
        contrasts = self.contrasts(term)
        factors = term_factors(term)
        if len(contrasts) == 1 or len(factors) > 1:
            return contrasts
        levels = self.factors[factors[0]].levels
        rows = [self._main_row(term, i) for i in range(len(levels))]
        return [
            Contrast(term, f"{levels[j]} − {levels[i]}", "main", rows[j] - rows[i])
            for i in range(len(levels))
            for j in range(i + 1, len(levels))
        ]

    def last_minus_first(self, term: str) -> Contrast:
        """The contrast of a directed claim: from the first to the last level of every factor.

        Of one ordered factor it is the linear trend. An interaction of two-level factors is half the difference of
        the simple effects; with a factor of more levels it is how much the last-minus-first effect of the others
        differs between its last and its first level.
        """
        contrasts = self.contrasts(term)
        names = term_factors(term)
        if len(contrasts) == 1 or "^2" in term:
            return contrasts[0]
        if len(names) == 1 and self.factors[names[0]].kind is not FactorKind.CATEGORICAL:
            return contrasts[0]
        block: Floats = np.ones(1)
        labels = []
        halved = 0
        for name in names:
            columns, levels = self.model.parts[name], self.factors[name].levels
            block = _kron(block, columns[-1] - columns[0])
            two = columns.shape[1] == 1
            labels.append(f"{name} {HIGH_LOW}" if two and len(names) > 1 else f"{levels[-1]} − {levels[0]}")
            halved += two
        row = np.zeros(self.width)
        # As in `contrasts`: one two-level factor gives its effect, each further one half a difference.
        row[self.model.spans[term]] = block / 2.0 ** max(0, halved - 1)
        return Contrast(term, " × ".join(labels), "main" if len(names) == 1 else "interaction", row)

    def _main_row(self, term: str, level: int) -> Floats:
        row = np.zeros(self.width)
        row[self.model.spans[term]] = self.model.parts[term][level]
        return row

    def cells(self, names: tuple[str, ...]) -> list[dict[str, Level]]:
        """Every combination of the levels of some factors."""
        grids = [self.factors[name].levels for name in names]
        return [dict(zip(names, choice, strict=True)) for choice in product(*grids)]
