"""How far a sweep is, as a plain record; drawing it is the command line's business."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["SweepProgress"]


@dataclass(frozen=True)
class SweepProgress:
    """One moment of a sweep.

    Attributes:
        planned: Runs of the sweep.
        running: Run id → (steps done, steps in all, seconds).
        run_seconds: Time spent in runs so far, failed ones included.
        seconds_left: From the measured time of finished runs; None before the first.
        notices: What the user should know at once, such as a failure.
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
