"""How badly the factors of a design are aliased, word length by word length; any design, mixed levels included."""

from __future__ import annotations

from collections.abc import Sequence
from math import comb

import numpy as np
from numpy.typing import NDArray

from maineffect.errors import DesignError

__all__ = ["generalised_word_length_pattern"]

Codes = NDArray[np.int64]


def generalised_word_length_pattern(
    codes: Codes, levels: Sequence[int], longest: int | None = None
) -> NDArray[np.float64]:
    """Generalised word-length pattern of Xu and Wu (2001), Ann. Statist. 29:1066–1077.

    A_j sums, over all orthonormal contrasts of order j, the squared mean of the contrast over the runs. In a regular
    design it is the number of words (of degrees of freedom) of length j; A_1 = A_2 = 0 is strength 2. It is counted
    here from the coincidences of pairs of runs (their Theorem 2, MacWilliams identities), exactly in integers:
    n²·Σ_j A_j z^j = Σ over pairs of runs of Π_i (1 + (s_i − 1)z) where they agree and (1 − z) where they differ.

    Args:
        codes: (n, k) level of every factor in every run; any integers that tell the levels apart.
        levels: k numbers of levels s_i, those that do not occur included.
        longest: Greatest length to count; default k.

    Returns:
        (longest + 1,) array: entry j is A_j, entry 0 is 1.

    Raises:
        DesignError: The shapes do not agree, or a column holds more levels than stated.
    """
    n, k = codes.shape if codes.ndim == 2 else (0, -1)
    if n == 0 or k != len(levels):
        raise DesignError(
            f"codes of shape {codes.shape} do not hold runs of {len(levels)} factors", "give one column per factor"
        )
    for i, count in enumerate(levels):
        if len(np.unique(codes[:, i])) > count:
            raise DesignError(
                f"column {i} holds {len(np.unique(codes[:, i]))} levels, not {count}", "count the levels again"
            )
    longest = k if longest is None else min(longest, k)
    kinds = sorted(set(levels))
    members = [np.array([i for i, count in enumerate(levels) if count == kind], dtype=np.intp) for kind in kinds]
    agree = np.stack([_coincidences(codes[:, group]) for group in members], axis=-1).reshape(n * n, len(kinds))
    seen, times = np.unique(agree, axis=0, return_counts=True)
    total = [0] * (longest + 1)
    for counts, weight in zip(seen.tolist(), times.tolist(), strict=True):
        product = [1]
        for kind, group, same in zip(kinds, members, counts, strict=True):
            product = _times(product, _expanded(kind, same, len(group), longest), longest)
        for j, value in enumerate(product):
            total[j] += weight * value
    return np.array([value / n**2 for value in total], dtype=np.float64)


def _coincidences(codes: Codes) -> Codes:
    """(n, n) number of columns in which two runs agree."""
    same = np.zeros((len(codes), len(codes)), dtype=np.int64)
    for column in codes.T:
        same += column[:, None] == column[None, :]
    return same


def _expanded(levels: int, same: int, count: int, longest: int) -> list[int]:
    """Coefficients of (1 + (s − 1)z)^same · (1 − z)^(count − same), the Krawtchouk polynomials."""
    agreeing = [comb(same, j) * (levels - 1) ** j for j in range(min(same, longest) + 1)]
    differing = [comb(count - same, j) * (-1) ** j for j in range(min(count - same, longest) + 1)]
    return _times(agreeing, differing, longest)


def _times(a: Sequence[int], b: Sequence[int], longest: int) -> list[int]:
    product = [0] * min(len(a) + len(b) - 1, longest + 1)
    for i, x in enumerate(a):
        for j, y in enumerate(b[: len(product) - i]):
            product[i + j] += x * y
    return product
