"""A proposal as the study that would do it: complete, and as a study file writes it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from maineffect.analyse.follow_up.propose import Planned
from maineffect.design.model.model import Design, PlannedRun
from maineffect.design.phases import PHASE
from maineffect.errors import UsageError
from maineffect.spec.requests import EarlierRun, FollowUp
from maineffect.spec.responses import Hypothesis
from maineffect.spec.study import Budget, StudySpec

__all__ = ["Followed", "follow_up_study", "study_document"]


@dataclass(frozen=True)
class Followed:
    """The finished sweep that a study continues.

    Attributes:
        sweep: Its id.
        plan: Hash of its plan.
        results: Digest of its results.
        finished: Run ids that have a result.
    """

    sweep: str
    plan: str
    results: str
    finished: Collection[str]


def follow_up_study(
    study: StudySpec, design: Design, planned: Planned, followed: Followed, *, budget: float | None = None
) -> StudySpec:
    """The study of a proposal.

    Args:
        study: Of the finished sweep.
        design: As planned.
        planned: What is to be done next.
        followed: The sweep.
        budget: Hours that it may take.

    Raises:
        UsageError: The proposal is to stop.
    """
    candidate = planned.candidate
    if candidate is None:
        raise UsageError(f"there is nothing to write: {planned.proposal.why}", "leave --write out")
    before = study.follow_up.phase if study.follow_up is not None and study.follow_up.runs else 1
    rows = [run for run in design.runs if run.run_id in followed.finished and not candidate.fresh]
    runs = tuple(_earlier(run, design) for run in rows)
    follow_up = FollowUp(
        sweep=followed.sweep, plan=followed.plan, results=followed.results, phase=before + 1 if runs else 2, runs=runs
    )
    asked = study.hypotheses if candidate.pooled else tuple(q.hypothesis for q in planned.questions)
    kind = "gpu_hours" if study.resources.gpus > 0 else "cpu_hours"
    return candidate.study.model_copy(
        update={
            "follow_up": follow_up,
            "hypotheses": tuple(_suggested_by(h, followed.sweep) for h in asked),
            "design": candidate.study.design.model_copy(update={"replicates": planned.replicates}),
            "budget": Budget() if budget is None else Budget.model_validate({kind: budget}),
        }
    )


def _suggested_by(hypothesis: Hypothesis, sweep: str) -> Hypothesis:
    """What an earlier sweep suggested is tested on runs after this one too."""
    return hypothesis if hypothesis.suggested_by is None else hypothesis.model_copy(update={"suggested_by": sweep})


def _earlier(run: PlannedRun, design: Design) -> EarlierRun:
    block = None if run.block is None else str(run.block)
    if block is not None and not block.startswith(PHASE):
        block = f"{PHASE} 1.{block}"
    plot = None if run.whole_plot is None else str(run.whole_plot)
    return EarlierRun(run=run.run_id, levels=dict(design.levels_of(run)), block=block, whole_plot=plot)


def study_document(study: StudySpec) -> dict[str, Any]:
    """A follow-up as the mapping of its file: what is left at its default is left out."""
    document = study.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    for section in ("factors", "responses"):
        document[section] = {name: _without_name(body) for name, body in document[section].items()}
    for hypothesis, written in zip(study.hypotheses, document.get("hypotheses", ()), strict=True):
        if hypothesis.pair is not None:
            written["response"] = list(hypothesis.pair)
    # What was done is long: it stands below what can be changed.
    return {**{key: value for key, value in document.items() if key != "follow_up"}, "follow_up": document["follow_up"]}


def _without_name(body: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in body.items() if key != "name"}
