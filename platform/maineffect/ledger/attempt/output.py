"""What an attempt printed, as an artifact beside its run: the last megabyte, without secrets.

It goes up with every heartbeat, so that a run on another machine can be looked at while it trains, and once more with
its result or its failure.
"""

from __future__ import annotations

import os
from pathlib import Path

from maineffect.contracts import OUTPUT_FILE
from maineffect.ledger.store.artifacts import keep_text
from maineffect.ledger.store.broker import operation
from maineffect.ledger.store.texts import redact
from maineffect.record import behind_bars

__all__ = ["printed_tail", "send_printed"]

_MOST_BYTES = 2**20


def printed_tail(folder: Path) -> str | None:
    """The end of what the attempt in this folder printed, fit to be stored; None if it printed to no file."""
    try:
        with (folder / OUTPUT_FILE).open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _MOST_BYTES))
            text = file.read().decode(errors="replace")
    except OSError:
        return None
    cut = "" if size <= _MOST_BYTES else f"[the first {size - _MOST_BYTES} bytes are left out]\n"
    return cut + redact(behind_bars(text))


@operation
def send_printed(uri: str, run: str, folder: Path) -> None:
    """Make what was printed so far an artifact of the tracking run.

    Raises:
        LedgerError: The store did not take it.
    """
    text = printed_tail(folder)
    if not text:
        return
    keep_text(uri, run, OUTPUT_FILE, text, patience=0.0)
