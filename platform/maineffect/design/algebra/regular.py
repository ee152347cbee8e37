"""Regular two-level fractions as subspaces of GF(2)^q: words, aliases, minimum aberration.

A design with 2^q runs gives every factor a column, a non-zero vector of GF(2)^q written as an integer. The first q
factors are basic (columns 1, 2, 4, …); every further one is a generator. Its words are the subsets of factors whose
columns sum to zero. Fries and Hunter (1980), Technometrics 22:601–608, order designs by word-length pattern.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import comb

import numpy as np
from numpy.typing import NDArray

from maineffect.design.algebra.minimum_aberration import least_aberration_columns, word_lengths
from maineffect.errors import DesignError

__all__ = ["RegularFraction", "minimum_aberration", "resolution_is_possible", "smallest_with_resolution"]

Words = NDArray[np.int64]

# log2 of the most runs that are searched for a fraction.
_LARGEST = 12


@dataclass(frozen=True)
class RegularFraction:
    """Columns of a 2^(k−p) design.

    Attributes:
        q: log2 of the number of runs.
        columns: k integers in [1, 2^q): the vector of each factor; 1, 2, 4, … are among them, the basic factors.
    """

    q: int
    columns: tuple[int, ...]

    @property
    def words(self) -> Words:
        """The 2^p − 1 defining words as bit masks over factors, the identity excluded."""
        group = np.zeros(1, dtype=np.int64)
        for i, basic in self._generated():
            group = np.concatenate([group, group ^ np.int64(sum(1 << j for j in basic) | 1 << i)])
        return group[1:]

    @property
    def word_length_pattern(self) -> dict[int, int]:
        """Word length → number of words."""
        return {length: count for length, count in enumerate(word_lengths(self.q, self.columns)) if length and count}

    @property
    def resolution(self) -> int | None:
        """Length of the shortest word; None for a full factorial."""
        pattern = self.word_length_pattern
        return min(pattern) if pattern else None

    def signs(self) -> NDArray[np.int64]:
        """(2^q, k) design matrix in −1/+1, standard order."""
        runs = np.arange(2**self.q)[:, None]
        parity = np.bitwise_count(runs & np.array(self.columns)[None, :]) % 2
        basic = np.array([bin(column).count("1") for column in self.columns])
        # A product of m basic columns coded −1/+1 at 'parity even' carries the sign (−1)^(m + parity).
        return np.where((parity + basic) % 2 == 0, 1, -1)

    def generators(self, names: Sequence[str]) -> tuple[str, ...]:
        """``E = A:B:C`` for every factor that is not basic."""
        return tuple(f"{names[i]} = {':'.join(names[j] for j in basic)}" for i, basic in self._generated())

    def _generated(self) -> list[tuple[int, tuple[int, ...]]]:
        """Factors that are not basic, each with the basic factors whose product it is."""
        place = {column: i for i, column in enumerate(self.columns)}
        basic = [place[1 << bit] for bit in range(self.q)]
        return [
            (i, tuple(sorted(basic[bit] for bit in range(self.q) if column >> bit & 1)))
            for i, column in enumerate(self.columns)
            if column.bit_count() > 1
        ]


@lru_cache(maxsize=256)
def minimum_aberration(k: int, q: int) -> RegularFraction:
    """The 2^(k−p) fraction in 2^q runs with the least aberration: the fewest words of length 3, then of 4, and so on.

    For 8, 16 and 32 runs this is proved by exhaustive enumeration in a test; up to 128 runs it equals the published
    designs wherever tests compare (see :mod:`maineffect.design.algebra.minimum_aberration` for the search).

    Raises:
        DesignError: More factors than columns, or more runs than are searched.
    """
    if k <= q:
        return RegularFraction(k, tuple(1 << i for i in range(k)))
    if k > 2**q - 1:
        raise DesignError(
            f"{k} factors do not fit into {2**q} runs",
            f"the smallest two-level fraction has runs: {1 << k.bit_length()}",
        )
    if q > _LARGEST:
        raise DesignError(f"fractions of {2**q} runs are not searched", f"use runs: {2**_LARGEST} or fewer")
    return RegularFraction(q, least_aberration_columns(k, q))


def resolution_is_possible(k: int, q: int, resolution: int) -> bool:
    """Whether the sphere-packing bound leaves room for k factors in 2^q runs; False is a proof that there is none.

    In resolution 2t + 1 the interactions of up to t factors all have columns of their own (Rao 1947, J. R. Statist.
    Soc. Suppl. 9:128–139); 2t + 2 is 2t + 1 with one factor fewer in half the runs.
    """
    even = resolution % 2 == 0
    t = (resolution - 2 if even else resolution - 1) // 2
    return sum(comb(k - even, i) for i in range(t + 1)) <= (1 << (q - even))


def smallest_with_resolution(k: int, resolution: int) -> RegularFraction:
    """The smallest minimum aberration fraction of at least this resolution; the full factorial where only it does.

    Raises:
        DesignError: The resolution is above the number of factors (only full factorials lack such words), or it takes
            more runs than are searched.
    """
    if resolution > k:
        raise DesignError(
            f"no fraction of {k} two-level factors has resolution {resolution}",
            (f"the half fraction in {2 ** (k - 1)} runs has resolution: {k}; " if k > 2 else "")
            + f"for all {2**k} cells use kind: full",
        )
    for q in range(max(2, k.bit_length()), min(k, _LARGEST + 1)):
        if resolution_is_possible(k, q, resolution):
            fraction = minimum_aberration(k, q)
            if (fraction.resolution or k + 1) >= resolution:
                return fraction
    if k > _LARGEST:
        enough = 2 << (k - 1).bit_length()
        raise DesignError(
            f"no fraction of {k} factors in up to {2**_LARGEST} runs was found with resolution {resolution}",
            f"use resolution: 4, in {enough} runs, or kind: optimal for the interactions that matter",
        )
    return RegularFraction(k, tuple(1 << i for i in range(k)))
