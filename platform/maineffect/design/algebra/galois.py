"""Small finite fields, for the quadratic characters behind Hadamard and conference matrices.

GF(p^n) elements are integers whose base-p digits are the coefficients of a polynomial, reduced by an irreducible one
that is found by search (Lidl and Niederreiter, Introduction to Finite Fields, ch. 1–2).
"""

from __future__ import annotations

from functools import lru_cache
from itertools import product

import numpy as np
from numpy.typing import NDArray

__all__ = ["field_tables", "prime_power", "quadratic_character_matrix"]

Ints = NDArray[np.int64]


def prime_power(q: int) -> tuple[int, int] | None:
    """(p, n) with q = p^n, or None."""
    for p in range(2, q + 1):
        if q % p == 0:
            n, rest = 0, q
            while rest % p == 0:
                rest //= p
                n += 1
            return (p, n) if rest == 1 else None
    return None


def _digits(value: int, p: int, n: int) -> tuple[int, ...]:
    return tuple(value // p**i % p for i in range(n))


def _number(digits: tuple[int, ...] | list[int], p: int) -> int:
    return sum(digit * p**i for i, digit in enumerate(digits))


def _reduce(coefficients: list[int], modulus: tuple[int, ...], p: int) -> list[int]:
    """Remainder of a polynomial by a monic one of degree n; lowest coefficient first."""
    n = len(modulus) - 1
    rest = list(coefficients)
    for i in range(len(rest) - 1, n - 1, -1):
        lead = rest[i]
        if lead:
            for j in range(n + 1):
                rest[i - n + j] = (rest[i - n + j] - lead * modulus[j]) % p
    return [*rest, *([0] * n)][:n]


def _irreducible(p: int, n: int) -> tuple[int, ...]:
    """A monic irreducible polynomial of degree n over GF(p) without divisors of lower degree."""
    for low in product(range(p), repeat=n):
        modulus = (*low, 1)
        if not any(
            not any(_reduce(list(modulus), (*divisor, 1), p))
            for d in range(1, n // 2 + 1)
            for divisor in product(range(p), repeat=d)
        ):
            return modulus
    raise AssertionError("an irreducible polynomial exists for every degree")


@lru_cache(maxsize=32)
def _squares(q: int) -> frozenset[int]:
    """Non-zero squares of GF(q)."""
    prime_and_degree = prime_power(q)
    assert prime_and_degree is not None
    p, n = prime_and_degree
    if n == 1:
        return frozenset(x * x % p for x in range(1, p))
    modulus = _irreducible(p, n)
    squares = set()
    for x in range(1, q):
        a = _digits(x, p, n)
        raw = [0] * (2 * n - 1)
        for i, left in enumerate(a):
            for j, right in enumerate(a):
                raw[i + j] = (raw[i + j] + left * right) % p
        squares.add(_number(_reduce(raw, modulus, p), p))
    return frozenset(squares)


@lru_cache(maxsize=32)
def field_tables(q: int) -> tuple[Ints, Ints]:
    """(q, q) tables of addition and multiplication of GF(q), q a prime power."""
    prime_and_degree = prime_power(q)
    assert prime_and_degree is not None
    p, n = prime_and_degree
    digits = np.array([_digits(x, p, n) for x in range(q)])
    weights = np.array([p**i for i in range(n)])
    addition = ((digits[:, None, :] + digits[None, :, :]) % p) @ weights
    modulus = (0, 1) if n == 1 else _irreducible(p, n)
    product_ = np.zeros((q, q), dtype=np.int64)
    for x in range(q):
        for y in range(q):
            raw = np.convolve(digits[x], digits[y]) % p
            product_[x, y] = _number(_reduce(raw.tolist(), modulus, p), p)
    return np.asarray(addition), product_


def quadratic_character_matrix(q: int) -> Ints:
    """(q, q) matrix χ(a − b): 1 for non-zero squares, −1 for non-squares, 0 on the diagonal. q an odd prime power."""
    prime_and_degree = prime_power(q)
    assert prime_and_degree is not None
    p, n = prime_and_degree
    squares = _squares(q)
    digits = np.array([_digits(x, p, n) for x in range(q)])
    difference = ((digits[:, None, :] - digits[None, :, :]) % p) @ np.array([p**i for i in range(n)])
    character = np.array([0, *(1 if x in squares else -1 for x in range(1, q))])
    return np.asarray(character[difference])
