"""Studies that follow what `next` proposes first: error rates, and printed chances that are kept. All public functions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pytest

from maineffect.analyse.follow_up.propose import what_next
from maineffect.analyse.follow_up.written import Followed, follow_up_study
from maineffect.analyse.run import analyse
from maineffect.design.build import build_design
from maineffect.design.emit import design_rows
from maineffect.design.model.model import Design
from maineffect.spec.study import StudySpec

Make = Callable[..., Any]
RESERVE = {"follow_up": {"phases": 2, "spending": "pocock"}}
BUDGET = 64.0
"""Hours, of an hour a run: enough for what a person would run, and not for a thousand runs a simulated study."""


@dataclass(frozen=True)
class _Outcome:
    first: str
    second: str | None = None
    chance: float | None = None


def _table(design: Design, rng: np.random.Generator, truth: float, sd: float, before: pd.DataFrame | None) -> Any:
    """Simulated runs; those that were measured before keep their values."""
    table = pd.DataFrame(design_rows(design))
    table["y"] = truth * table["A"].astype(float) + rng.normal(0, sd, len(table))
    if before is not None:
        kept = dict(zip(before["run_id"], before["y"], strict=True))
        table["y"] = [kept.get(run_id, y) for run_id, y in zip(table["run_id"], table["y"], strict=True)]
    table["status"], table["seconds"] = "finished", 3600.0
    return table


def _followed(
    study: StudySpec, design: Design, rng: np.random.Generator, truth: float = 0.0, sd: float = 1.0
) -> _Outcome:
    """One sweep, and what `next` proposes first after it where its hypothesis is open."""
    table = _table(design, rng, truth, sd, None)
    result = analyse(study, table, design=design, draws=0)
    verdict = result.hypotheses[0].verdict
    if verdict != "inconclusive":
        return _Outcome(verdict)
    _, planned = what_next(study, result, design, "study-1", budget=BUDGET)
    lines = [one for one in planned if any(c.question == "H1" for c in one.proposal.chances)]
    if planned[0].candidate is None or not lines:
        return _Outcome(verdict)
    ids = frozenset(run.run_id for run in design.runs)
    after = follow_up_study(study, design, lines[0], Followed("study-1", "0" * 64, "1" * 64, ids))
    both = build_design(after)
    judged = analyse(after, _table(both, rng, truth, sd, table), design=both, draws=0).hypotheses[0]
    (chance,) = [c.assurance for c in lines[0].proposal.chances if c.question == "H1"]
    return _Outcome(verdict, judged.verdict, chance)


@pytest.mark.slow
@pytest.mark.parametrize("kept", [True, False], ids=["with a reserve", "without"])
def test_null_studies_that_follow_the_first_proposal_keep_their_rate(first_study: Make, kept: bool) -> None:
    """2^(4−1) × 2: 5 % over both phases where error was kept back, else 5 % in each."""
    study, rng, studies = first_study(analysis=RESERVE if kept else {}), np.random.default_rng(7), 600
    design = build_design(study)
    outcomes = [_followed(study, design, rng) for _ in range(studies)]
    first = np.mean([o.first == "supported" for o in outcomes])
    second = [o.second == "supported" for o in outcomes if o.second is not None]
    error = np.sqrt(0.05 * 0.95 / studies)
    assert len(second) > 0.5 * studies
    if kept:
        assert first + sum(second) / studies == pytest.approx(0.05, abs=3 * error)
    else:
        assert first == pytest.approx(0.05, abs=3 * error)
        assert np.mean(second) == pytest.approx(0.05, abs=3 * np.sqrt(0.05 * 0.95 / len(second)))


@pytest.mark.slow
def test_the_printed_chance_of_the_first_proposal_is_kept(first_study: Make) -> None:
    """Truths and σ of the flat prior (see the test of the assurance); only sweeps that end inconclusive."""
    rng = np.random.default_rng(8)
    claim = {"id": "H1", "term": "A", "response": "y", "direction": "increase"}
    study = first_study(hypotheses=[claim], responses={"y": {"name": "y", "smallest_effect": 1.0}})
    design = build_design(study)
    chances, decided = [], []
    while len(chances) < 400:
        sd = rng.uniform(0.05, 6.0)
        outcome = _followed(study, design, rng, rng.uniform(-10, 10) * sd / 2, sd)
        if outcome.chance is not None:
            chances.append(outcome.chance)
            decided.append(outcome.second != "inconclusive")
    for low in (0.0, 0.25, 0.5, 0.75):
        here = [i for i, chance in enumerate(chances) if low <= chance <= low + 0.25]
        if len(here) >= 20:
            printed, kept = np.mean([chances[i] for i in here]), np.mean([decided[i] for i in here])
            error = np.sqrt(printed * (1 - printed) / len(here))
            assert kept == pytest.approx(printed, abs=3 * error + 0.02), low
    assert np.mean(decided) == pytest.approx(np.mean(chances), abs=0.06)


def test_a_study_follows_its_first_proposal(first_study: Make) -> None:
    study = first_study(analysis=RESERVE)
    design = build_design(study)
    outcomes = [_followed(study, design, np.random.default_rng(seed)) for seed in range(4)]
    assert {o.second for o in outcomes} <= {None, "supported", "inconclusive"}
    assert any(o.second is not None for o in outcomes)
