"""Verdicts of a study in phases, through the public analysis."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from maineffect.analyse.run import analyse
from maineffect.design.build import build_design
from maineffect.spec.responses import Hypothesis

RESERVE = {"follow_up": {"phases": 2, "spending": "pocock"}}
Make = Callable[..., Any]


def test_without_a_reserve_the_new_runs_decide_alone(first_study: Make, followed: Make, measured: Make) -> None:
    """What one run of the first phase says changes nothing; that 5 % holds per phase is said beside the verdict."""
    study = followed(first_study())
    design = build_design(study)
    table = measured(design, 4, {"A": 1.0})
    result = analyse(study, table, design=design, draws=0)
    changed = table.copy()
    changed.loc[0, "y"] += 50.0
    again = analyse(study, changed, design=design, draws=0)
    one, other = result.hypotheses[0], again.hypotheses[0]
    assert (one.verdict, one.estimate, one.ci_low) == (other.verdict, other.estimate, other.ci_low)
    new = table[table["block"] == "block phase 2"]
    assert one.estimate == pytest.approx(new.groupby("A")["y"].mean().diff().iloc[-1])
    assert one.df == 16 - 5
    assert [(p.phase, p.runs, p.counts) for p in one.phases] == [(1, 16, False), (2, 16, True)]
    assert [p.reason for p in one.phases] == ["shown only", None]
    assert "5% holds per phase, about 10%" in one.caveats[-1]


def test_phases_are_blocks(first_study: Make, followed: Make, measured: Make) -> None:
    study = followed(first_study())
    design = build_design(study)
    drifted = analyse(study, measured(design, 4, {"A": 1.0}, shift=30.0), design=design, draws=0)
    plain = analyse(study, measured(design, 4, {"A": 1.0}), design=design, draws=0)
    effects = [{e.term: e.estimate for e in r.responses["y"].effects} for r in (drifted, plain)]
    assert effects[0] == pytest.approx(effects[1])
    assert not [w for w in drifted.warnings if "differs between the phases" in w]


def test_an_effect_that_changes_between_phases_is_shown(first_study: Make, followed: Make, measured: Make) -> None:
    study = followed(first_study())
    design = build_design(study)
    table = measured(design, 1)
    new = table["block"] == "block phase 2"
    table.loc[new, "y"] += 6.0 * table.loc[new, "B"].astype(float)
    result = analyse(study, table, design=design, draws=0)
    by_term = {d.term: d for d in result.phase_differences}
    first = table[~new].groupby("B")["y"].mean().diff().iloc[-1]
    second = table[new].groupby("B")["y"].mean().diff().iloc[-1]
    assert by_term["B"].difference == pytest.approx(second - first)
    assert by_term["B"].p_adjusted is not None
    assert by_term["B"].p_adjusted < 0.01
    assert [w for w in result.warnings if "the effect of B differs between the phases" in w]


def test_a_reserve_holds_the_first_sweep_to_its_bound(first_study: Make, measured: Make) -> None:
    """Pocock-like, two phases: .031 at the first. What is significant at .05 only stays open."""
    plain, kept = first_study(), first_study(analysis=RESERVE)
    design = build_design(plain)
    for seed in range(60):
        table = measured(design, seed, {"A": 1.2})
        p = analyse(plain, table, design=design, draws=0).hypotheses[0].p_value
        assert p is not None
        held = analyse(kept, table, design=design, draws=0).hypotheses[0]
        assert (held.verdict == "supported") == (p <= 0.0310)
        if 0.0310 < p <= 0.05:
            assert "phase 1 of 2" in str(held.reason)
            return
    pytest.fail("no p-value between the bounds: other seeds are needed")


def test_with_a_reserve_both_phases_count(first_study: Make, followed: Make, measured: Make) -> None:
    study = followed(first_study(analysis=RESERVE))
    design = build_design(study)
    result = analyse(study, measured(design, 4, {"A": 1.1}), design=design, draws=0).hypotheses[0]
    first, second = result.phases
    assert first.counts
    assert second.counts
    assert result.estimate is not None
    low, high = sorted([first.estimate or 0.0, second.estimate or 0.0])
    assert low < result.estimate < high
    assert "both phases together" in str(result.reason)


def test_what_the_first_sweep_suggested_is_tested_on_the_new_runs(
    first_study: Make, followed: Make, measured: Make
) -> None:
    study = followed(first_study(analysis=RESERVE))
    suggested = Hypothesis(id="S1", term="B", response="y", suggested_by="study-1")
    study = study.model_copy(update={"hypotheses": (*study.hypotheses, suggested)})
    design = build_design(study)
    judged = {h.id: h for h in analyse(study, measured(design, 3, {"B": 3.0}), design=design, draws=0).hypotheses}
    assert [p.counts for p in judged["S1"].phases] == [False, True]
    assert judged["S1"].suggested_by == "study-1"
    assert judged["S1"].verdict == "supported"
    assert judged["S1"].estimate == pytest.approx(judged["S1"].phases[1].estimate)


@pytest.mark.slow
def test_pooling_what_was_looked_at_inflates_the_error(first_study: Make, followed: Make, measured: Make) -> None:
    """Null studies, replicated where they end inconclusive: all runs together at the full level, and the new runs alone."""
    study, studies = first_study(), 1_000
    design, after = build_design(study), followed(study)
    both = build_design(after)
    pooled, new = 0, []
    for seed in range(studies):
        first = analyse(study, measured(design, seed), design=design, draws=0).hypotheses[0]
        if first.verdict == "supported":
            pooled += 1
            continue
        result = analyse(after, measured(both, seed), design=both, draws=0)
        new.append(result.hypotheses[0].verdict == "supported")
        together = next(e.p_value for e in result.responses["y"].effects if e.term == "A")
        pooled += together is not None and together <= 0.05
    assert np.mean(new) == pytest.approx(0.05, abs=3 * np.sqrt(0.05 * 0.95 / len(new)))
    assert pooled / studies > 0.05 + 3 * np.sqrt(0.05 * 0.95 / studies)
