"""Is an attempt that nobody can ask still alive? Leases without clocks.

A living attempt says in a tag every twenty seconds how long it has lived. An observer watches the word *change* by its
own monotonic clock: the clocks of two machines are never compared, so an hour of skew changes nothing. The price is
that a fresh observer must watch for the whole lease before it may call anything stale. And stale is not dead: what is
done about it is the user's choice; the worst that a wrong one costs is a run trained twice, of which one is recorded.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from maineffect.contracts import RunState
from maineffect.ledger.attempt.upload import HEARTBEAT_SECONDS
from maineffect.ledger.store import quick
from maineffect.ledger.store.connection import ask
from maineffect.ledger.sweep.ledger import MlflowLedger

__all__ = ["LEASE_SECONDS", "LeaseWatch", "StaleAttempt"]

# A store that is away for a few minutes delays the heartbeats of healthy attempts.
LEASE_SECONDS = 15 * HEARTBEAT_SECONDS


@dataclass(frozen=True)
class StaleAttempt:
    """An open attempt that gave no sign of life for a whole lease."""

    run_id: str
    attempt: int
    owner: str | None
    silent_seconds: float


class LeaseWatch:
    """Watches the open attempts of a sweep.

    Args:
        ledger: The sweep.
        lease: Seconds without a sign of life after which an attempt is stale.
        clock: Monotonic clock of this observer.
    """

    def __init__(
        self, ledger: MlflowLedger, *, lease: float = LEASE_SECONDS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._ledger, self._lease, self._clock = ledger, lease, clock
        self._seen: dict[tuple[str, int], tuple[str, float]] = {}

    def stale(self) -> list[StaleAttempt]:
        """Look again, and name the open attempts whose word stood still for a whole lease, as seen from here.

        Raises:
            LedgerError: The store does not answer; nothing is concluded from that.
        """
        now = self._clock()
        stale_attempts = []
        for run_id, status in self._ledger.state().runs.items():
            if status.state is not RunState.RUNNING:
                continue
            key = (run_id, status.attempts)
            sign = f"{status.tracking_run_id}:{self._beat(status.tracking_run_id)}"
            if self._seen.get(key, ("", 0.0))[0] != sign:
                self._seen[key] = (sign, now)
            silent = now - self._seen[key][1]
            if silent >= self._lease:
                stale_attempts.append(StaleAttempt(run_id, status.attempts, self._ledger.owner(*key), silent))
        return stale_attempts

    def _beat(self, tracking: str | None) -> str:
        if tracking is None:
            return ""
        uri = self._ledger.uri
        tags = quick.tags(uri, tracking)
        if tags is None:
            tags = ask(uri, lambda store: dict(store.get_run(tracking).data.tags))
        return tags.get("me.heartbeat", "")
