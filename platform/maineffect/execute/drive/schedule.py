"""Which run starts next: pure decisions over the ledger's state, no Ray, no clock of its own.

The ledger's records are read again and again, and every decision follows from them alone, so any number of drivers may
work on one sweep: they take the same decisions, and the ledger's claims settle who carries them out.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from maineffect.contracts import AttemptEnd, FailureClass, RunRequest, RunState, RunStatus
from maineffect.execute.phases.preparations import Preparations
from maineffect.preparation import is_preparatory
from maineffect.seeds import generator

__all__ = ["Memory", "Plan", "backoff_seconds", "may_retry", "plan_next", "to_run"]

_RESUMED_BY_SUBMIT = {FailureClass.LOST, FailureClass.CANCELLED, FailureClass.LEDGER, FailureClass.OTHER_CODE}
_LONGEST_BACKOFF = 60.0


@dataclass
class Memory:
    """What one driver remembers; nothing in it is needed to go on after a crash.

    Attributes:
        first_attempt: Run → first attempt of this submission.
        retry_failed: Whether runs that failed in earlier submissions are tried again (``resubmit``).
        retries: Further attempts after a transient failure.
        in_flight: Runs whose actors this driver watches.
        ended_at: (run, attempt) → when this driver saw it end, by its own clock.
        unrecorded: Run → starts that the ledger never came to know of.
    """

    first_attempt: dict[str, int]
    retry_failed: bool
    retries: int
    in_flight: set[str] = field(default_factory=set)
    ended_at: dict[tuple[str, int], float] = field(default_factory=dict)
    unrecorded: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(
        cls, requests: Sequence[RunRequest], runs: Mapping[str, RunStatus], retry_failed: bool, retries: int
    ) -> Memory:
        """What is remembered at the beginning of a submission.

        Args:
            requests: What is known of the submission's runs.
            runs: What the ledger knows.
            retry_failed: Whether runs that failed are tried again.
            retries: Further attempts after a transient failure.
        """
        first = {request.run_id: attempt for request, attempt in to_run(requests, runs, retry_failed=True)}
        running = (status for status in runs.values() if status.state is RunState.RUNNING)
        return cls(first | {status.run_id: status.attempts + 1 for status in running}, retry_failed, retries)


@dataclass(frozen=True)
class Plan:
    """What to do now.

    Attributes:
        start: Requests with their attempt numbers, in the order in which they should start.
        later: Runs that wait for their back-off to pass.
        foreign: Runs that somebody else has claimed and not ended.
        left: Failed runs that this submission does not try again.
        held: Run → the preparations that it waits for.
    """

    start: tuple[tuple[RunRequest, int], ...] = ()
    later: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    held: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def waiting(self) -> int:
        """How many registered runs wait."""
        return sum(not is_preparatory(run_id) for run_id in self.held)

    @property
    def unprepared(self) -> dict[str, str]:
        """Runs that wait for a preparation that has failed and is not tried again → that preparation."""
        gone = {run_id: [need for need in needs if need in self.left] for run_id, needs in self.held.items()}
        return {run_id: needs[0] for run_id, needs in gone.items() if needs}

    @property
    def nothing_to_do(self) -> bool:
        """Whether no run is to be started or waited for."""
        return not (self.start or self.later or self.foreign)


def to_run(
    requests: Sequence[RunRequest],
    runs: Mapping[str, RunStatus],
    *,
    retry_failed: bool,
    only: Collection[str] | None = None,
) -> list[tuple[RunRequest, int]]:
    """Requests that a submission would start, in plan order, each with its attempt number.

    Finished and running ones are never among them. Failed ones are only with ``retry_failed`` (``resubmit``), or when
    they never had their chance: lost, cancelled, refused for other code, or ended by the ledger's own failure.
    """
    chosen = []
    for request in requests:
        status = runs.get(request.run_id, RunStatus(request.run_id))
        if status.state in (RunState.FINISHED, RunState.RUNNING) or (only is not None and request.run_id not in only):
            continue
        if status.state is RunState.PLANNED or retry_failed or _was_interrupted(status):
            chosen.append((request, _next_attempt(status)))
    return chosen


def plan_next(
    requests: Sequence[RunRequest],
    runs: Mapping[str, RunStatus],
    memory: Memory,
    now: float,
    preparations: Preparations | None = None,
    made: Collection[str] = (),
) -> Plan:
    """Decide over every run of the submission.

    A preparation is run if a run needs it that is about to start, and just before the first of these.

    Args:
        requests: The submission's runs, in run order: replicates are complete waves.
        runs: What the ledger knows.
        memory: What this driver remembers; ends that are new are noted in ``ended_at``.
        now: This driver's monotonic clock.
        preparations: What runs start from.
        made: Preparations whose files are at hand although the ledger knows nothing of them.
    """
    sorted_runs = _Sorted(runs, memory, now)
    held: dict[str, tuple[str, ...]] = {}
    before = preparations or Preparations()

    def visit(request: RunRequest) -> None:
        place = sorted_runs.place_of(request)
        wants = place in ("start", "later") and request.run_id not in held
        missing = before.missing(request.run_id, runs, made) if wants else []
        for need in missing:
            visit(need)
        if missing or (wants and request.run_id in before.unsettled):
            held[request.run_id] = tuple(need.run_id for need in missing)
        elif request.run_id not in held:
            sorted_runs.add(request, place)

    for request in requests:
        visit(request)
    start = tuple((request, _next_attempt(sorted_runs.status(request))) for request in sorted_runs.requests("start"))
    later, foreign, left = (
        tuple(request.run_id for request in sorted_runs.requests(place)) for place in ("later", "foreign", "left")
    )
    return Plan(start, later, foreign, left, held)


class _Sorted:
    """Runs by what is to be done with them."""

    def __init__(self, runs: Mapping[str, RunStatus], memory: Memory, now: float) -> None:
        self._runs, self._memory, self._now = runs, memory, now
        self._places: dict[str, tuple[str, RunRequest]] = {}

    def status(self, request: RunRequest) -> RunStatus:
        return self._runs.get(request.run_id, RunStatus(request.run_id))

    def place_of(self, request: RunRequest) -> str:
        """``start``, ``later``, ``foreign`` or ``left``; ``""`` for what is finished or is being watched."""
        status = self.status(request)
        if status.state is RunState.FINISHED or request.run_id in self._memory.in_flight:
            return ""
        if status.state is RunState.RUNNING:
            return "foreign"
        if not _wanted(status, self._memory):
            return "left"
        return "later" if self._now < _due(request, status, self._memory, self._now) else "start"

    def add(self, request: RunRequest, place: str) -> None:
        self._places.setdefault(request.run_id, (place, request))

    def requests(self, place: str) -> list[RunRequest]:
        return [request for where, request in self._places.values() if where == place]


def _next_attempt(status: RunStatus) -> int:
    return max([status.attempts, *(end.attempt for end in status.ends)]) + 1


def _was_interrupted(status: RunStatus) -> bool:
    return bool(status.ends) and status.ends[-1].failure in _RESUMED_BY_SUBMIT


def _wanted(status: RunStatus, memory: Memory) -> bool:
    """Whether a run that does not run is to be tried (again)."""
    if memory.unrecorded.get(status.run_id, 0) > memory.retries + 3:
        return False
    first = memory.first_attempt.get(status.run_id, 1)
    if _next_attempt(status) <= first:
        return status.state is RunState.PLANNED or memory.retry_failed or _was_interrupted(status)
    return may_retry(status.ends, memory.retries, first)


def _due(request: RunRequest, status: RunStatus, memory: Memory, now: float) -> float:
    """When the next attempt may start: at once, or after the back-off of this submission's failures."""
    first = memory.first_attempt.get(status.run_id, 1)
    recent = [end for end in status.ends if end.attempt >= first]
    failures = len(recent) + memory.unrecorded.get(status.run_id, 0)
    if failures == 0:
        return now
    attempt = recent[-1].attempt if recent else 0
    seen = memory.ended_at.setdefault((status.run_id, attempt), now)
    jitter = float(generator(request.seed, "backoff", request.run_id, attempt).random())
    return seen + backoff_seconds(failures, jitter)


def may_retry(ends: Sequence[AttemptEnd], retries: int, first_attempt: int) -> bool:
    """Whether a failed run gets another attempt by itself: only after transient failures, and only so often.

    Args:
        ends: Failed attempts of the run, oldest first.
        retries: Further attempts allowed.
        first_attempt: First attempt of this submission; earlier ones do not count.
    """
    recent = [end for end in ends if end.attempt >= first_attempt]
    return bool(recent) and recent[-1].failure.transient and len(recent) <= retries


def backoff_seconds(failures: int, jitter: float) -> float:
    """1, 2, 4, … up to 60 s, times 0.5 to 1.5 (``jitter`` in [0, 1))."""
    return min(_LONGEST_BACKOFF, 2.0 ** (failures - 1)) * (0.5 + jitter)
