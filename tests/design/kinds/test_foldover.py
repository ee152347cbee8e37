"""Mirror images: what they clear, what half of one clears, and words read from rows."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from maineffect.design.algebra.regular import RegularFraction, minimum_aberration
from maineffect.design.kinds.foldover import emitted_words, folded, semifolded
from maineffect.errors import DesignError

NAMES = tuple("ABCDEFGHJKLM")


def words_by_definition(signs: np.ndarray) -> dict[int, int]:
    n, k = signs.shape
    pattern: dict[int, int] = {}
    for length in range(1, k + 1):
        for group in combinations(range(k), length):
            if abs(int(signs[:, group].prod(axis=1).sum())) == n:
                pattern[length] = pattern.get(length, 0) + 1
    return pattern


def effects(signs: np.ndarray) -> np.ndarray:
    k = signs.shape[1]
    pairs = [signs[:, i] * signs[:, j] for i, j in combinations(range(k), 2)]
    return np.column_stack([np.ones(len(signs)), signs, *pairs])


def estimable(signs: np.ndarray) -> int:
    """Effects up to two factors that add to the rank of all others."""
    matrix = effects(signs)
    rank = np.linalg.matrix_rank(matrix)
    return sum(np.linalg.matrix_rank(np.delete(matrix, i, axis=1)) < rank for i in range(1, matrix.shape[1]))


@pytest.mark.parametrize("seed", range(8))
def test_words_are_the_constant_products(seed: int) -> None:
    rng = np.random.default_rng(seed)
    if seed < 4:
        signs = rng.choice([-1, 1], (int(rng.integers(2, 9)), 7))
    else:
        signs = minimum_aberration(seed + 3, 4).signs()
    assert emitted_words(signs) == words_by_definition(signs)


@pytest.mark.parametrize(("k", "q"), [(5, 3), (6, 3), (7, 3), (9, 4), (12, 4)])
def test_a_full_foldover_has_no_odd_words(k: int, q: int) -> None:
    fraction = minimum_aberration(k, q)
    words = emitted_words(folded(fraction.signs(), NAMES[:k], "full"))
    assert words == {length: count for length, count in fraction.word_length_pattern.items() if length % 2 == 0}


@pytest.mark.parametrize("factor", ["A", "D", "F"])
def test_folding_on_a_factor_leaves_the_words_without_it(factor: str) -> None:
    fraction = minimum_aberration(6, 4)
    bit = 1 << NAMES.index(factor)
    left = [int(word).bit_count() for word in fraction.words if not int(word) & bit]
    words = emitted_words(folded(fraction.signs(), NAMES[:6], factor))
    assert words == {length: left.count(length) for length in set(left)}


def test_a_mirror_image_that_is_the_design_itself_is_refused_with_another() -> None:
    signs = minimum_aberration(6, 4).signs()
    with pytest.raises(DesignError, match="has the same runs") as refused:
        folded(signs, NAMES[:6], "full")
    assert "foldover: A" in refused.value.hint
    with pytest.raises(DesignError, match="leave foldover out"):
        folded(RegularFraction(3, (1, 2, 4)).signs(), NAMES[:3], "B")
    with pytest.raises(DesignError, match="full factorial"):
        semifolded(RegularFraction(3, (1, 2, 4)).signs(), NAMES[:3])


def test_half_a_foldover_of_the_half_replicate_is_the_three_quarter_replicate() -> None:
    """John (1962), Biometrics 18:172–184: twelve runs estimate all main effects and interactions of four factors."""
    semi = semifolded(minimum_aberration(4, 3).signs(), NAMES[:4])
    assert len(semi.signs) == 12
    assert np.linalg.matrix_rank(effects(semi.signs)) == 11
    assert len(semi.estimable) == 10


@pytest.mark.parametrize(("k", "q"), [(4, 3), (6, 4), (7, 4), (8, 4), (7, 5), (8, 5), (9, 5)])
def test_of_resolution_four_half_a_foldover_frees_as_many_effects_as_a_whole_one(k: int, q: int) -> None:
    """Mee and Peralta (2000), Technometrics 42:122–134: at half the cost, and with the same words of length four."""
    signs = minimum_aberration(k, q).signs()
    semi = semifolded(signs, NAMES[:k])
    best = max(estimable(folded(signs, NAMES[:k], name)) for name in NAMES[:k])
    assert len(semi.signs) == 3 * len(signs) // 2
    assert len(semi.estimable) == estimable(semi.signs) == best
    assert len(semi.estimable) > estimable(signs)
    assert set(NAMES[:k]) <= set(semi.estimable)


def test_added_runs_are_the_mirrored_half() -> None:
    signs = minimum_aberration(7, 4).signs()
    semi = semifolded(signs, NAMES[:7])
    kept = NAMES.index(semi.kept)
    columns = [NAMES.index(name) for name in semi.reversed]
    half = signs[signs[:, kept] == 1].copy()
    half[:, columns] *= -1
    assert np.array_equal(semi.signs[:16], signs)
    assert np.array_equal(semi.signs[16:], half)
    assert not {tuple(row) for row in half.tolist()} <= {tuple(row) for row in signs.tolist()}


def test_a_block_for_the_added_runs_costs_no_effect_of_resolution_four() -> None:
    signs = minimum_aberration(6, 4).signs()
    assert len(semifolded(signs, NAMES[:6], blocks=True).estimable) == len(semifolded(signs, NAMES[:6]).estimable)
