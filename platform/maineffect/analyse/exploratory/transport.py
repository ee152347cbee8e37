"""Transport: effects re-weighted to a stated distribution of factor levels ("in the wild").

A designed experiment averages over levels equally; deployment does not. The target's effect is Σ w_k·effect_k, a
linear contrast of the fitted surface (standardisation; Cole and Stuart (2010) Am. J. Epidemiol. 172:107). What the
weights cannot know, a level never run, is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from maineffect.analyse.fit.respond import Answer, Fitted, answer
from maineffect.contracts import Level
from maineffect.errors import AnalysisError
from maineffect.spec.questions.target import share_of
from maineffect.spec.study import StudySpec

__all__ = ["Standardised", "Target", "shown_target", "standardise", "targets_of", "transported_effect"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Standardised:
    """A weighted effect.

    Attributes:
        estimate: Σ w·effect.
        std_error: √Σ w²·se² (independent effects).
        effective_fraction: (Σw)²/(K·Σw²), Kish's effective share of the strata: how much precision the weights leave.
    """

    estimate: float
    std_error: float
    effective_fraction: float


def standardise(effects: Sequence[float], std_errors: Sequence[float], weights: Sequence[float]) -> Standardised:
    """Weight independent effects (one per stratum) to a target distribution; weights are normalised."""
    w = np.asarray(weights, dtype=float)
    if np.any(w < 0) or not w.sum() > 0:
        raise AnalysisError("weights must not be negative, and not all zero", "state shares of the target distribution")
    w = w / w.sum()
    estimate = float(w @ np.asarray(effects, dtype=float))
    std_error = float(np.sqrt(np.sum((w * np.asarray(std_errors, dtype=float)) ** 2)))
    return Standardised(estimate, std_error, float(1 / (len(w) * np.sum(w**2))))


@dataclass(frozen=True)
class Target:
    """A group of factors with the shares of their combinations.

    Attributes:
        names: Factors that go together; one where it stands alone.
        cells: (k,) combinations.
        shares: (k,) normalised.
        std_errors: (k,) of the normalised shares; 0 where they are known.
    """

    names: tuple[str, ...]
    cells: tuple[Mapping[str, Level], ...]
    shares: Floats
    std_errors: Floats

    def without(self, name: str) -> Target | None:
        """The shares of the other factors, whatever this one's level; None where none is left."""
        if name not in self.names:
            return self
        left = tuple(other for other in self.names if other != name)
        if not left:
            return None
        sums: dict[tuple[Level, ...], tuple[float, float]] = {}
        for cell, share, error in zip(self.cells, self.shares.tolist(), self.std_errors.tolist(), strict=True):
            key = tuple(cell[other] for other in left)
            before = sums.get(key, (0.0, 0.0))
            sums[key] = (before[0] + share, before[1] + error**2)
        both = np.array([*sums.values()])
        cells = tuple(dict(zip(left, key, strict=True)) for key in sums)
        return Target(left, cells, both[:, 0], np.sqrt(both[:, 1]))


def targets_of(study: StudySpec) -> list[Target]:
    """The study's target distribution, group by group."""
    targets = []
    for key, shares in study.analysis.transport.items():
        cells: tuple[dict[str, Level], ...]
        if isinstance(shares, Mapping):
            levels = [level for level in study.factors[key].levels if str(level) in shares]
            cells = tuple({key: level} for level in levels)
            both = np.array([share_of(shares[str(level)]) for level in levels])
        else:
            cells = tuple(dict(joint.levels) for joint in shares)
            both = np.array([share_of(joint) for joint in shares])
        total = float(both[:, 0].sum())
        targets.append(Target(tuple(cells[0]), cells, both[:, 0] / total, both[:, 1] / total))
    return targets


def shown_target(targets: Sequence[Target], factor: str) -> dict[str, dict[str, float]]:
    """Group → combination → share, as a reader sees it, for the effect of one factor."""
    groups = [left for target in targets if (left := target.without(factor)) is not None]
    return {
        ":".join(group.names): {
            ", ".join(str(cell[name]) for name in group.names): float(share)
            for cell, share in zip(group.cells, group.shares, strict=True)
        }
        for group in groups
    }


def transported_effect(fitted: Fitted, factor: str, targets: Sequence[Target]) -> Answer:
    """Effect of a factor (last minus first level) when the other factors follow a target distribution.

    The variance is that of the effect at these shares, c'Vc, and by the delta method what the shares' own errors add:
    Σ_k se_k²(effect_k − effect)², effect_k the effect where the group's k-th combination holds.

    Args:
        fitted: Of one response.
        factor: Whose effect.
        targets: Shares of the other factors; factors not named are averaged equally.

    Raises:
        AnalysisError: A factor that the study does not have, or cells without runs.
    """
    surface = fitted.surface
    if factor not in surface.factors:
        raise AnalysisError(f"no factor {factor!r}", f"factors: {', '.join(surface.factors)}")
    groups = [left for target in targets if (left := target.without(factor)) is not None]
    row = _weighted_row(fitted, factor, groups, {})
    if not fitted.fit.estimable(row[None, :]).all():
        raise AnalysisError(f"the effect of {factor} on that target needs cells that have no runs", "run those cells")
    known = answer(fitted, row)
    added = 0.0
    for i, group in enumerate(groups):
        if np.any(group.std_errors > 0):
            others = [other for j, other in enumerate(groups) if j != i]
            rows = [_weighted_row(fitted, factor, others, cell) for cell in group.cells]
            added += float(np.sum((group.std_errors * (np.array(rows) @ fitted.inference.beta - known.estimate)) ** 2))
    if known.std_error is None or known.df is None or added == 0:
        return known
    se = float(np.hypot(known.std_error, np.sqrt(added)))
    half = float(stats.t.isf(fitted.alpha / 2, known.df)) * se
    return Answer(known.estimate, se, known.df, half, float(2 * stats.t.sf(abs(known.estimate) / se, known.df)))


def _weighted_row(fitted: Fitted, factor: str, groups: Sequence[Target], held: Mapping[str, Level]) -> Floats:
    """Row of last minus first level with the groups at their shares and some factors held."""
    levels = fitted.surface.factors[factor].levels
    row = np.zeros(fitted.surface.width)
    for chosen in product(*(range(len(group.cells)) for group in groups)):
        share = prod(float(group.shares[k]) for group, k in zip(groups, chosen, strict=True))
        cell = dict(held)
        for group, k in zip(groups, chosen, strict=True):
            cell.update(group.cells[k])
        ends = [fitted.surface.at({**cell, factor: level}) for level in (levels[0], levels[-1])]
        row += share * (ends[1] - ends[0])
    return row
