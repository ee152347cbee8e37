"""Attempts that somebody else has claimed: alive, dead, or unknown, which is not dead."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, field
from pathlib import Path

from maineffect.contracts import FailureClass, RunLedger, RunRequest, RunStatus
from maineffect.execute.attempt.context import attempt_folder
from maineffect.execute.cluster.processes import Owner
from maineffect.execute.drive.actors import Flight, find_worker

__all__ = ["ForeignAttempts", "end_dead", "lived"]

_GONE_SECONDS = 3.0
_SILENT_SECONDS = 600.0
_TAKEOVER_SECONDS = 60.0


@dataclass
class ForeignAttempts:
    """Looks after claims that are not this driver's.

    Attributes:
        session: Ray in use; empty before there is one.
        takeover: Whether an owner that cannot be asked and has been silent for long counts as dead.
        limit: Seconds that an attempt may take.
        silent: Runs whose owner cannot be asked and has been silent for long.
    """

    ledger: RunLedger
    home: Path
    session: str = ""
    takeover: bool = False
    limit: float = float("inf")
    silent: set[str] = field(default_factory=set)
    _owners: dict[tuple[str, int], Owner | None] = field(default_factory=dict)
    _gone: dict[tuple[str, int], float] = field(default_factory=dict)
    _beats: dict[tuple[str, int], tuple[str | None, float]] = field(default_factory=dict)

    def look(self, request: RunRequest, status: RunStatus) -> Flight | None:
        """Adopt a living attempt of this cluster, end a dead one, leave any other alone.

        Returns:
            The attempt as ours to watch, if its actor lives in this cluster.

        Raises:
            LedgerError: The ledger does not answer.
        """
        key = (request.run_id, status.attempts)
        owner = self._owner(key)
        if owner is not None and owner.session and owner.session == self.session:
            flight = find_worker(request, status.attempts, time.monotonic())
            if flight is not None:
                return flight
            gone_since = self._gone.setdefault(key, time.monotonic())
            if time.monotonic() - gone_since > _GONE_SECONDS:
                self._end(request, key, "its actor is gone (killed, or its node was lost)")
            return None
        alive = owner.alive if owner is not None else None
        if alive is False:
            self._end(request, key, "its process is gone (killed, or the machine restarted)")
        elif alive is None and self._silence(key) > (_TAKEOVER_SECONDS if self.takeover else _SILENT_SECONDS):
            self.silent.add(request.run_id)
            if self.takeover:
                host = owner.machine.partition("~")[0] if owner is not None else "an unknown owner"
                self._end(request, key, f"taken over from {host}, which was silent")
        return None

    def _owner(self, key: tuple[str, int]) -> Owner | None:
        if key not in self._owners:
            text = self.ledger.owner(*key)
            if text is None:
                return None
            self._owners[key] = Owner.parse(text)
        return self._owners[key]

    def _silence(self, key: tuple[str, int]) -> float:
        """Seconds since the attempt's heartbeat last moved, by this driver's clock alone."""
        beat = self.ledger.heartbeat(*key)
        last_seen = self._beats.get(key)
        if last_seen is None or last_seen[0] != beat:
            self._beats[key] = last_seen = (beat, time.monotonic())
        return time.monotonic() - last_seen[1]

    def _end(self, request: RunRequest, key: tuple[str, int], message: str) -> None:
        seconds = min(self.limit, lived(self.ledger, self.home, request, key[1]))
        end_dead(self.ledger, self.home, request, key[1], FailureClass.LOST, message, seconds=seconds)


def lived(ledger: RunLedger, home: Path, request: RunRequest, attempt: int) -> float:
    """Seconds that an attempt whose process is gone is known to have lived.

    By what it wrote into its folder, if that is on this machine, and by its last heartbeat, wherever it ran. Either is
    measured by one clock alone, and neither is a guess: what it lived after its last sign is not counted.

    Raises:
        LedgerError: The ledger does not answer.
    """
    written = _signs_of_life(attempt_folder(home, request.sweep_id, request.run_id, attempt))
    try:
        beaten = float(ledger.heartbeat(request.run_id, attempt) or 0.0)
    except ValueError:
        beaten = 0.0  # another version of maineffect wrote it
    return max(written, beaten)


def _signs_of_life(folder: Path) -> float:
    """Seconds from the first to the last thing that an attempt wrote into its folder."""
    moments = []
    for path in (*folder.glob("*"), *folder.glob("checkpoints/*")):
        with contextlib.suppress(OSError):
            moments.append(path.stat().st_mtime)
    return max(moments) - min(moments) if moments else 0.0


def end_dead(
    ledger: RunLedger,
    home: Path,
    request: RunRequest,
    attempt: int,
    failure: FailureClass,
    message: str,
    *,
    seconds: float = 0.0,
) -> bool:
    """End an attempt whose process is gone; if it had its result already, record that instead.

    Returns:
        Whether the run has its result now.
    """
    folder = attempt_folder(home, request.sweep_id, request.run_id, attempt)
    if folder.is_dir() and ledger.publish(folder) is not None:
        return True
    ledger.end_attempt(request.run_id, attempt, failure, message, seconds=seconds)
    return False
