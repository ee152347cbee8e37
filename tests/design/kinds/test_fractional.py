"""Requests for fractions: what is built, and that the way out of every refusal works when it is taken."""

from __future__ import annotations

import re
from itertools import combinations
from typing import Any

import numpy as np
import pytest

from maineffect.design.build import build_design
from maineffect.design.model.model import Design
from maineffect.design.model.terms import expand_terms, model_matrix
from maineffect.errors import DesignError
from maineffect.spec.study import StudySpec

LETTERS = "ABCDEFGHJKLMNOPQRSTUVWXYZ"


def study(k: int, request: dict[str, Any]) -> StudySpec:
    return StudySpec.model_validate(
        {
            "schema_version": 1,
            "name": "s",
            "factors": {name: {"name": name, "levels": [0, 1]} for name in LETTERS[:k]},
            "design": {"kind": "fractional", **request},
            "responses": {"y": {"name": "y"}},
            "analysis": {"terms": "main"},
        }
    )


def build(k: int, **request: Any) -> Design:
    return build_design(study(k, request))


def refusal(k: int, **request: Any) -> DesignError:
    with pytest.raises(DesignError) as refused:
        build(k, **request)
    return refused.value


@pytest.mark.parametrize(("k", "runs"), [(7, 64), (8, 64), (9, 128)])
def test_resolution_five_is_refused_in_32_runs_naming_the_runs_that_give_it(k: int, runs: int) -> None:
    """Regression of an error in pyDOE3, which returns resolution IV for 7–9 factors when asked for V in 32 runs.

    Resolution V in 64 runs holds 8 factors at most, in 128 runs 11 (Draper and Lin 1990, Technometrics 32:75–87).
    """
    error = refusal(k, runs=32, resolution=5)
    assert f"{k} factors in 32 runs reach resolution 4 at most, not 5" in str(error)
    assert f"use runs: {runs}," in error.hint
    assert build(k, runs=runs, resolution=5).resolution >= 5
    assert "not 5" in str(refusal(k, runs=runs // 2, resolution=5))


@pytest.mark.parametrize(
    ("k", "request_"),
    [
        (9, {"runs": 8}),
        (20, {"runs": 16}),
        (8, {"runs": 8, "resolution": 5}),
        (9, {"runs": 12}),
        (5, {"runs": 24}),
        (4, {"runs": 24}),
        (20, {"runs": 24}),
        (7, {"runs": 20, "resolution": 4}),
        (8, {"runs": 48, "resolution": 5}),
        (4, {"runs": 32}),
        (6, {"runs": 16, "resolution": 5}),
        (6, {"runs": 8, "resolution": 6}),
        (5, {"resolution": 7}),
        (2, {"resolution": 3}),
        (4, {"runs": 8, "resolution": 5}),
        (7, {"runs": 8, "blocks": 2}),
        (7, {"runs": 8, "blocks": 3}),
        (6, {"runs": 16, "blocks": 16}),
        (5, {"runs": 16, "blocks": 8}),
        (4, {"runs": 8, "foldover": "full"}),
        (4, {"runs": 16, "foldover": "full"}),
        (7, {"runs": 8, "foldover": "semi", "blocks": 4}),
        (7, {"runs": 8, "foldover": "full", "blocks": 3}),
        (4, {"runs": 8, "centre_points": 2, "blocks": 2}),
    ],
)
def test_every_alternative_that_an_error_names_can_be_built(k: int, request_: dict[str, Any]) -> None:
    hint = refusal(k, **request_).hint
    changes = [{name: int(value)} for name, value in re.findall(r"(runs|resolution|blocks|centre_points): (\d+)", hint)]
    changes += [{"foldover": value} for value in re.findall(r"foldover: (\w+)", hint)]
    if "leave foldover out" in hint:
        changes.append({"foldover": "none"})
    if "kind: full" in hint:
        full = StudySpec.model_validate({**study(k, {"runs": 4}).model_dump(), "design": {"kind": "full"}})
        assert len(build_design(full).cells) == 2**k
    assert changes or "kind: full" in hint
    for change in changes:
        asked = {**request_, **change}
        made = build(k, **asked)
        if "resolution" in asked:
            assert made.resolution is None or made.resolution >= asked["resolution"]


def test_the_named_runs_are_the_smallest_that_do() -> None:
    for k, runs in ((9, 8), (20, 16), (24, 16)):
        named = int(re.search(r"runs: (\d+)", refusal(k, runs=runs).hint)[1])  # type: ignore[index]
        assert named // 2 - 1 < k <= named - 1
    for k, resolution in ((7, 4), (8, 5), (9, 5), (7, 6)):
        named = int(re.search(r"use runs: (\d+)", refusal(k, runs=8, resolution=resolution).hint)[1])  # type: ignore[index]
        assert build(k, runs=named, resolution=resolution).resolution >= resolution
        smaller = str(refusal(k, runs=named // 2, resolution=resolution))
        assert f"not {resolution}" in smaller or "do not fit" in smaller


@pytest.mark.parametrize(
    ("k", "clear", "runs"),
    [
        (6, ["A:B"], 16),
        (6, ["A", "B", "C", "D", "E", "F", "A:B"], 32),
        (7, ["A:B", "A:C", "A:D", "A:E", "A:F", "A:G"], 16),
        (9, [*LETTERS[:9], "A:B"], 32),
        (5, ["A:B", "C:D"], 16),
        (4, ["A:B", "C:D"], 16),
    ],
)
def test_clear_effects_are_in_no_chain(k: int, clear: list[str], runs: int) -> None:
    made = build(k, clear=clear)
    assert len(made.cells) == runs
    chained = {term for chain in made.aliases for term in chain}
    assert not chained & set(clear)


def test_what_was_not_asked_to_be_clear_is_said() -> None:
    made = build(7, clear=["A:B", "A:C", "A:D", "A:E", "A:F", "A:G"])
    aliased = {term for chain in made.aliases for term in chain if ":" not in term}
    (note,) = [note for note in made.notes if "not asked to be clear" in note]
    assert aliased == set(note.split(": ")[1].split(", "))
    assert aliased


def test_generators_say_how_the_rows_were_made() -> None:
    for request in ({"runs": 32}, {"clear": ["E:F", "F:G"]}, {"generators": ["F = A:B:C", "G = A:D:E"]}):
        made = build(7, **request)
        names = [factor.name for factor in made.factors]
        assert made.generators
        for generator in made.generators:
            left, right = generator.split(" = ")
            products = set()
            for cell in made.cells:
                signs = {name: 2 * int(cell.levels[name]) - 1 for name in names}
                product = signs[left]
                for part in right.split(":"):
                    product *= signs[part]
                products.add(product)
            assert products == {1}


def test_bad_clear_terms_are_refused() -> None:
    assert "no factor 'Z'" in str(refusal(5, clear=["A:Z"]))
    assert "repeats a factor" in str(refusal(5, clear=["A:A"]))


def test_notes_of_a_semifoldover_hold_for_the_rows() -> None:
    made = build(6, runs=16, foldover="semi")
    assert len(made.runs) == 24
    assert made.resolution is None
    assert any("8 runs with" in note for note in made.notes)
    (note,) = [note for note in made.notes if "are estimable" in note]
    named = note.split(": ")[1].split(", ")
    assert note.startswith(f"{len(named)} of 21 main effects and two-factor interactions")
    # An effect is estimable exactly when it adds to the rank of all others.
    factors = made.factors
    rows = {f.name: [made.levels_of(run)[f.name] for run in made.runs] for f in factors}
    model = model_matrix(factors, rows, expand_terms(factors, "two_way"))
    rank = np.linalg.matrix_rank(model.matrix)
    for term in model.terms:
        rest = np.delete(model.matrix, model.spans[term], axis=1)
        assert (np.linalg.matrix_rank(rest) < rank) == (term in named)


@pytest.mark.parametrize("fold", ["full", "A"])
@pytest.mark.parametrize("blocks", [2, 4])
def test_halves_of_a_foldover_are_blocks(fold: str, blocks: int) -> None:
    made = build(6, runs=8 if fold == "full" else 16, foldover=fold, blocks=blocks)
    sizes = {run.block: 0 for run in made.runs}
    for run in made.runs:
        sizes[run.block] += 1
    assert len(sizes) == blocks
    assert len(set(sizes.values())) == 1
    # Main effects are balanced within every block.
    for name in "ABCDEF":
        for block in sizes:
            rows = [made.levels_of(run)[name] for run in made.runs if run.block == block]
            assert sum(rows) * 2 == len(rows)


def test_interactions_confounded_with_blocks_are_named() -> None:
    made = build(6, runs=16, blocks=4)
    (note,) = [note for note in made.notes if note.startswith("confounded with blocks")]
    named = set(note.split(": ", 1)[1].split(", "))
    found = set()
    for a, b in combinations("ABCDEF", 2):
        by_block: dict[Any, set[int]] = {}
        for run in made.runs:
            levels = made.levels_of(run)
            by_block.setdefault(run.block, set()).add(int(levels[a] == levels[b]))
        if all(len(seen) == 1 for seen in by_block.values()):
            found.add(f"{a}:{b}")
    assert named == found
