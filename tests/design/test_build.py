"""A study becomes a verified design: cells, seeds, order, aliases."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from maineffect.design.build import build_design
from maineffect.design.emit import design_csv, design_document
from maineffect.design.model.estimable import check_estimable
from maineffect.design.power.analytic import power_document
from maineffect.errors import DesignError
from maineffect.register.plan import plan_document, plan_hash
from maineffect.spec.study import StudySpec


def study(design: dict[str, Any], factors: dict[str, list[Any]] | None = None, **more: Any) -> StudySpec:
    factors = factors or {name: [0, 1] for name in "ABCD"}
    return StudySpec.model_validate(
        {
            "schema_version": 1,
            "name": "s",
            "factors": {name: {"name": name, "levels": levels} for name, levels in factors.items()},
            "design": design,
            "responses": {"y": {"name": "y", "smallest_effect": 0.5}},
            **more,
        }
    )


def test_replicates_are_complete_blocks_with_common_seeds() -> None:
    design = build_design(study({"kind": "full", "replicates": 3, "common_random_numbers": True}))
    assert len(design.cells) == 16
    assert len(design.runs) == 48
    for replicate in (1, 2, 3):
        rows = [run for run in design.runs if run.replicate == replicate]
        assert {run.cell_id for run in rows} == {cell.cell_id for cell in design.cells}
        assert len({run.seed for run in rows}) == 1
        assert {run.block for run in rows} == {replicate}
        assert sorted(run.order for run in rows) == list(range(16 * (replicate - 1), 16 * replicate))
    assert len({run.seed for run in design.runs}) == 3
    assert len({run.run_id for run in design.runs}) == 48


def test_by_default_every_run_has_its_own_seed_and_no_block() -> None:
    shared = build_design(study({"kind": "full", "replicates": 2, "common_random_numbers": True}))
    for asked in ({}, {"common_random_numbers": False}):
        design = build_design(study({"kind": "full", "replicates": 2, **asked}))
        assert len({run.seed for run in design.runs}) == 32
        assert {run.block for run in design.runs} == {None}
        # What is shared has no part in the order.
        assert [run.run_id for run in design.runs] == [run.run_id for run in shared.runs]


def test_blocks_that_a_design_asks_for_stay() -> None:
    design = build_design(study({"kind": "full", "replicates": 2, "blocks": 2}))
    assert {run.block for run in design.runs} == {"1.1", "1.2", "2.1", "2.2"}
    assert len({run.seed for run in design.runs}) == 32


def test_the_order_is_random_but_the_same_for_the_same_seed() -> None:
    one, two, other = (build_design(study({"kind": "full", "replicates": 2}, seed=seed)) for seed in (1, 1, 2))
    assert [run.run_id for run in one.runs] == [run.run_id for run in two.runs]
    assert [run.run_id for run in one.runs] != [run.run_id for run in other.runs]
    standard = [cell.cell_id for cell in one.cells]
    assert [run.cell_id for run in one.runs[:16]] != standard


def test_full_factorial_is_orthogonal_and_unaliased() -> None:
    design = build_design(study({"kind": "full"}, {"A": [0, 1], "B": ["x", "y", "z"], "C": [1, 2, 4]}))
    assert len(design.cells) == 18
    assert design.aliases == ()
    assert design.d_efficiency == pytest.approx(100.0)


def test_half_fraction_has_the_chains_of_its_defining_word() -> None:
    design = build_design(study({"kind": "fractional", "resolution": 4}))
    assert (design.resolution, design.word_length_pattern, len(design.cells)) == (4, {4: 1}, 8)
    assert {frozenset(chain) for chain in design.aliases} == {
        frozenset({"A:B", "C:D"}),
        frozenset({"A:C", "B:D"}),
        frozenset({"A:D", "B:C"}),
    }


def test_resolution_three_chains_mix_main_effects() -> None:
    factors = {name: [0, 1] for name in "ABCDEFG"}
    design = build_design(study({"kind": "fractional", "runs": 8}, factors))
    assert design.resolution == 3
    assert all(any(":" not in term for term in chain) and len(chain) == 4 for chain in design.aliases)
    assert len(design.aliases) == 7


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"kind": "fractional", "runs": 12}, "power of two"),
        ({"kind": "fractional", "runs": 32}, "only 16 cells"),
        ({"kind": "fractional", "runs": 8, "resolution": 5}, "use kind: full"),
        ({"kind": "fractional", "resolution": 6}, "no fraction of 4"),
        ({"kind": "fractional"}, "design.runs, design.resolution"),
        ({"kind": "fractional", "runs": 8, "clear": ["A:B"]}, "keep one of them"),
        ({"kind": "optimal", "runs": 10}, "use runs: 11"),
        ({"kind": "optimal", "runs": 8, "whole_plots": 2}, "use runs: 11"),
        ({"kind": "full", "forbid": [{"A": 0}, {"A": 1}]}, "leave no cell"),
    ],
)
def test_infeasible_requests_name_the_way_out(request_: dict[str, Any], message: str) -> None:
    with pytest.raises(DesignError) as refused:
        build_design(study(request_))
    assert message in str(refused.value)


def test_a_hypothesis_that_the_design_cannot_answer_is_refused() -> None:
    factors = {name: [0, 1] for name in "ABC"}
    asked = study(
        {"kind": "fractional", "runs": 4},
        factors,
        hypotheses=[{"id": "H1", "term": "A:B", "response": "y"}],
    )
    with pytest.raises(DesignError, match="H1: A:B cannot be told from C"):
        check_estimable(build_design(asked), asked)
    free = study({"kind": "full"}, factors, hypotheses=[{"id": "H1", "term": "A:B", "response": "y"}])
    check_estimable(build_design(free), free)


def test_forbidden_combinations_never_occur() -> None:
    design = build_design(study({"kind": "full", "forbid": [{"A": 1, "B": 1}]}))
    assert len(design.cells) == 12
    assert not any(cell.levels["A"] == 1 and cell.levels["B"] == 1 for cell in design.cells)


def test_power_knows_an_effect_from_a_coefficient() -> None:
    """λ = n·δ²/(4σ²): for 16 runs an effect of 1.5 σ has λ = 9; Montgomery, DAE 8th ed., sec. 6.2."""
    from scipy import stats

    from maineffect.design.power.analytic import power_of

    document = power_document(
        *(lambda s: (s, build_design(s)))(study({"kind": "full"}, analysis={"terms": "main"})), sigma=1.0
    )
    row = document["terms"][0]
    assert row["df_error"] == 11
    expected = stats.ncf.sf(stats.f.isf(0.05, 1, 11), 1, 11, 16 * 0.25 / 4)
    assert row["power"]["y"] == pytest.approx(expected)
    assert power_of(16 * row["mde_sigma"] ** 2 / 4, 1, 11, 0.05) == pytest.approx(0.8, abs=1e-6)


def test_emitted_document_and_csv_agree() -> None:
    spec = study({"kind": "fractional", "resolution": 4, "replicates": 2})
    design = build_design(spec)
    document = design_document(design, plan_hash(plan_document(spec, design)))
    assert (document["n_cells"], document["n_runs"]) == (8, 16)
    lines = design_csv(design).splitlines()
    assert len(lines) == 17
    assert [line.split(",")[1] for line in lines[1:]] == [run["run_id"] for run in document["runs"]]
    assert Counter(run["cell_id"] for run in document["runs"]) == dict.fromkeys(
        (c["cell_id"] for c in document["cells"]), 2
    )


def test_terms_are_looked_up_never_evaluated() -> None:
    design = build_design(study({"kind": "full"}, {"__import__('os')": [0, 1], "C": [0, 1], "<b>": [0, 1]}))
    assert "__import__('os'):C" in design.terms
    assert np.isfinite(design.d_efficiency)
