"""Search for the columns of minimum aberration two-level fractions.

A fraction in N = 2^q runs is a set of k non-zero columns of GF(2)^q. What matters is how many j-subsets of the columns
sum to x, T_j(x): T_j(0) counts words of length j, and adding column c makes T_{j−1}(c) new ones, so all one-column
extensions of a design are ranked without building any (Xu 2009, Technometrics 51:262–277, counts words likewise).

Three regions are searched differently, because most columns need not be searched at all:

* k > N/2: the columns left out. A_j of a design is (−1)^j A_j of its complement plus terms of lower order (Tang and
  Wu 1996, Statist. Sinica 6:549–559; Chen and Hedayat 1996, Ann. Statist. 24:2536–2548), so the complement has the
  most words of length 3, which f columns have inside the smallest subspace that holds them. What that subspace holds
  besides has, by the same identity twice, minimum aberration: the search goes on there.
* 5N/16 < k ≤ N/2: every design of resolution IV is even (Bruen, Haddad and Wehlau 1998; Chen and Cheng 2006, Ann.
  Statist. 34:546–558), thus part of the N/2 columns outside a hyperplane; its complement there is searched, which has
  minimum aberration among even designs (Butler 2003, Biometrika 90:963–968).
* k ≤ 5N/16: stepwise extension from the basic columns, and stepwise deletion from the doubled 2^(5−1) design of 5N/16
  columns (Chen and Cheng 2006); the better of the two.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import product
from math import comb
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from maineffect.seeds import generator

__all__ = ["least_aberration_columns", "subset_sums", "word_lengths"]

Counts = NDArray[np.int64]

# Designs kept per step, and the greatest word length told apart before the last step.
_BEAM = 160
_LONGEST = 6


def subset_sums(q: int, columns: tuple[int, ...], longest: int) -> Counts:
    """(longest + 1, 2^q) number of j-subsets of the columns that sum to x."""
    table = np.zeros((longest + 1, 2**q), dtype=np.int64)
    table[0, 0] = 1
    points = np.arange(2**q)
    for column in columns:
        table[1:] += table[:-1, points ^ column]
    return table


def word_lengths(q: int, columns: tuple[int, ...]) -> tuple[int, ...]:
    """Number of words of length 0, 1, …, k, exact for any k, from the weights of the 2^q runs.

    MacWilliams identity (MacWilliams and Sloane 1977, ch. 5): 2^q·Σ_j A_j z^j = Σ over runs of (1 + z)^(k−w)·(1 − z)^w.
    """
    k = len(columns)
    runs = np.arange(2**q)
    weights = np.zeros(2**q, dtype=np.int64)
    for column in columns:
        weights += np.bitwise_count(runs & column) & 1
    total = [0] * (k + 1)
    for weight, times in zip(*np.unique(weights, return_counts=True), strict=True):
        for j, value in enumerate(_krawtchouk(k, int(weight))):
            total[j] += int(times) * value
    return tuple(value >> q for value in total)


@lru_cache(maxsize=512)
def _krawtchouk(k: int, weight: int) -> tuple[int, ...]:
    """Coefficients of (1 + z)^(k − w)(1 − z)^w."""
    plus = [comb(k - weight, j) for j in range(k - weight + 1)]
    minus = [comb(weight, j) * (-1) ** j for j in range(weight + 1)]
    result = [0] * (k + 1)
    for (i, a), (j, b) in product(enumerate(plus), enumerate(minus)):
        result[i + j] += a * b
    return tuple(result)


def least_aberration_columns(k: int, q: int) -> tuple[int, ...]:
    """Find k < 2^q columns of GF(2)^q with the least aberration; the basic 1, 2, 4, … come first."""
    size = 2**q
    if k <= q:
        return tuple(1 << i for i in range(k))
    if k > size // 2:
        outside = size - 1 - k
        # {0}, the complement and what completes it to a subspace.
        dimension = outside.bit_length()
        within = least_aberration_columns(2**dimension - 1 - outside, dimension)
        return _in_basis(q, tuple(set(range(2**dimension, size)) | set(within)))
    if 16 * k > 5 * size:
        half = tuple(range(size // 2, size))
        outside_half = _grown(q, half[:1], size // 2 - k, within=half)
        return _in_basis(q, tuple(set(half) - set(outside_half)))
    column_sets = [_grown(q, tuple(1 << i for i in range(q)), k)]
    if q > 4 and 8 * k > size:
        column_sets.append(_shrunk(q, _doubled(q), k))
    return _in_basis(q, min(column_sets, key=lambda columns: word_lengths(q, columns)))


def _doubled(q: int) -> tuple[int, ...]:
    """The 5·2^(q−4) columns of the half replicate of 2^5, doubled q − 4 times."""
    columns = [1, 2, 4, 8, 15]
    for bit in range(4, q):
        columns += [column | 1 << bit for column in columns]
    return tuple(columns)


def _in_basis(q: int, columns: tuple[int, ...]) -> tuple[int, ...]:
    """The same design with its first q independent columns written as 1, 2, 4, … and put first."""
    # reduced[pivot] = (vector with that leading bit, its expression in the chosen columns)
    reduced: dict[int, tuple[int, int]] = {}
    basic: list[int] = []

    def expressed(vector: int) -> tuple[int, int]:
        expression = 0
        while vector and vector.bit_length() in reduced:
            other, how = reduced[vector.bit_length()]
            vector, expression = vector ^ other, expression ^ how
        return vector, expression

    for column in sorted(columns):
        rest, expression = expressed(column)
        if rest:
            reduced[rest.bit_length()] = (rest, expression ^ 1 << len(basic))
            basic.append(column)
    others = sorted(expressed(column)[1] for column in set(columns) - set(basic))
    return (*(1 << i for i in range(q)), *others)


class _Beam(NamedTuple):
    """Designs under extension: ``columns`` (designs, columns each), ``tables`` (designs, lengths, 2^q)."""

    columns: Counts
    tables: Counts


def _grown(q: int, start: tuple[int, ...], k: int, *, within: tuple[int, ...] | None = None) -> tuple[int, ...]:
    """Columns added one at a time, the best designs kept, one of each isomorphism class that is told apart."""
    if k <= len(start):
        return start[:k]
    allowed = np.ones(2**q, dtype=bool) if within is None else np.isin(np.arange(2**q), within)
    allowed[0] = False
    beam = _Beam(np.array([start], dtype=np.int64), subset_sums(q, start, _LONGEST)[None])
    for _ in range(len(start), k):
        beam = _step(q, beam, allowed)
    return _best(q, beam)


def _step(q: int, beam: _Beam, allowed: NDArray[np.bool_]) -> _Beam:
    """All one-column extensions, ranked by their words; those equal in every invariant are merged."""
    width = _width(q)
    points = np.arange(2**q)
    design, column = np.nonzero(allowed & (beam.tables[:, 1] == 0))
    counts = beam.tables[design, 3:, 0] + beam.tables[design, 2:-1, column]
    order = np.lexsort(counts.T[::-1])
    seen: set[tuple[int, ...]] = set()
    columns: list[Counts] = []
    kept: list[Counts] = []
    step = max(16, 2**16 >> q)
    for first in range(0, len(order), step):
        part = order[first : first + step]
        tables = beam.tables[design[part]]
        tables[:, 1:] += np.take_along_axis(tables[:, :-1], (points ^ column[part, None])[:, None, :], axis=2)
        marks = _invariant(tables).tolist()
        for i, mark, table in zip(part, marks, tables, strict=True):
            key = (mark, *counts[i].tolist())
            if key not in seen and len(kept) < width:
                seen.add(key)
                columns.append(np.append(beam.columns[design[i]], column[i]))
                kept.append(table)
        if len(kept) == width:
            break
    return _Beam(np.stack(columns), np.stack(kept))


def _width(q: int) -> int:
    """Designs kept per step: fewer where each has more candidate columns, so that memory and time stay bounded."""
    return _BEAM if q <= 9 else max(8, _BEAM >> (q - 9))


@lru_cache(maxsize=8)
def _weights(lengths: int) -> NDArray[np.uint64]:
    return generator(0, "minimum aberration", lengths).integers(1, 2**63, lengths, dtype=np.uint64)


def _invariant(tables: Counts) -> NDArray[np.uint64]:
    """One number per design from the multiset of (T_1(x), T_2(x), …) over all x: the same for isomorphic designs."""
    counts = tables.view(np.uint64)
    mixed = np.zeros_like(counts[:, 0])
    for j, weight in enumerate(_weights(tables.shape[1])):  # faster than tensordot, which copies whole numbers
        mixed += weight * counts[:, j]
    mixed ^= mixed >> np.uint64(29)
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    mixed ^= mixed >> np.uint64(32)
    return np.asarray(mixed.sum(axis=1), dtype=np.uint64)


def _best(q: int, beam: _Beam) -> tuple[int, ...]:
    """The best whole pattern among those that tie in the shorter words."""
    counts = beam.tables[:, 3:, 0]
    first = counts[np.lexsort(counts.T[::-1])[0]]
    tied = beam.columns[np.all(counts == first, axis=1)].tolist()
    return min((tuple(columns) for columns in tied), key=lambda columns: word_lengths(q, columns))


def _shrunk(q: int, start: tuple[int, ...], k: int) -> tuple[int, ...]:
    """Columns deleted one at a time, the best designs kept."""
    beam = _Beam(np.array([start], dtype=np.int64), subset_sums(q, start, _LONGEST)[None])
    points = np.arange(2**q)
    for left in range(len(start) - 1, k - 1, -1):
        designs, place = np.divmod(np.arange(len(beam.columns) * (left + 1)), left + 1)
        removed = beam.columns[designs, place]
        tables = beam.tables[designs]
        for j in range(1, _LONGEST + 1):
            tables[:, j] -= np.take_along_axis(tables[:, j - 1], points ^ removed[:, None], axis=1)
        order = np.lexsort(tables[:, 3:, 0].T[::-1])
        _, distinct = np.unique(_invariant(tables)[order], return_index=True)
        chosen = order[np.sort(distinct)[: _width(q)]]
        columns = np.stack([np.delete(beam.columns[designs[i]], place[i]) for i in chosen])
        beam = _Beam(columns, tables[chosen])
    return _best(q, beam)
