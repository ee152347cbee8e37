"""What a sweep may spend: runs are only started when they fit into what is left."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from maineffect.contracts import RunStatus
from maineffect.execute.needs import Needs

__all__ = ["Spending", "affordable", "allowed_seconds"]


def allowed_seconds(needs: Needs) -> float | None:
    """The tightest of the budgets as seconds of run time; None without a budget."""
    limits = []
    if needs.most_run_hours is not None:
        limits.append(needs.most_run_hours * 3600)
    gpus = needs.resources().get("GPU", 0.0)
    if needs.most_gpu_hours is not None and gpus:
        limits.append(needs.most_gpu_hours * 3600 / gpus)
    if needs.most_price is not None and gpus and needs.gpu_hour_price:
        limits.append(needs.most_price / needs.gpu_hour_price * 3600 / gpus)
    return min(limits) if limits else None


@dataclass(frozen=True)
class Spending:
    """Seconds of run time: spent by ended attempts, and measured on finished runs."""

    spent: float
    finished: tuple[float, ...]

    @classmethod
    def of(cls, statuses: Iterable[RunStatus]) -> Spending:
        """What the ledger knows; failed attempts cost as much as others."""
        known = list(statuses)
        spent = sum(status.seconds + sum(end.seconds for end in status.ends) for status in known)
        return cls(spent, tuple(status.seconds for status in known if status.seconds))


def affordable(allowed: float, spending: Spending, running: Sequence[float], timeout: float) -> int:
    """How many further runs may start without overrunning the budget.

    Every run, running or new, is reckoned at the longest finished run; before the first has finished nobody knows, so
    each is reckoned at its time limit, but one pilot may always start while anything is left.

    Args:
        allowed: Seconds of run time in all.
        spending: What ended attempts have cost.
        running: Seconds so far of each attempt that runs.
        timeout: Time limit of a run.
    """
    reckoned = max(spending.finished, default=timeout)
    committed = spending.spent + sum(max(seconds, reckoned) for seconds in running)
    count = max(0, int((allowed - committed) / reckoned + 1e-9))
    pilot = not spending.finished and not running and spending.spent < allowed
    return max(count, 1) if pilot else count
