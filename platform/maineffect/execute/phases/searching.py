"""A search for the best setting: which runs there are by the records, and what is proposed when they have ended."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from maineffect.contracts import Level, RunRequest, RunStatus
from maineffect.execute.phases.binding import bound
from maineffect.execute.phases.optuna_study import Coordinate, Seen, ask
from maineffect.execute.phases.preparations import diverged, trial_ended
from maineffect.preparation import SEARCH, PhaseRecords, TrialRequest, trial_id
from maineffect.seeds import derive_seed

__all__ = ["AUGMENT", "GROUP", "Search", "SearchPlan", "bound_run", "measured", "search_trials"]

GROUP = "optimum"
"""The one group of a search: all registered runs wait for it."""
AUGMENT = "augment"
"""The sampler that proposes all runs at once, from the design and not from what was measured."""

Point = tuple[Level, ...]


@dataclass(frozen=True)
class SearchPlan:
    """Where is looked, for what, and from which runs on.

    Attributes:
        space: What is chosen.
        settings: Coordinate → dotted setting that it drives.
        fixed: Levels of the factors that are not chosen.
        known: The finished sweep's runs, in their order.
        maximise: Objective → whether more of it is better.
        limits: Limited number → how far a value misses its limit.
        runs: Runs of the search.
        batch: Runs that are proposed at a time.
        sampler: ``gp``, ``tpe`` or ``augment``.
        seed: Root of the search's seeds.
        template: A run of the sweep: trials are further runs of it, on its items and from its warm start.
        registered: The registered runs.
        cost: Seconds of a run → what they cost, by objective name.
        augmented: The points of ``augment``.
    """

    space: tuple[Coordinate, ...]
    settings: Mapping[str, str]
    fixed: Mapping[str, Level]
    known: tuple[Seen, ...]
    maximise: Mapping[str, bool]
    limits: Mapping[str, Callable[[float], float]]
    runs: int
    batch: int
    sampler: str
    seed: int
    template: RunRequest
    registered: tuple[RunRequest, ...]
    cost: Callable[[float], Mapping[str, float]]
    augmented: Callable[[], Sequence[Point]]

    @property
    def groups(self) -> dict[str, tuple[RunRequest, ...]]:
        """The registered runs, all of which wait for the recommendation."""
        return {GROUP: self.registered}

    def standing(self, notes: Mapping[str, str]) -> dict[str, Search]:
        """Where the search stands, by what is written.

        Args:
            notes: The records of the phase.
        """
        points: list[Point] = []
        while len(points) < self.runs and (word := notes.get(self._key(len(points)))):
            points += [tuple(point) for point in json.loads(word.split(":", 3)[3])]
        requests = tuple((self._trial(number, point),) for number, point in enumerate(points))
        word = notes.get(f"chosen.{GROUP}")
        choice = None if word is None else json.loads(word.split(":", 2)[2])
        return {GROUP: Search(tuple(points), requests, choice)}

    def advance(self, groups: Mapping[str, Search], runs: Mapping[str, RunStatus], records: PhaseRecords) -> bool:
        """Write the next proposals, if the runs of all earlier ones have ended.

        Any number of drivers may do so at once: they compute the same words, and the first stands.

        Args:
            groups: See :meth:`standing`.
            runs: What the ledger knows.
            records: Of the phase.

        Returns:
            Whether something was written.

        Raises:
            LedgerError: The store does not answer.
        """
        search = groups[GROUP]
        first = len(search.points)
        if first >= self.runs or search.choice is not None or not search.ended(runs):
            return False
        seen = [*self.known, *search_trials(self, search, runs, measured(self, search, records))]
        count = min(self.batch, self.runs - first)
        points = self.propose(seen, count, first)
        word = f"{_digest(seen)}:{self.sampler}:{self.seed}:{json.dumps(points)}"
        records.note(self._key(first), word)
        return True

    def propose(self, seen: Sequence[Seen], count: int, first: int) -> list[Point]:
        """The next points: a pure function of what has ended.

        Args:
            seen: The sweep's runs, then the trials, in their order.
            count: How many are wanted.
            first: How many were proposed before.
        """
        if self.sampler == AUGMENT:
            return [tuple(point) for point in self.augmented()][first : first + count]
        return ask(
            self.space,
            seen,
            count,
            maximise=tuple(self.maximise.values()),
            limits=tuple(self.limits),
            sampler=self.sampler,
            seed=derive_seed(self.seed, "propose", first),
        )

    def settled(self, groups: Mapping[str, Search]) -> dict[str, RunRequest]:
        """Registered runs as they are to be run, once a setting is recommended."""
        choice = groups[GROUP].choice
        if choice is None:
            return {}
        values = choice["values"]
        return {
            run.run_id: bound_run(run, self.settings, values[str(run.levels["setting"])]) for run in self.registered
        }

    def _key(self, points: int) -> str:
        return f"propose.{GROUP}.{points // self.batch}"

    def _trial(self, number: int, point: Point) -> TrialRequest:
        """A further run of the sweep, with a seed of its own."""
        run_id = trial_id(GROUP, number, str(self.seed), SEARCH)
        values = dict(zip((one.name for one in self.space), point, strict=True))
        cell = self.template
        return TrialRequest(
            study=cell.study,
            sweep_id=cell.sweep_id,
            run_id=run_id,
            cell_id=run_id,
            replicate=0,
            levels={**self.fixed, **values},
            settings=bound(cell.settings, self.settings, values),
            seed=derive_seed(self.seed, "run", run_id),
            evaluation_seed=cell.evaluation_seed,
            responses=cell.responses,
            trainable=cell.trainable,
            code_version=cell.code_version,
            base_seed=cell.base_seed,
            name=SEARCH,
            serves=len(self.registered),
            group=GROUP,
            number=number,
        )


@dataclass(frozen=True)
class Search:
    """Where a search stands.

    Attributes:
        points: Values of every run that was proposed, in their order.
        requests: The run of each.
        choice: What was recommended and is confirmed; None before.
    """

    points: tuple[Point, ...]
    requests: tuple[tuple[TrialRequest, ...], ...]
    choice: dict[str, Any] | None

    def ended(self, runs: Mapping[str, RunStatus]) -> bool:
        """Whether every run that was proposed came to a result, or diverged."""
        trials = [runs.get(trial.run_id) for (trial,) in self.requests]
        return all(trial_ended(one) for one in trials)


def measured(plan: SearchPlan, search: Search, records: PhaseRecords) -> dict[str, dict[str, float]]:
    """Run of a search that came to a result → its responses, and what it cost by the names of objectives.

    Args:
        plan: The search.
        search: Where it stands.
        records: Results.

    Raises:
        LedgerError: The store does not answer.
    """
    ids = [trial.run_id for (trial,) in search.requests]
    results, seconds = records.responses(ids), records.seconds(ids)
    return {run_id: {**found, **plan.cost(seconds[run_id])} for run_id, found in results.items()}


def search_trials(
    plan: SearchPlan, search: Search, runs: Mapping[str, RunStatus], numbers: Mapping[str, Mapping[str, float]]
) -> list[Seen]:
    """The runs of a search that have ended, in their order.

    Args:
        plan: The search.
        search: Where it stands.
        runs: What the ledger knows.
        numbers: See :func:`measured`.
    """
    trials = []
    for point, (trial,) in zip(search.points, search.requests, strict=True):
        run_id = trial.run_id
        if run_id in numbers:
            scores = tuple(numbers[run_id][name] for name in plan.maximise)
            missed = tuple(miss(numbers[run_id][name]) for name, miss in plan.limits.items())
            trials.append(Seen(point, scores, missed, {"run": run_id}))
        elif diverged(runs.get(run_id)):
            trials.append(Seen(point, (), (), {"run": run_id}))
    return trials


def bound_run(run: RunRequest, drives: Mapping[str, str], values: Mapping[str, Level]) -> RunRequest:
    """A registered run with the values of its setting: its levels, its settings, and with them its content."""
    return replace(run, levels={**run.levels, **values}, settings=bound(run.settings, drives, values))


def _digest(seen: Sequence[Seen]) -> str:
    return hashlib.sha256(json.dumps([asdict(one) for one in seen]).encode()).hexdigest()[:16]
