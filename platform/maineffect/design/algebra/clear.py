"""The smallest two-level fraction in which named effects are clear of main effects and two-factor interactions.

Minimum aberration does not decide this: designs with more words can have more clear interactions (Wu and Chen 1992,
Technometrics 34:162–175; Tang, Ma, Ingram and Wang 2002, Can. J. Statist. 30:127–136). Factors are therefore given
columns one by one by branch and bound: every assignment is considered up to a change of basis and up to swapping
factors that the request does not tell apart, so a search that ends without a design is a proof that there is none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from maineffect.design.algebra.minimum_aberration import subset_sums, word_lengths

__all__ = ["ClearSearch", "clear_columns"]

_LONGEST = 6
_NODES_TO_FIND = 200_000
_NODES_TO_IMPROVE = 60_000


@dataclass(frozen=True)
class ClearSearch:
    """What a search for one number of runs found.

    Attributes:
        columns: Column of every factor, the fewest words among the assignments that were tried; None if none was found.
        exhausted: Whether everything was tried: without columns, a proof that none exists; with, of least aberration.
    """

    columns: tuple[int, ...] | None
    exhausted: bool


@dataclass
class _State:
    """Columns given so far: ``table`` (lengths, 2^q) of subset sums, ``banned`` columns, sums of finished terms."""

    columns: dict[int, int]
    rank: int
    table: NDArray[np.int64]
    banned: NDArray[np.bool_]
    finished: tuple[int, ...] = ()


@dataclass
class _Best:
    lengths: tuple[int, ...] | None = None
    columns: tuple[int, ...] | None = None
    nodes: int = 0
    limit: int = _NODES_TO_FIND
    stopped: bool = False


@dataclass
class _Problem:
    k: int
    q: int
    wanted: tuple[int, ...]
    order: tuple[int, ...]
    group: tuple[int, ...]
    later: tuple[int, ...]
    best: _Best = field(default_factory=_Best)


def clear_columns(k: int, q: int, wanted: Sequence[int]) -> ClearSearch:
    """Search for k columns of GF(2)^q that keep the wanted effects clear.

    An effect is clear when its column is that of no other main effect or two-factor interaction, nor the mean.

    Args:
        k: Number of factors.
        q: log2 of the number of runs, q ≤ k.
        wanted: Effects as bit masks over factors.
    """
    masks = tuple(sorted(set(wanted)))
    if not _room(k, q, masks):
        return ClearSearch(None, exhausted=True)
    groups = _interchangeable(k, masks)
    order = tuple(factor for group in groups for factor in group)
    group = tuple(number for number, members in enumerate(groups) for _ in members)
    sizes = [len(members) for members in groups]
    later = tuple(sum(sizes[number + 1 :]) for number in group)
    problem = _Problem(k=k, q=q, wanted=masks, order=order, group=group, later=later)
    banned = np.zeros(2**q, dtype=bool)
    banned[0] = True
    _assign(problem, _State({}, 0, subset_sums(q, (), _LONGEST), banned), 0, None)
    return ClearSearch(problem.best.columns, exhausted=not problem.best.stopped)


def _room(k: int, q: int, wanted: Sequence[int]) -> bool:
    """Whether the columns suffice: main effects and wanted interactions all need one of their own."""
    interactions = sum(mask.bit_count() == 2 for mask in wanted)
    return k + interactions < 1 << q


def _interchangeable(k: int, wanted: Sequence[int]) -> list[list[int]]:
    """Groups of factors that can be swapped without changing the request, those in most wanted effects first."""
    terms = set(wanted)

    def swapped(mask: int, i: int, j: int) -> int:
        different = (mask >> i ^ mask >> j) & 1
        return mask ^ (different << i | different << j)

    groups: list[list[int]] = []
    for factor in range(k):
        for group in groups:
            if {swapped(mask, factor, group[0]) for mask in terms} == terms:
                group.append(factor)
                break
        else:
            groups.append([factor])
    uses = [sum(mask >> factor & 1 for mask in terms) for factor in range(k)]
    return sorted(groups, key=lambda group: (-uses[group[0]], group[0]))


def _assign(problem: _Problem, state: _State, place: int, last: int | None) -> None:
    """Give the factor at this place every column that is possible, best first; ``last``: its group's last column."""
    best = problem.best
    if place == problem.k:
        _keep(problem, state)
        return
    children = sorted(
        ((_lengths(state, column), column) for column in _candidates(problem, state, place, last)),
        key=lambda child: child[0],
    )
    for lengths, column in children:
        if best.lengths is not None and lengths > best.lengths:
            return  # words never go away when factors are added, and the children after this one have as many
        best.nodes += 1
        if best.nodes > best.limit:
            best.stopped = True
        if best.stopped:
            return
        independent = column == 1 << state.rank
        same_group = place + 1 < problem.k and problem.group[place + 1] == problem.group[place]
        _assign(
            problem,
            _with(problem, state, problem.order[place], column),
            place + 1,
            (0 if independent else column) if same_group else None,
        )


def _candidates(problem: _Problem, state: _State, place: int, last: int | None) -> Iterator[int]:
    """Columns for the factor at this place.

    The span of the columns so far is [0, 2^rank): of all columns outside, the next basic one stands for the rest.
    Within a group of interchangeable factors the independent ones come first, then the others in ascending order.
    """
    factor = problem.order[place]
    free = ~state.banned
    remaining = problem.k - place
    if int(free.sum()) < remaining:
        return
    completed = [mask for mask in problem.wanted if mask >> factor & 1 and _complete(mask ^ 1 << factor, state)]
    points = np.arange(2**problem.q)
    effects = state.table[1] + state.table[2]
    for mask in completed:
        rest = _total(mask ^ 1 << factor, state)
        self_count = 1 if mask.bit_count() <= 2 else 0
        # Effects at the term's column once this factor is in: earlier ones, its own, its products with earlier ones.
        sharing = effects[points ^ rest] + (1 if rest == 0 else 0) + state.table[1, rest]
        free &= (sharing == self_count) & (points != rest)
    if state.rank < problem.q and not last:
        basic = 1 << state.rank
        if free[basic]:
            yield basic
    if problem.q - state.rank > problem.later[place]:
        return  # a dependent column now leaves too few factors to reach the rank
    yield from (np.flatnonzero(free[: 1 << state.rank][(last or 0) + 1 :]) + (last or 0) + 1).tolist()


def _complete(mask: int, state: _State) -> bool:
    return all(factor in state.columns for factor in range(mask.bit_length()) if mask >> factor & 1)


def _total(mask: int, state: _State) -> int:
    total = 0
    for factor in range(mask.bit_length()):
        if mask >> factor & 1:
            total ^= state.columns[factor]
    return total


def _lengths(state: _State, column: int) -> tuple[int, ...]:
    """Words of length 3, 4, … once this column is in."""
    return tuple((state.table[3:, 0] + state.table[2:-1, column]).tolist())


def _with(problem: _Problem, state: _State, factor: int, column: int) -> _State:
    points = np.arange(2**problem.q)
    columns = {**state.columns, factor: column}
    table = state.table.copy()
    table[1:] += state.table[:-1, points ^ column]
    added = _State(columns, state.rank + (column == 1 << state.rank), table, state.banned.copy(), state.finished)
    new = tuple(_total(mask, added) for mask in problem.wanted if mask >> factor & 1 and _complete(mask, added))
    added.banned[column] = True
    for total in state.finished:
        added.banned[total ^ column] = True
    for total in new:
        added.banned[total] = True
        added.banned[[total ^ other for other in columns.values()]] = True
    added.finished = state.finished + new
    return added


def _keep(problem: _Problem, state: _State) -> None:
    """A whole assignment: the best so far by its whole word-length pattern."""
    best = problem.best
    columns = tuple(state.columns[factor] for factor in range(problem.k))
    lengths = tuple(state.table[3:, 0].tolist())
    whole = word_lengths(problem.q, columns)
    if best.columns is None or whole < word_lengths(problem.q, best.columns):
        if best.columns is None:
            best.limit = best.nodes + _NODES_TO_IMPROVE
        best.columns, best.lengths = columns, lengths
