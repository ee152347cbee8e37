"""Waves: replicate k of every cell. After each complete one the study may ask whether another is needed at all.

Waves are not kept apart: free slots go to the next wave while the last runs of this one end, because idle hardware
costs as much as busy hardware. What was started before a look says stop runs to its end and is recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from maineffect.contracts import RunRequest, RunState, RunStatus

__all__ = ["Look", "Waves", "complete_waves"]

Look = Callable[[int], str | None]
"""Called with k when the waves 1..k are complete; returns why no further wave is needed, or None."""


def complete_waves(requests: Sequence[RunRequest], runs: Mapping[str, RunStatus], pending: Collection[str]) -> int:
    """How many waves from the first on have ended: every run finished, or failed and not tried again.

    Args:
        requests: Every run of the sweep.
        runs: What the ledger knows.
        pending: Runs that are about to start, or run.
    """
    unended = {
        request.replicate
        for request in requests
        if request.run_id in pending
        or request.run_id not in runs
        or runs[request.run_id].state not in (RunState.FINISHED, RunState.FAILED)
    }
    last = max((request.replicate for request in requests), default=0)
    return min(unended, default=last + 1) - 1


@dataclass
class Waves:
    """Asks for each look once, in order; the last wave needs none, since nothing is left to be stopped.

    Attributes:
        requests: Every run of the sweep.
        look: See :data:`Look`.
        asked: Looks made so far by this driver.
    """

    requests: Sequence[RunRequest]
    look: Look
    asked: int = 0

    def settled(self, runs: Mapping[str, RunStatus], pending: Collection[str]) -> str | None:
        """Why no further wave is needed, if the waves that have ended say so.

        Raises:
            LedgerError: The ledger does not answer; the same look is asked again next time.
        """
        last = max((request.replicate for request in self.requests), default=0)
        complete = complete_waves(self.requests, runs, pending)
        while self.asked < min(complete, last - 1):
            why = self.look(self.asked + 1)
            self.asked += 1
            if why is not None:
                return why
        return None
