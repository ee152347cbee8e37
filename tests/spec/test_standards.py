"""Each experimental standard speaks when it is broken, and a careful study hears nothing."""

from __future__ import annotations

from typing import Any

import pytest

from maineffect.spec.standards import standards
from maineffect.spec.study import StudySpec

CAREFUL: dict[str, Any] = {
    "schema_version": 1,
    "name": "careful",
    "factors": {
        "hops": {"name": "hops", "levels": [1, 3], "binds": "world.hops"},
        "source": {"name": "source", "levels": ["web", "wiki", "none"]},
    },
    "design": {"kind": "full", "replicates": 2},
    "responses": {"skill": {"name": "skill", "smallest_effect": 0.1}},
    "hypotheses": [{"id": "H1", "term": "hops", "response": "skill", "direction": "decrease"}],
    "settings": {"train": {"advantage": "mean"}},
}
MANY = [{"id": f"H{i}", "term": "hops", "response": "skill"} for i in range(12)]


def paths(**change: Any) -> list[str]:
    return [problem.path for problem in standards(StudySpec.model_validate({**CAREFUL, **change}))]


def test_a_careful_study_hears_nothing() -> None:
    assert paths() == []


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"design": {"kind": "full"}}, "design.replicates"),
        ({"budget": {"gpu_hours": 5}}, "budget.gpu_hours"),
        ({"budget": {"price": 5}, "resources": {"gpu_hour_price": 2}}, "budget.price"),
        ({"hypotheses": []}, "hypotheses"),
        ({"responses": {"skill": {"name": "skill"}}}, "responses.skill.smallest_effect"),
        ({"hypotheses": MANY[:3], "analysis": {"correction": "none"}}, "analysis.correction"),
        ({"hypotheses": MANY}, "hypotheses"),
        ({"settings": {"train": {"advantage": "std"}}}, "settings.train.advantage"),
        (
            {"hypotheses": [{"id": "H1", "term": "source", "response": "skill", "direction": "increase"}]},
            "hypotheses.0.direction",
        ),
        (
            {"design": {"kind": "list", "replicates": 2, "cells": [{"hops": 3, "source": "web"}]}},
            "design.cells",
        ),
    ],
    ids=str,
)
def test_a_broken_standard_speaks(change: dict[str, Any], path: str) -> None:
    assert paths(**change) == [path]


def test_every_standard_says_the_way_out() -> None:
    study = StudySpec.model_validate({**CAREFUL, "design": {"kind": "full"}, "hypotheses": []})
    assert all(problem.hint for problem in standards(study))


def test_a_list_with_a_baseline_is_fine() -> None:
    cells = [{"hops": 1.0, "source": "web"}, {"hops": 3, "source": "web"}]
    assert paths(design={"kind": "list", "replicates": 2, "cells": cells}) == []


def test_three_uncorrected_claims_may_be_wrong_up_to_three_times_alpha() -> None:
    study = StudySpec.model_validate({**CAREFUL, "hypotheses": MANY[:3], "analysis": {"correction": "none"}})
    assert "15%" in standards(study)[0].message  # Bonferroni's inequality: P(any) ≤ 3 · 0.05


def test_looks_that_can_never_end_a_sweep_are_named() -> None:
    looking = {"analysis": {"sequential": {}}}
    claims = [{"id": "H1", "term": "hops", "response": "skill", "direction": "negligible", "smallest_effect": 1.0}]
    said = {**CAREFUL, **looking, "hypotheses": claims}
    (found,) = [p for p in standards(StudySpec.model_validate(said)) if "analysis.sequential" in p.path]
    assert "H1 is decided at the last one only" in found.message
    quiet = {**said, "analysis": {"sequential": {"stop": False}}}
    assert not [p for p in standards(StudySpec.model_validate(quiet)) if "analysis.sequential" in p.path]
