"""Attempts that somebody else has claimed: alive, dead, or unknown, which is not dead."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from maineffect.contracts import FailureClass, RunLedger, RunRequest, RunStatus
from maineffect.execute.attempt.context import attempt_folder
from maineffect.execute.cluster.processes import Owner, host_of
from maineffect.execute.drive.actors import Flight, find_worker
from maineffect.execute.drive.lease import LEASE_SECONDS, LeaseWatch
from maineffect.execute.drive.notices import Notices

__all__ = ["ForeignAttempts", "end_dead", "lived"]

_GONE_SECONDS = 3.0
_MOST_NAMES = 5


@dataclass
class ForeignAttempts:
    """Looks after claims that are not this driver's.

    Attributes:
        session: Ray in use; empty before there is one.
        takeover: Whether an owner that cannot be asked and has been silent for a whole lease counts as dead.
        limit: Seconds that an attempt may take.
        clock: Monotonic clock of this driver.
        silent: Runs whose owner cannot be asked and has been silent for a whole lease → where it ran, for people.
    """

    ledger: RunLedger
    home: Path
    session: str = ""
    takeover: bool = False
    limit: float = float("inf")
    clock: Callable[[], float] = time.monotonic
    silent: dict[str, str] = field(default_factory=dict)
    _owners: dict[tuple[str, int], Owner | None] = field(default_factory=dict)
    _gone: dict[tuple[str, int], float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._watch = LeaseWatch(self.ledger, self.clock)

    def look_after(self, running: Sequence[tuple[RunRequest, RunStatus]], notices: Notices) -> list[Flight]:
        """Look at every one, and say what is waited for and what was found.

        Returns:
            Attempts that were adopted.

        Raises:
            LedgerError: The ledger does not answer.
        """
        adopted = []
        for request, status in running:
            flight = self.look(request, status)
            if flight is not None:
                adopted.append(flight)
                notices.append(f"{request.run_id} still runs: adopted")
        others = [request.run_id for request, _ in running if request.run_id not in {f.request.run_id for f in adopted}]
        if others:
            more = ", …" if len(others) > _MOST_NAMES else ""
            named = ", ".join(others[:_MOST_NAMES])
            notices.once("others", f"waiting for {len(others)} run(s) that another driver started: {named}{more}")
        for run_id, host in self.silent.items():
            notices.once(
                f"{run_id} is silent",
                f"{run_id} is held by {host}, which gave no sign of life for {LEASE_SECONDS / 60:g} minutes; "
                "if it is gone for good, resubmit with --takeover",
            )
        return adopted

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
            gone_since = self._gone.setdefault(key, self.clock())
            if self.clock() - gone_since > _GONE_SECONDS:
                self._end(request, key, "its actor is gone: Ray does not know it any more")
            return None
        alive = owner.alive if owner is not None else None
        if alive is False:
            self._end(request, key, "its process on this machine is gone")
        elif alive is None:
            self._look_far(request, key, owner)
        return None

    def _look_far(self, request: RunRequest, key: tuple[str, int], owner: Owner | None) -> None:
        """An owner that nobody here can ask: silent for a whole lease, or alive (again)."""
        if not self._watch.is_silent(key):
            self.silent.pop(request.run_id, None)
            return
        host = host_of(owner)
        if self.takeover:  # ended, and to be tried again: not one that nobody waits for
            self._end(request, key, f"taken over from {host}, which gave no sign of life for {LEASE_SECONDS:g} s")
        elif request.run_id not in self.silent:
            # So that `status` knows it after this driver has ended.
            self.ledger.note_silent(*key, self._watch.last_beat(key), host)
            self.silent[request.run_id] = host

    def store_was_away(self) -> None:
        """The ledger did not answer: nobody is silent until a whole lease of answered reads has passed again."""
        self._watch.store_was_away()
        self.silent.clear()

    def _owner(self, key: tuple[str, int]) -> Owner | None:
        if key not in self._owners:
            text = self.ledger.owner(*key)
            if text is None:
                return None
            self._owners[key] = Owner.parse(text)
        return self._owners[key]

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
    if not folder.is_dir() and (left := ledger.left_folder(request.run_id, attempt)) is not None and not left.unread:
        folder = left.folder  # it ran in another home
    if folder.is_dir() and ledger.publish(folder) is not None:
        return True
    ledger.end_attempt(request.run_id, attempt, failure, message, seconds=seconds)
    return False
