"""Generalised word lengths equal the sums over contrasts that define them."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pytest

from maineffect.design.algebra.regular import RegularFraction
from maineffect.design.algebra.wordlength import generalised_word_length_pattern
from maineffect.errors import DesignError


def contrasts(levels: int) -> np.ndarray:
    """(levels, levels − 1) orthonormal contrasts with unit mean square."""
    vandermonde = np.vander(np.arange(levels, dtype=float), levels, increasing=True)
    q, _ = np.linalg.qr(vandermonde)
    return q[:, 1:] * np.sqrt(levels)


def by_definition(codes: np.ndarray, levels: list[int]) -> list[float]:
    """Xu and Wu (2001), definition 1: squared means of every contrast of every group of factors."""
    bases = [contrasts(count)[codes[:, i]] for i, count in enumerate(levels)]
    pattern = [1.0]
    for length in range(1, len(levels) + 1):
        total = 0.0
        for group in combinations(range(len(levels)), length):
            for columns in product(*(range(levels[i] - 1) for i in group)):
                total += float(
                    np.prod([bases[i][:, c] for i, c in zip(group, columns, strict=True)], axis=0).mean() ** 2
                )
        pattern.append(total)
    return pattern


@pytest.mark.parametrize("seed", range(5))
def test_pattern_of_random_mixed_level_rows_is_the_sum_over_contrasts(seed: int) -> None:
    rng = np.random.default_rng(seed)
    levels = [[2, 3, 2, 4], [3, 3, 3], [2, 2, 2, 2, 2], [5, 2, 3], [4, 4]][seed]
    codes = np.stack([rng.integers(0, count, 11 + seed) for count in levels], axis=1)
    assert generalised_word_length_pattern(codes, levels) == pytest.approx(by_definition(codes, levels))


def test_a_full_mixed_factorial_has_no_words() -> None:
    codes = np.array(list(product(range(2), range(3), range(4))))
    assert generalised_word_length_pattern(codes, [2, 3, 4]).tolist() == [1, 0, 0, 0]


def test_nine_runs_of_four_three_level_factors() -> None:
    """The L9: third and fourth columns a + b and a + 2b; every triple of factors holds one word of 2 df."""
    codes = np.array([(a, b, (a + b) % 3, (a + 2 * b) % 3) for a in range(3) for b in range(3)])
    assert generalised_word_length_pattern(codes, [3] * 4).tolist() == pytest.approx([1, 0, 0, 8, 0])


def test_regular_fractions_have_their_word_length_pattern() -> None:
    fraction = RegularFraction(4, (1, 2, 4, 8, 7, 11, 13))
    pattern = generalised_word_length_pattern(fraction.signs(), [2] * 7)
    assert pattern.tolist() == [1, 0, 0, *(fraction.word_length_pattern.get(length, 0) for length in range(3, 8))]


def test_counting_can_stop_early_and_stays_exact_for_many_factors() -> None:
    signs = RegularFraction(6, tuple(range(1, 64))).signs()
    pattern = generalised_word_length_pattern(signs, [2] * 63, longest=5)
    # Hamming code of length 63: A3 = 63·62/6, A4 = 63·62·60/24 (MacWilliams and Sloane 1977, ch. 5).
    assert pattern.tolist()[:5] == [1, 0, 0, 651, 9765]
    assert len(pattern) == 6
    assert generalised_word_length_pattern(signs, [2] * 63)[63] == 1


def test_full_factorials_have_no_words() -> None:
    signs = np.array(list(product((-1, 1), repeat=3)))
    assert generalised_word_length_pattern(signs, [2] * 3).tolist() == pytest.approx([1, 0, 0, 0])


def test_columns_that_do_not_fit_their_levels_are_refused() -> None:
    with pytest.raises(DesignError, match="column 1 holds 3 levels"):
        generalised_word_length_pattern(np.array([[0, 0], [1, 1], [0, 2]]), [2, 2])
    with pytest.raises(DesignError, match="one column per factor"):
        generalised_word_length_pattern(np.zeros((4, 2), dtype=np.int64), [2, 2, 2])
