"""Randomisation tests that re-randomise as the design did: within blocks, whole plots together.

Freedman and Lane (1983) J. Bus. Econ. Stat. 1:292: residuals of the model without the tested term are permuted; the
statistic is the term's F. Up to 20,000 arrangements are enumerated, otherwise drawn from a seeded generator and the
observed arrangement counted among them (Phipson and Smyth (2010) Stat. Appl. Genet. Mol. Biol. 9:39).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations, product
from math import factorial, prod

import numpy as np
from numpy.typing import NDArray

from maineffect.analyse.fit.anova import added_space
from maineffect.analyse.table.strata import Strata
from maineffect.seeds import generator

__all__ = ["ENUMERATE", "Randomised", "arrangements", "freedman_lane", "randomisation_test"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
ENUMERATE = 20_000
_MOST_DRAWN, _FEWEST_DRAWS = 40_000_000, 1_999
"""Runs to permute in all: with thousands of runs the test agrees with t, and fewer arrangements show it."""
_ROUNDING = 1e-10
"""Share of a column's size below which what averaging or centring left of it is rounding."""
_CHUNK_NUMBERS = 4_000_000


def arrangements(groups: Sequence[object]) -> int:
    """Number of arrangements that leave every group its members."""
    sizes: dict[object, int] = {}
    for group in groups:
        sizes[group] = sizes.get(group, 0) + 1
    return prod(factorial(size) for size in sizes.values())


def _enumerated(codes: Ints) -> Ints:
    """(arrangements, n) indices of every permutation within groups; the first is the identity."""
    members = [np.flatnonzero(codes == code) for code in range(codes.max() + 1)]
    options = [[np.array(choice) for choice in permutations(group.tolist())] for group in members]
    result = np.empty((prod(len(option) for option in options), len(codes)), dtype=np.int64)
    for i, choice in enumerate(product(*options)):
        for group, arranged in zip(members, choice, strict=True):
            result[i, group] = arranged
    return result


def _drawn(codes: Ints, draws: int, seed: int) -> Iterator[Ints]:
    """Chunks of (b, n) random permutations within groups; the identity is the caller's to count."""
    rng = generator(seed, "randomisation", len(codes), draws)
    by_group = np.argsort(codes, kind="stable")
    step = max(1, _CHUNK_NUMBERS // len(codes))
    for start in range(0, draws, step):
        size = min(step, draws - start)
        keys = codes[by_group].astype(float) + rng.random((size, len(codes)))
        result = np.empty((size, len(codes)), dtype=np.int64)
        result[:, by_group] = by_group[np.argsort(keys, axis=1)]
        yield result


@dataclass(frozen=True)
class Randomised:
    """Result of a randomisation test.

    Attributes:
        p_value: Share of arrangements at least as extreme as the observed one.
        smallest: Smallest p-value that this design's arrangements can give.
    """

    p_value: float
    smallest: float


def randomisation_test(
    y: Floats, tested: Floats, others: Floats, strata: Strata, *, seed: int = 0, draws: int = 9_999
) -> Randomised | None:
    """Test of one term in the stratum in which it was randomised.

    What is constant within every whole plot was dealt to plots: plot means are exchanged within blocks. What changes
    within whole plots was dealt to runs: they are exchanged within their plot. The columns decide, so that a term is
    placed right whichever of its factors have a main effect in the model.

    Args:
        y: (n,) response.
        tested: (n, k) columns of the term.
        others: (n, q) all other columns of the model, intercept and fixed blocks included.
        strata: Blocks and whole plots of the runs.
        seed: Root of the draws.
        draws: Random arrangements when there are too many to enumerate.

    Returns:
        None where whole plots of a term that was dealt to them differ in size, so that their means are not
        exchangeable, or where :func:`freedman_lane` has no test.
    """
    blocks = strata.blocks or tuple("1" for _ in y)
    if strata.scattered:
        others = np.hstack([others, _indicators(blocks)])
    if not strata.split or strata.whole_plots is None:
        return freedman_lane(y, tested, others, blocks, seed=seed, draws=draws)
    plots = _indicators(strata.whole_plots)
    sizes = plots.sum(axis=0)
    averager = (plots / sizes).T
    means = _without_rounding(averager @ tested, tested)
    if not np.allclose(plots @ means, tested, rtol=0, atol=_ROUNDING * max(float(np.abs(tested).max()), 1e-300)):
        return freedman_lane(y, tested, np.hstack([others, plots]), strata.whole_plots, seed=seed, draws=draws)
    if np.ptp(sizes) > 0:
        return None
    first = plots.argmax(axis=0).tolist()
    return freedman_lane(
        averager @ y, means, _without_rounding(averager @ others, others), [blocks[i] for i in first],
        seed=seed, draws=draws,
    )  # fmt: skip


def _indicators(labels: Sequence[object]) -> Floats:
    """(n, g) one column per label."""
    _, codes = np.unique(np.array([str(label) for label in labels]), return_inverse=True)
    return np.eye(codes.max() + 1)[codes]


def _without_rounding(averaged: Floats, columns: Floats) -> Floats:
    """Columns that cancel within every plot are zero: their rounding must not count as a direction of the model."""
    left, size = np.linalg.norm(averaged, axis=0), np.linalg.norm(columns, axis=0)
    return np.asarray(np.where(left > _ROUNDING * size, averaged, 0.0))


def freedman_lane(
    y: Floats, tested: Floats, others: Floats, groups: Sequence[object], *, seed: int = 0, draws: int = 9_999
) -> Randomised | None:
    """Test of the tested columns, by re-randomisation within groups.

    Args:
        y: (n,) response.
        tested: (n, k) columns of the term.
        others: (n, q) all other columns of the model, intercept and blocks included.
        groups: n labels; runs are exchanged within a group only.
        seed: Root of the draws.
        draws: Random arrangements when there are too many to enumerate; fewer from 4,000 runs on.

    Returns:
        None where no error degrees of freedom are left or nothing can be exchanged.
    """
    space = added_space(tested, others)
    rest = added_space(others, np.zeros((len(y), 1)))
    n, df = space.shape
    df_error = n - rest.shape[1] - df
    count = arrangements(groups)
    if df == 0 or df_error <= 0 or count < 2:
        return None
    centred = y - y.mean()
    residual = centred - rest @ (rest.T @ centred)
    if not np.any(np.abs(residual) > 1e-12 * max(float(np.abs(centred).max()), 1e-300)):
        return None
    residual = residual / np.abs(residual).max()
    _, codes = np.unique(np.array([str(group) for group in groups]), return_inverse=True)
    observed = float(_statistic(residual[:, None], space, rest)[0])
    bar = observed * (1 - 1e-9)
    if count <= ENUMERATE:
        index = _enumerated(codes.astype(np.int64))
        values = _statistic(residual[index].T, space, rest)
        return Randomised(float(np.mean(values >= bar)), float(np.mean(values >= values.max() * (1 - 1e-9))))
    draws = min(draws, max(_FEWEST_DRAWS, _MOST_DRAWN // n))
    hits = above = 0
    for drawn in _drawn(codes.astype(np.int64), draws, seed):
        values = _statistic(residual[drawn].T, space, rest)
        hits += int(np.sum(values >= bar))
        above += int(np.sum(values > observed * (1 + 1e-9)))
    p = (1 + hits) / (1 + draws)
    # Equal levels exchanged leave the statistic as it is: the most extreme arrangement is drawn more than once.
    return Randomised(p, p if above == 0 else 1 / (1 + draws))


def _statistic(e: Floats, space: Floats, rest: Floats) -> Floats:
    """Explained over unexplained for (n, b) permuted residuals: the term's F up to a constant."""
    explained = np.sum((space.T @ e) ** 2, axis=0)
    unexplained = np.sum(e**2, axis=0) - np.sum((rest.T @ e) ** 2, axis=0) - explained
    return np.asarray(explained / np.maximum(unexplained, 1e-300))
