"""One process that makes some checks, one after the other, and writes each outcome down as soon as it has it."""

from __future__ import annotations

import json
import shutil
import sys
import time
import traceback
from dataclasses import asdict
from importlib import import_module
from pathlib import Path

from maineffect.gpu_check.bench import Bench
from maineffect.gpu_check.catalogue import CHECKS
from maineffect.gpu_check.outcome import Outcome

__all__ = ["main"]


def main(words: list[str]) -> None:
    """Make the checks of these numbers.

    Args:
        words: Model, folder, device, file of outcomes, and the numbers.
    """
    model, folder, device, record, *numbers = words
    for check in (check for check in CHECKS if str(check.number) in numbers):
        _note(record, {"began": check.number})
        own = Path(folder) / f"check-{check.number}"
        own.mkdir(parents=True)
        started = time.monotonic()
        module, _, function = check.place.partition(":")
        try:
            made = getattr(import_module(f"maineffect.gpu_check.{module}"), function)
            outcome: Outcome = made(Bench(model, own, device))
        except Exception as error:
            traceback.print_exc()
            outcome = Outcome("fail", said=f"{type(error).__name__}: {' '.join(str(error).split())[:300]}")
        seconds = time.monotonic() - started
        _note(record, {"number": check.number, "seconds": seconds, **asdict(outcome)})
        shutil.rmtree(own, ignore_errors=True)


def _note(record: str, line: dict[str, object]) -> None:
    with open(record, "a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
