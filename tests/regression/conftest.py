"""Small tables that once gave a wrong or misleading answer, with the right one.

Public reports of users of DoE and effect-analysis software, rebuilt with numbers of their own. The right answers are
from R (car, lmerTest, pbkrtest, emmeans), SciPy, or counting; each test names its source.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from maineffect.analyse.record.result import AnalysisResult, HypothesisResult
from maineffect.journey.read.analyse import analyse_table

CASES = Path(__file__).parent / "cases"


@pytest.fixture(scope="session")
def case() -> Callable[[str], Path]:
    """Name of a case → its study file."""
    return lambda name: CASES / f"{name}.yaml"


@pytest.fixture(scope="session")
def analysed() -> Callable[[str], AnalysisResult]:
    """Name of a case → its analysis, as ``analyse --study X.yaml --table X.csv`` makes it; each is made once."""
    made: dict[str, AnalysisResult] = {}

    def analyse(name: str) -> AnalysisResult:
        if name not in made:
            made[name] = analyse_table(CASES / f"{name}.yaml", CASES / f"{name}.csv")
        return made[name]

    return analyse


@pytest.fixture(scope="session")
def judged(analysed: Callable[[str], AnalysisResult]) -> Callable[[str, str], HypothesisResult]:
    """Name of a case and id of a hypothesis → what the analysis says of it."""
    return lambda name, hypothesis: next(h for h in analysed(name).hypotheses if h.id == hypothesis)
