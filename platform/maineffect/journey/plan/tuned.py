"""``tuning:`` of a study → whose trials there are, and what its registered runs take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from maineffect.contracts import RunRequest
from maineffect.errors import Problem
from maineffect.journey.plan.searched import search_plan, with_recommended
from maineffect.seeds import derive_seed
from maineffect.spec.responses import Goal

if TYPE_CHECKING:
    from maineffect.design.model.model import Design
    from maineffect.execute.phases.searching import SearchPlan
    from maineffect.execute.phases.tuning import TuningPlan
    from maineffect.ledger.sweep.ledger import MlflowLedger
    from maineffect.spec.study import StudySpec

__all__ = [
    "check_cost",
    "groups_variance",
    "phase_before",
    "trial_runs",
    "tuned",
    "tuning_plan",
    "unsettled_runs",
    "with_note",
]


def tuning_plan(study: StudySpec, requests: Sequence[RunRequest]) -> TuningPlan | None:
    """What is tuned before these runs; None where nothing is.

    Args:
        study: The study.
        requests: Its registered runs, in run order, without tuned values.
    """
    from maineffect.design.tuned_groups import group_of
    from maineffect.execute.phases.proposals import Dimension
    from maineffect.execute.phases.tuning import TuningPlan

    asked = study.tuning
    if asked is None:
        return None
    groups: dict[str, list[RunRequest]] = {}
    for request in requests:
        groups.setdefault(group_of(study, request.run_id, request.levels), []).append(request)
    return TuningPlan(
        space=tuple(
            Dimension(name, *nuisance.range, nuisance.scale == "log", nuisance.default)
            for name, nuisance in asked.nuisance.items()
        ),
        settings={name: nuisance.binds for name, nuisance in asked.nuisance.items()},
        groups={name: tuple(members) for name, members in groups.items()},
        trials=asked.trials,
        batch=asked.batch,
        sampler=asked.sampler,
        select=asked.select,
        response=asked.response,
        maximize=study.responses[asked.response].goal is Goal.MAXIMIZE,
        seed=derive_seed(study.seed, "tuning"),
    )


def phase_before(study: StudySpec, requests: Sequence[RunRequest]) -> TuningPlan | SearchPlan | None:
    """What is tuned or looked for before these runs; None where nothing is."""
    return search_plan(study, requests) or tuning_plan(study, requests)


def tuned(study: StudySpec, ledger: MlflowLedger | None, requests: Sequence[RunRequest]) -> list[RunRequest]:
    """Registered runs with what was chosen for them by a tuning or a search, as far as it is chosen.

    Args:
        study: The study.
        ledger: Of its sweep, if it has one yet.
        requests: Its registered runs, without tuned values.

    Raises:
        LedgerError: The store does not answer.
    """
    if study.optimise is not None:
        return with_recommended(study, ledger, requests)
    plan = tuning_plan(study, requests)
    if plan is None or ledger is None:
        return list(requests)
    from maineffect.execute.phases.tuning import chosen_values, standing, with_values
    from maineffect.ledger.sweep.phases import LedgerPhases

    values = chosen_values(plan, standing(plan, LedgerPhases(ledger).notes()))
    return [with_values(plan, r, values[r.run_id]) if r.run_id in values else r for r in requests]


def unsettled_runs(study: StudySpec, design: Design, ledger: MlflowLedger) -> int:
    """Registered runs whose group has not chosen yet."""
    if study.tuning is None and study.optimise is None:
        return 0
    from maineffect.design.tuned_groups import group_of
    from maineffect.ledger.sweep.phases import LedgerPhases

    notes = LedgerPhases(ledger).notes()
    if study.optimise is not None:
        return 0 if "chosen.optimum" in notes else len(design.runs)
    groups = (group_of(study, run.run_id, design.levels_of(run)) for run in design.runs)
    return sum(f"chosen.{group}" not in notes for group in groups)


def trial_runs(study: StudySpec, design: Design) -> int:
    """Runs that tuning takes before the registered ones."""
    if study.tuning is None:
        return 0
    return study.tuning.trials * (len(design.runs) if study.tuning.scope == "replicate" else len(design.cells))


def groups_variance(study: StudySpec, design: Design, ratios: Sequence[float | None] = ()) -> dict[str, float] | None:
    """What power adds for the groups between which tuning differs; None without any.

    Args:
        study: The study.
        design: Its design.
        ratios: Variances between groups over run variance that a pilot knows, one a response.
    """
    if not study.tuned_by:
        return None
    known = [ratio for ratio in ratios if ratio is not None]
    groups = {run.whole_plot for run in design.runs}
    return {"groups": len(groups), "variance_ratio": max(known, default=design.variance_ratio)}


def _note(study: StudySpec, design: Design) -> tuple[str, ...]:
    """What tuning costs, for whoever reads the design."""
    asked = study.tuning
    if asked is None:
        return ()
    groups = len({run.whole_plot if study.tuned_by else run.run_id for run in design.runs})
    groups = 1 if asked.scope == "shared" else groups
    where = "each" if asked.scope in ("replicate", "cell") else "in every cell"
    what = ", ".join(asked.nuisance)
    cost = (
        f"tuning of {what}: {asked.trials} trials {where} for {groups} group(s), {trial_runs(study, design)} runs "
        f"before the {len(design.runs)} registered ones"
    )
    unit = (
        f"runs that agree in {', '.join(study.tuned_by)} share a tuned value: these groups are the whole plots, and "
        f"their variance is taken as {design.variance_ratio:g} of that of a run"
    )
    return (cost, unit) if study.tuned_by and groups < len(design.runs) else (cost,)


def check_cost(study: StudySpec, design: Design) -> list[Problem]:
    """A warning where tuning costs more than what it is for."""
    count = trial_runs(study, design)
    if count <= len(design.runs):
        return []
    message = f"tuning takes {count} runs, more than the {len(design.runs)} registered ones"
    return [Problem(message, "tuning.trials", hint="fewer trials, or scope: shared if one value serves all")]


def with_note(study: StudySpec, design: Design) -> Design:
    """A design that says what comes before it."""
    return replace(design, notes=(*design.notes, *_note(study, design)))
