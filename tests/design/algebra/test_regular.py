"""Fractions as columns: words, signs and generators agree with each other and with the rows."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from maineffect.design.algebra.minimum_aberration import least_aberration_columns, subset_sums, word_lengths
from maineffect.design.algebra.regular import (
    RegularFraction,
    minimum_aberration,
    resolution_is_possible,
    smallest_with_resolution,
)
from maineffect.errors import DesignError


@pytest.mark.parametrize("columns", [(1, 2, 4, 8, 7, 11), (4, 7, 1, 8, 2, 14, 9), (15, 8, 4, 2, 1)])
def test_words_are_the_constant_products_of_the_rows(columns: tuple[int, ...]) -> None:
    fraction = RegularFraction(4, columns)
    signs = fraction.signs()
    k = len(columns)
    constant = {
        sum(1 << i for i in group)
        for length in range(1, k + 1)
        for group in combinations(range(k), length)
        if len(set(signs[:, group].prod(axis=1).tolist())) == 1
    }
    assert set(fraction.words.tolist()) == constant
    lengths = [word.bit_count() for word in constant]
    assert fraction.word_length_pattern == {length: lengths.count(length) for length in sorted(set(lengths))}
    assert np.array_equal(signs.T @ signs, 16 * np.eye(k))
    for text in fraction.generators("ABCDEFG"):
        left, right = text.split(" = ")
        product = signs[:, ["ABCDEFG".index(name) for name in right.split(":")]].prod(axis=1)
        assert np.array_equal(signs[:, "ABCDEFG".index(left)], product)


def test_subset_sums_count_subsets() -> None:
    columns = (1, 2, 4, 7, 6)
    table = subset_sums(3, columns, 4)
    for size in range(5):
        sums = [
            int(np.bitwise_xor.reduce(np.array(group, dtype=int))) if group else 0
            for group in combinations(columns, size)
        ]
        assert table[size].tolist() == [sums.count(point) for point in range(8)]


def test_counts_stay_exact_where_they_exceed_64_bits() -> None:
    lengths = word_lengths(7, tuple(range(1, 128)))
    assert sum(lengths) == 2**120
    assert lengths[3] == 127 * 126 // 6
    assert lengths[127] == 1


@pytest.mark.parametrize(("k", "q"), [(9, 4), (15, 5), (19, 6), (33, 6), (25, 7), (60, 7), (84, 7)])
def test_columns_are_distinct_and_start_with_the_basic_ones(k: int, q: int) -> None:
    columns = least_aberration_columns(k, q)
    assert len(set(columns)) == k
    assert columns[:q] == tuple(1 << i for i in range(q))
    assert all(0 < column < 2**q for column in columns)
    assert columns == least_aberration_columns(k, q)


def test_too_many_factors_name_the_runs_that_hold_them() -> None:
    for k, q in ((8, 3), (20, 4), (63, 5), (64, 5)):
        with pytest.raises(DesignError) as refused:
            minimum_aberration(k, q)
        runs = int(refused.value.hint.split("runs: ")[1])
        assert runs // 2 - 1 < k <= runs - 1


# Largest number of factors of resolution V: Draper and Lin (1990), Technometrics 32:75–87; of IV: half the runs.
@pytest.mark.parametrize(("q", "iv", "v"), [(4, 8, 5), (5, 16, 6), (6, 32, 8), (7, 64, 11)])
def test_largest_number_of_factors_of_a_resolution(q: int, iv: int, v: int) -> None:
    assert minimum_aberration(iv, q).resolution == 4
    assert minimum_aberration(iv + 1, q).resolution == 3
    assert minimum_aberration(v, q).resolution >= 5
    assert minimum_aberration(v + 1, q).resolution == 4


@pytest.mark.parametrize("q", [3, 4, 5, 6])
def test_no_design_beats_the_bound_on_resolution(q: int) -> None:
    for k in range(q + 1, 2**q):
        resolution = minimum_aberration(k, q).resolution
        assert resolution is not None
        assert resolution_is_possible(k, q, resolution)


def test_the_bound_excludes_what_is_known_to_be_impossible() -> None:
    assert not resolution_is_possible(9, 3, 3)
    assert not resolution_is_possible(9, 4, 4)
    assert not resolution_is_possible(8, 5, 5)
    assert not resolution_is_possible(12, 6, 5)


@pytest.mark.parametrize(
    ("k", "resolution", "runs"), [(4, 4, 8), (11, 5, 128), (9, 6, 128), (16, 4, 32), (5, 3, 8), (3, 3, 4)]
)
def test_smallest_with_a_resolution(k: int, resolution: int, runs: int) -> None:
    fraction = smallest_with_resolution(k, resolution)
    assert 2**fraction.q == runs
    assert fraction.resolution >= resolution


def test_a_resolution_that_takes_too_many_runs_names_one_that_does_not() -> None:
    with pytest.raises(DesignError) as refused:
        smallest_with_resolution(60, 9)
    assert "use resolution: 4, in 128 runs" in refused.value.hint
    assert 2 ** smallest_with_resolution(60, 4).q == 128
    with pytest.raises(DesignError, match="use runs: 4096"):
        minimum_aberration(20, 13)
