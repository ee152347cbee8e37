"""Runs that were sent to a cluster and have not begun: what they wait for is said, and what no node can give is not
waited for without end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from maineffect.execute.cluster.needs import Needs
from maineffect.execute.cluster.room import amount_of
from maineffect.execute.drive.actors import Flight
from maineffect.execute.drive.notices import Notices

__all__ = ["Patience", "Room"]

_CROWDED_SECONDS = 60.0


class Room(Protocol):
    """What is asked of a cluster."""

    def room(self) -> str:
        """What a run needs, and what of it is there and free, in words."""

    def nodes(self) -> list[Mapping[str, float]]:
        """Everything that each living node has, used or not."""


class Patience:
    """How long runs wait for a node that could ever take one of them.

    A cluster that grows, or changes at all, is given the whole time again: its autoscaler is at work.

    Args:
        needs: What one run needs, and how long it may wait.
    """

    def __init__(self, needs: Needs) -> None:
        self._needs = needs
        self._nodes: list[tuple[tuple[str, float], ...]] = []
        self._since: float | None = None

    def look(self, cluster: Room, flights: Sequence[Flight], now: float, notices: Notices) -> str | None:
        """Say what is waited for; and why it is waited for no longer, when it is so.

        Args:
            cluster: What the runs were sent to.
            flights: What this driver watches.
            now: By this driver's clock.
            notices: Told once what the first of them waits for.
        """
        waiting = [flight for flight in flights if flight.began is None]
        crowded = next((flight for flight in waiting if now - flight.launched > _CROWDED_SECONDS), None)
        if crowded is not None:
            notices.once("room", f"{crowded.request.run_id} has not begun yet: {cluster.room()}")
        if not waiting or len(waiting) < len(flights):
            self._since = None
            return None
        nodes = cluster.nodes()
        known = sorted(tuple(sorted(node.items())) for node in nodes)
        too_large = self._too_large(nodes)
        if not too_large or known != self._nodes or self._since is None:
            self._nodes, self._since = known, now if too_large else None
            return None
        if now - self._since <= self._needs.wait:
            return None
        asked = " and ".join(amount_of(name, amount) for name, amount in too_large.items())
        return (
            f"nothing new starts: for {self._needs.wait:g} s none of the cluster's {len(nodes)} node(s) could ever "
            f"take {asked}, and no node has come; lower `resources:` in the study, add such a node, or wait longer "
            "(resources.wait)"
        )

    def _too_large(self, nodes: Sequence[Mapping[str, float]]) -> dict[str, float]:
        """The first part of a run, the run itself or a bundle, that fits into no node even if it were empty."""
        for part in self._needs.parts():
            if not any(all(node.get(name, 0.0) >= amount for name, amount in part.items()) for node in nodes):
                return part
        return {}
