"""Tuning before the registered runs: whose trials there are, and where each group stands by the records."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from maineffect.contracts import RunRequest, RunState, RunStatus
from maineffect.execute.phases.binding import bound
from maineffect.execute.phases.choosing import Choice, choose
from maineffect.execute.phases.preparations import diverged, trial_ended
from maineffect.execute.phases.proposals import Dimension, Trial, propose
from maineffect.preparation import TRIAL, PhaseRecords, TrialRequest, trial_id
from maineffect.seeds import derive_seed

__all__ = ["SET_ASIDE", "Group", "TuningPlan", "advance", "chosen_values", "set_aside", "standing", "with_values"]

SET_ASIDE = "without."
"""How the records begin of trials that a group's choice goes without."""


@dataclass(frozen=True)
class TuningPlan:
    """What is tuned, for whom, and how.

    Attributes:
        space: What is tuned.
        settings: Name of a dimension → dotted setting that it drives.
        groups: Group → its registered runs, which get one value.
        trials: Points that each group tries.
        batch: Points that a sampler proposes at a time.
        sampler: ``sobol``, ``tpe`` or ``gp``.
        select: ``smooth`` or ``best``.
        response: What is tuned for.
        maximize: Whether more of it is better.
        seed: Root of the tuning's seeds.
    """

    space: tuple[Dimension, ...]
    settings: Mapping[str, str]
    groups: Mapping[str, tuple[RunRequest, ...]]
    trials: int
    batch: int
    sampler: str
    select: str
    response: str
    maximize: bool
    seed: int

    @property
    def runs(self) -> int:
        """Trial runs in all: a point is run once in every cell of its group."""
        return self.trials * sum(len(_cells(members)) for members in self.groups.values())

    def standing(self, notes: Mapping[str, str]) -> dict[str, Group]:
        """See :func:`standing`."""
        return standing(self, notes)

    def advance(self, groups: Mapping[str, Group], runs: Mapping[str, RunStatus], records: PhaseRecords) -> bool:
        """See :func:`advance`."""
        return advance(self, groups, runs, records)

    def settled(self, groups: Mapping[str, Group]) -> dict[str, RunRequest]:
        """Registered runs with what was chosen for them; those of other groups are left out."""
        values = chosen_values(self, groups)
        runs = (run for members in self.groups.values() for run in members)
        return {run.run_id: with_values(self, run, values[run.run_id]) for run in runs if run.run_id in values}


@dataclass(frozen=True)
class Group:
    """Where a group stands.

    Attributes:
        name: Of the group.
        points: Values of every point that was proposed, in their order.
        requests: The trial runs of every point.
        choice: What was chosen; None before.
        aside: Runs of points that the choice goes without, because one of their runs failed and was set aside.
    """

    name: str
    points: tuple[tuple[float, ...], ...]
    requests: tuple[tuple[TrialRequest, ...], ...]
    choice: Choice | None
    aside: frozenset[str] = frozenset()


def standing(plan: TuningPlan, notes: Mapping[str, str]) -> dict[str, Group]:
    """Where every group stands, by what is written.

    Args:
        plan: The tuning.
        notes: The records of the phase.
    """
    groups = {}
    for name, members in plan.groups.items():
        points: list[tuple[float, ...]] = []
        while (word := notes.get(f"propose.{name}.{_batch_of(plan, len(points))}")) and len(points) < plan.trials:
            points += [tuple(point) for point in json.loads(word.split(":", 3)[3])]
        requests = tuple(_requests(plan, name, members, number, point) for number, point in enumerate(points))
        gone = [of_point for of_point in requests if any(f"{SET_ASIDE}{run.run_id}" in notes for run in of_point)]
        aside = frozenset(run.run_id for of_point in gone for run in of_point)
        groups[name] = Group(name, tuple(points), requests, _choice(notes.get(f"chosen.{name}")), aside)
    return groups


def advance(
    plan: TuningPlan, groups: Mapping[str, Group], runs: Mapping[str, RunStatus], records: PhaseRecords
) -> bool:
    """Write what follows from the trials that have ended: the next proposals of a group, or its choice.

    Any number of drivers may do so at once: they compute the same words, and the first stands.

    Args:
        plan: The tuning.
        groups: See :func:`standing`.
        runs: What the ledger knows.
        records: Of the phase.

    Returns:
        Whether something was written.

    Raises:
        LedgerError: The store does not answer.
    """
    wrote = False
    for group in groups.values():
        if group.choice is not None:
            continue
        wanted = [run.run_id for requests in group.requests for run in requests if run.run_id not in group.aside]
        ended = all(trial_ended(runs.get(run_id)) for run_id in wanted)
        if len(group.points) < plan.trials and (ended or plan.sampler == "sobol"):
            trials = [] if plan.sampler == "sobol" else _trials(plan, group, runs, records)
            _propose(plan, group, trials, records)
            wrote = True
        elif ended and len(group.points) >= plan.trials and wanted:
            every = zip(_trials(plan, group, runs, records), group.requests, strict=True)
            trials = [trial for trial, requests in every if not _aside(group, requests)]
            choice = choose(plan.space, trials, plan.select)
            word = json.dumps(asdict(choice))
            records.note(f"chosen.{group.name}", f"{_digest(trials)}:{plan.select}:{word}")
            wrote = True
    return wrote


def _propose(plan: TuningPlan, group: Group, trials: Sequence[Trial], records: PhaseRecords) -> None:
    first = len(group.points)
    known = trials or [Trial(point, None) for point in group.points]
    count = min(plan.batch, plan.trials - first)
    points = propose(plan.space, known, count, sampler=plan.sampler, seed=plan.seed, group=group.name)
    word = f"{_digest(trials)}:{plan.sampler}:{plan.seed}:{json.dumps(points)}"
    records.note(f"propose.{group.name}.{_batch_of(plan, first)}", word)


def _batch_of(plan: TuningPlan, points: int) -> int:
    return points // plan.batch


def _digest(trials: Sequence[Trial]) -> str:
    return hashlib.sha256(json.dumps([asdict(trial) for trial in trials]).encode()).hexdigest()[:16]


def _choice(word: str | None) -> Choice | None:
    if word is None:
        return None
    content: dict[str, Any] = json.loads(word.split(":", 2)[2])
    return Choice(**{**content, "values": tuple(content["values"]), "on_edge": tuple(content["on_edge"])})


def _trials(plan: TuningPlan, group: Group, runs: Mapping[str, RunStatus], records: PhaseRecords) -> list[Trial]:
    """The ended points of a group: the mean over its cells, or diverged where one of them did.

    A point that was set aside is worth what the others are on average: it neither draws a sampler nor repels it.
    """
    ids = [run.run_id for requests in group.requests for run in requests if run.run_id not in group.aside]
    found = records.responses(ids)
    sign = 1.0 if plan.maximize else -1.0
    trials: list[Trial] = []
    gone: list[int] = []
    for number, (point, requests) in enumerate(zip(group.points, group.requests, strict=True)):
        if _aside(group, requests):
            gone.append(number)
            trials.append(Trial(point, None))
            continue
        if any(diverged(runs.get(run.run_id)) for run in requests):
            trials.append(Trial(point, None))
            continue
        values = [found[run.run_id][plan.response] for run in requests]
        trials.append(Trial(point, sign * sum(values) / len(values)))
    scores = [trial.score for trial in trials if trial.score is not None]
    for number in gone if scores else ():
        trials[number] = replace(trials[number], score=sum(scores) / len(scores))
    return trials


def _aside(group: Group, requests: Sequence[TrialRequest]) -> bool:
    return any(run.run_id in group.aside for run in requests)


def set_aside(groups: Mapping[str, Group], runs: Mapping[str, RunStatus], records: PhaseRecords, why: str) -> int:
    """Let groups without a choice go on without the trials that have failed: on request only, since it is unequal.

    A diverged training is no failure, and a group none of whose trials has ended keeps them all.

    Args:
        groups: See :func:`standing`.
        runs: What the ledger knows.
        records: Of the phase.
        why: By whom it was asked for.

    Returns:
        How many trial runs were set aside.

    Raises:
        LedgerError: The store does not answer.
    """
    count = 0
    for group in groups.values():
        all_of = [run.run_id for requests in group.requests for run in requests if run.run_id not in group.aside]
        failed = [
            run_id
            for run_id in all_of
            if (status := runs.get(run_id)) is not None and status.state is RunState.FAILED and not diverged(status)
        ]
        if group.choice is None and any(trial_ended(runs.get(run_id)) for run_id in all_of):
            for run_id in failed:
                records.note(f"{SET_ASIDE}{run_id}", why)
            count += len(failed)
    return count


def _cells(members: Sequence[RunRequest]) -> list[RunRequest]:
    """The first run of every cell of a group."""
    return list({run.cell_id: run for run in reversed(members)}.values())[::-1]


def _requests(
    plan: TuningPlan, group: str, members: Sequence[RunRequest], number: int, point: Sequence[float]
) -> tuple[TrialRequest, ...]:
    values = dict(zip((one.name for one in plan.space), point, strict=True))
    return tuple(_trial(plan, group, cell, number, values, len(members)) for cell in _cells(members))


def _trial(
    plan: TuningPlan, group: str, cell: RunRequest, number: int, values: Mapping[str, float], serves: int
) -> TrialRequest:
    """One cell at one point, with seeds and items that no registered run has."""
    run_id = trial_id(group, number, cell.cell_id)
    return TrialRequest(
        study=cell.study,
        sweep_id=cell.sweep_id,
        run_id=run_id,
        cell_id=run_id,
        replicate=0,
        levels={**cell.levels, **values},
        settings=bound(cell.settings, plan.settings, values),
        seed=derive_seed(plan.seed, "run", run_id),
        evaluation_seed=derive_seed(plan.seed, "evaluation"),
        responses=(plan.response,),
        trainable=cell.trainable,
        code_version=cell.code_version,
        base_seed=derive_seed(plan.seed, "base"),
        name=TRIAL,
        serves=serves,
        group=group,
        number=number,
    )


def chosen_values(plan: TuningPlan, groups: Mapping[str, Group]) -> dict[str, dict[str, float]]:
    """Registered run → the values that its group's trials have chosen; runs of other groups are left out."""
    names = [one.name for one in plan.space]
    return {
        run.run_id: dict(zip(names, choice.values, strict=True))
        for name, members in plan.groups.items()
        if (choice := groups[name].choice) is not None
        for run in members
    }


def with_values(plan: TuningPlan, request: RunRequest, values: Mapping[str, float]) -> RunRequest:
    """A registered run with what was chosen for it: its settings, and with them its content, are then complete."""
    return replace(request, settings=bound(request.settings, plan.settings, values))
