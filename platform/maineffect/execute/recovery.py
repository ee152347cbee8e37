"""After a crash: attempts whose owner is gone are ended as lost, so that their runs may be tried again."""

from __future__ import annotations

import time
from collections.abc import Sequence

from maineffect.contracts import FailureClass, RunLedger, RunRequest, RunState
from maineffect.execute.worker import is_owner_alive

__all__ = ["end_lost_attempts"]

_SETTLE_SECONDS = 6.0


def end_lost_attempts(ledger: RunLedger, requests: Sequence[RunRequest]) -> list[str]:
    """End every open attempt whose owner on this host is dead.

    An owner that is just dying (its Ray went with the driver) is given a few seconds. An owner on another host is
    left alone: unknown is not dead.

    Returns:
        Runs whose attempt was ended.
    """
    lost = []
    deadline = time.monotonic() + _SETTLE_SECONDS
    known = {request.run_id for request in requests}
    for run_id, status in ledger.state().runs.items():
        if run_id not in known or status.state is not RunState.RUNNING:
            continue
        owner = ledger.owner(run_id, status.attempts)
        if owner is None:
            continue
        alive = is_owner_alive(owner)
        while alive and _parent_is_gone(owner) and time.monotonic() < deadline:
            time.sleep(0.2)
            alive = is_owner_alive(owner)
        if alive is False:
            ledger.end_attempt(
                run_id, status.attempts, FailureClass.LOST, "its process is gone (killed, or the machine restarted)"
            )
            lost.append(run_id)
    return lost


def _parent_is_gone(owner: str) -> bool:
    """Whether a worker was orphaned: its Ray node has died and it will follow."""
    import psutil

    try:
        parent = psutil.Process(int(owner.rsplit(":", 3)[1])).parent()
    except psutil.NoSuchProcess:
        return True
    return parent is None or parent.pid == 1 or "raylet" not in parent.name()
