"""Orthogonal arrays of strength 2: balanced main effects for factors with any numbers of levels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from itertools import combinations
from math import comb, lcm

import numpy as np
from numpy.typing import NDArray

from maineffect.design.algebra.array_families import MOST_RUNS, Family, families
from maineffect.design.algebra.minimum_aberration import least_aberration_columns
from maineffect.design.algebra.wordlength import generalised_word_length_pattern
from maineffect.design.model.treatments import Treatments
from maineffect.errors import DesignError
from maineffect.seeds import generator
from maineffect.spec.requests import OrthogonalArrayRequest
from maineffect.spec.study import StudySpec

__all__ = ["array_for", "orthogonal_array", "smallest_array"]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

_ALL_CHOICES = 4000
_STARTS = 20
_MOST_FAMILIES = 6


def orthogonal_array(study: StudySpec) -> Treatments:
    """The smallest strength-2 array for the factors' levels, or one of the stated size.

    Raises:
        DesignError: No array of that size can be built; the hint names the smallest that can.
    """
    request = study.design
    assert isinstance(request, OrthogonalArrayRequest)
    factors = tuple(study.factors.values())
    levels = tuple(len(factor.levels) for factor in factors)
    smallest = smallest_array(levels)
    if smallest is None:
        p = 1 + sum(level - 1 for level in levels)
        raise DesignError(
            f"no orthogonal array for levels {_in_words(levels)} within {MOST_RUNS} runs can be built here",
            f"use kind: optimal with runs: {p + max(2, p // 2)}",
        )
    runs = request.runs or smallest
    codes = array_for(levels, runs)
    if codes is None:
        raise DesignError(
            f"no orthogonal array of {runs} runs holds levels {_in_words(levels)}", f"use runs: {smallest}"
        )
    _require_strength_two(codes, levels)
    rows = tuple({f.name: f.levels[code] for f, code in zip(factors, row, strict=True)} for row in codes.tolist())
    pattern = generalised_word_length_pattern(codes, levels, min(4, len(levels)))
    return Treatments(rows, notes=_notes(pattern), model=_main(study))


def _main(study: StudySpec) -> tuple[str, ...] | None:
    return tuple(study.factors) if study.analysis.terms == "two_way" else None


def _notes(pattern: Floats) -> tuple[str, ...]:
    if len(pattern) > 3 and pattern[3] > 1e-9:
        return (
            f"main effects are orthogonal; two-factor interactions are partly mixed with them (A3 = {pattern[3]:.3f}): "
            "see the alias matrix",
        )
    if len(pattern) > 4 and pattern[4] > 1e-9:
        return (
            "main effects are clear of two-factor interactions, which are partly mixed with each other "
            f"(A3 = 0, A4 = {pattern[4]:.3f})",
        )
    return ("main effects and two-factor interactions are orthogonal",)


def _in_words(levels: Sequence[int]) -> str:
    return " × ".join(f"{level}^{count}" for level, count in sorted(Counter(levels).items()))


@lru_cache(maxsize=64)
def smallest_array(levels: tuple[int, ...]) -> int | None:
    """Fewest runs of an array that can be built for the levels, up to :data:`MOST_RUNS`.

    The runs are a multiple of every product of two factors' levels, and more than the parameters (Rao 1947).
    """
    step = lcm(*(a * b for a, b in combinations(levels, 2))) if len(levels) > 1 else levels[0]
    parameters = 1 + sum(level - 1 for level in levels)
    wanted = Counter(levels)
    for runs in range(step * -(-parameters // step), MOST_RUNS + 1, step):
        if any(family.holds(wanted) for family in families(runs)):
            return runs
    return None


@lru_cache(maxsize=64)
def array_for(levels: tuple[int, ...], runs: int) -> Ints | None:
    """(n, k) codes of an array with so many runs whose columns are chosen for least generalised aberration.

    Returns:
        None if no array of this size can be built here.
    """
    if not 1 <= runs <= MOST_RUNS:
        return None
    k = len(levels)
    q = runs.bit_length() - 1
    if runs == 2**q and set(levels) == {2} and k < runs:
        columns = [1 << i for i in range(k)] if k <= q else list(least_aberration_columns(k, q))
        return np.asarray(np.bitwise_count(np.arange(runs)[:, None] & np.array(columns)) % 2, dtype=np.int64)
    wanted = Counter(levels)
    fitting = sorted(
        (family for family in families(runs) if family.holds(wanted)), key=lambda f: (len(f.levels), f.levels)
    )[:_MOST_FAMILIES]
    best: tuple[tuple[float, ...], Ints] | None = None
    for family in fitting:
        codes = _chosen_columns(family, levels)
        key = tuple(np.round(generalised_word_length_pattern(codes, levels, min(4, k))[3:], 9).tolist())
        if best is None or key < best[0]:
            best = (key, codes)
    return None if best is None else best[1]


def _require_strength_two(codes: Ints, levels: Sequence[int]) -> None:
    for i, j in combinations(range(len(levels)), 2):
        counts = np.bincount(codes[:, i] * levels[j] + codes[:, j], minlength=levels[i] * levels[j])
        if len(counts) != levels[i] * levels[j] or counts.min() != counts.max():
            raise DesignError("the array that was made is not of strength 2", "please report this study file")


def _chosen_columns(family: Family, levels: Sequence[int]) -> Ints:
    """Columns for the factors, of every column's level count, with the smallest A3 and then A4.

    Xu and Wu (2001), Ann. Statist. 29:1066–1077. A3 is a sum over triples of columns, so all choices are compared by
    a table of triples when they are few, else exchanges from several starts are.
    """
    codes = family.build()
    pools = {level: [i for i, level_count in enumerate(family.levels) if level_count == level] for level in set(levels)}
    counts = Counter(levels)
    choices = 1
    for level, count in counts.items():
        choices *= comb(len(pools[level]), count)
    triples = _triples(codes, family.levels)
    sets = _every_choice(pools, counts) if choices <= _ALL_CHOICES else _exchanged(triples, pools, counts)
    if choices > 1:
        a3 = np.array([_a3(triples, chosen) for chosen in sets])
        sets = [chosen for chosen, value in zip(sets, a3, strict=True) if value <= a3.min() + 1e-9][:50]
        kinds = [[family.levels[i] for i in chosen] for chosen in sets]
        longest = min(4, len(levels))
        patterns = [
            generalised_word_length_pattern(codes[:, list(chosen)], kind, longest)[-1]
            for chosen, kind in zip(sets, kinds, strict=True)
        ]
        sets = [sets[int(np.argmin(np.round(patterns, 9)))]]
    left = {level: [i for i in sets[0] if family.levels[i] == level] for level in counts}
    return codes[:, [left[level].pop(0) for level in levels]]


def _every_choice(pools: dict[int, list[int]], counts: Counter[int]) -> list[tuple[int, ...]]:
    sets: list[tuple[int, ...]] = [()]
    for level in sorted(counts):
        sets = [(*chosen, *more) for chosen in sets for more in combinations(pools[level], counts[level])]
    return sets


def _exchanged(triples: Floats, pools: dict[int, list[int]], counts: Counter[int]) -> list[tuple[int, ...]]:
    """Good choices found by exchanging one column at a time from random starts."""
    rng = generator(len(triples), "orthogonal-array", str(sorted(counts.items())))
    choices = []
    for _ in range(_STARTS):
        chosen = [int(i) for level in sorted(counts) for i in rng.choice(pools[level], counts[level], replace=False)]
        slots = [level for level in sorted(counts) for _ in range(counts[level])]
        improved = True
        while improved:
            improved = False
            for slot, level in enumerate(slots):
                others = np.array([c for i, c in enumerate(chosen) if i != slot])
                cost = triples[:, others][:, :, others].sum(axis=(1, 2))
                best = min((c for c in pools[level] if c not in set(others.tolist())), key=lambda c: (cost[c], c))
                if cost[best] < cost[chosen[slot]] - 1e-9:
                    chosen[slot] = best
                    improved = True
        choices.append(tuple(sorted(chosen)))
    return sorted(set(choices))


def _a3(triples: Floats, chosen: Sequence[int]) -> float:
    index = np.array(chosen)
    return float(triples[np.ix_(index, index, index)].sum()) / 6


def _triples(codes: Ints, levels: Sequence[int]) -> Floats:
    """(c, c, c) A3 of every three different columns of a strength-2 array; 0 elsewhere.

    With pairs balanced, A3 = Σ (N − n/(s₁s₂s₃))²·s₁s₂s₃/n² over the cells of the three-way table.
    """
    n, c = codes.shape
    starts = np.concatenate([[0], np.cumsum(levels)])
    indicators = np.zeros((n, starts[-1]))
    for j in range(c):
        indicators[np.arange(n), starts[j] + codes[:, j]] = 1
    result = np.zeros((c, c, c))
    for i, j in combinations(range(c), 2):
        pair = np.zeros((n, levels[i] * levels[j]))
        pair[np.arange(n), codes[:, i] * levels[j] + codes[:, j]] = 1
        table = pair.T @ indicators
        for k in range(j + 1, c):
            size = levels[i] * levels[j] * levels[k]
            cells = table[:, starts[k] : starts[k + 1]] - n / size
            value = float(np.sum(cells**2)) * size / n**2
            for a, b, d in ((i, j, k), (i, k, j), (j, i, k), (j, k, i), (k, i, j), (k, j, i)):
                result[a, b, d] = value
    return result
