"""What a run printed: kept in its folder, for ``logs``."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

from maineffect.contracts import OUTPUT_FILE
from maineffect.execute.attempt.context import attempt_folder, run_folder
from maineffect.record import behind_bars

__all__ = ["capture", "read_output"]

_MOST_BYTES = 10 * 2**20


def capture(folder: Path) -> None:
    """Send this process's standard output and error, native code's and children's too, to the attempt's folder."""
    with suppress(OSError, ValueError):  # a full disk must not fail a training that only wants to print
        file = os.open(folder / OUTPUT_FILE, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        for stream, number in ((sys.stdout, 1), (sys.stderr, 2)):
            stream.flush()
            os.dup2(file, number)
        os.close(file)
        sys.stdout = open(1, "w", buffering=1, closefd=False, errors="replace")  # noqa: SIM115 — lives as long as we do
        sys.stderr = open(2, "w", buffering=1, closefd=False, errors="replace")  # noqa: SIM115


def read_output(home: Path, sweep_id: str, run_id: str) -> dict[int, str]:
    """Attempt → what it printed, for attempts whose folder is on this machine; of very long output the last 10 MB."""
    folders = run_folder(home, sweep_id, run_id).glob("a*")
    attempts = sorted(int(folder.name[1:]) for folder in folders if folder.name[1:].isdigit())
    outputs = {attempt: _tail(attempt_folder(home, sweep_id, run_id, attempt) / OUTPUT_FILE) for attempt in attempts}
    return {attempt: text for attempt, text in outputs.items() if text is not None}


def _tail(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _MOST_BYTES))
            return behind_bars(file.read().decode(errors="replace"))
    except OSError:
        return None
