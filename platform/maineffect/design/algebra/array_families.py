"""Orthogonal arrays of strength 2 by run size: which columns they offer, and how they are built.

Every family comes from a construction (Hedayat, Sloane and Stufken 1999, Orthogonal Arrays: Rao–Hamming, section 3.4;
difference matrices, ch. 6; Kronecker products and expansive replacement, ch. 9; Wang and Wu 1991, J. Am. Statist.
Assoc. 86:450–456), none from a printed table.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import combinations, product

import numpy as np
from numpy.typing import NDArray

from maineffect.design.algebra.difference_matrices import difference_matrix
from maineffect.design.algebra.galois import field_tables, prime_power
from maineffect.design.algebra.hadamard import hadamard_matrix
from maineffect.errors import DesignError

__all__ = ["MOST_RUNS", "Family", "families"]

Ints = NDArray[np.int64]

MOST_RUNS = 144
_MOST_FAMILIES = 400
_MOST_VECTORS = 20_000


@dataclass(frozen=True)
class Family:
    """One array.

    Attributes:
        levels: Levels of its columns, sorted from most to fewest.
        build: Makes its (n, columns) codes, columns in that order.
    """

    levels: tuple[int, ...]
    build: Callable[[], Ints]

    def holds(self, wanted: Counter[int]) -> bool:
        """Whether it has a column for every factor."""
        offered = Counter(self.levels)
        return all(offered[level] >= count for level, count in wanted.items())


@lru_cache(maxsize=MOST_RUNS + 1)
def families(runs: int) -> tuple[Family, ...]:
    """Every array with so many runs that can be built here, none of which another one contains."""
    family_by_levels: dict[tuple[int, ...], Family] = {}
    for levels, build in _constructions(runs):
        order = sorted(range(len(levels)), key=lambda i: -levels[i])
        key = tuple(levels[i] for i in order)
        if key not in family_by_levels and len(family_by_levels) < _MOST_FAMILIES:
            family_by_levels[key] = Family(key, partial(_reordered, build, tuple(order)))
    counts = {key: Counter(key) for key in family_by_levels}
    return tuple(
        family
        for key, family in family_by_levels.items()
        if not any(other != key and not counts[key] - counts[other] for other in family_by_levels)
    )


def _reordered(build: Callable[[], Ints], order: tuple[int, ...]) -> Ints:
    return build()[:, list(order)]


def _constructions(n: int) -> Iterator[tuple[tuple[int, ...], Callable[[], Ints]]]:
    yield (n,), lambda: np.arange(n)[:, None]
    if n % 4 == 0:
        try:
            matrix = hadamard_matrix(n)
            yield (2,) * (n - 1), lambda: (1 - matrix[:, 1:]) // 2
        except DesignError:
            pass
    power = prime_power(n)
    if power is not None:
        yield from _linear(n, *power)
    yield from _from_differences(n)
    yield from _two_level_columns(n)
    for first in range(2, n):
        second, rest = divmod(n, first)
        if rest == 0 and 2 <= second <= first:
            for a, b in product(families(first), families(second)):
                yield a.levels + b.levels, partial(_direct_product, a, b)


def _direct_product(a: Family, b: Family) -> Ints:
    left, right = a.build(), b.build()
    return np.hstack([np.repeat(left, len(right), axis=0), np.tile(right, (len(left), 1))])


def _linear(n: int, p: int, m: int) -> Iterator[tuple[tuple[int, ...], Callable[[], Ints]]]:
    """Rao–Hamming arrays over GF(s), n = s^t, and two-level arrays with lines replaced by four-level columns."""
    for e in range(1, m // 2 + 1):
        if m % e == 0:
            s, t = p**e, m // e
            yield (s,) * ((n - 1) // (s - 1)), partial(_rao_hamming, s, t)
    if p == 2 and m >= 3:
        lines = _disjoint_lines(m)
        for count in range(1, len(lines) + 1):
            kept = n - 1 - 3 * count
            yield (4,) * count + (2,) * kept, partial(_four_levels, m, count)


def _rao_hamming(s: int, t: int) -> Ints:
    """OA(s^t, s^((s^t − 1)/(s − 1))): linear forms whose first coefficient that is not zero is one."""
    addition, times = field_tables(s)
    points = np.array(list(product(range(s), repeat=t)))
    columns = []
    for form in product(range(s), repeat=t):
        lead = next((c for c in form if c), 0)
        if lead != 1:
            continue
        column = np.zeros(len(points), dtype=np.int64)
        for i, coefficient in enumerate(form):
            column = addition[column, times[coefficient, points[:, i]]]
        columns.append(column)
    return np.stack(columns, axis=1)


@lru_cache(maxsize=8)
def _disjoint_lines(m: int) -> tuple[tuple[int, int, int], ...]:
    """Lines {a, b, a + b} of GF(2)^m without common points, as many as a partial spread has.

    For even m the cosets of GF(4) in GF(2^m) are a full spread; for odd m at most (2^m − 5)/3 lines are disjoint, and
    a greedy choice in seeded orders is tried until it has them.
    """
    size = 2**m
    used: set[int] = set()
    lines: list[tuple[int, int, int]] = []
    if m % 2 == 0:
        _, times = field_tables(size)
        subfield = next(x for x in range(2, size) if int(times[x, int(times[x, x])]) == 1)
        for x in range(1, size):
            if x not in used:
                y = int(times[subfield, x])
                lines.append((x, y, x ^ y))
                used |= {x, y, x ^ y}
        return tuple(lines)
    for trial in range(40):
        rng = np.random.default_rng(trial)
        order = (rng.permutation(size - 1) + 1).tolist()
        taken: set[int] = set()
        trial_lines = []
        for i, x in enumerate(order):
            if x in taken:
                continue
            second = next((y for y in order[i + 1 :] if y not in taken and x ^ y not in taken), None)
            if second is not None:
                trial_lines.append((x, second, x ^ second))
                taken |= {x, second, x ^ second}
        if len(trial_lines) > len(lines):
            lines = trial_lines
        if len(lines) == (size - 5) // 3:
            break
    return tuple(lines)


def _four_levels(m: int, count: int) -> Ints:
    """Two-level columns of 2^m runs with ``count`` disjoint lines merged into four-level columns (Addelman 1962)."""
    runs = np.arange(2**m)
    merged = _disjoint_lines(m)[:count]
    gone = {point for line in merged for point in line}

    def bit(column: int) -> Ints:
        return np.asarray(np.bitwise_count(runs & column) % 2, dtype=np.int64)

    four = [2 * bit(a) + bit(b) for a, b, _ in merged]
    two = [bit(column) for column in range(1, 2**m) if column not in gone]
    return np.stack([*four, *two], axis=1)


def _from_differences(n: int) -> Iterator[tuple[tuple[int, ...], Callable[[], Ints]]]:
    """OA(rs, r^1 s^r) from D(r, r; s), its r-level column replaced by any array of r runs."""
    for s in range(2, n):
        r, rest = divmod(n, s)
        if rest or r % s or r < s or prime_power(s) is None:
            continue
        matrix = difference_matrix(r, s)
        if matrix is None:
            continue
        for inner in families(r):
            yield inner.levels + (s,) * matrix.shape[1], partial(_developed, matrix, s, inner)


def _developed(matrix: Ints, s: int, inner: Family) -> Ints:
    addition, _ = field_tables(s)
    shifted = addition[matrix[:, None, :], np.arange(s)[None, :, None]].reshape(len(matrix) * s, -1)
    return np.hstack([np.repeat(inner.build(), s, axis=0), shifted])


def _two_level_columns(n: int) -> Iterator[tuple[tuple[int, ...], Callable[[], Ints]]]:
    """One s-level column beside as many two-level ones as a search finds, such as OA(12, 3^1 2^4), OA(20, 5^1 2^8)."""
    if n % 4 or n > 28:
        return
    for s in range(3, n // 2 + 1):
        if n % (2 * s) == 0:
            columns = _beside(n, s)
            if columns.shape[1] > 1:
                yield (s,) + (2,) * (columns.shape[1] - 1), partial(_beside, n, s)


@lru_cache(maxsize=16)
def _beside(n: int, s: int) -> Ints:
    """The s-level column in standard order and mutually orthogonal two-level columns balanced within its levels."""
    each = n // s
    halves = [np.isin(np.arange(each), chosen).astype(np.int64) for chosen in combinations(range(each), each // 2)]
    many = len(halves) ** s // 2
    column = np.repeat(np.arange(s), each)[:, None]
    if each % 2 or many > _MOST_VECTORS:
        return column
    picks = product([i for i in range(len(halves)) if halves[i][0]], *([range(len(halves))] * (s - 1)))
    vectors = np.array([np.concatenate([halves[i] for i in pick]) for pick in picks])
    chosen = _mutually_orthogonal(1 - 2 * vectors)
    return np.hstack([column, ((1 - chosen) // 2).T])


def _mutually_orthogonal(vectors: Ints) -> Ints:
    """A large set of ±1 rows without inner products, from several beginnings in depth first."""
    best = vectors[:1]
    for start in range(1, min(len(vectors), 60)):
        chosen, left = [vectors[0]], vectors[vectors @ vectors[0] == 0]
        turn = start
        while len(left):
            chosen.append(left[turn % len(left)])
            left = left[left @ chosen[-1] == 0]
            turn = turn * 7 + 3
        if len(chosen) > len(best):
            best = np.array(chosen)
    return best
