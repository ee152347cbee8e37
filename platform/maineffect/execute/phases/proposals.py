"""Which values the next trials of a tuning take: a pure function of the trials so far."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from maineffect.execute.phases.optuna_study import Coordinate, Seen, ask, with_scores
from maineffect.seeds import derive_seed

__all__ = ["Dimension", "Trial", "propose", "sobol_points", "startup_trials"]


@dataclass(frozen=True)
class Dimension:
    """One thing that is tuned.

    Attributes:
        name: Of the nuisance.
        low: Smallest value.
        high: Largest value.
        log: Whether values are spread on a logarithmic scale.
        default: The value of the first trial.
    """

    name: str
    low: float
    high: float
    log: bool
    default: float

    def coded(self, value: float) -> float:
        """A value on [−1, 1], on its scale."""
        low, high, at = (math.log(v) if self.log else v for v in (self.low, self.high, value))
        return 2 * (at - low) / (high - low) - 1

    def value(self, coded: float) -> float:
        """What a point of [−1, 1] stands for, never outside the range; 12 digits, so that it is the same in JSON."""
        share = (coded + 1) / 2
        if self.log:
            raw = math.exp(math.log(self.low) + share * (math.log(self.high) - math.log(self.low)))
        else:
            raw = self.low + share * (self.high - self.low)
        return min(self.high, max(self.low, float(f"{raw:.12g}")))


@dataclass(frozen=True)
class Trial:
    """A trial that has ended.

    Attributes:
        values: Of each dimension.
        score: What it came to, larger is better; None where the training diverged.
    """

    values: tuple[float, ...]
    score: float | None


def startup_trials(space: Sequence[Dimension]) -> int:
    """Trials before a sampler has anything to model."""
    return 4 * len(space)


def sobol_points(space: Sequence[Dimension], count: int, seed: int) -> list[tuple[float, ...]]:
    """The default, and scrambled Sobol points after it (Owen 1998, J. Complexity 14:466; SciPy's engine).

    Args:
        space: What is tuned.
        count: How many points.
        seed: The same for every group.
    """
    from scipy.stats import qmc

    engine = qmc.Sobol(len(space), scramble=True, rng=np.random.default_rng(derive_seed(seed, "sobol")))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a number of points that is no power of 2 loses its balance
        unit = engine.random(max(0, count - 1))
    points = [tuple(one.value(2 * share - 1) for one, share in zip(space, row, strict=True)) for row in unit]
    return [tuple(one.default for one in space), *points][:count]


def propose(
    space: Sequence[Dimension], trials: Sequence[Trial], count: int, *, sampler: str, seed: int, group: str
) -> list[tuple[float, ...]]:
    """Values of the next trials.

    Args:
        space: What is tuned.
        trials: All that have been proposed so far, ended, in their order.
        count: How many are wanted.
        sampler: ``sobol``, ``tpe`` or ``gp``; the latter two begin with the points of the first.
        seed: Of the tuning.
        group: Whose trials they are; the points of ``sobol`` do not depend on it.
    """
    first = len(trials)
    known = count if sampler == "sobol" else max(0, min(count, startup_trials(space) - first))
    points = sobol_points(space, first + known, seed)[first:]
    if len(points) < count:
        points += _modelled(space, trials, count - len(points), sampler, derive_seed(seed, group, first))
    return points


def _modelled(
    space: Sequence[Dimension], trials: Sequence[Trial], count: int, sampler: str, seed: int
) -> list[tuple[float, ...]]:
    coordinates = [Coordinate(one.name, one.low, one.high, one.log) for one in space]
    asked = ask(coordinates, _seen(trials), count, maximise=(True,), sampler=sampler, seed=seed)
    return [tuple(float(value) for value in point) for point in asked]


def scores(trials: Sequence[Trial]) -> list[float]:
    """Scores with those of diverged trainings: the worst of the others less one standard deviation."""
    return [one.scores[0] for one in with_scores(_seen(trials), (True,), 0)]


def _seen(trials: Sequence[Trial]) -> list[Seen]:
    return [Seen(trial.values, () if trial.score is None else (trial.score,)) for trial in trials]
