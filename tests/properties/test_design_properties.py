"""What holds of every design, whatever the factors: orthogonality, foldovers, seeds, relabelling, claims."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maineffect.design.algebra.clear import clear_columns
from maineffect.design.algebra.minimum_aberration import word_lengths
from maineffect.design.algebra.regular import RegularFraction, minimum_aberration
from maineffect.design.algebra.wordlength import generalised_word_length_pattern
from maineffect.design.build import build_design
from maineffect.design.emit import design_document
from maineffect.design.model.model import Design
from maineffect.design.model.terms import expand_terms, model_matrix
from maineffect.spec.study import StudySpec

NAMES = ["alpha", "beta", "C", "delta", "E", "for", "gamma", "hops", "I", "lambda"]


def study(levels: dict[str, list[Any]], design: dict[str, Any], seed: int = 0) -> StudySpec:
    return StudySpec.model_validate(
        {
            "schema_version": 1,
            "name": "s",
            "seed": seed,
            "factors": {name: {"name": name, "levels": values} for name, values in levels.items()},
            "design": design,
            "responses": {"y": {"name": "y"}},
        }
    )


def two_level(k: int) -> dict[str, list[Any]]:
    return {name: [0, 1] for name in NAMES[:k]}


def signs(made: Design) -> np.ndarray:
    return np.array([[2 * made.levels_of(run)[f.name] - 1 for f in made.factors] for run in made.runs], dtype=np.int64)


@st.composite
def fractions(draw: st.DrawFn) -> RegularFraction:
    """Any regular fraction: distinct non-zero columns, the basic ones among them, in any order."""
    q = draw(st.integers(2, 5))
    others = [column for column in range(1, 2**q) if column & (column - 1)]
    chosen = draw(st.lists(st.sampled_from(others), unique=True, max_size=min(7, len(others)))) if others else []
    return RegularFraction(q, tuple(draw(st.permutations([*(1 << i for i in range(q)), *chosen]))))


level_lists = st.one_of(
    st.lists(st.integers(-50, 50), min_size=2, max_size=4, unique=True).map(sorted),
    st.lists(st.text("abcxyz", min_size=1, max_size=4), min_size=2, max_size=4, unique=True),
    st.just([False, True]),
)


@given(st.dictionaries(st.sampled_from(NAMES), level_lists, min_size=1, max_size=4))
def test_a_full_factorial_is_orthogonal_and_unaliased(levels: dict[str, list[Any]]) -> None:
    made = build_design(study(levels, {"kind": "full"}))
    rows = {name: [made.levels_of(run)[name] for run in made.runs] for name in levels}
    terms = expand_terms(made.factors, "two_way")
    model = model_matrix(made.factors, rows, terms, coding="orthonormal")
    gram = model.matrix.T @ model.matrix / len(made.runs)
    assert np.allclose(gram, np.eye(len(gram)), atol=1e-8)
    assert made.aliases == ()
    assert made.d_efficiency == pytest.approx(100)
    codes = np.array([[f.levels.index(made.levels_of(run)[f.name]) for f in made.factors] for run in made.runs])
    assert not generalised_word_length_pattern(codes, [len(f.levels) for f in made.factors])[1:].any()


@given(fractions())
def test_a_full_foldover_clears_main_effects_of_two_factor_interactions(fraction: RegularFraction) -> None:
    x = fraction.signs()
    both = np.vstack([x, -x])
    k = both.shape[1]
    for i, j in combinations(range(k), 2):
        assert not (both.T @ (both[:, i] * both[:, j])).any()


@given(st.sampled_from([(5, 8), (6, 8), (7, 8), (9, 16), (10, 16)]), st.integers(1, 2))
def test_a_folded_request_clears_main_effects(size: tuple[int, int], blocks: int) -> None:
    k, runs = size
    made = build_design(study(two_level(k), {"kind": "fractional", "runs": runs, "foldover": "full", "blocks": blocks}))
    assert made.resolution == 4
    assert len(made.runs) == 2 * runs
    assert all(":" in term for chain in made.aliases for term in chain)


@given(
    st.integers(0, 2**32),
    st.sampled_from(
        [
            (6, {"kind": "fractional", "runs": 16}),
            (7, {"kind": "fractional", "runs": 8, "foldover": "full"}),
            (6, {"kind": "fractional", "runs": 16, "foldover": "semi"}),
            (5, {"kind": "fractional", "clear": ["alpha:beta"]}),
            (4, {"kind": "full", "blocks": 2}),
            (9, {"kind": "plackett_burman"}),
            (4, {"kind": "ablation", "baseline": dict.fromkeys(NAMES[:4], 1)}),
        ]
    ),
    st.integers(1, 3),
)
def test_the_same_seed_gives_the_same_design(seed: int, asked: tuple[int, dict[str, Any]], replicates: int) -> None:
    k, request = asked
    one, two = (build_design(study(two_level(k), {**request, "replicates": replicates}, seed)) for _ in range(2))
    assert design_document(one, "x") == design_document(two, "x")
    other = build_design(study(two_level(k), {**request, "replicates": replicates}, seed + 1))
    assert [run.seed for run in other.runs] != [run.seed for run in one.runs]
    assert {cell.cell_id for cell in other.cells} == {cell.cell_id for cell in one.cells}


@given(fractions(), st.randoms(use_true_random=False))
def test_relabelling_factors_leaves_the_word_length_pattern(fraction: RegularFraction, random: Any) -> None:
    columns = list(fraction.columns)
    random.shuffle(columns)
    flipped = fraction.signs() * np.array([random.choice([-1, 1]) for _ in columns])
    assert word_lengths(fraction.q, tuple(columns)) == word_lengths(fraction.q, fraction.columns)
    pattern = generalised_word_length_pattern(flipped, [2] * len(columns))
    assert pattern.tolist() == list(word_lengths(fraction.q, fraction.columns))


@given(st.integers(3, 10), st.data())
def test_the_emitted_resolution_is_the_claimed_one(k: int, data: st.DataObject) -> None:
    q = data.draw(st.integers(k.bit_length(), min(k, 6)))
    made = build_design(study(two_level(k), {"kind": "fractional", "runs": max(4, 2**q)}))
    x = signs(made)
    words: dict[int, int] = {}
    for length in range(1, k + 1):
        for group in combinations(range(k), length):
            if abs(int(x[:, group].prod(axis=1).sum())) == len(x):
                words[length] = words.get(length, 0) + 1
    assert made.resolution == (min(words) if words else None)
    assert (made.word_length_pattern or {}) == words


@given(fractions())
def test_no_fraction_has_less_aberration_than_the_one_that_is_built(fraction: RegularFraction) -> None:
    best = minimum_aberration(len(fraction.columns), fraction.q)
    assert word_lengths(best.q, best.columns) <= word_lengths(fraction.q, fraction.columns)


@given(fractions(), st.data())
def test_effects_that_are_clear_in_some_fraction_are_found_clear(
    fraction: RegularFraction, data: st.DataObject
) -> None:
    """The search for clear effects never misses a number of runs in which some fraction has them."""
    k = len(fraction.columns)
    effects = [1 << i for i in range(k)] + [1 << i | 1 << j for i, j in combinations(range(k), 2)]
    words = fraction.words.tolist()
    clear = [effect for effect in effects if all((word ^ effect).bit_count() > 2 for word in words)]
    if not clear:
        return
    wanted = data.draw(st.lists(st.sampled_from(clear), min_size=1, max_size=6, unique=True))
    search = clear_columns(k, fraction.q, wanted)
    assert search.columns is not None
    found = RegularFraction(fraction.q, search.columns)
    assert all((word ^ effect).bit_count() > 2 for word in found.words.tolist() for effect in wanted)
    if search.exhausted:
        assert word_lengths(fraction.q, search.columns)[:7] <= word_lengths(fraction.q, fraction.columns)[:7]
