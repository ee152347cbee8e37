"""Makes the checks in processes of their own: one that is killed, or never ends, fails alone."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from maineffect.gpu_check.catalogue import Check
from maineffect.gpu_check.outcome import Outcome

__all__ = ["Row", "make_checks"]

_LOOK_SECONDS = 0.2
Row = tuple[int, str, Outcome, float]


def make_checks(
    checks: Sequence[Check],
    model: str,
    folder: Path,
    device: str,
    limit: float,
    on_row: Callable[[Row], None],
    *,
    entry: Sequence[str] = (sys.executable, "-m", "maineffect.gpu_check.child"),
) -> list[Row]:
    """Make every check that this machine can; the others are skipped with what they lack.

    Args:
        checks: Which.
        model: Folder of the model.
        folder: For what is written, the log among it.
        device: ``cuda`` or ``cpu``.
        limit: Seconds of a check.
        on_row: Called with each row as soon as it is there.
        entry: The command that makes checks.
    """
    rows: dict[int, Row] = {}

    def settle(check: Check, outcome: Outcome, seconds: float = 0.0) -> None:
        rows[check.number] = (check.number, check.title, outcome, seconds)
        on_row(rows[check.number])

    able = []
    for check in checks:
        if lacking := check.lacking(gpu=device == "cuda"):
            settle(check, Outcome("skipped", said=lacking))
        else:
            able.append(check)
    in_groups = sorted(able, key=lambda check: check.group)
    for _, group in itertools.groupby(in_groups, key=lambda check: check.group):
        left = list(group)
        while left:
            done = _one_process([*entry, model, str(folder / "work"), device], left, folder, limit, settle)
            left = [check for check in left if check.number not in done]
    return [rows[check.number] for check in checks]


def _one_process(
    command: list[str],
    checks: Sequence[Check],
    folder: Path,
    limit: float,
    settle: Callable[[Check, Outcome, float], None],
) -> set[int]:
    """Make checks until the process ends; the numbers of those that are settled then."""
    record = folder / "outcomes.jsonl"
    record.unlink(missing_ok=True)
    numbers = [str(check.number) for check in checks]
    known = {check.number: check for check in checks}
    settled: set[int] = set()
    began, at = checks[0].number, 0
    with (folder / "log.txt").open("ab") as log:
        process = subprocess.Popen(
            [*command, str(record), *numbers], stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
        since = time.monotonic()
        try:
            while True:
                over = process.poll() is not None
                lines = _lines(record)
                for line in lines[at:]:
                    if "began" in line:
                        began = line["began"]
                    else:
                        outcome = Outcome(line["status"], line["numbers"], line["said"])
                        settle(known[line["number"]], outcome, line["seconds"])
                        settled.add(line["number"])
                    since = time.monotonic()
                at = len(lines)
                if over or time.monotonic() - since > limit:
                    break
                time.sleep(_LOOK_SECONDS)
        finally:
            code = process.poll()
            _end(process)
    if began not in settled or code is None:
        why = f"did not end in {limit:g} s" if code is None else f"its process ended with code {code}"
        settle(known[began], Outcome("fail", said=f"{why}; see {folder / 'log.txt'}"), time.monotonic() - since)
        settled.add(began)
    return settled


def _lines(record: Path) -> list[dict[str, Any]]:
    if not record.exists():
        return []
    whole = record.read_text(encoding="utf-8").rpartition("\n")[0]
    return [json.loads(line) for line in whole.splitlines()]


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the process and what it has started in its session."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
