"""The lease of an attempt that nobody here can ask: without a sign of life for so long, it counts as silent.

A living attempt writes into the store, every twenty seconds, how long it has lived. The watch sees that word *change*,
by its own monotonic clock: the clocks of two machines are never compared, so an hour of skew changes nothing. Only
time between two answered reads counts, because an attempt that cannot reach the store is not the less alive: after an
outage every lease begins anew. Silent is not dead: what is done about it is the user's choice, and one who was silent
and is heard again is alive again.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from maineffect.contracts import RunLedger
from maineffect.errors import LedgerError

__all__ = ["LEASE_SECONDS", "LeaseWatch"]

LEASE_SECONDS = 300.0
"""Longer than a healthy attempt is ever silent while the store answers: it says so every 20 s, waits up to 60 s after
the store has failed it, and up to 180 s for a driver that was stopped in the middle of an answer."""
_LOOK_EVERY = 15.0
# A longer gap between two answers was no time in which the store could have been written.
_LONGEST_GAP = 4 * _LOOK_EVERY


@dataclass
class _Lease:
    word: str | None
    looked: float
    silent: float = 0.0


@dataclass
class LeaseWatch:
    """Watches attempts by one small read of each per interval.

    Attributes:
        ledger: The sweep.
        clock: Monotonic clock of this observer.
        silent: Attempts (run id, number) that gave no sign of life for a whole lease.
    """

    ledger: RunLedger
    clock: Callable[[], float] = time.monotonic
    silent: set[tuple[str, int]] = field(default_factory=set)
    _leases: dict[tuple[str, int], _Lease] = field(default_factory=dict)
    _away_at: float = -1e9

    def is_silent(self, key: tuple[str, int]) -> bool:
        """Look, if it is time to, and say whether the attempt's lease has passed.

        Raises:
            LedgerError: The store does not answer: every lease begins anew.
        """
        now = self.clock()
        lease = self._leases.get(key)
        if max(lease.looked if lease is not None else -1e9, self._away_at) + _LOOK_EVERY > now:
            return key in self.silent
        try:
            word = self.ledger.heartbeat(*key)
        except LedgerError:
            self.store_was_away()
            raise
        now = self.clock()
        if lease is None or word != lease.word or now - lease.looked > _LONGEST_GAP:
            self._leases[key] = _Lease(word, now)
            self.silent.discard(key)
        else:
            lease.silent, lease.looked = lease.silent + now - lease.looked, now
            if lease.silent >= LEASE_SECONDS:
                self.silent.add(key)
        return key in self.silent

    def last_beat(self, key: tuple[str, int]) -> str | None:
        """The heartbeat that was read last."""
        lease = self._leases.get(key)
        return lease.word if lease is not None else None

    def store_was_away(self) -> None:
        """A read was not answered: no time until the next answer counts, nor any before it."""
        self._leases.clear()
        self.silent.clear()
        self._away_at = self.clock()
