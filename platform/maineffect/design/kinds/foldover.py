"""Mirror images added to a two-level design: full foldover, foldover on one factor, and half of one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from maineffect.design.algebra.minimum_aberration import word_lengths
from maineffect.design.algebra.wordlength import generalised_word_length_pattern
from maineffect.errors import DesignError

__all__ = ["Semifold", "emitted_words", "folded", "semifolded"]

Signs = NDArray[np.int64]


def folded(signs: Signs, names: Sequence[str], fold: str) -> Signs:
    """A design with its mirror image behind it.

    A full foldover clears main effects of two-factor interactions; folding on one factor clears it and its
    interactions (Montgomery, Design and Analysis of Experiments, 8th ed., sec. 8.6).

    Args:
        signs: (n, k) in −1/+1.
        fold: ``full``, or a factor's name.

    Raises:
        DesignError: Another word, or the mirror image consists of the same runs.
    """
    if fold != "full" and fold not in names:
        raise DesignError(f"cannot fold on {fold!r}", f"foldover: none, full, semi, or one of {', '.join(names)}")
    reversed_columns = list(range(len(names))) if fold == "full" else [list(names).index(fold)]
    mirror = _mirrored(signs, reversed_columns)
    if _same_runs(signs, mirror):
        others = [name for i, name in enumerate(names) if not _same_runs(signs, _mirrored(signs, [i]))]
        raise DesignError(
            f"the mirror image with {'all factors' if fold == 'full' else fold} reversed has the same runs",
            f"use foldover: {others[0]}" if others else "leave foldover out: the design is a full factorial",
        )
    return np.vstack([signs, mirror])


def _mirrored(signs: Signs, columns: Sequence[int]) -> Signs:
    mirror = signs.copy()
    mirror[:, columns] *= -1
    return mirror


def _same_runs(a: Signs, b: Signs) -> bool:
    return sorted(map(tuple, a.tolist())) == sorted(map(tuple, b.tolist()))


@dataclass(frozen=True)
class Semifold:
    """Half of a mirror image added to a design.

    Attributes:
        signs: (3n/2, k) the design and the added runs behind it.
        reversed: Factors reversed in the added runs.
        kept: The factor whose high level selects the runs that are mirrored.
        estimable: Main effects and two-factor interactions that can be estimated with all of them in the model.
    """

    signs: Signs
    reversed: tuple[str, ...]
    kept: str
    estimable: tuple[str, ...]


def semifolded(signs: Signs, names: Sequence[str], *, blocks: bool = False) -> Semifold:
    """The semifoldover that frees most effects: half of the runs mirrored, at half the cost of a foldover.

    Mee and Peralta (2000), Technometrics 42:122–134: reverse one factor, or all, in the runs that have some factor
    at its high level. Tried are all such choices; the best estimates the most main effects, then the most two-factor
    interactions (all in one model, with the added runs as a block if asked), then has the least generalised
    aberration of lengths 1 to 4.

    Args:
        signs: (n, k) in −1/+1, a regular fraction.
        blocks: Whether the added runs are a block of their own.

    Raises:
        DesignError: Every mirror image repeats the runs: the design is a full factorial.
    """
    k = len(names)
    folds = [columns for columns in (*([i] for i in range(k)), list(range(k))) if _differs(signs, columns)]
    if not folds:
        raise DesignError("every mirror image of a full factorial has the same runs", "leave foldover out")
    candidates = []
    for columns in folds:
        for kept in range(k):
            rows = np.vstack([signs, _mirrored(signs[signs[:, kept] == 1], columns)])
            estimable = _estimable(rows, len(signs) if blocks else None)
            mains = sum(len(term) == 1 for term in estimable)
            candidates.append(((-mains, -len(estimable)), columns, kept, rows, estimable))
    most = min(score for score, *_ in candidates)
    tied = [candidate for candidate in candidates if candidate[0] == most]
    _, columns, kept, rows, estimable = min(
        tied, key=lambda candidate: generalised_word_length_pattern(candidate[3], [2] * k, 4).tolist()
    )
    terms = tuple(":".join(names[i] for i in term) for term in estimable)
    return Semifold(rows, tuple(names[i] for i in columns), names[kept], terms)


def _differs(signs: Signs, columns: Sequence[int]) -> bool:
    return not _same_runs(signs, _mirrored(signs, columns))


def _effects(k: int) -> Iterator[tuple[int, ...]]:
    yield from ((i,) for i in range(k))
    yield from combinations(range(k), 2)


def _estimable(rows: Signs, first_block: int | None) -> tuple[tuple[int, ...], ...]:
    """Effects whose coefficient is the same in every least-squares solution: no null vector of X touches them."""
    n, k = rows.shape
    terms = tuple(_effects(k))
    columns = [np.ones(n), *(rows[:, term].prod(axis=1) for term in terms)]
    if first_block is not None:
        columns.append(np.where(np.arange(n) < first_block, -1.0, 1.0))
    matrix = np.stack(columns, axis=1).astype(float)
    values, vectors = np.linalg.eigh(matrix.T @ matrix)
    null = vectors[:, values < 1e-9 * values[-1]]
    touched = np.linalg.norm(null, axis=1) > 1e-6
    return tuple(term for term, hit in zip(terms, touched[1:].tolist(), strict=False) if not hit)


def emitted_words(signs: Signs) -> dict[int, int]:
    """Word-length pattern read from the rows: products of columns that are constant.

    The rows' differences span a binary code; the constant products are its dual, counted by the MacWilliams identity.
    """
    bits = [int("".join("1" if sign == 1 else "0" for sign in row), 2) for row in signs[:, ::-1].tolist()]
    basis: list[int] = []
    for row in bits[1:]:
        rest = row ^ bits[0]
        for vector in basis:
            rest = min(rest, rest ^ vector)
        if rest:
            basis.append(rest)
    columns = tuple(
        sum((vector >> i & 1) << place for place, vector in enumerate(basis)) for i in range(signs.shape[1])
    )
    lengths = word_lengths(len(basis), columns)
    return {length: count for length, count in enumerate(lengths) if length and count}
