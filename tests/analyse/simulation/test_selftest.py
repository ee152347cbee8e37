"""The self-test says how often an effect that differs between seeds, and is none on average, is found."""

from __future__ import annotations

import pytest

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
@pytest.mark.parametrize(("inference", "shared"), [(None, False), ("seeds", True), (None, True)])
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
