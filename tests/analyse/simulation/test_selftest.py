"""The self-test says how often an effect that differs between seeds, and is none on average, is found."""

from __future__ import annotations

from typing import Any

import pytest

from maineffect.analyse.confirmatory import interim
from maineffect.analyse.simulation.selftest import self_test
from maineffect.cli.render import self_test_text
from maineffect.design.build import build_design
from maineffect.spec.study import StudySpec


def _study(inference: str | None, *, shared: bool) -> StudySpec:
    return StudySpec.model_validate(
        {
            "schema_version": 1,
            "name": "seeds",
            "factors": {
                name: {"name": name, "levels": [0, 1]} for name in ("ABC" if shared and inference is None else "AB")
            },
            "design": {"kind": "full", "replicates": 8, "common_random_numbers": shared},
            "responses": {"y": {"name": "y"}},
            "hypotheses": [{"id": "H", "term": "A", "response": "y"}],
            "analysis": {"terms": "two_way", "inference": inference},
        }
    )


@pytest.mark.parametrize("studies", [30, pytest.param(400, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    ("inference", "shared"),
    [
        pytest.param(None, False, marks=pytest.mark.slow),
        ("seeds", True),
        pytest.param(None, True, marks=pytest.mark.slow),
    ],
)
def test_inference_on_seeds_is_simulated_and_printed(inference: str | None, shared: bool, studies: int) -> None:
    """Of 8 runs per seed an effect has variance 1/2 within seeds and 1 between: √3 of the standard error within them."""
    study = _study(inference, shared=shared)
    found = self_test(study, build_design(study), studies=studies, draws=9, seed=3)
    assert found.between_seeds is not None
    new = not shared or inference == "seeds"
    assert found.inference == ("seeds" if new else "these_seeds")
    assert found.calibrated, found.document()
    if new or studies > 100:  # few studies do not show that .05 is exceeded
        assert found.between_seeds.within(0.05) == new
    text = self_test_text({"study": "seeds", **found.document()})
    assert "effect differs between seeds" in text
    assert ("verdicts are about these seeds" in text) != new


def _claims(**analysis: Any) -> StudySpec:
    return StudySpec.model_validate(
        {
            "schema_version": 1,
            "name": "claims",
            "factors": {name: {"name": name, "levels": [0, 1]} for name in "ABC"},
            "design": {"kind": "full", "replicates": 4},
            "responses": {"y": {"name": "y", "smallest_effect": 1.0}},
            "hypotheses": [
                {"id": "H1", "term": "A", "response": "y", "direction": "increase", "beyond": "smallest_effect"},
                {"id": "H2", "term": "B", "response": "y", "direction": "negligible"},
                {"id": "H3", "term": "C", "response": "y", "direction": "decrease"},
            ],
            "analysis": {"terms": "main", **analysis},
        }
    )


@pytest.mark.parametrize("studies", [10, pytest.param(400, marks=pytest.mark.slow)])
@pytest.mark.parametrize("sequential", [None, pytest.param({"spending": "obrien_fleming"}, marks=pytest.mark.slow)])
def test_verdicts_of_families_and_looks_with_margins_are_simulated_and_printed(sequential: Any, studies: int) -> None:
    study = _claims(sequential=sequential)
    found = self_test(study, build_design(study), studies=studies, draws=9, seed=5)
    assert found.calibrated, found.document()
    assert found.wrong_verdicts is not None
    assert found.wrong_at_margin is not None
    assert found.wrong_at_margin.count == studies
    assert found.looks == (4 if sequential else 0)
    text = self_test_text({"study": "claims", **found.document()})
    assert "any wrong verdict, effects at their margins" in text
    assert ("verdicts after 4 interim looks" in text) == bool(sequential)
    print(studies, sequential, found.family_error, found.wrong_verdicts, found.wrong_at_margin)


@pytest.mark.parametrize("studies", [4, pytest.param(8, marks=pytest.mark.slow)])
def test_looks_that_are_always_wrong_are_no_calibrated_study(monkeypatch: pytest.MonkeyPatch, studies: int) -> None:
    """The margin taken away at looks: any distance from the bar counted, and no effect was refuted or supported."""
    study = _claims(sequential={})
    real = interim.interim_look
    monkeypatch.setattr(interim, "interim_look", lambda *values, **named: real(*values, **{**named, "p_value": 1e-9}))
    found = self_test(study, build_design(study), studies=studies, draws=9, seed=5)
    assert found.wrong_verdicts is not None
    assert found.wrong_verdicts.value > 0.5
    assert not found.calibrated


def test_without_a_correction_nothing_is_claimed_of_several_verdicts() -> None:
    study = _claims(correction="none")
    found = self_test(study, build_design(study), studies=6, draws=9, seed=5)
    assert not found.together
    assert "does not hold several verdicts" in self_test_text({"study": "claims", **found.document()})
