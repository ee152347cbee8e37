"""Blocks and centre runs of two-level designs."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pytest

from maineffect.design.algebra.regular import RegularFraction, minimum_aberration
from maineffect.design.kinds.additions import block_labels, centre_rows, given_up_to_blocks
from maineffect.errors import DesignError
from maineffect.spec.factors import Factor

NAMES = tuple("ABCDEFGHJKLMNOPQ")


def lost(fraction: RegularFraction, labels: tuple[int, ...], order: int) -> int:
    """Effects of this order that are constant within every block, counted from the rows."""
    signs, blocks = fraction.signs(), np.array(labels)
    count = 0
    for group in combinations(range(signs.shape[1]), order):
        effect = signs[:, group].prod(axis=1)
        count += all(len(set(effect[blocks == block].tolist())) == 1 for block in set(labels))
    return count


@pytest.mark.parametrize(
    ("k", "q", "blocks"), [(4, 4, 2), (4, 4, 4), (5, 5, 4), (6, 4, 2), (6, 4, 4), (7, 4, 2), (6, 5, 4), (6, 6, 8)]
)
def test_blocks_are_equal_and_no_choice_loses_less(k: int, q: int, blocks: int) -> None:
    fraction = minimum_aberration(k, q)
    labels = block_labels(fraction, blocks)
    assert labels is not None
    assert sorted({labels.count(block) for block in set(labels)}) == [2**q // blocks]
    assert lost(fraction, labels, 1) == 0
    assert lost(fraction, labels, 2) == len(given_up_to_blocks(fraction, blocks, NAMES[:k]))
    if 2**q ** (blocks.bit_length() - 1) < 5000:
        other = []
        for columns in product(range(1, 2**q), repeat=blocks.bit_length() - 1):
            runs = np.arange(2**q)
            trial = tuple(
                sum((np.bitwise_count(runs & c) % 2).astype(int) << i for i, c in enumerate(columns)).tolist()
            )
            if len(set(trial)) == blocks:
                other.append(tuple(lost(fraction, trial, order) for order in (1, 2, 3)))
        assert tuple(lost(fraction, labels, order) for order in (1, 2, 3)) == min(other)


def test_sixteen_blocks_of_a_large_fraction_are_found() -> None:
    fraction = minimum_aberration(12, 7)
    labels = block_labels(fraction, 16)
    assert labels is not None
    assert lost(fraction, labels, 1) == 0


@pytest.mark.parametrize(
    ("k", "q", "blocks", "way_out"), [(7, 3, 2, 1), (15, 4, 2, 1), (4, 4, 3, 2), (5, 4, 16, 4), (13, 4, 4, 2)]
)
def test_impossible_blocks_name_the_most_that_are_possible(k: int, q: int, blocks: int, way_out: int) -> None:
    fraction = minimum_aberration(k, q)
    with pytest.raises(DesignError) as refused:
        block_labels(fraction, blocks)
    assert f"use blocks: {way_out}" in refused.value.hint
    labels = block_labels(fraction, way_out)
    assert way_out == 1 or (labels is not None and lost(fraction, labels, 1) == 0)


def test_centre_runs_are_half_way_and_need_numbers() -> None:
    numeric = [Factor(name="A", levels=(0.0, 4.0)), Factor(name="B", levels=(1, 2))]
    assert centre_rows(numeric, 2) == [{"A": 2.0, "B": 1.5}] * 2
    assert centre_rows(numeric, 0) == []
    with pytest.raises(DesignError, match="C is not") as refused:
        centre_rows([*numeric, Factor(name="C", levels=("x", "y"))], 1)
    assert "centre_points: 0" in refused.value.hint
