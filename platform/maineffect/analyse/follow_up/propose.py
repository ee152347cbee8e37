"""What to run next: candidates sized, priced and ranked by the questions that each is expected to decide per hour."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from maineffect.analyse.confirmatory.assurance import ASSURANCE
from maineffect.analyse.follow_up.candidates import Candidate, candidates
from maineffect.analyse.follow_up.new_phase import chance
from maineffect.analyse.follow_up.questions import Question, open_questions
from maineffect.analyse.record.proposals import Chance, Proposal, WhatNext
from maineffect.analyse.record.result import AnalysisResult
from maineffect.contracts import Level
from maineffect.design.build import build_design
from maineffect.design.model.model import Design, cell_id
from maineffect.errors import DesignError
from maineffect.spec.study import Correction, StudySpec

__all__ = ["Planned", "what_next"]

_SIZES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
_MOST_RUNS = 4_096
_WORTH = 0.01
"""A question counts as one that a follow-up may decide from this chance on."""
_ORDER = ("replicates", "de-alias", "interactions", "curvature", "drop and project", "confirm", "optimise", "stop")


@dataclass(frozen=True)
class Planned:
    """A proposal with the study that would do it; ``candidate`` is None for `stop`.

    Attributes:
        proposal: As it is shown.
        candidate: What it is made from.
        replicates: Of its design.
        questions: Those that the study registers.
    """

    proposal: Proposal
    candidate: Candidate | None = None
    replicates: int = 1
    questions: tuple[Question, ...] = ()


@dataclass(frozen=True)
class _Price:
    """Hours of a run: measured in its cell, else the mean over all runs; None where nothing was measured."""

    by_cell: Mapping[str, float]
    mean: float | None

    def of(self, cells: Sequence[Mapping[str, Level]], runs: int) -> float | None:
        """Hours of so many runs, evenly over some cells."""
        if self.mean is None:
            return None
        if not cells:
            return self.mean * runs
        return float(np.mean([self.by_cell.get(cell_id(cell), self.mean) for cell in cells])) * runs


def what_next(
    study: StudySpec, result: AnalysisResult, design: Design, sweep: str, *, budget: float | None = None
) -> tuple[WhatNext, list[Planned]]:
    """The table of `maineffect next`, and the studies behind its lines in the same order.

    Args:
        study: Of the finished sweep.
        result: Its analysis, with the seconds of every run.
        design: As planned.
        sweep: Its name.
        budget: Hours that the follow-up may take; None: any number.
    """
    questions = open_questions(study, result, sweep)
    price, unit = _price(study, result), "GPU-hours" if study.resources.gpus > 0 else "core-hours"
    planned: list[Planned] = []
    too_dear: list[Planned] = []
    enough: int | None = None
    for candidate in candidates(study, result, design, questions) if questions or study.factors else ():
        sized, needed = _sized(candidate, price, study)
        if candidate.kind == "replicates" and not planned and not too_dear:
            enough = needed
        for one in sized:
            dear = budget is not None and one.proposal.hours is not None and one.proposal.hours > budget
            (too_dear if dear else planned).append(one)
    ranked = sorted(planned, key=_rank)
    stop = _stop(questions, _left_out(result, questions), ranked, too_dear, budget, unit)
    if stop is not None:
        ranked.append(Planned(stop)) if ranked and ranked[0].proposal.decided > 0 else ranked.insert(0, Planned(stop))
    return WhatNext(
        questions=[question.record for question in questions],
        proposals=[one.proposal for one in ranked],
        unit=unit,
        hours_per_run=price.mean,
        budget=budget,
        enough=enough,
        rule=_rule(study),
        left_out=_left_out(result, questions),
    ), ranked


def _left_out(result: AnalysisResult, questions: Sequence[Question]) -> list[str]:
    """Open claims without an error to say anything from."""
    asked = {question.record.id for question in questions if question.registered}
    return [
        f"{h.id}: {h.reason or 'there is no error estimate'}"
        for h in result.hypotheses
        if h.verdict == "inconclusive" and h.id not in asked
    ]


def _price(study: StudySpec, result: AnalysisResult) -> _Price:
    """Measured hours; the unit is GPUs where a run has any, else cores."""
    resources = study.resources
    factor = (resources.gpus or resources.cpus) / 3600
    seconds: dict[str, list[float]] = defaultdict(list)
    for run in result.runs:
        if run.status == "finished" and run.seconds is not None:
            seconds[run.cell_id].append(run.seconds)
    every = [value for values in seconds.values() for value in values]
    return _Price(
        {cell: float(np.mean(values)) * factor for cell, values in seconds.items()},
        float(np.mean(every)) * factor if every else None,
    )


def _sized(candidate: Candidate, price: _Price, study: StudySpec) -> tuple[list[Planned], int | None]:
    """The size that decides most per hour, and the smallest at which every question has a chance of 80 %."""
    if candidate.kind == "optimise":
        return _second_order(candidate, price), None
    reserve = study.analysis.follow_up if candidate.pooled else None
    alone = 1 if study.analysis.correction is Correction.NONE else max(1, len(candidate.questions))
    tried: list[Planned] = []
    enough: int | None = None
    for replicates in _SIZES:
        runs = len(candidate.cells) * replicates
        if runs > _MOST_RUNS and tried:
            break
        chances = []
        for question in candidate.questions:
            level = question.record.level if reserve is not None else study.analysis.alpha / alone
            chances.append(chance(question, candidate.knows.knows(question, replicates), level, reserve))
        seen = tuple(q for q, c in zip(candidate.questions, chances, strict=True) if c >= _WORTH)
        if not seen:
            continue
        decided, hours = float(sum(chances)), price.of(candidate.cells, runs)
        proposal = Proposal(
            kind=candidate.kind,
            title=candidate.what if replicates == 1 else f"{candidate.what} × {replicates}",
            runs=runs,
            hours=hours,
            decided=decided,
            per_hour=decided / (hours or runs),
            chances=[
                Chance(question=q.record.id, assurance=c)
                for q, c in zip(candidate.questions, chances, strict=True)
            ],
            why=candidate.why,
        )  # fmt: skip
        tried.append(Planned(proposal, candidate, replicates, seen))
        if min(chances) >= ASSURANCE:
            enough = replicates
            break
    if not tried:
        return [], None
    best = max(tried, key=lambda one: (one.proposal.per_hour, -one.proposal.runs))
    last = tried[-1]
    return ([best] if last is best or enough is None else [best, last]), enough


def _second_order(candidate: Candidate, price: _Price) -> list[Planned]:
    try:
        design = build_design(candidate.study)
    except DesignError:
        return []
    runs = len(design.runs)
    proposal = Proposal(kind="optimise", title=candidate.what, runs=runs, hours=price.of((), runs), why=candidate.why)
    return [Planned(proposal, replace(candidate, cells=tuple(dict(c.levels) for c in design.cells)))]


def _rank(planned: Planned) -> tuple[float, int, int]:
    """Most decided per hour first; what is alike to three digits: the simpler kind, then fewer runs."""
    proposal = planned.proposal
    rate = float(f"{proposal.per_hour:.3g}")
    return -rate, _ORDER.index(proposal.kind), proposal.runs


def _stop(
    questions: Sequence[Question], left_out: Sequence[str], ranked: Sequence[Planned], too_dear: Sequence[Planned],
    budget: float | None, unit: str,
) -> Proposal | None:  # fmt: skip
    """To stop, where nothing is open, or nothing that may be run decides anything."""
    if not questions and left_out:
        why = (
            f"what is open has no error to say anything from ({'; '.join(left_out)}): replicate, or change the measure"
        )
        return Proposal(kind="stop", title="stop", runs=0, why=why)
    if not questions:
        return Proposal(
            kind="stop", title="stop", runs=0, why="everything registered is decided, and nothing stands out"
        )
    if any(one.proposal.decided > 0 for one in ranked):
        return None
    least = min((one.proposal for one in too_dear), key=lambda p: p.hours or 0.0, default=None)
    if least is not None:
        why = (
            f"{budget:g} {unit} decide nothing: {least.title} would take {least.hours:.3g} {unit} and decide "
            f"{least.decided:.2f} of {len(questions)} open question(s)"
        )
    else:
        ids = ", ".join(q.record.id for q in questions)
        why = f"no follow-up of at most {_MOST_RUNS} runs decides {ids} with a chance worth naming"
    return Proposal(kind="stop", title="stop", runs=0, why=why)


def _rule(study: StudySpec) -> str:
    if study.analysis.follow_up is not None and study.follow_up is None:
        return (
            "Error was kept back: both phases count together for the registered claims where design and model stay; "
            "all else is judged on the new runs alone."
        )
    return (
        "No error was kept back before the first run: verdicts of a follow-up come from its new runs alone, "
        f"{study.analysis.alpha:.0%} for each phase."
    )
