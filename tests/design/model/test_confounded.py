"""Claims that a design cannot tell from interactions are named at check, with the way out."""

from __future__ import annotations

from typing import Any

from maineffect.design.build import build_design
from maineffect.design.model.estimable import confounded_claims
from maineffect.spec.study import StudySpec


def _study(design: dict[str, Any]) -> StudySpec:
    return StudySpec.model_validate(
        {
            "schema_version": 1,
            "name": "fraction",
            "factors": {name: {"name": name, "levels": [0, 1]} for name in "ABCDE"},
            "design": design,
            "responses": {"y": {"name": "y"}},
            "hypotheses": [{"id": "H1", "term": "A", "response": "y"}],
            "analysis": {"terms": "main"},
        }
    )


def test_a_main_effect_of_resolution_three_is_confounded_with_an_interaction() -> None:
    """2^(5−2), D = AB and E = AC (Montgomery, table 8.14): A's chain is BD and CE."""
    study = _study({"kind": "fractional", "runs": 8})
    (problem,) = confounded_claims(build_design(study), study)
    assert problem.message.startswith("H1: A cannot be told from ")
    assert problem.path == "hypotheses.0.term"
    assert "design.resolution" in problem.hint


def test_a_main_effect_of_resolution_five_is_clear() -> None:
    study = _study({"kind": "fractional", "resolution": 5})
    assert confounded_claims(build_design(study), study) == []
