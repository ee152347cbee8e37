"""What earlier attempts of a run left behind in other homes: checkpoints that can be used, and what cannot be."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from maineffect.contracts import LeftFolder, RunLedger, RunRequest
from maineffect.execute.attempt.context import attempt_folder

__all__ = ["Earlier", "earlier_attempts"]


@dataclass(frozen=True)
class Earlier:
    """Folders of earlier attempts that are not in the home of this one.

    Attributes:
        readable: Attempt → its folder, where that can be read here.
        unread: Attempt → its folder, where it cannot.
    """

    readable: dict[int, Path]
    unread: dict[int, LeftFolder]

    def notice(self, run_id: str, latest: tuple[int, Path] | None) -> str:
        """What the user should know of where the run goes on; empty if all that was saved is in this home.

        Args:
            run_id: The run.
            latest: The checkpoint that it goes on from, as (step, directory).
        """
        begins = f"{run_id} starts from its beginning" if latest is None else f"{run_id} goes on from step {latest[0]}"
        if self.unread:
            attempt, left = max(self.unread.items())
            return (
                f"{begins}: what its attempt {attempt} may have saved is in {left.folder} on {left.host}, and that "
                f"folder {left.unread}"
            )
        if latest is not None:
            attempts = [n for n, folder in self.readable.items() if latest[1].is_relative_to(folder)]
            return f"{begins}, which its attempt {attempts[0]} saved in {latest[1]}" if attempts else ""
        return ""


def earlier_attempts(ledger: RunLedger, home: Path, request: RunRequest, attempt: int) -> Earlier:
    """Look for what earlier attempts of a run left in other homes, by the ledger's word.

    Raises:
        LedgerError: The store does not answer.
    """
    found = Earlier({}, {})
    for number in range(1, attempt):
        if attempt_folder(home, request.sweep_id, request.run_id, number).is_dir():
            continue
        left = ledger.left_folder(request.run_id, number)
        if left is not None and left.unread:
            found.unread[number] = left
        elif left is not None:
            found.readable[number] = left.folder
    return found
