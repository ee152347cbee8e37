"""What is added to a two-level design: blocks and centre runs."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from maineffect.contracts import Level
from maineffect.design.algebra.minimum_aberration import subset_sums
from maineffect.design.algebra.regular import RegularFraction
from maineffect.errors import DesignError
from maineffect.spec.factors import Factor

__all__ = ["block_labels", "centre_rows", "given_up_to_blocks"]

# Subspaces kept per dimension. GF(2)^7 has 11,811 at most, so up to 128 runs the choice of blocks is exhaustive.
_SUBSPACES, _WAITING = 12_000, 500_000


def block_labels(fraction: RegularFraction, blocks: int) -> tuple[int, ...] | None:
    """Block of every run of a regular design, in standard order; None for one block.

    Raises:
        DesignError: Not a power of two, as many blocks as runs, or a main effect would be confounded with blocks.
    """
    if blocks == 1:
        return None
    basis = _basis(fraction, blocks)
    runs = np.arange(2**fraction.q)
    label = sum((np.bitwise_count(runs & column) % 2).astype(int) << i for i, column in enumerate(basis))
    return tuple(int(value) + 1 for value in np.asarray(label))


def given_up_to_blocks(fraction: RegularFraction, blocks: int, names: Sequence[str]) -> tuple[str, ...]:
    """Two-factor interactions that are confounded with these blocks."""
    span = {0}
    for column in _basis(fraction, blocks) if blocks > 1 else ():
        span |= {value ^ column for value in span}
    pairs = combinations(range(len(names)), 2)
    return tuple(f"{names[i]}:{names[j]}" for i, j in pairs if fraction.columns[i] ^ fraction.columns[j] in span)


def _basis(fraction: RegularFraction, blocks: int) -> tuple[int, ...]:
    q = fraction.q
    if blocks & (blocks - 1) or blocks >= 2**q:
        feasible = min(1 << (blocks.bit_length() - 1), 2 ** (q - 1))
        while feasible > 1 and _confounds_main_effects(fraction, feasible):
            feasible //= 2
        raise DesignError(f"{2**q} runs cannot be cut into {blocks} regular blocks", f"use blocks: {feasible}")
    cost, basis = _least_costly_subspace(fraction, blocks.bit_length() - 1)
    if cost >= _MAIN:
        feasible = blocks // 2
        while feasible > 1 and _confounds_main_effects(fraction, feasible):
            feasible //= 2
        raise DesignError(
            f"{blocks} blocks of {2**q // blocks} runs would be confounded with a main effect",
            f"use blocks: {feasible}, or more runs",
        )
    return basis


def _confounds_main_effects(fraction: RegularFraction, blocks: int) -> bool:
    return _least_costly_subspace(fraction, blocks.bit_length() - 1)[0] >= _MAIN


# One number orders the effects lost: main effects, then two-factor, then three-factor interactions.
_MAIN = 10**12
_TWO_FACTOR = 10**6


def _least_costly_subspace(fraction: RegularFraction, dimension: int) -> tuple[int, tuple[int, ...]]:
    """The columns confounded with blocks, a subspace of GF(2)^q, losing the fewest main effects, 2fi, then 3fi.

    Sun, Wu and Chen (1997), Technometrics 39:298–307. Every subspace is built once, from a basis in which the leading
    bits increase and no vector has the leading bit of another.
    """
    effects = subset_sums(fraction.q, fraction.columns, 3)
    weight = effects[1] * _MAIN + effects[2] * _TWO_FACTOR + effects[3]
    points = np.arange(2**fraction.q)
    subspaces: list[tuple[int, tuple[int, ...]]] = [(0, ())]
    for _ in range(dimension):
        # In the order of their bases, so that a subspace's place, then its new vector, order what grows from it.
        parents = sorted(subspaces, key=lambda subspace: subspace[1])
        best: list[NDArray[np.int64]] = []
        waiting = 0
        for place, (cost, basis) in enumerate(parents):
            span = _span(basis)
            pivots = sum(1 << (vector.bit_length() - 1) for vector in basis)
            new = points[((points & pivots) == 0) & (points >= 1 << pivots.bit_length()) & (points > 0)]
            costs = cost + weight[span[:, None] ^ new[None, :]].sum(axis=0)
            best.append(np.stack([costs, np.full(len(new), place), new]).astype(np.int64))
            waiting += len(new)
            if waiting > _WAITING:
                best = [_least(best)]
                waiting = best[0].shape[1]
        subspaces = [(cost, (*parents[place][1], vector)) for cost, place, vector in _least(best).T.tolist()]
    return subspaces[0]


def _least(candidates: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    """(3, n) the best of candidates (cost, place, vector), in order."""
    joined = np.hstack(candidates)
    return np.asarray(joined[:, np.lexsort(joined[::-1])[:_SUBSPACES]])


def _span(basis: Sequence[int]) -> NDArray[np.int64]:
    span = np.zeros(1, dtype=np.int64)
    for vector in basis:
        span = np.concatenate([span, span ^ vector])
    return span


def centre_rows(factors: Sequence[Factor], count: int) -> list[dict[str, Level]]:
    """Runs in the middle of every numeric factor; they show curvature and give pure error.

    Raises:
        DesignError: A factor is not numeric.
    """
    if count == 0:
        return []
    words = [factor.name for factor in factors if not factor.is_numeric]
    if words:
        raise DesignError(f"centre points need numeric factors; {', '.join(words)} is not", "set centre_points: 0")
    middle: dict[str, Level] = {f.name: (float(f.levels[0]) + float(f.levels[-1])) / 2 for f in factors}
    return [dict(middle) for _ in range(count)]
