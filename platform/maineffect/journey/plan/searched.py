"""``optimise`` of a study → the search before its registered runs, as a driver meets it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from maineffect.contracts import RunRequest
from maineffect.journey.plan.requests import needs_of
from maineffect.seeds import derive_seed

if TYPE_CHECKING:
    from maineffect.execute.phases.searching import SearchPlan
    from maineffect.ledger.sweep.ledger import MlflowLedger
    from maineffect.spec.study import StudySpec

__all__ = ["costs_of", "search_plan", "with_recommended"]


def costs_of(study: StudySpec, seconds: float) -> dict[str, float]:
    """What a run of so many seconds costs, by the names of objectives."""
    from maineffect.spec.phases.optimise import COST

    return {f"{COST}{kind}": value for kind, value in asdict(needs_of(study).cost(seconds)).items()}


def search_plan(study: StudySpec, requests: Sequence[RunRequest]) -> SearchPlan | None:
    """What is looked for before these runs; None where nothing is.

    Args:
        study: The study.
        requests: Its registered runs, in run order, without the recommended values.
    """
    from maineffect.execute.phases.optuna_study import Coordinate, Seen
    from maineffect.execute.phases.searching import SearchPlan

    asked = study.optimise
    if asked is None:
        return None
    seed = derive_seed(study.seed, "search")
    names, bounds = tuple(asked.factors), asked.bounds
    first = requests[0]
    template = replace(
        first,
        levels=dict(asked.fixed),
        evaluation_seed=asked.evaluation_seed,
        base_seed=asked.base_seed,
    )

    def augmented() -> list[tuple[str | int | float | bool, ...]]:
        from maineffect.analyse.follow_up.box import Box
        from maineffect.analyse.follow_up.completed import completing_points

        return completing_points(Box(asked.factors), [run.values for run in asked.known], asked.runs, seed)

    return SearchPlan(
        space=tuple(
            Coordinate(name, choices=axis.levels or ())
            if axis.range is None
            else Coordinate(name, *axis.range, axis.scale == "log", axis.integer)
            for name, axis in asked.factors.items()
        ),
        settings=asked.binds,
        fixed=asked.fixed,
        known=tuple(
            Seen(
                tuple(int(run.values[n]) if asked.factors[n].integer else run.values[n] for n in names),
                tuple(run.scores[name] for name in asked.objectives),
                tuple(bound.violation(run.scores[name]) for name, bound in bounds.items()),
                {"run": run.run, "sweep": asked.sweep},
            )
            for run in asked.known
        ),
        maximise={name: direction == "maximize" for name, direction in asked.objectives.items()},
        limits={name: bound.violation for name, bound in bounds.items()},
        runs=asked.runs,
        batch=asked.batch,
        sampler=asked.method,
        seed=seed,
        template=template,
        registered=tuple(requests),
        cost=lambda seconds: costs_of(study, seconds),
        augmented=augmented,
    )


def with_recommended(study: StudySpec, ledger: MlflowLedger | None, requests: Sequence[RunRequest]) -> list[RunRequest]:
    """Registered runs with the recommended values, if there are any yet.

    Args:
        study: The study.
        ledger: Of its sweep, if it has one yet.
        requests: Its registered runs, without them.

    Raises:
        LedgerError: The store does not answer.
    """
    plan = search_plan(study, requests) if ledger is not None else None
    if plan is None or ledger is None:
        return list(requests)
    from maineffect.ledger.sweep.phases import LedgerPhases

    settled = plan.settled(plan.standing(LedgerPhases(ledger).notes()))
    return [settled.get(request.run_id, request) for request in requests]
