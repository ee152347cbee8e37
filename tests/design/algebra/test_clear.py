"""The smallest fraction with clear effects is the smallest: every assignment of columns is tried beside the search."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from maineffect.design.algebra.clear import clear_columns
from maineffect.design.algebra.minimum_aberration import least_aberration_columns, word_lengths


def every_assignment(k: int, q: int) -> np.ndarray:
    """(assignments, k) all injective assignments of non-zero columns of GF(2)^q, the first factor on column 1.

    Any column can be moved to 1 by a change of basis.
    """
    rows = np.ones((1, 1), dtype=np.int64)
    for _ in range(1, k):
        grown = np.repeat(rows, 2**q - 1, axis=0)
        added = np.tile(np.arange(1, 2**q), len(rows))
        fresh = ~(grown == added[:, None]).any(axis=1)
        rows = np.hstack([grown[fresh], added[fresh, None]])
    return rows


def possible(k: int, q: int, wanted: list[int]) -> bool:
    """By definition: no other main effect or two-factor interaction, nor the mean, has the column of a wanted effect."""
    rows = every_assignment(k, q)
    effects = [1 << i for i in range(k)] + [1 << i | 1 << j for i, j in combinations(range(k), 2)]

    def column(mask: int) -> np.ndarray:
        return np.bitwise_xor.reduce(rows[:, [i for i in range(k) if mask >> i & 1]], axis=1)

    clear = np.ones(len(rows), dtype=bool)
    for term in wanted:
        clear &= column(term) != 0
        for other in effects:
            if other != term:
                clear &= column(term) != column(other)
    return bool(clear.any())


def is_clear(columns: tuple[int, ...], wanted: list[int]) -> bool:
    k = len(columns)
    effects = [1 << i for i in range(k)] + [1 << i | 1 << j for i, j in combinations(range(k), 2)]

    def column(mask: int) -> int:
        return int(np.bitwise_xor.reduce([columns[i] for i in range(k) if mask >> i & 1]))

    return all(
        column(term) != 0 and all(column(term) != column(other) for other in effects if other != term)
        for term in wanted
    )


@pytest.mark.parametrize("seed", range(40))
def test_a_design_is_found_exactly_when_one_exists(seed: int) -> None:
    rng = np.random.default_rng(seed)
    k = int(rng.integers(4, 6))
    effects = [1 << i for i in range(k)] + [1 << i | 1 << j for i, j in combinations(range(k), 2)] + [0b111, 0b1101]
    wanted = [effects[i] for i in rng.choice(len(effects), size=int(rng.integers(1, 7)), replace=False)]
    for q in range(3, k + 1):
        search = clear_columns(k, q, wanted)
        assert search.exhausted
        assert (search.columns is not None) == possible(k, q, wanted), (k, q, wanted)
        if search.columns is not None:
            assert is_clear(search.columns, wanted)
            assert len(set(search.columns)) == k
            break


@pytest.mark.parametrize(("k", "q"), [(6, 3), (7, 3), (6, 4)])
@pytest.mark.parametrize("wanted", [[0b11], [0b11, 0b101], [0b11, 0b1100], [1, 2, 0b11], [1, 2, 4, 0b11, 0b101, 0b110]])
def test_six_and_seven_factors(k: int, q: int, wanted: list[int]) -> None:
    assert (clear_columns(k, q, wanted).columns is not None) == possible(k, q, wanted)


def test_more_interactions_are_clear_than_in_the_minimum_aberration_fraction() -> None:
    """Wu and Chen (1992): in 2^(6−2) minimum aberration has no clear interaction, another fraction of 16 runs has some."""
    mains = [1 << i for i in range(6)]
    search = clear_columns(6, 4, [0b11])
    assert search.columns is not None
    assert is_clear(search.columns, [0b11])
    # With all main effects clear it takes 32 runs: resolution IV and a clear interaction allow 2^(q−2) + 1 factors
    # (Chen and Hedayat 1998, J. Statist. Plann. Inference 75:147–158).
    assert clear_columns(6, 4, [*mains, 0b11]).columns is None
    assert clear_columns(5, 4, [*mains[:5], 0b11]).columns is not None
    assert clear_columns(9, 5, [*(1 << i for i in range(9)), 0b11]).columns is not None
    none = clear_columns(10, 5, [*(1 << i for i in range(10)), 0b11])
    assert none.columns is None
    assert none.exhausted


def test_resolution_v_is_all_interactions_clear() -> None:
    """Eleven factors need 128 runs for all interactions (Draper and Lin 1990, Technometrics 32:75–87), nine too."""
    pairs = [1 << i | 1 << j for i, j in combinations(range(9), 2)]
    assert all(clear_columns(9, q, pairs).columns is None for q in (4, 5, 6))
    found = clear_columns(9, 7, pairs)
    assert found.columns is not None
    assert word_lengths(7, found.columns)[3:5] == (0, 0)


def test_of_several_designs_the_one_with_fewest_words_is_taken() -> None:
    """All main effects clear is resolution IV: then the minimum aberration design is the answer."""
    found = clear_columns(7, 4, [1 << i for i in range(7)])
    assert found.columns is not None
    assert word_lengths(4, found.columns)[3:6] == (0, 7, 0)
    assert found.exhausted


def test_too_many_effects_for_the_columns_need_no_search() -> None:
    assert clear_columns(6, 4, [1 << i | 1 << j for i, j in combinations(range(5), 2)]).columns is None


@pytest.mark.parametrize(
    ("k", "q", "wanted"),
    [
        (20, 6, [1 << i for i in range(20)]),
        (12, 5, [1 << i for i in range(12)]),
        (10, 6, [0b11, 0b101]),
        (9, 5, [0b11]),
    ],
)
def test_large_requests_that_minimum_aberration_satisfies_get_its_words(k: int, q: int, wanted: list[int]) -> None:
    found = clear_columns(k, q, wanted)
    assert found.columns is not None
    assert is_clear(found.columns, wanted)
    assert word_lengths(q, found.columns) == word_lengths(q, least_aberration_columns(k, q))
