"""What holds for every optimal design."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from maineffect.design.build import build_design
from maineffect.design.model.model import Design
from maineffect.design.model.terms import model_matrix
from maineffect.errors import DesignError
from maineffect.spec.study import StudySpec


def study(counts: list[int], design: dict[str, Any], seed: int) -> StudySpec:
    factors = {
        f"f{i}": {"name": f"f{i}", "levels": [0, 1] if count == 2 else [f"v{j}" for j in range(count)]}
        for i, count in enumerate(counts)
    }
    return StudySpec.model_validate(
        {
            "schema_version": 1,
            "name": "s",
            "factors": factors,
            "design": {"kind": "optimal", "starts": 10, **design},
            "responses": {"y": {"name": "y"}},
            "analysis": {"terms": "main"},
            "seed": seed,
        }
    )


def information(design: Design) -> np.ndarray:
    rows = {f.name: [design.levels_of(run)[f.name] for run in design.runs] for f in design.factors}
    x = model_matrix(design.factors, rows, "main", coding="orthonormal").matrix
    return x.T @ x


@st.composite
def problems(draw: st.DrawFn) -> tuple[list[int], int, list[dict[str, Any]], int]:
    counts = draw(st.lists(st.integers(2, 4), min_size=2, max_size=4))
    p = 1 + sum(count - 1 for count in counts)
    pairs = draw(st.integers(0, 2))
    forbid = []
    for _ in range(pairs):
        i, j = draw(st.permutations(range(len(counts))))[:2]
        pick = {
            f"f{k}": draw(st.integers(0, 1)) if counts[k] == 2 else f"v{draw(st.integers(0, counts[k] - 1))}"
            for k in (i, j)
        }
        forbid.append(pick)
    return counts, p + draw(st.integers(0, 6)), forbid, draw(st.integers(0, 1000))


@given(problems())
def test_forbidden_rows_never_occur_and_the_bound_holds(
    problem: tuple[list[int], int, list[dict[str, Any]], int],
) -> None:
    counts, runs, forbid, seed = problem
    try:
        design = build_design(study(counts, {"runs": runs, "forbid": forbid}, seed))
    except DesignError as error:
        refused = error.message
    else:
        refused = ""
    if refused:
        assert "can estimate" in refused or "leave no cell" in refused
        return
    assert len(design.runs) == runs
    for entry in forbid:
        assert not any(all(design.levels_of(run)[k] == v for k, v in entry.items()) for run in design.runs)
    assert design.d_bound is not None
    assert 0 < design.d_efficiency <= design.d_bound * (1 + 1e-9)


@given(st.lists(st.integers(2, 3), min_size=2, max_size=4), st.integers(0, 1000), st.integers(1, 5))
def test_augmenting_never_lowers_information(counts: list[int], seed: int, more: int) -> None:
    p = 1 + sum(count - 1 for count in counts)
    first = build_design(study(counts, {"runs": p + 2}, seed))
    kept = [dict(first.levels_of(run)) for run in first.runs]
    second = build_design(study(counts, {"runs": p + 2 + more, "fixed": kept}, seed + 1))
    gained = information(second) - information(first)
    assert np.linalg.eigvalsh(gained).min() >= -1e-9
    assert np.linalg.slogdet(information(second))[1] >= np.linalg.slogdet(information(first))[1] - 1e-9


@given(st.lists(st.integers(2, 3), min_size=2, max_size=4), st.integers(0, 10**6))
def test_the_same_seed_gives_the_same_design(counts: list[int], seed: int) -> None:
    asked = study(counts, {"runs": 12}, seed)
    assert build_design(asked).runs == build_design(asked).runs
