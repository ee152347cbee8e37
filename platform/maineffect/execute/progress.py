"""How far a sweep is, as plain records; drawing it is the command line's business."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

__all__ = ["SweepProgress", "seconds_left"]


@dataclass(frozen=True)
class SweepProgress:
    """One moment of a sweep.

    Attributes:
        planned: Runs of the sweep.
        running: Run id → (steps done, steps in all, seconds).
        run_seconds: Time spent in runs so far, failed ones and earlier submissions included.
        seconds_left: From the measured time of finished runs; None before the first.
        notices: What the user should know at once, such as a failure.
        gpu_hours: GPU-hours so far.
        price: Their price.
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


def seconds_left(finished: Sequence[float], running: Sequence[float], waiting: int, slots: int) -> float | None:
    """Time left, if every run takes the mean of the finished ones.

    Args:
        finished: Seconds of each finished run.
        running: Seconds so far of each running one.
        waiting: Runs that have not started.
        slots: Runs at a time.

    Returns:
        None before the first run has finished.
    """
    if not finished:
        return None
    mean = sum(finished) / len(finished)
    rests = [max(0.0, mean - seconds) for seconds in running]
    total = sum(rests) + mean * waiting
    # The last wave ends with its longest run, however many slots are free.
    return max([total / max(1, slots), *rests, mean if waiting else 0.0])
