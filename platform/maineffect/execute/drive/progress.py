"""How far a sweep is, as plain records; drawing it is the command line's business."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from maineffect.contracts import RunRequest, RunState, RunStatus
from maineffect.execute.cluster.needs import Needs
from maineffect.execute.cluster.room import usable_cores
from maineffect.execute.drive.budget import Spending
from maineffect.execute.phases.preparations import trial_ended
from maineffect.preparation import is_preparatory, is_trial, what_of

__all__ = ["SweepProgress", "moment_of", "seconds_left"]


_TELLING = 0.25
"""The part of a run that must be done before its pace says how long it takes: its beginning is no measure."""


@dataclass(frozen=True)
class SweepProgress:
    """One moment of a sweep.

    Attributes:
        planned: Runs of the sweep.
        running: Run id → (steps done, steps in all, seconds).
        run_seconds: Time spent in runs so far, failed ones and earlier submissions included.
        seconds_left: By finished runs and the pace of running ones; None before the first has finished.
        notices: What the user should know at once, such as a failure.
        gpu_hours: GPU-hours so far.
        price: Their price.
        pending: Runs that were sent to Ray and have not begun: they wait for room, or their process is starting.
        preparing: What is being made for runs to start from, such as ``warm start`` → how many of it.
        held: Runs that wait for that.
        trials: Trial runs of a tuning or a search, those included that are not proposed yet.
        trials_ended: Those that came to a result, or diverged.
    """

    sweep_id: str
    planned: int
    finished: int
    failed: int
    running: Mapping[str, tuple[int, int, float]] = field(default_factory=dict)
    elapsed: float = 0.0
    run_seconds: float = 0.0
    seconds_left: float | None = None
    notices: tuple[str, ...] = ()
    gpu_hours: float = 0.0
    price: float = 0.0
    pending: int = 0
    preparing: Mapping[str, int] = field(default_factory=dict)
    held: int = 0
    trials: int = 0
    trials_ended: int = 0


def moment_of(
    sweep_id: str,
    requests: Sequence[RunRequest],
    runs: Mapping[str, RunStatus],
    running: Mapping[str, tuple[int, int, float]],
    needs: Needs,
    *,
    slots: int | None,
    elapsed: float,
    notices: Sequence[str],
    held: int = 0,
    trials: int = 0,
) -> SweepProgress:
    """One moment of a sweep from what its driver knows.

    Args:
        sweep_id: The sweep.
        requests: Its runs.
        runs: What the ledger knows of them.
        running: Run id → (steps done, steps in all, seconds) of what this driver watches.
        needs: What one run needs.
        slots: Runs at a time; None before there is a Ray: as many as this machine has cores.
        elapsed: Seconds that this submission has taken.
        notices: What the user should know at once.
        held: Runs that wait for a preparation.
        trials: Trial runs in all, of a tuning or a search before the sweep's runs.
    """
    planned_running = {run_id: progress for run_id, progress in running.items() if not is_preparatory(run_id)}
    trials_running = {run_id: progress for run_id, progress in running.items() if is_trial(run_id)}
    ended = [status for run_id, status in runs.items() if is_trial(run_id) and trial_ended(status)]
    states = [runs[request.run_id].state for request in requests if request.run_id in runs]
    finished, failed = states.count(RunState.FINISHED), states.count(RunState.FAILED)
    spending = Spending.of(runs.values())
    so_far = [seconds for _, _, seconds in running.values()]
    waiting = max(0, len(requests) - finished - failed - len(planned_running))
    waiting += max(0, trials - len(ended) - len(trials_running))
    spent = spending.spent + sum(so_far)
    cost = needs.cost(spent)
    begun = {run_id: progress for run_id, progress in running.items() if progress[2] > 0}
    return SweepProgress(
        sweep_id=sweep_id,
        planned=len(requests),
        finished=finished,
        failed=failed,
        running=begun,
        pending=len(running) - len(begun),
        elapsed=elapsed,
        run_seconds=spent,
        seconds_left=seconds_left(
            # A trial is a training as a registered run is, and says as well how long one takes.
            [*spending.finished, *(status.seconds for status in ended if status.seconds)],
            [*planned_running.values(), *trials_running.values()],
            waiting,
            slots or max(1, int(usable_cores())),
        ),
        notices=tuple(notices),
        gpu_hours=cost.gpu_hours,
        price=cost.price,
        preparing=Counter(what_of(run_id) for run_id in running if is_preparatory(run_id)),
        held=held,
        trials=trials,
        trials_ended=len(ended),
    )


def seconds_left(
    finished: Sequence[float], running: Sequence[tuple[int, int, float]], waiting: int, slots: int
) -> float | None:
    """Time left, by what is seen now: a machine may be busier, or freer, than when earlier runs finished.

    A running run that is far enough is reckoned by its own pace, one that is not by the finished runs. Waiting runs are
    reckoned at the mean of the runs whose pace is seen; while there are none, at the mean of the finished ones.

    Args:
        finished: Seconds of each finished run.
        running: Steps done, steps in all and seconds so far of each running one.
        waiting: Runs that have not started.
        slots: Runs at a time.

    Returns:
        None before the first run has finished.
    """
    if not finished:
        return None
    usual = sum(finished) / len(finished)
    paces = [_by_pace(*run) for run in running]
    seen = [pace for pace in paces if pace is not None]
    usual_now = sum(seen) / len(seen) if seen else usual
    rests = [
        max(0.0, (usual if pace is None else pace) - seconds)
        for pace, (_, _, seconds) in zip(paces, running, strict=True)
    ]
    total = sum(rests) + usual_now * waiting
    # The last wave ends with its longest run, however many slots are free.
    return max([total / max(1, slots), *rests, usual_now if waiting else 0.0])


def _by_pace(done: int, steps: int, seconds: float) -> float | None:
    """Seconds that a run takes in all if it goes on at its pace; None while too little of it is done to say."""
    return seconds * steps / done if done and _TELLING * steps <= done <= steps else None
