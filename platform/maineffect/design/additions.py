"""What is added to a two-level design: its mirror image, blocks, centre runs."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from maineffect.contracts import Level
from maineffect.design.regular import RegularFraction
from maineffect.errors import DesignError
from maineffect.spec.factors import Factor

__all__ = ["block_labels", "centre_rows", "emitted_words", "folded"]

Signs = NDArray[np.int64]


def folded(signs: Signs, names: Sequence[str], fold: str) -> Signs:
    """A design with its mirror image behind it.

    A full foldover clears main effects of two-factor interactions; folding on one factor clears it and its
    interactions (Montgomery, Design and Analysis of Experiments, 8th ed., sec. 8.6).

    Args:
        signs: (n, k) in −1/+1.
        fold: ``none``, ``full``, or a factor's name.

    Raises:
        DesignError: Another word.
    """
    if fold == "none":
        return signs
    if fold == "full":
        return np.vstack([signs, -signs])
    if fold in names:
        mirror = signs.copy()
        mirror[:, list(names).index(fold)] *= -1
        return np.vstack([signs, mirror])
    raise DesignError(f"cannot fold on {fold!r}", f"foldover: none, full, or one of {', '.join(names)}")


def emitted_words(signs: Signs) -> dict[int, int]:
    """Word-length pattern read from the rows: products of columns that are constant."""
    n, k = signs.shape
    pattern: dict[int, int] = {}
    for length in range(1, k + 1):
        words = sum(abs(int(np.prod(signs[:, group], axis=1).sum())) == n for group in combinations(range(k), length))
        if words:
            pattern[length] = words
    return pattern


def block_labels(fraction: RegularFraction, blocks: int) -> tuple[int, ...] | None:
    """Block of every run of a regular design, in standard order; None for one block.

    The interactions that are given up to blocks are chosen so that the fewest main effects, then two-factor, then
    three-factor interactions are among them (Sun, Wu and Chen 1997, Technometrics 39:298–307).

    Raises:
        DesignError: Not a power of two, or as many blocks as runs.
    """
    if blocks == 1:
        return None
    if blocks & (blocks - 1) or blocks >= 2**fraction.q:
        raise DesignError(
            f"{2**fraction.q} runs cannot be cut into {blocks} regular blocks",
            "use a power of two below the number of runs",
        )
    wanted = blocks.bit_length() - 1
    chosen = min(combinations(range(1, 2**fraction.q), wanted), key=lambda columns: _given_up(fraction, columns))
    runs = np.arange(2**fraction.q)
    label = sum((np.bitwise_count(runs & column) % 2).astype(int) << i for i, column in enumerate(chosen))
    return tuple(int(value) + 1 for value in np.asarray(label))


def _given_up(fraction: RegularFraction, columns: Sequence[int]) -> tuple[int, ...]:
    """Effects of order 1, 2, 3 that are confounded with blocks; dependent columns are ruled out."""
    span = {0}
    for column in columns:
        if column in span:
            return (10**9,)
        span |= {value ^ column for value in span}
    counts = []
    for order in (1, 2, 3):
        groups = combinations(fraction.columns, order)
        counts.append(sum(int(np.bitwise_xor.reduce(np.array(group))) in span for group in groups))
    return tuple(counts)


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
