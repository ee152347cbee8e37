"""Which value the trials of a group speak for.

The trial with the best value is mostly the luckiest: with 8 trials it loses more than twice as much as the best point
of a quadratic through all of them (tests hold it to that), and hands its luck on as a difference between groups.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from maineffect.execute.phases.proposals import Dimension, Trial, scores

__all__ = ["Choice", "choose"]

Floats = NDArray[np.float64]
_RIDGE = 0.1
_EDGE = 1e-3
_STEPS = {1: 201, 2: 41, 3: 15, 4: 9}


@dataclass(frozen=True)
class Choice:
    """The value that a group's registered runs take.

    Attributes:
        values: Of each dimension.
        predicted: Score at it: by the quadratic, or as the best trial had it; None where every trial diverged.
        std_error: Of the prediction; None for a single trial.
        on_edge: Dimensions whose value is at an end of its range.
        rule: ``smooth`` or ``best``.
    """

    values: tuple[float, ...]
    predicted: float | None
    std_error: float | None
    on_edge: tuple[str, ...]
    rule: str


def choose(space: Sequence[Dimension], trials: Sequence[Trial], rule: str) -> Choice:
    """Choose from ended trials.

    ``smooth`` is a quadratic with a light ridge on all but the mean (Hoerl and Kennard 1970, Technometrics 12:55), in
    coded units, through the trials that came to a score, and its best point among those of the range whose nearest
    trial did not diverge: a penalty for divergence would bend the surface where it is good. Of fewer scores than
    coefficients the best trial is chosen, and where every trial diverged, the first.

    Args:
        space: What was tuned.
        trials: Of one group, in their order.
        rule: ``smooth`` or ``best``; of equal trials the earlier is the best.

    Raises:
        ValueError: There are no trials.
    """
    if not trials:
        raise ValueError("nothing to choose from")
    known = [trial for trial in trials if trial.score is not None]
    coded = _coded(space, known)
    x = _quadratic(coded)
    if rule == "best" or len(known) < x.shape[1]:
        best = trials[int(np.argmax(scores(trials)))]
        return Choice(best.values, best.score, None, _edges(space, best.values), "best")
    y = np.array([trial.score for trial in known], dtype=float)
    inverse = np.linalg.inv(x.T @ x + np.diag([0.0, *([_RIDGE] * (x.shape[1] - 1))]))
    beta = inverse @ x.T @ y
    point = _best_point(beta, coded, _coded(space, [trial for trial in trials if trial.score is None]))
    row = _quadratic(point[None, :])[0]
    df = len(y) - float(np.trace(x @ inverse @ x.T))
    sigma2 = float(np.sum((y - x @ beta) ** 2)) / df if df > 0 else float("nan")
    variance = sigma2 * float(row @ inverse @ x.T @ x @ inverse @ row)
    values = tuple(one.value(float(at)) for one, at in zip(space, point, strict=True))
    error = float(np.sqrt(variance)) if np.isfinite(variance) else None
    return Choice(values, float(row @ beta), error, _edges(space, values), rule)


def _coded(space: Sequence[Dimension], trials: Sequence[Trial]) -> Floats:
    """(n, q) coded values."""
    rows = [[one.coded(value) for one, value in zip(space, trial.values, strict=True)] for trial in trials]
    return np.array(rows).reshape(len(trials), len(space))


def _quadratic(coded: Floats) -> Floats:
    """(n, q) coded values → (n, 1 + q + q(q+1)/2): mean, linear, squares, products."""
    pairs = [coded[:, i] * coded[:, j] for i, j in combinations(range(coded.shape[1]), 2)]
    return np.column_stack([np.ones(len(coded)), coded, coded**2, *pairs])


def _best_point(beta: Floats, ended: Floats, diverged: Floats) -> Floats:
    """Maximum over the part of the box whose nearest trial came to a score; of equal points the first."""
    q = ended.shape[1]
    axis = np.linspace(-1, 1, _STEPS[q])
    grid = np.stack(np.meshgrid(*[axis] * q, indexing="ij"), axis=-1).reshape(-1, q)
    grid = np.vstack([grid, ended])
    grid = grid[_distance(grid, ended) <= _distance(grid, diverged)]
    start = grid[int(np.argmax(_quadratic(grid) @ beta))]

    def loss(point: Floats) -> float:
        return -float(_quadratic(point[None, :])[0] @ beta)

    found = optimize.minimize(loss, start, method="L-BFGS-B", bounds=[(-1.0, 1.0)] * q)
    point = np.clip(found.x, -1.0, 1.0)
    inside = _distance(point[None, :], ended)[0] <= _distance(point[None, :], diverged)[0]
    return np.asarray(point if inside and loss(point) <= loss(start) else start)


def _distance(points: Floats, trials: Floats) -> Floats:
    """(n,) distance of each point to the nearest trial; infinite without any."""
    if len(trials) == 0:
        return np.full(len(points), np.inf)
    return np.asarray(np.sqrt(((points[:, None, :] - trials[None, :, :]) ** 2).sum(-1)).min(1))


def _edges(space: Sequence[Dimension], values: Sequence[float]) -> tuple[str, ...]:
    return tuple(one.name for one, value in zip(space, values, strict=True) if 1 - abs(one.coded(value)) < _EDGE)
