"""What tuning did before the registered runs, from the ledger: the facts behind "Was tuning fair?"."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from maineffect.contracts import RunStatus
from maineffect.journey.plan.requests import plan_requests
from maineffect.journey.plan.tuned import tuning_plan

if TYPE_CHECKING:
    import pandas as pd

    from maineffect.analyse.record.further_records import Tuned, TunedGroup
    from maineffect.execute.phases.tuning import Group, TuningPlan
    from maineffect.journey.plan.place import Checked
    from maineffect.ledger.sweep.ledger import MlflowLedger

__all__ = ["tuning_facts"]


def tuning_facts(checked: Checked, ledger: MlflowLedger, table: pd.DataFrame) -> Tuned | None:
    """What was tuned, group by group; None for a study that tunes nothing.

    Args:
        checked: The study.
        ledger: Of its sweep.
        table: Its registered runs, with their responses.

    Raises:
        LedgerError: The store does not answer.
    """
    from maineffect.analyse.record.further_records import Tuned
    from maineffect.execute.phases.tuning import standing
    from maineffect.ledger.sweep.phases import LedgerPhases

    asked = checked.study.tuning
    if asked is None:
        return None
    plan = tuning_plan(checked.study, plan_requests(checked, ledger.sweep_id))
    assert plan is not None
    records, runs = LedgerPhases(ledger), ledger.state().preparations
    groups = standing(plan, records.notes())
    ids = [run.run_id for group in groups.values() for requests in group.requests for run in requests]
    scores = {run_id: found[asked.response] for run_id, found in records.responses(ids).items()}
    obtained = dict(zip(table["run_id"], table[asked.response], strict=True))
    return Tuned(
        scope=asked.scope,
        response=asked.response,
        goal=checked.study.responses[asked.response].goal.value,
        sampler=asked.sampler,
        select=asked.select,
        nuisance={name: nuisance.range for name, nuisance in asked.nuisance.items()},
        defaults={name: nuisance.default for name, nuisance in asked.nuisance.items()},
        groups=[_group(plan, group, runs, scores, obtained) for group in groups.values()],
    )


def _group(
    plan: TuningPlan,
    group: Group,
    runs: Mapping[str, RunStatus],
    scores: Mapping[str, float],
    obtained: Mapping[str, float],
) -> TunedGroup:
    from maineffect.analyse.record.further_records import TunedGroup

    sign = 1.0 if plan.maximize else -1.0
    names = [one.name for one in plan.space]
    found = [_score([scores.get(run.run_id) for run in requests]) for requests in group.requests]
    trials = [runs[run.run_id] for requests in group.requests for run in requests if run.run_id in runs]
    results = [obtained[run.run_id] for run in plan.groups[group.name] if obtained[run.run_id] == obtained[run.run_id]]
    choice = group.choice
    return TunedGroup(
        group=group.name,
        runs=len(plan.groups[group.name]),
        trials=len(group.points),
        diverged=sum(score is None for score in found),
        seconds=sum(trial.seconds + sum(end.seconds for end in trial.ends) for trial in trials),
        values=None if choice is None else dict(zip(names, choice.values, strict=True)),
        predicted=None if choice is None or choice.predicted is None else sign * choice.predicted,
        std_error=None if choice is None else choice.std_error,
        default_score=found[0] if found else None,
        obtained=sum(results) / len(results) if results else None,
        on_edge=[] if choice is None else list(choice.on_edge),
        points=[
            {**dict(zip(names, point, strict=True)), "score": score}
            for point, score in zip(group.points, found, strict=True)
        ],
    )


def _score(values: list[float | None]) -> float | None:
    """The mean of a point's runs; None where one of them has no result."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None
