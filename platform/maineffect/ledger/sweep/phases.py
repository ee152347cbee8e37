"""What a sweep remembers of the phase before its registered runs, as write-once records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from maineffect.errors import LedgerError
from maineffect.ledger.attempt.results import digest, read_result
from maineffect.ledger.store.records import Records, join_result
from maineffect.ledger.store.state import Commit, commits
from maineffect.ledger.sweep.ledger import MlflowLedger
from maineffect.preparation import PhaseRecords

__all__ = ["LedgerPhases"]

_HEAD = "phase."


@dataclass(frozen=True)
class LedgerPhases:
    """Implements :class:`maineffect.preparation.PhaseRecords` over a sweep's records, beside its claims and commits."""

    ledger: MlflowLedger

    def notes(self) -> dict[str, str]:
        """Every word by its key."""
        records = self.ledger.records.read()
        return {key.removeprefix(_HEAD): word for key, word in records.items() if key.startswith(_HEAD)}

    def note(self, key: str, word: str) -> str:
        """Write a word unless one stands under this key; the one that stands.

        Raises:
            LedgerError: The store does not answer.
        """
        records = Records(self.ledger.uri, self.ledger.entry.ledger_run)
        return word if records.put(f"{_HEAD}{key}", word) else records.read()[f"{_HEAD}{key}"]

    def responses(self, run_ids: Sequence[str]) -> dict[str, Mapping[str, float]]:
        """Responses of those of these runs that are committed.

        Raises:
            LedgerError: The store does not answer, or a result is not the one that was committed.
        """
        committed = self._commits()
        parts = Records(self.ledger.uri, self.ledger.entry.results_run).read()
        found: dict[str, Mapping[str, float]] = {}
        for run_id in run_ids:
            if run_id not in committed:
                continue
            text = join_result(parts, run_id, committed[run_id].attempt)
            if digest(text) != committed[run_id].sha256:
                raise LedgerError(
                    f"the result of {run_id} in the ledger is not the one that was committed", "restore the store"
                )
            found[run_id] = read_result(text)["responses"]
        return found

    def seconds(self, run_ids: Sequence[str]) -> dict[str, float]:
        """Run time of those of these runs that are committed, as it was committed.

        Raises:
            LedgerError: The store does not answer.
        """
        committed = self._commits()
        return {run_id: committed[run_id].seconds for run_id in run_ids if run_id in committed}

    def _commits(self) -> dict[str, Commit]:
        return commits(Records(self.ledger.uri, self.ledger.entry.ledger_run).read())


if TYPE_CHECKING:  # the type checker holds it to the contract
    _PHASES: type[PhaseRecords] = LedgerPhases
