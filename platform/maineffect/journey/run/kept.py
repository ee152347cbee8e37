"""Results that the ledger once refused, and that wait in their runs' folders: recorded, not trained again."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from maineffect.contracts import RunState
from maineffect.errors import LedgerError

if TYPE_CHECKING:
    from maineffect.ledger.sweep.ledger import MlflowLedger

__all__ = ["record_kept_results"]


def record_kept_results(
    ledger: MlflowLedger, home: Path, chosen: Collection[str] | None, on_notice: Callable[[str], None] | None
) -> list[str]:
    """Record the newest kept result of every failed run, as far as the ledger takes it now.

    Args:
        ledger: Of the sweep.
        home: Whose runs' folders are looked into.
        chosen: Runs to which this is restricted; None stands for all.
        on_notice: Told what became of each.

    Returns:
        Runs that are finished now.
    """
    tell = on_notice or (lambda _: None)
    recorded = []
    for run_id, status in ledger.state().all_runs.items():
        if status.state is not RunState.FAILED or (chosen is not None and run_id not in chosen):
            continue
        folders = _folders(ledger, home, run_id, status.attempts, tell)
        folder = next((folder for folder in folders if (folder / "result").is_dir()), None)
        if folder is None:
            continue
        try:
            kept = ledger.publish(folder)
        except LedgerError as error:
            tell(f"{run_id}: its kept result is refused again: {error.message}; {error.hint}")
            continue
        if kept:
            recorded.append(run_id)
            tell(f"{run_id}: its kept result in {folder} is recorded; it is not run again")
    if not recorded:
        where = f"{home}, or where its attempts ran on this machine,"
        tell(f"no failed run of {ledger.sweep_id} has a kept result in {where} that the ledger takes")
    return recorded


def _folders(
    ledger: MlflowLedger, home: Path, run_id: str, attempts: int, tell: Callable[[str], None]
) -> Iterator[Path]:
    """Where the attempts of a run left their files, the newest first: in this home, or in that in which they ran."""
    from maineffect.execute.attempt.context import attempt_folder

    for number in range(attempts, 0, -1):
        here = attempt_folder(home, ledger.sweep_id, run_id, number)
        left = None if here.is_dir() else ledger.left_folder(run_id, number)
        if left is None:
            yield here
        elif left.unread:
            tell(f"{run_id}: what its attempt {number} left on {left.host} in {left.folder} {left.unread}")
        else:
            yield left.folder
