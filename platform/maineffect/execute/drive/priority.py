"""Several sweeps on one Ray cluster share it by their priorities.

Each driver announces its priority by a named actor without resources, which lives as long as the driver and ends when
nothing is left to start. Every driver reads all announcements and starts no more runs than its share. Nothing is
preempted: a share that shrinks takes effect as runs end. Announcements are advice: without them the sweeps still run,
only less evenly.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Sequence
from typing import Any

from maineffect.record import swallowed

__all__ = ["Announcement", "share"]

_log = logging.getLogger(__name__)

_PREFIX = "me-share-"
_READ_EVERY = 2.0


def share(slots: int, mine: int, others: Sequence[int]) -> int:
    """Runs at a time that one sweep may have: its part of the slots by weight, and never less than one.

    Args:
        slots: Runs that fit on the cluster.
        mine: Weight of this sweep.
        others: Weights of the others that have something to run.
    """
    return max(1, slots * mine // (mine + sum(others)))


class _Post:
    """Holds a name, and nothing else."""


class Announcement:
    """The priority of this driver, told to the other drivers of its cluster.

    Args:
        priority: Weight of the sweep.
    """

    def __init__(self, priority: int) -> None:
        self._priority = priority
        self._name = f"{_PREFIX}{priority}-{secrets.token_hex(4)}"
        self._actor: Any = None
        self._read_at = -1e9
        self._others: list[int] = []

    def slots(self, slots: int) -> int:
        """Announce the priority, and say how many of the cluster's slots are this driver's."""
        import ray

        if self._actor is None:
            with swallowed(_log, "the announcement of this sweep's priority"):
                self._actor = ray.remote(_Post).options(name=self._name, num_cpus=0).remote()
        if time.monotonic() - self._read_at > _READ_EVERY:
            self._read_at = time.monotonic()
            with swallowed(_log, "the list of other sweeps"):
                names = [name for name in ray.util.list_named_actors() if name.startswith(_PREFIX)]
                self._others = [_weight(name) for name in names if name != self._name]
        return share(slots, self._priority, self._others)

    def withdraw(self) -> None:
        """Leave the cluster to the others."""
        import ray

        if self._actor is not None:
            with swallowed(_log, "the end of the announcement"):
                ray.kill(self._actor)
            self._actor = None


def _weight(name: str) -> int:
    word = name.removeprefix(_PREFIX).partition("-")[0]
    return int(word) if word.isdecimal() else 1
