"""A real analysis of simulated runs: a half fraction in two replicates with three responses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from maineffect.analyse.record.result import AnalysisResult, Curve, SweepFacts
from maineffect.analyse.run import analyse
from maineffect.design.build import build_design
from maineffect.design.emit import design_document, design_rows
from maineffect.spec.study import StudySpec

NAMES = ("conflict", "recall", "budget", "hops")


def simulated(
    names: tuple[str, ...] = NAMES, study_name: str = "simulated", responses: int = 3, replicates: int = 2
) -> AnalysisResult:
    """Analyse a study whose first factor adds 2 to the first response and nothing else does anything."""
    answers = [f"skill {i}" for i in range(responses)]
    study = StudySpec.model_validate(
        {
            "schema_version": 1,
            "name": study_name,
            "question": "Which one is it?",
            "factors": {n: {"name": n, "levels": [0, 1], "unit": "share"} for n in names},
            "design": {"kind": "fractional", "resolution": 4, "replicates": replicates},
            "responses": {a: {"name": a, "smallest_effect": 0.5, "unit": "points"} for a in answers},
            "hypotheses": [
                {"id": "H1", "term": names[0], "response": answers[0], "direction": "increase"},
                {"id": "H2", "term": names[1], "response": answers[0], "direction": "negligible"},
            ],
        }
    )
    design = build_design(study)
    table = pd.DataFrame(design_rows(design))
    rng = np.random.default_rng(4)
    for i, answer in enumerate(answers):
        table[answer] = 10 + (i == 0) * 2.0 * table[names[0]] + rng.normal(0, 0.2, len(table))
    result = analyse(study, table, design=design, plan_hash="a" * 64)
    curves = [
        Curve(run_id=run.run_id, metric="reward", steps=[0, 1, 2], values=[0.1, 0.2 + i / 100, None])
        for i, run in enumerate(design.runs)
    ]
    facts: dict[str, Any] = {
        "sweep_id": "simulated-aaaa",
        "question": study.question,
        "registered_hash": "a" * 64,
        "registered_at": "2026-01-01T00:00:00+00:00",
        "design": design_document(design, "a" * 64),
        "factors": [factor.model_dump(mode="json") for factor in study.factors.values()],
        "provenance": {"me.version.torch": "2.13.0"},
        "cost": {"run_seconds": 1.0, "gpu_hours": 0.0, "price": 0.0},
    }
    return result.model_copy(update={"curves": curves, "facts": SweepFacts(**facts)})


@pytest.fixture(scope="session")
def result() -> AnalysisResult:
    return simulated()


@pytest.fixture(scope="session")
def simulate() -> Callable[..., AnalysisResult]:
    return simulated


@pytest.fixture(scope="session")
def hostile() -> AnalysisResult:
    names = ("<script>alert(1)</script>", "שלום" * 30, '🦊 & "quotes"', "C")
    return simulated(names, "x" * 90)
