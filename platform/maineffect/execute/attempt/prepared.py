"""What runs start from: made by an attempt of its own, and brought to the machine of each run that needs it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

from maineffect.contracts import RunContext, RunLedger, RunResult, Trainable
from maineffect.errors import PluginError
from maineffect.execute.attempt.outcome import valid_result
from maineffect.preparation import PREPARED_FOLDER, PreparatoryRequest, Preparing, link_or_copy
from maineffect.record import swallowed, tell_run

__all__ = ["fetch_prepared", "make_prepared"]

_log = logging.getLogger(__name__)


def make_prepared(trainable: Trainable, request: PreparatoryRequest, context: RunContext) -> RunResult:
    """Let the trainable make a preparation, and keep its files with this attempt.

    Args:
        trainable: It has declared the preparation.
        request: Which one.
        context: Of this attempt; files are made below its cache folder.

    Raises:
        PluginError: The trainable makes no preparations.
    """
    if not isinstance(trainable, Preparing):
        raise PluginError("the trainable has no `prepare` here", "run the code that the sweep was submitted with")
    returned = trainable.prepare(request, context)
    result = valid_result({} if returned is None else returned, ())
    for name in request.files:
        made, kept = context.cache_dir / name, context.run_dir / PREPARED_FOLDER / name
        if not made.exists():
            # On another kind of machine a trainable may name its files otherwise: its runs there make their own.
            tell_run(f"the {request.name} left no file {name} on this machine: runs make what they need themselves")
            continue
        kept.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        kept.unlink(missing_ok=True)
        link_or_copy(made, kept)
    return result


def fetch_prepared(ledger: RunLedger, prepared: Mapping[str, tuple[str, ...]], cache: Path) -> None:
    """Bring what a run starts from to this machine; without it the run makes it itself, as one without a driver does.

    Args:
        ledger: Keeps the files of finished preparations.
        prepared: Preparation → its files.
        cache: The folder that they belong to.
    """
    for run_id, names in prepared.items():
        if all((cache / name).exists() for name in names):
            continue
        there = False
        with swallowed(_log, f"the fetching of {run_id}"):
            there = ledger.fetch_files(run_id, names, cache)
        if not there:
            tell_run(f"{', '.join(names)} of {run_id} is neither in {cache} nor in the store: the run makes its own")
