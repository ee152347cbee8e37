"""Difference matrices: the seeds of mixed-level orthogonal arrays.

D(r, c; s) has entries in a group of order s; the difference of any two columns holds every element r/s times (Bose and
Bush 1952, Ann. Math. Statist. 23:508–524; Hedayat, Sloane and Stufken 1999, Orthogonal Arrays, ch. 6).
"""

from __future__ import annotations

from functools import lru_cache
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from maineffect.design.algebra.galois import field_tables, prime_power
from maineffect.design.algebra.hadamard import hadamard_matrix
from maineffect.errors import DesignError

__all__ = ["compatible", "difference_matrix", "subtraction_table"]

Ints = NDArray[np.int64]

_SEARCHED = {(12, 3)}


@lru_cache(maxsize=64)
def difference_matrix(rows: int, levels: int) -> Ints | None:
    """(r, r) difference matrix over the additive group of GF(s), or None where no construction is at hand."""
    if prime_power(levels) is None or rows % levels:
        return None
    if levels == 2:
        try:
            return (1 - hadamard_matrix(rows)) // 2
        except DesignError:
            return None
    if rows == levels:
        # The multiplication table: (x − x')·y runs through the field.
        return field_tables(levels)[1]
    if rows == 2 * levels and levels % 2:
        return _doubled(levels)
    if (rows, levels) in _SEARCHED:
        return _searched(rows, levels)
    for factor in range(levels, rows // levels + 1, levels):
        if rows % factor == 0:
            a, b = difference_matrix(factor, levels), difference_matrix(rows // factor, levels)
            if a is not None and b is not None:
                return _kronecker_sum(a, b, levels)
    return None


def subtraction_table(levels: int) -> Ints:
    """(s, s) a − b in GF(s)."""
    addition, _ = field_tables(levels)
    negative = np.argmin(addition, axis=1)
    return np.asarray(addition[:, negative])


def _kronecker_sum(a: Ints, b: Ints, levels: int) -> Ints:
    """D(r₁r₂, c₁c₂; s) from two difference matrices over one group."""
    addition, _ = field_tables(levels)
    total = addition[a[:, None, :, None], b[None, :, None, :]]
    return np.asarray(total.reshape(len(a) * len(b), -1))


def _doubled(q: int) -> Ints:
    """D(2q, 2q; q) for an odd prime power q, after Jungnickel (1979), Math. Z. 167:49–60.

    Row (a, x), column (b, y): m_ab·xy + c_ab·x² + e_ab·y². Columns of one half differ by a multiple of x. Between the
    halves the difference is a quadratic in x with leading coefficient 1 for a = 0 and a non-square g for a = 1 and,
    squares completed, the same constant: the two together take every value twice.
    """
    addition, times = field_tables(q)
    negative = np.argmin(addition, axis=1)
    squares = {int(times[x, x]) for x in range(1, q)}
    g = next(x for x in range(2, q) if x not in squares)
    unit = 1
    inverse = {x: int(np.flatnonzero(times[x] == unit)[0]) for x in range(1, q)}
    four = addition[addition[unit, unit], addition[unit, unit]]
    quarter = inverse[int(four)]
    m = [[unit, unit], [unit, g]]
    c = [[unit, 0], [g, 0]]
    e = [
        [quarter, int(negative[quarter])],
        [int(times[quarter, inverse[g]]), int(negative[times[quarter, g]])],
    ]
    matrix = np.empty((2 * q, 2 * q), dtype=np.int64)
    elements = np.arange(q)
    square = times[elements, elements]
    for a in (0, 1):
        for b in (0, 1):
            mixed = times[m[a][b], times[elements[:, None], elements[None, :]]]
            quadratic = addition[times[c[a][b], square][:, None], times[e[a][b], square][None, :]]
            matrix[a * q : (a + 1) * q, b * q : (b + 1) * q] = addition[mixed, quadratic]
    return matrix


def _searched(rows: int, levels: int) -> Ints | None:
    """A difference matrix column by column: balanced vectors whose differences are balanced."""
    each = rows // levels
    balanced = [np.full(rows, levels - 1, dtype=np.int64)]
    for level in range(levels - 1):
        grown = []
        for vector in balanced:
            free = np.flatnonzero(vector == levels - 1)
            for chosen in combinations(free.tolist(), each):
                if level == 0 and 0 not in chosen:
                    continue
                new = vector.copy()
                new[list(chosen)] = level
                grown.append(new)
        balanced = grown
    vectors = np.array(balanced)
    first = np.repeat(np.arange(levels), each)
    subtract = subtraction_table(levels)
    columns = _deeper([first], compatible(vectors, first, subtract), subtract, rows - 1)
    return None if columns is None else np.stack([np.zeros(rows, dtype=np.int64), *columns], axis=1)


def compatible(vectors: Ints, chosen: Ints, subtract: Ints) -> Ints:
    """The vectors whose difference from a chosen one is balanced."""
    levels = len(subtract)
    difference = subtract[vectors, chosen]
    keep = np.ones(len(vectors), dtype=bool)
    for level in range(levels):
        keep &= np.count_nonzero(difference == level, axis=1) == vectors.shape[1] // levels
    return vectors[keep]


def _deeper(chosen: list[Ints], left: Ints, subtract: Ints, wanted: int) -> list[Ints] | None:
    if len(chosen) == wanted:
        return chosen
    for vector in left[: max(8, len(left) // 50)]:
        completed = _deeper([*chosen, vector], compatible(left, vector, subtract), subtract, wanted)
        if completed is not None:
            return completed
    return None
