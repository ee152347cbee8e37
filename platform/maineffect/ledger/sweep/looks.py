"""Interim looks in the ledger: each is written once, and whoever drives or analyses the sweep reads what stands.

::

    results run   look.<k>.<sha>.<part>   the look's JSON, in parts
    control run   look.<k>                stop:<sha>:<parts> or go:<sha>:<parts>   the one record that makes it the look
                  continue.<n>            who                                      the sweep goes on after a stop

Nothing in a look depends on when or where it was made, so that drivers that look at the same runs write the same.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from maineffect.errors import LedgerError
from maineffect.ledger.attempt.results import digest
from maineffect.ledger.store.records import MOST_VALUE, Records
from maineffect.ledger.store.texts import redact
from maineffect.ledger.sweep.ledger import MlflowLedger

__all__ = ["MadeLook", "continued", "go_on", "made_looks", "record_look", "stopped_at"]

_LOOK, _CONTINUE = "look.", "continue."


@dataclass(frozen=True)
class MadeLook:
    """An interim look as it was made.

    Attributes:
        look: 1-based: the waves up to this one were complete.
        looks: Planned number.
        stop: Whether no further wave was needed.
        said: The decision in words.
        finished: Runs of the waves looked at that had a result.
        judged: One record per registered hypothesis, as the analysis dumps it.
    """

    look: int
    looks: int
    stop: bool
    said: str
    finished: int
    judged: tuple[dict[str, Any], ...] = ()


def record_look(ledger: MlflowLedger, made: MadeLook) -> MadeLook:
    """Write a look unless it was made before.

    Returns:
        The look that stands: this one, or an earlier one of the same number.

    Raises:
        LedgerError: The store does not answer.
    """
    text = json.dumps(asdict(made), sort_keys=True)
    sha = digest(text)[:16]
    parts = [text[start : start + MOST_VALUE] for start in range(0, len(text), MOST_VALUE)]
    for number, part in enumerate(parts):
        _results(ledger).put(f"{_LOOK}{made.look}.{sha}.{number}", part)
    word = "stop" if made.stop else "go"
    if ledger.control.put(f"{_LOOK}{made.look}", f"{word}:{sha}:{len(parts)}"):
        return made
    return made_looks(ledger)[made.look]


def made_looks(ledger: MlflowLedger) -> dict[int, MadeLook]:
    """Every look that was made, by number.

    Raises:
        LedgerError: The store does not answer, or a look is not the one that was written.
    """
    heads = _heads(ledger.control.read())
    if not heads:
        return {}
    records = _results(ledger).read()
    looks = {}
    for number in sorted(heads):
        _, sha, parts = heads[number].split(":")
        text = "".join(records.get(f"{_LOOK}{number}.{sha}.{part}", "") for part in range(int(parts)))
        if digest(text)[:16] != sha:
            raise LedgerError(
                f"interim look {number} of {ledger.sweep_id} is not the one that was written",
                "restore the tracking store from its backup",
            )
        document = json.loads(text)
        looks[number] = MadeLook(**{**document, "judged": tuple(document["judged"])})
    return looks


def stopped_at(control: Mapping[str, str]) -> int | None:
    """The look after which no further wave is needed, from the control records; None also once the sweep goes on."""
    if any(key.startswith(_CONTINUE) for key in control):
        return None
    return min((look for look, head in _heads(control).items() if head.startswith("stop:")), default=None)


def go_on(ledger: MlflowLedger, who: str) -> bool:
    """Let a sweep that a look has stopped run to its end.

    Returns:
        Whether there was a stop to lift.
    """
    if stopped_at(ledger.control.read()) is None:
        return False
    ledger.control.put(f"{_CONTINUE}1", redact(who))
    return True


def continued(ledger: MlflowLedger) -> str | None:
    """Who let the sweep go on after a stop, if anybody did."""
    return ledger.control.read().get(f"{_CONTINUE}1")


def _heads(control: Mapping[str, str]) -> dict[int, str]:
    return {int(key.removeprefix(_LOOK)): value for key, value in control.items() if key.startswith(_LOOK)}


def _results(ledger: MlflowLedger) -> Records:
    return Records(ledger.uri, ledger.entry.results_run)
