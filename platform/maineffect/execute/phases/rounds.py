"""What comes before the registered runs, as a driver meets it: made, tuned, and then they may start."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from maineffect.contracts import RunRequest, RunStatus
from maineffect.execute.phases.preparations import Preparations, plan_preparations
from maineffect.execute.phases.tuning import TuningPlan, advance, chosen_values, standing, with_values
from maineffect.preparation import PhaseRecords, PhaseRequest, is_preparatory

__all__ = ["Rounds"]


class Rounds:
    """Keeps up with what runs start from while trials are proposed, end, and settle what the registered runs take.

    Args:
        requests: The registered runs.
        study_dir: Folder of the study file.
        tuning: What is tuned before them, if anything.
        records: Of the tuning.
    """

    def __init__(
        self,
        requests: Sequence[RunRequest],
        study_dir: Path | None,
        tuning: TuningPlan | None = None,
        records: PhaseRecords | None = None,
    ) -> None:
        self._requests, self._study_dir = requests, study_dir
        self._tuning, self._records = tuning, records
        self._settled: dict[str, RunRequest] = {}
        self.preparations = Preparations()
        if tuning is None:
            self._settled = {request.run_id: request for request in requests}
            self.preparations = plan_preparations(requests, study_dir)
        self._known, self._seen = -1, -1

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
        tuning, records = self._tuning, self._records
        if tuning is None or records is None or len(self._settled) == len(self._requests):
            return
        # What follows is decided by the trials alone: nothing is new while they stand where they stood.
        seen = hash(frozenset((s.run_id, s.state, len(s.ends)) for s in runs.values() if is_preparatory(s.run_id)))
        if seen == self._seen:
            return
        groups = standing(tuning, records.notes())
        while advance(tuning, groups, runs, records):
            groups = standing(tuning, records.notes())
        self._seen = seen
        known = sum(len(group.points) + (group.choice is not None) for group in groups.values())
        if known == self._known:
            return
        self._known = known
        values = chosen_values(tuning, groups)
        self._settled = {
            request.run_id: with_values(tuning, request, values[request.run_id])
            for request in self._requests
            if request.run_id in values
        }
        trials: dict[str, list[PhaseRequest]] = {
            name: [run for requests in group.requests for run in requests] for name, group in groups.items()
        }
        every = [run for group in trials.values() for run in group]
        made = plan_preparations([*self._settled.values(), *every], self._study_dir)
        unsettled = {
            run.run_id: tuple(trials[name])
            for name, members in tuning.groups.items()
            for run in members
            if run.run_id not in values
        }
        self.preparations = Preparations((*made.requests, *every), {**made.needs, **unsettled}, frozenset(unsettled))
