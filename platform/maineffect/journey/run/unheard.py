"""Open attempts of which nothing is heard: their process here is gone, or another machine's is silent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from maineffect.contracts import RunState, RunStatus

if TYPE_CHECKING:
    from maineffect.execute.cluster.processes import Owner
    from maineffect.execute.drive.lease import LeaseWatch
    from maineffect.ledger.sweep.ledger import MlflowLedger

__all__ = ["Listener", "Unheard", "elsewhere_sentences", "look_for_unheard"]

_MOST_NAMES = 5


@dataclass(frozen=True)
class Unheard:
    """What is known of the open attempts of a sweep, as seen from this machine.

    Attributes:
        interrupted: Runs whose process on this machine is gone.
        silent: Runs on another machine that gave no sign of life for a whole lease → that machine.
        far: Other runs that no process on this machine can be asked about → their machine.
    """

    interrupted: tuple[str, ...] = ()
    silent: dict[str, str] = field(default_factory=dict)
    far: dict[str, str] = field(default_factory=dict)


@dataclass
class Listener:
    """Listens to attempts on other machines over many looks, so that a wait for them has an end."""

    _watch: LeaseWatch | None = None

    def is_silent(self, ledger: MlflowLedger, key: tuple[str, int]) -> bool:
        """Whether an attempt gave no sign of life for a whole lease of looks.

        Raises:
            LedgerError: The store does not answer.
        """
        from maineffect.execute.drive.lease import LeaseWatch

        if self._watch is None:
            self._watch = LeaseWatch(ledger)
        # Each look has a snapshot of its own; an older one knows nothing of an attempt that began after it.
        self._watch.ledger = ledger
        return self._watch.is_silent(key)


def look_for_unheard(ledger: MlflowLedger, statuses: Sequence[RunStatus], listener: Listener | None = None) -> Unheard:
    """Sort the open attempts by what can be known of them.

    Args:
        ledger: Of the sweep.
        statuses: Of its runs.
        listener: Kept over the looks of a watch; without it, only what a driver has noted counts as silent.

    Raises:
        LedgerError: The store does not answer.
    """
    from maineffect.execute.cluster.processes import Owner, host_of

    running = [status for status in statuses if status.state is RunState.RUNNING]
    claims = ledger.records.read() if running else {}
    interrupted, silent, far = [], {}, {}
    for status in running:
        key = (status.run_id, status.attempts)
        owner = Owner.parse(claims.get(f"claim.{status.run_id}.a{status.attempts}", ""))
        alive = owner.alive if owner is not None else None
        if alive is False:
            interrupted.append(status.run_id)
        elif alive is None and (host := _silent_on(ledger, key, owner, listener)) is not None:
            silent[status.run_id] = host
        elif alive is None:
            far[status.run_id] = host_of(owner)
    return Unheard(tuple(interrupted), silent, far)


def _silent_on(
    ledger: MlflowLedger, key: tuple[str, int], owner: Owner | None, listener: Listener | None
) -> str | None:
    from maineffect.execute.cluster.processes import host_of

    noted = ledger.silent_on(*key)
    if noted is None and listener is not None and listener.is_silent(ledger, key):
        return host_of(owner)
    return noted


def elsewhere_sentences(unheard: Unheard, *, takeover: bool) -> list[str]:
    """What a resubmission does about runs that another machine holds, for a preview of it."""
    from maineffect.execute.drive.lease import LEASE_SECONDS

    minutes, sentences = f"{LEASE_SECONDS / 60:g} minutes", []
    for runs, silent in ((unheard.silent, True), (unheard.far, False)):
        if not runs:
            continue
        named = ", ".join(f"{run_id} ({host})" for run_id, host in list(runs.items())[:_MOST_NAMES])
        named += ", …" if len(runs) > _MOST_NAMES else ""
        if silent and takeover:
            what = "would be taken over and run again once they are silent for that long again"
        elif silent:
            what = "would be left alone; --takeover gives them up and runs them again"
        else:
            what = "would be waited for"
        state = f"silent for {minutes} when last looked after" if silent else "held by another machine"
        sentences.append(f"{len(runs)} run(s) {state}: {named}; they {what}")
    return sentences
