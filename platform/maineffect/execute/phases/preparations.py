"""Which preparations the runs of a sweep need, and which of them have been made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from maineffect.contracts import FailureClass, RunRequest, RunState, RunStatus
from maineffect.errors import PluginError
from maineffect.plugins import load_trainable
from maineffect.preparation import PhaseRequest, Preparation, PreparatoryRequest, TrialRequest, preparatory_request

__all__ = [
    "MadeBefore",
    "Preparations",
    "diverged",
    "in_cache",
    "plan_preparations",
    "preparations_of",
    "trial_ended",
]


@dataclass(frozen=True)
class Preparations:
    """The preparations of a sweep.

    Attributes:
        requests: One work order for each, in the order in which the runs need them.
        needs: Run id → those that the run waits for; runs that need none are left out.
        unsettled: Runs that may not start even when these have ended, because their settings are not complete.
    """

    requests: tuple[PhaseRequest, ...] = ()
    needs: Mapping[str, tuple[PhaseRequest, ...]] = field(default_factory=dict)
    unsettled: frozenset[str] = frozenset()

    def missing(self, run_id: str, runs: Mapping[str, RunStatus], made: Collection[str]) -> list[PhaseRequest]:
        """What a run needs and has not been made yet.

        Args:
            run_id: The run.
            runs: What the ledger knows.
            made: Preparations whose files are in the cache, whoever made them.
        """
        return [need for need in self.needs.get(run_id, ()) if need.run_id not in made and not self._done(need, runs)]

    @staticmethod
    def _done(need: PhaseRequest, runs: Mapping[str, RunStatus]) -> bool:
        if isinstance(need, TrialRequest):
            return trial_ended(runs.get(need.run_id))
        return _state(runs, need.run_id) is RunState.FINISHED

    def files_for(self, run_id: str) -> dict[str, tuple[str, ...]]:
        """Preparations that a run starts from → their files in the cache."""
        needs = self.needs.get(run_id, ())
        return {need.run_id: need.files for need in needs if isinstance(need, PreparatoryRequest)}


def plan_preparations(requests: Sequence[RunRequest], study_dir: Path | None) -> Preparations:
    """Ask the trainable of a sweep what its runs start from.

    Args:
        requests: The sweep's runs, in run order; all have one trainable.
        study_dir: Folder of the study file.

    Raises:
        PluginError: The trainable's own functions raised, or do not fit together.
    """
    if not requests:
        return Preparations()
    try:
        trainable = load_trainable(requests[0].trainable, study_dir)
    except PluginError:
        return Preparations()  # each run says what is wrong with it
    return preparations_of(trainable, requests)


def preparations_of(trainable: object, requests: Sequence[RunRequest]) -> Preparations:
    """The same of a trainable that is at hand.

    Raises:
        PluginError: Its ``preparations`` raised or returned something else, or it has no ``prepare``.
    """
    if getattr(trainable, "preparations", None) is None:
        return Preparations()
    if not callable(getattr(trainable, "prepare", None)):
        hint = "give it prepare(request, context)"
        raise PluginError("the trainable declares preparations and has no `prepare`", hint)
    declared = {request.run_id: _declared(trainable, request) for request in requests}
    made: dict[tuple[str, str], PreparatoryRequest] = {}
    for request in requests:
        for preparation in declared[request.run_id]:
            same = (preparation.name, preparation.key)
            if same not in made:
                serves = sum(any((p.name, p.key) == same for p in all_of) for all_of in declared.values())
                made[same] = preparatory_request(request, preparation, serves)
    needs = {run: tuple(made[p.name, p.key] for p in all_of) for run, all_of in declared.items() if all_of}
    return Preparations(tuple(made.values()), needs)


def _declared(trainable: object, request: RunRequest) -> tuple[Preparation, ...]:
    try:
        declared = tuple(trainable.preparations(request))  # type: ignore[attr-defined]
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise PluginError(f"the trainable's preparations raised {reason} for {request.run_id}") from error
    for preparation in declared:
        if not isinstance(preparation, Preparation):
            raise PluginError(
                f"the trainable's preparations returned a {type(preparation).__name__} for {request.run_id}",
                "return maineffect.preparation.Preparation records",
            )
    return declared


class Holder(Protocol):
    """Whoever knows the preparations of a sweep."""

    @property
    def preparations(self) -> Preparations:
        """As far as they are known."""


class MadeBefore:
    """Preparations whose files lie in the home's cache, whoever put them there: they are not made again.

    Args:
        holder: Holds the preparations of the sweep, more of them as they become known.
        home: The driver's home.
        address: Ray cluster; on one the cache of this machine says nothing about that of the nodes, so a preparation is
            run there, which takes no time where it finds its files, and keeps them in the store for every node.
    """

    def __init__(self, holder: Holder, home: Path, address: str | None) -> None:
        self._holder, self._home, self._here = holder, home, address is None

    @property
    def _requests(self) -> tuple[PhaseRequest, ...]:
        return self._holder.preparations.requests if self._here else ()

    def ids(self, runs: Mapping[str, RunStatus]) -> frozenset[str]:
        """Those of them that the ledger has not as finished."""
        return frozenset(
            request.run_id
            for request in self._requests
            if _state(runs, request.run_id) is not RunState.FINISHED and in_cache(request, self._home)
        )

    def sentences(self, runs: Mapping[str, RunStatus], unprepared: Mapping[str, str]) -> dict[str, str]:
        """What the user should know once: about what → sentence.

        Args:
            runs: What the ledger knows.
            unprepared: Runs that wait for a preparation which is not tried again → that preparation.
        """
        said = {}
        for request in self._requests:
            if _state(runs, request.run_id) is RunState.PLANNED and in_cache(request, self._home):
                said[f"{request.run_id} is there"] = (
                    f"the {request.name} of {request.serves} run(s) is in {self._home / 'cache'}: it is not made again"
                )
        for need, count in Counter(unprepared.values()).items():
            said[f"{need} is missing"] = (
                f"{count} run(s) wait for {need}, which has failed and is not tried again by itself; `maineffect logs "
                f"{need}` says why, and resubmitting the sweep tries it again"
            )
        return said


def diverged(status: RunStatus | None) -> bool:
    """Whether a training diverged: an outcome of its values, which is not tried again."""
    ends = status.ends if status is not None and status.state is RunState.FAILED else ()
    return bool(ends) and ends[-1].failure is FailureClass.DIVERGED


def trial_ended(status: RunStatus | None) -> bool:
    """Whether a trial came to a result, or diverged."""
    return diverged(status) or (status is not None and status.state is RunState.FINISHED)


def _state(runs: Mapping[str, RunStatus], run_id: str) -> RunState:
    return runs[run_id].state if run_id in runs else RunState.PLANNED


def in_cache(request: PhaseRequest, home: Path) -> bool:
    """Whether everything that a preparation makes is in a home's cache."""
    if not isinstance(request, PreparatoryRequest):
        return False
    return bool(request.files) and all((home / "cache" / name).exists() for name in request.files)
