"""What tuning did before the registered runs, from the ledger: the facts behind "Was tuning fair?"."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from maineffect.contracts import RunStatus
from maineffect.journey.plan.requests import plan_requests
from maineffect.journey.plan.tuned import tuning_plan

if TYPE_CHECKING:
    import pandas as pd

    from maineffect.analyse.fit.respond import Fitted
    from maineffect.analyse.record.tuning import NuisanceCurve, NuisanceInteraction, Tuned, TunedGroup
    from maineffect.execute.phases.tuning import Group, TuningPlan
    from maineffect.journey.plan.place import Checked
    from maineffect.ledger.sweep.ledger import MlflowLedger
    from maineffect.spec.study import StudySpec

__all__ = ["tuning_facts", "unequal_sentences"]

_MOST_PAIRS = 4


def tuning_facts(
    checked: Checked, ledger: MlflowLedger, table: pd.DataFrame, fits: Mapping[str, Fitted]
) -> Tuned | None:
    """What was tuned, group by group; None for a study that tunes nothing.

    Args:
        checked: The study.
        ledger: Of its sweep.
        table: Its registered runs, with their responses.
        fits: Response → its fit, as analysed.

    Raises:
        LedgerError: The store does not answer.
    """
    from maineffect.analyse.record.tuning import Tuned
    from maineffect.analyse.tuning import errors_of_groups
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
    interactions, curves = _best_values(checked, plan, groups, scores)
    return Tuned(
        scope=asked.scope if isinstance(asked.scope, str) else list(asked.scope),
        response=asked.response,
        goal=checked.study.responses[asked.response].goal.value,
        sampler=asked.sampler,
        select=asked.select,
        nuisance={name: nuisance.range for name, nuisance in asked.nuisance.items()},
        log=[name for name, nuisance in asked.nuisance.items() if nuisance.scale == "log"],
        defaults={name: nuisance.default for name, nuisance in asked.nuisance.items()},
        groups=[_group(checked.study, plan, group, runs, scores, obtained) for group in groups.values()],
        interactions=interactions,
        curves=curves,
        errors=errors_of_groups(checked.study, fits),
    )


def unequal_sentences(checked: Checked, ledger: MlflowLedger) -> list[str]:
    """What a reader of the verdicts must know of trials that were set aside."""
    if checked.study.tuning is None:
        return []
    from maineffect.execute.phases.tuning import SET_ASIDE
    from maineffect.ledger.sweep.phases import LedgerPhases

    gone = {key: who for key, who in LedgerPhases(ledger).notes().items() if key.startswith(SET_ASIDE)}
    if not gone:
        return []
    return [
        f"tuning was unequal: groups chose without {len(gone)} trial run(s) that had failed "
        f"({', '.join(sorted(set(gone.values())))}); whoever has more trials finds better values"
    ]


def _best_values(
    checked: Checked, plan: TuningPlan, groups: Mapping[str, Group], scores: Mapping[str, float]
) -> tuple[list[NuisanceInteraction], list[NuisanceCurve]]:
    """Whether best values differ between levels, and the curves of the pairs of which this is most likely."""
    from maineffect.analyse.record.tuning import TrialScore
    from maineffect.analyse.tuning import nuisance_curves, nuisance_interactions

    factors = tuple(checked.study.factors)
    found = [
        TrialScore(
            levels={name: run.levels[name] for name in factors},
            values={one.name: value for one, value in zip(plan.space, point, strict=True)},
            coded={one.name: one.coded(value) for one, value in zip(plan.space, point, strict=True)},
            score=scores[run.run_id],
        )
        for group in groups.values()
        for point, requests in zip(group.points, group.requests, strict=True)
        for run in requests
        if run.run_id in scores
    ]
    if not found:
        return [], []
    one_for_each = checked.study.tuned_by or (factors if _own(checked.study) else ())
    shared = [name for name in factors if name not in one_for_each]
    interactions = nuisance_interactions(found, factors, shared)
    log = {one.name: one.log for one in plan.space}
    curves = [
        curve
        for pair in interactions[:_MOST_PAIRS]
        for curve in nuisance_curves(found, pair.factor, pair.nuisance, log=log[pair.nuisance])
    ]
    return interactions, curves


def _own(study: StudySpec) -> bool:
    """Whether every run has a value of its own."""
    return study.tuning is not None and study.tuning.scope == "replicate"


def _group(
    study: StudySpec,
    plan: TuningPlan,
    group: Group,
    runs: Mapping[str, RunStatus],
    scores: Mapping[str, float],
    obtained: Mapping[str, float],
) -> TunedGroup:
    from maineffect.analyse.record.tuning import TunedGroup

    sign = 1.0 if plan.maximize else -1.0
    names = [one.name for one in plan.space]
    scored = {run_id: score for run_id, score in scores.items() if run_id not in group.aside}
    found = [_score([scored.get(run.run_id) for run in requests]) for requests in group.requests]
    trials = [runs[run.run_id] for requests in group.requests for run in requests if run.run_id in runs]
    results = [obtained[run.run_id] for run in plan.groups[group.name] if obtained[run.run_id] == obtained[run.run_id]]
    gone = [of_point for of_point in group.requests if any(run.run_id in group.aside for run in of_point)]
    choice = group.choice
    return TunedGroup(
        group=group.name,
        levels={name: plan.groups[group.name][0].levels[name] for name in study.tuned_by},
        runs=len(plan.groups[group.name]),
        trials=len(group.points),
        set_aside=len(gone),
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
