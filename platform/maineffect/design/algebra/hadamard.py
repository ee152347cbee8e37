"""Hadamard and conference matrices by the constructions of Paley (1933), J. Math. Phys. 12:311–320.

They give Plackett–Burman designs (Plackett and Burman 1946, Biometrika 33:305–325) and definitive screening designs
(Xiao, Lin and Bai 2012, J. Qual. Technol. 44:2–8).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from maineffect.design.algebra.galois import prime_power, quadratic_character_matrix
from maineffect.errors import DesignError

__all__ = ["conference_matrix", "hadamard_matrix", "next_conference_order", "next_hadamard_order"]

Ints = NDArray[np.int64]


@lru_cache(maxsize=32)
def hadamard_matrix(n: int) -> Ints:
    """A normalised Hadamard matrix: H'H = n·I, first column ones.

    Raises:
        DesignError: No construction is known here for this order.
    """
    matrix = _hadamard(n)
    if matrix is None:
        raise DesignError(f"no Hadamard matrix of order {n} can be built here", f"use runs: {next_hadamard_order(n)}")
    matrix = matrix * matrix[:, :1]
    assert np.array_equal(matrix.T @ matrix, n * np.eye(n, dtype=np.int64))
    return matrix


def _hadamard(n: int) -> Ints | None:
    if n in (1, 2):
        return np.array([[1]]) if n == 1 else np.array([[1, 1], [1, -1]])
    if n % 4:
        return None
    q = n - 1
    if prime_power(q) is not None and q % 4 == 3:
        # Paley I: I + S with S skew-symmetric.
        return np.asarray(np.eye(n, dtype=np.int64) + _bordered(q, skew=True))
    half = n // 2
    if prime_power(half - 1) is not None and (half - 1) % 4 == 1:
        # Paley II: a symmetric conference matrix C, doubled.
        c = _bordered(half - 1, skew=False)
        eye = np.eye(half, dtype=np.int64)
        return np.block([[c + eye, c - eye], [c - eye, -c - eye]])
    smaller = _hadamard(half)
    return None if smaller is None else np.kron(np.array([[1, 1], [1, -1]]), smaller)


def _bordered(q: int, *, skew: bool) -> Ints:
    """The (q+1, q+1) conference matrix of Paley: quadratic characters with a border of ones."""
    core = quadratic_character_matrix(q)
    c = np.zeros((q + 1, q + 1), dtype=np.int64)
    c[0, 1:] = 1
    c[1:, 0] = -1 if skew else 1
    c[1:, 1:] = core
    return c


def next_hadamard_order(n: int) -> int:
    """The smallest order from n on that can be built here."""
    return next(order for order in range(n + -n % 4, 4 * n + 8, 4) if _hadamard(order) is not None)


@lru_cache(maxsize=32)
def conference_matrix(n: int) -> Ints:
    """A conference matrix: zero diagonal, ±1 elsewhere, C'C = (n − 1)·I.

    Raises:
        DesignError: n is odd, or no construction is known here (such as 22 and 34, where none exists).
    """
    matrix = _conference(n)
    if matrix is None:
        order = next_conference_order(n)
        raise DesignError(
            f"no conference matrix of order {n} can be built here", f"the next order that can be built is {order}"
        )
    assert np.array_equal(matrix.T @ matrix, (n - 1) * np.eye(n, dtype=np.int64))
    return matrix


def next_conference_order(n: int) -> int:
    """The smallest order from n on that can be built here."""
    return next(order for order in range(n + n % 2, 4 * n + 8, 2) if _conference(order) is not None)


def _conference(n: int) -> Ints | None:
    if n % 2 or n < 2:
        return None
    if n == 2:
        return np.array([[0, 1], [-1, 0]])
    q = n - 1
    if prime_power(q) is not None:
        return _bordered(q, skew=q % 4 == 3)
    # Doubling a skew matrix (C' = −C, order divisible by four, or two) gives a skew one (Williamson 1944, Duke Math. J.
    # 11:65–81): with S = C + I skew Hadamard, [[S, S], [−S', S']] − I has zero diagonal.
    smaller = _conference(n // 2) if n % 4 == 0 else None
    if smaller is None or not np.array_equal(smaller, -smaller.T):
        return None
    eye = np.eye(n // 2, dtype=np.int64)
    return np.block([[smaller, smaller + eye], [smaller - eye, -smaller]])
