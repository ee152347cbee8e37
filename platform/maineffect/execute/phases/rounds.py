"""What comes before the registered runs, as a driver meets it: made, tuned or searched for, and then they may start."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from maineffect.contracts import RunRequest, RunStatus
from maineffect.execute.phases.preparations import Preparations, plan_preparations
from maineffect.preparation import PhaseRecords, PhaseRequest, is_preparatory

__all__ = ["Before", "Rounds"]


class Before(Protocol):
    """What is found out by trials before the registered runs: a tuning, or a search.

    A group of trials has ``points``, a tuple of ``requests`` for each of them, and a ``choice``, None before; there may
    be runs ``aside``, by their ids, that it goes without.
    """

    @property
    def groups(self) -> Mapping[str, tuple[RunRequest, ...]]:
        """Group → the registered runs that wait for its choice."""

    @property
    def runs(self) -> int:
        """Trial runs in all, those included that are not proposed yet."""

    def standing(self, notes: Mapping[str, str], /) -> Mapping[str, Any]:
        """Where every group stands, by what is written."""

    def advance(self, groups: Any, runs: Mapping[str, RunStatus], records: PhaseRecords, /) -> bool:
        """Write what follows from the trials that have ended; whether something was written."""

    def settled(self, groups: Any, /) -> Mapping[str, RunRequest]:
        """Registered runs as they are to be run, as far as that is known."""


def _aside(group: Any) -> frozenset[str]:
    found: frozenset[str] = getattr(group, "aside", frozenset())
    return found


class Rounds:
    """Keeps up with what runs start from while trials are proposed, end, and settle what the registered runs take.

    Args:
        requests: The registered runs.
        study_dir: Folder of the study file.
        before: What is tuned or searched for before them, if anything.
        records: Of that.
    """

    def __init__(
        self,
        requests: Sequence[RunRequest],
        study_dir: Path | None,
        before: Before | None = None,
        records: PhaseRecords | None = None,
    ) -> None:
        self._requests, self._study_dir = requests, study_dir
        self._before, self._records = before, records
        self._settled: Mapping[str, RunRequest] = {}
        self.preparations = Preparations()
        if before is None:
            self._settled = {request.run_id: request for request in requests}
            self.preparations = plan_preparations(requests, study_dir)
        self._known, self._seen = -1, -1

    @property
    def trials(self) -> int:
        """Trial runs in all, those included that are not proposed yet."""
        return self._before.runs if self._before is not None else 0

    def settled(self, request: RunRequest) -> RunRequest:
        """A run as it is to be run: with what was chosen for it."""
        return self._settled.get(request.run_id, request)

    def request(self, run_id: str) -> RunRequest:
        """The work order of a run that has one by now."""
        by_id = {made.run_id: made for made in self.preparations.requests}
        return by_id[run_id] if run_id in by_id else next(run for run in self._requests if run.run_id == run_id)

    def advance(self, runs: Mapping[str, RunStatus]) -> None:
        """Propose, choose, and plan what has become known.

        Raises:
            LedgerError: The store does not answer.
            PluginError: The trainable does not say properly what its runs start from.
        """
        before, records = self._before, self._records
        if before is None or records is None or len(self._settled) == len(self._requests):
            return
        # What follows is decided by the trials alone: nothing is new while they stand where they stood.
        seen = hash(frozenset((s.run_id, s.state, len(s.ends)) for s in runs.values() if is_preparatory(s.run_id)))
        if seen == self._seen:
            return
        groups = before.standing(records.notes())
        while before.advance(groups, runs, records):
            groups = before.standing(records.notes())
        self._seen = seen
        known = sum(len(group.points) + (group.choice is not None) for group in groups.values())
        if known == self._known:
            return
        self._known = known
        self._settled = before.settled(groups)
        trials: dict[str, list[PhaseRequest]] = {
            name: [run for requests in group.requests for run in requests if run.run_id not in _aside(group)]
            for name, group in groups.items()
        }
        every = [run for group in trials.values() for run in group]
        made = plan_preparations([*self._settled.values(), *every], self._study_dir)
        unsettled = {
            run.run_id: tuple(trials[name])
            for name, members in before.groups.items()
            for run in members
            if run.run_id not in self._settled
        }
        self.preparations = Preparations((*made.requests, *every), {**made.needs, **unsettled}, frozenset(unsettled))
