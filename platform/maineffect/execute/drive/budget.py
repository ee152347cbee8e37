"""What a sweep may spend: runs are only started when they fit into what is left."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from maineffect.contracts import RunStatus
from maineffect.execute.cluster.needs import Needs
from maineffect.preparation import is_preparatory

__all__ = ["Spending", "affordable", "allowed_seconds", "in_time", "startable"]


def allowed_seconds(needs: Needs) -> float | None:
    """The tightest of the budgets as seconds of run time in all; None without a budget."""
    hour = needs.cost(3600.0)
    pairs = [
        (needs.most_gpu_hours, hour.gpu_hours),
        (needs.most_cpu_hours, hour.cpu_hours),
        (needs.most_price, hour.price),
    ]
    return min((3600 * most / hourly for most, hourly in pairs if most is not None and hourly), default=None)


@dataclass(frozen=True)
class Spending:
    """Seconds of run time: spent by ended attempts, and measured on finished runs."""

    spent: float
    finished: tuple[float, ...]

    @classmethod
    def of(cls, statuses: Iterable[RunStatus]) -> Spending:
        """What the ledger knows; failed attempts cost as much as others, reused results cost nothing again.

        Preparations cost what they cost, and say nothing about how long a run takes.
        """
        run_statuses = list(statuses)
        result_seconds = sum(status.seconds for status in run_statuses if status.reused_from is None)
        spent = result_seconds + sum(end.seconds for status in run_statuses for end in status.ends)
        measured = (s.seconds for s in run_statuses if s.seconds and not is_preparatory(s.run_id))
        return cls(spent, tuple(measured))


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


def startable(
    needs: Needs, spending: Spending, running: Sequence[float], limit: float, elapsed: float
) -> tuple[int | None, str]:
    """How many further runs the budget of a sweep bears, and which part of it bears no more.

    Args:
        needs: With the budget.
        spending: What ended attempts have cost.
        running: Seconds so far of each attempt that runs.
        limit: Time limit of a run that starts now.
        elapsed: Seconds that this submission has taken.

    Returns:
        None as the number without a budget; and the sentence for the user when the number is 0.
    """
    if not in_time(needs.most_wall_seconds, elapsed, spending):
        return 0, "the time of the budget bears no further run"
    allowed = allowed_seconds(needs)
    count = None if allowed is None else affordable(allowed, spending, running, limit)
    return count, "the budget bears no further run"


def in_time(most: float | None, elapsed: float, spending: Spending) -> bool:
    """Whether a run that takes as long as the longest so far would end within the submission's time.

    Args:
        most: Seconds that the submission may take; None without a limit.
        elapsed: Seconds that it has taken.
        spending: What is known of finished runs; before the first, any time left is enough.
    """
    return most is None or elapsed + max(spending.finished, default=0.0) < most
