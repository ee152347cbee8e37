"""Settings of a box as numbers: coded factors, contrasts of categories, and points that fill the box."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, product

import numpy as np
from numpy.typing import NDArray
from scipy.stats import qmc

from maineffect.contracts import Level
from maineffect.seeds import generator
from maineffect.spec.factors import level_key
from maineffect.spec.phases.optimise import Axis

__all__ = ["Box", "Points"]

Floats = NDArray[np.float64]
_FILLED = 2048
_MOST_COMBINATIONS = 64
_CORNERS = 6


@dataclass(frozen=True)
class Points:
    """Settings, coded.

    Attributes:
        x: (n, k) numbers, −1 and 1 at the ends of their ranges.
        kinds: (n, c) which level each category has.
    """

    x: Floats
    kinds: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.x)

    def take(self, chosen: NDArray[np.int64] | NDArray[np.bool_]) -> Points:
        """Some of them."""
        return Points(self.x[chosen], self.kinds[chosen])

    def joined(self, other: Points) -> Points:
        """These, then the others."""
        return Points(np.vstack([self.x, other.x]), np.vstack([self.kinds, other.kinds]))


class Box:
    """Where is looked.

    Args:
        axes: Factor → range or categories.
    """

    def __init__(self, axes: Mapping[str, Axis]) -> None:
        self.axes = dict(axes)
        self.numbers = [name for name, axis in axes.items() if axis.range is not None]
        self.categories = [name for name, axis in axes.items() if axis.range is None]
        self._levels = {name: axes[name].levels or () for name in self.categories}

    @property
    def k(self) -> int:
        """How many factors are numbers."""
        return len(self.numbers)

    def coded(self, settings: Sequence[Mapping[str, Level]]) -> Points:
        """Settings as points; numbers outside their range lie outside −1 and 1."""
        x = np.array([[self._code(name, float(s[name])) for name in self.numbers] for s in settings])
        kinds = [
            [[level_key(v) for v in self._levels[name]].index(level_key(s[name])) for name in self.categories]
            for s in settings
        ]
        n = len(settings)
        return Points(x.reshape(n, self.k), np.array(kinds, dtype=np.int64).reshape(n, len(self.categories)))

    def settings(self, points: Points) -> list[dict[str, Level]]:
        """Points as settings, in the order of the factors."""
        found: list[dict[str, Level]] = []
        for row, kinds in zip(points.x, points.kinds, strict=True):
            values: dict[str, Level] = {n: self._value(n, float(z)) for n, z in zip(self.numbers, row, strict=True)}
            values |= {n: self._levels[n][int(i)] for n, i in zip(self.categories, kinds, strict=True)}
            found.append({name: values[name] for name in self.axes})
        return found

    def holds(self, setting: Mapping[str, Level]) -> bool:
        """Whether a setting lies within the box."""
        numbers = (abs(self._code(name, float(setting[name]))) <= 1 + 1e-9 for name in self.numbers)
        kinds = (level_key(setting[n]) in {level_key(v) for v in self._levels[n]} for n in self.categories)
        return all(numbers) and all(kinds)

    def snapped(self, points: Points) -> Points:
        """Points at which whole numbers are whole."""
        x = np.clip(points.x, -1.0, 1.0)
        for j, name in enumerate(self.numbers):
            if self.axes[name].integer:
                x[:, j] = [self._code(name, float(self._value(name, float(z)))) for z in x[:, j]]
        return Points(x, points.kinds)

    @cached_property
    def filled(self) -> Points:
        """Points that fill the box: Sobol's (Owen 1998), its corners and centre, for each combination of categories."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            unit = qmc.Sobol(self.k, scramble=True, rng=generator(0, "box", self.k)).random(_FILLED)
        corners = np.array(list(product([-1.0, 1.0], repeat=self.k))) if self.k <= _CORNERS else np.zeros((0, self.k))
        x = np.vstack([2 * unit - 1, corners, np.zeros((1, self.k))])
        sizes = [range(len(self._levels[name])) for name in self.categories]
        chosen = list(product(*sizes))[:_MOST_COMBINATIONS]
        kinds = np.array(chosen, dtype=np.int64).reshape(len(chosen), len(self.categories))
        each = Points(np.tile(x, (len(kinds), 1)), np.repeat(kinds, len(x), axis=0))
        return self.snapped(each)

    def second_order(self, points: Points) -> Floats:
        """(n, p): mean, linear, squares, products, contrasts of categories, and these times the numbers."""
        x, contrasts = points.x, self.contrasts(points)
        pairs = [x[:, i] * x[:, j] for i, j in combinations(range(self.k), 2)]
        crossed = [c * x[:, i] for c in contrasts.T for i in range(self.k)]
        return np.column_stack([np.ones(len(x)), x, x**2, *pairs, contrasts, *crossed])

    def contrasts(self, points: Points) -> Floats:
        """(n, m) of the categories: each level but the last against it, so that they sum to zero over levels."""
        columns = []
        for j, name in enumerate(self.categories):
            count = len(self._levels[name])
            table = np.vstack([np.eye(count - 1), -np.ones(count - 1)])
            columns.append(table[points.kinds[:, j]])
        return np.hstack(columns) if columns else np.zeros((len(points), 0))

    def on_edge(self, points: Points, within: float = 1e-3) -> list[str]:
        """Numbers of the first point that lie at an end of their range."""
        return [name for name, z in zip(self.numbers, points.x[0], strict=True) if 1 - abs(z) < within]

    def _scaled(self, name: str, value: float) -> float:
        return float(np.log(value)) if self.axes[name].scale == "log" else value

    def _code(self, name: str, value: float) -> float:
        low, high = (self._scaled(name, end) for end in self.axes[name].range or (0.0, 1.0))
        if self.axes[name].scale == "log" and value <= 0:
            return -np.inf
        return 2 * (self._scaled(name, value) - low) / (high - low) - 1

    def _value(self, name: str, z: float) -> float | int:
        axis = self.axes[name]
        low, high = axis.range or (0.0, 1.0)
        a, b = self._scaled(name, low), self._scaled(name, high)
        raw = a + (min(1.0, max(-1.0, z)) + 1) / 2 * (b - a)
        value = float(np.exp(raw)) if axis.scale == "log" else raw
        return round(value) if axis.integer else min(high, max(low, float(f"{value:.6g}")))
