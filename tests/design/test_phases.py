"""A new phase beside the finished runs that it follows."""

from __future__ import annotations

from typing import Any

import pytest

from maineffect.design.build import build_design
from maineffect.design.phases import check_new_phase, new_runs
from maineffect.errors import DesignError
from maineffect.register.plan import plan_document, plan_hash
from maineffect.spec.requests import EarlierRun, FollowUp
from maineffect.spec.study import StudySpec


def _study(**more: Any) -> StudySpec:
    return StudySpec.model_validate(
        {
            "schema_version": 1,
            "name": "s",
            "factors": {name: {"name": name, "levels": [0, 1]} for name in "ABCD"},
            "design": {"kind": "fractional", "runs": 8, "replicates": 2},
            "responses": {"y": {"name": "y"}},
            "analysis": {"terms": "two_way"},
            **more,
        }
    )


def _after(study: StudySpec, **changes: Any) -> StudySpec:
    design = build_design(study)
    runs = tuple(EarlierRun(run=run.run_id, levels=dict(design.levels_of(run))) for run in design.runs)
    follow_up = FollowUp(sweep="s-1", plan="0" * 64, results="1" * 64, runs=runs)
    return study.model_copy(update={"follow_up": follow_up, **changes})


def test_finished_runs_keep_id_and_seed_and_new_ones_are_counted_on() -> None:
    study = _study()
    before, both = build_design(study), build_design(_after(study))
    earlier, later = both.runs[:16], both.runs[16:]
    assert [(r.run_id, r.seed) for r in earlier] == [(r.run_id, r.seed) for r in before.runs]
    assert {r.replicate for r in later} == {3, 4}
    assert {r.block for r in earlier} == {"phase 1"}
    assert {r.block for r in later} == {"phase 2"}
    assert [r.order for r in both.runs] == list(range(32))
    assert len({r.seed for r in both.runs}) == 32
    assert new_runs(_after(study), both.runs) == later
    assert "16 finished runs count and are not run again, 16 are new" in both.notes[0]


def test_shared_seeds_are_new_ones_in_the_new_phase() -> None:
    study = _study(design={"kind": "fractional", "runs": 8, "replicates": 2, "common_random_numbers": True})
    before, both = build_design(study), build_design(_after(study))
    assert [r.seed for r in both.runs[:16]] == [r.seed for r in before.runs]
    assert len({r.seed for r in both.runs}) == 4
    assert {r.block for r in both.runs[16:]} == {"phase 2.3", "phase 2.4"}


def test_aliases_are_those_of_all_runs_together() -> None:
    """2^(4−1) with I = ABCD, then its other half: the full factorial in two blocks, in which ABCD is the block."""
    study = _study()
    full = build_design(_study(design={"kind": "full"}))
    have = {cell.cell_id for cell in build_design(study).cells}
    rest = [dict(cell.levels) for cell in full.cells if cell.cell_id not in have]
    other_half = _study(design={"kind": "list", "cells": rest}).design
    both = build_design(_after(study, design=other_half))
    assert build_design(study).aliases
    assert not both.aliases
    assert len(both.terms) == 10
    assert len(both.cells) == 16


def test_a_run_that_does_not_have_its_levels_is_refused() -> None:
    study = _after(_study())
    assert study.follow_up is not None
    first, second, *rest = study.follow_up.runs
    mixed = (first.model_copy(update={"levels": second.levels}), second, *rest)
    wrong = study.model_copy(update={"follow_up": study.follow_up.model_copy(update={"runs": mixed})})
    with pytest.raises(DesignError, match="is not a run of its levels"):
        build_design(wrong)


@pytest.mark.parametrize(
    ("design", "terms", "words"),
    [
        ({"kind": "list", "cells": [{"A": 1, "B": 0, "C": 0, "D": 0}] * 6}, "main", "do not determine A"),
        ({"kind": "fractional", "runs": 8}, "main", "leave 3 degrees of freedom"),
    ],
)
def test_a_new_phase_must_judge_by_itself(design: dict[str, Any], terms: str, words: str) -> None:
    claim = {"id": "H1", "term": "A", "response": "y"}
    study = _study(hypotheses=[claim], analysis={"terms": terms})
    small = _after(study, design=_study(design=design).design)
    with pytest.raises(DesignError, match=words):
        check_new_phase(small, build_design(small))
    check_new_phase(_after(study), build_design(_after(study)))
    kept = {"terms": terms, "follow_up": {"phases": 2}}
    held = _after(_study(hypotheses=[claim], analysis=kept), design=small.design)
    check_new_phase(held, build_design(held))


def test_phases_are_combined_for_one_contrast_only() -> None:
    factors = {"A": {"name": "A", "levels": [0, 1, 2]}, "B": {"name": "B", "levels": [0, 1]}}
    more: dict[str, Any] = {"factors": factors, "design": {"kind": "full"}, "analysis": {"follow_up": {"phases": 2}}}
    open_side = _study(hypotheses=[{"id": "H1", "term": "A", "response": "y"}], **more)
    with pytest.raises(DesignError, match="over two levels"):
        check_new_phase(open_side, build_design(open_side))
    directed = _study(hypotheses=[{"id": "H1", "term": "A", "response": "y", "direction": "increase"}], **more)
    check_new_phase(directed, build_design(directed))


def test_unused_keys_leave_plans_alone() -> None:
    study = _study()
    document = plan_document(study, build_design(study))
    assert "follow_up" not in document["study"]
    assert "follow_up" not in document["study"]["analysis"]
    followed = _after(study)
    assert plan_hash(plan_document(followed, build_design(followed))) != plan_hash(document)
