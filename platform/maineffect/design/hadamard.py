"""Hadamard and conference matrices by the constructions of Paley (1933), J. Math. Phys. 12:311–320.

They give Plackett–Burman designs (Plackett and Burman 1946, Biometrika 33:305–325) and definitive screening designs
(Xiao, Lin and Bai 2012, J. Qual. Technol. 44:2–8).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from maineffect.design.galois import prime_power, quadratic_character_matrix
from maineffect.errors import DesignError

__all__ = ["conference_matrix", "hadamard_matrix"]

Ints = NDArray[np.int64]


@lru_cache(maxsize=32)
def hadamard_matrix(n: int) -> Ints:
    """A normalised Hadamard matrix: H'H = n·I, first column ones.

    Raises:
        DesignError: No construction is known here for this order.
    """
    matrix = _hadamard(n)
    if matrix is None:
        raise DesignError(f"no Hadamard matrix of order {n} can be built here", "use a neighbouring multiple of four")
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


@lru_cache(maxsize=32)
def conference_matrix(n: int) -> Ints:
    """A conference matrix: zero diagonal, ±1 elsewhere, C'C = (n − 1)·I.

    Raises:
        DesignError: n is odd, or n − 1 is no odd prime power (such as 22 and 34, where none exists).
    """
    q = n - 1
    if n % 2 or n < 2 or (n > 2 and prime_power(q) is None):
        raise DesignError(f"no conference matrix of order {n} can be built here", "add a fake factor (extra_factors)")
    if n == 2:
        return np.array([[0, 1], [1, 0]])
    matrix = _bordered(q, skew=q % 4 == 3)
    assert np.array_equal(matrix.T @ matrix, q * np.eye(n, dtype=np.int64))
    return matrix
