"""A study in phases: a first sweep, and the follow-up that repeats its design."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from maineffect.design.build import build_design
from maineffect.design.emit import design_rows
from maineffect.design.model.model import Design
from maineffect.spec.requests import EarlierRun, FollowUp
from maineffect.spec.study import StudySpec

MakeStudy = Callable[..., StudySpec]


@pytest.fixture(scope="session")
def first_study() -> MakeStudy:
    """Two-level factors with levels 0 and 1, a fraction in replicates, one hypothesis on A."""

    def make(factors: str = "ABCD", analysis: dict[str, Any] | None = None, **more: Any) -> StudySpec:
        claim = {"id": "H1", "term": "A", "response": "y", "direction": "different"}
        return StudySpec.model_validate(
            {
                "schema_version": 1,
                "name": "study",
                "factors": {name: {"name": name, "levels": [0, 1]} for name in factors},
                "design": {"kind": "fractional", "runs": 8, "replicates": 2},
                "responses": {"y": {"name": "y"}},
                "hypotheses": [claim],
                "analysis": {"terms": "main", **(analysis or {})},
                **more,
            }
        )

    return make


@pytest.fixture(scope="session")
def followed() -> Callable[..., StudySpec]:
    """The follow-up of a study with the same design, and other parts changed."""

    def make(study: StudySpec, **changes: Any) -> StudySpec:
        design = build_design(study)
        runs = tuple(EarlierRun(run=run.run_id, levels=dict(design.levels_of(run))) for run in design.runs)
        follow_up = FollowUp(sweep="study-1", plan="0" * 64, results="1" * 64, runs=runs)
        return study.model_copy(update={"follow_up": follow_up, **changes})

    return make


@pytest.fixture(scope="session")
def measured() -> Callable[..., pd.DataFrame]:
    """The table of a design: normal noise with SD 1, effects on levels 0 and 1, and a shift of the new phase."""

    def make(
        design: Design, seed: int, effects: dict[str, float] | None = None, *, shift: float = 0.0, part: str = "all"
    ) -> pd.DataFrame:
        table = pd.DataFrame(design_rows(design))
        # Every run keeps its noise, whatever is analysed with it.
        noise = {
            key: float(np.random.default_rng([seed, int(key[1:11], 16), int(key[13:])]).standard_normal())
            for key in table["run_id"]
        }
        table["y"] = table["run_id"].map(noise)
        for name, size in (effects or {}).items():
            table["y"] += size * np.prod([table[factor].astype(float) for factor in name.split(":")], axis=0)
        new = table["block"].astype(str).str.contains("phase 2") if "block" in table else False
        table["y"] += shift * np.asarray(new, dtype=float)
        return table

    return make
