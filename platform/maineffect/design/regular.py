"""Regular two-level fractions as subspaces of GF(2)^q: words, aliases, minimum aberration.

A design with 2^q runs gives every factor a column, a non-zero vector of GF(2)^q written as an integer. The first q
factors are basic (columns 1, 2, 4, …); every further one is a generator. Its words are the subsets of factors whose
columns sum to zero. Fries and Hunter (1980), Technometrics 22:601–608, order designs by word-length pattern; Chen, Sun
and Wu (1993), Int. Stat. Rev. 61:131–145, build minimum aberration designs one factor at a time, as here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from maineffect.errors import DesignError

__all__ = ["RegularFraction", "minimum_aberration", "smallest_with_resolution"]

_BEAM = 120
Words = NDArray[np.int64]


@dataclass(frozen=True)
class RegularFraction:
    """Columns of a 2^(k−p) design.

    Attributes:
        q: log2 of the number of runs.
        columns: k integers in [1, 2^q): the vector of each factor.
    """

    q: int
    columns: tuple[int, ...]

    @property
    def words(self) -> Words:
        """Defining words as bit masks over factors, the identity excluded."""
        return _words(self.q, self.columns)[1:]

    @property
    def word_length_pattern(self) -> dict[int, int]:
        """Word length → number of words."""
        lengths, counts = np.unique(np.bitwise_count(self.words), return_counts=True)
        return {int(length): int(count) for length, count in zip(lengths, counts, strict=True)}

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
        return tuple(
            f"{names[i]} = {':'.join(names[j] for j in range(self.q) if column >> j & 1)}"
            for i, column in enumerate(self.columns)
            if i >= self.q
        )


def _words(q: int, columns: Sequence[int]) -> Words:
    group = np.zeros(1, dtype=np.int64)
    for i in range(q, len(columns)):
        group = np.concatenate([group, group ^ np.int64(columns[i] | 1 << i)])
    return group


def _pattern(group: Words, k: int) -> tuple[int, ...]:
    return tuple(np.bincount(np.bitwise_count(group[1:]), minlength=k + 1)[3:].tolist())


@lru_cache(maxsize=256)
def minimum_aberration(k: int, q: int) -> RegularFraction:
    """The minimum aberration 2^(k−p) fraction in 2^q runs found by stepwise extension.

    Columns are added one at a time; of each generation the designs with the best word-length patterns are kept, one
    per (pattern, words per factor), an invariant of isomorphism. The reference catalogue is reached for every size
    that tests compare; exhaustive proofs for small sizes are in the slow tests.

    Raises:
        DesignError: More factors than columns.
    """
    if k <= q:
        return RegularFraction(k, tuple(1 << i for i in range(k)))
    if k > 2**q - 1:
        raise DesignError(
            f"{k} factors do not fit into {2**q} runs",
            f"the smallest two-level fraction has {1 << (k).bit_length()} runs",
        )
    basic = tuple(1 << i for i in range(q))
    beam: list[tuple[tuple[int, ...], Words]] = [(basic, np.zeros(1, dtype=np.int64))]
    for i in range(q, k):
        found: dict[tuple[object, ...], tuple[tuple[int, ...], Words]] = {}
        for columns, group in beam:
            used = set(columns)
            for candidate in _candidates(q, columns):
                if candidate in used:
                    continue
                extended = np.concatenate([group, group ^ np.int64(candidate | 1 << i)])
                pattern = _pattern(extended, i + 1)
                found.setdefault((pattern, _letters(extended, i + 1)), ((*columns, candidate), extended))
        best = sorted(found, key=lambda key: key[0])  # type: ignore[arg-type,return-value]
        beam = [found[key] for key in best[:_BEAM]]
    return RegularFraction(q, beam[0][0])


def _candidates(q: int, columns: Sequence[int]) -> list[int]:
    """Interaction columns, longest generators first: they make the longest words."""
    used = set(columns)
    return sorted((c for c in range(1, 2**q) if c not in used), key=lambda c: (-bin(c).count("1"), c))


def _letters(group: Words, k: int) -> tuple[object, ...]:
    """Words of each length that contain each factor, factors sorted: invariant under relabelling."""
    lengths = np.bitwise_count(group[1:]).astype(np.int64)
    rows = []
    for i in range(k):
        inside = (group[1:] >> i & 1).astype(bool)
        rows.append(tuple(np.bincount(lengths[inside], minlength=6)[3:6].tolist()))
    return tuple(sorted(rows))


def smallest_with_resolution(k: int, resolution: int) -> RegularFraction:
    """The smallest minimum aberration fraction of at least this resolution.

    Raises:
        DesignError: Only the full factorial has it.
    """
    for q in range(max(2, k.bit_length()), k):
        if k > 2**q - 1:
            continue
        fraction = minimum_aberration(k, q)
        if (fraction.resolution or k + 1) >= resolution:
            return fraction
    if resolution > k:
        raise DesignError(
            f"no fraction of {k} two-level factors has resolution {resolution}",
            f"the half fraction in {2 ** (k - 1)} runs has resolution {k}; use kind: full",
        )
    return RegularFraction(k, tuple(1 << i for i in range(k)))
