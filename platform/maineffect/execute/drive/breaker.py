"""A sweep whose runs all fail alike ends early: the same failure, run after run, before any run has finished."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from maineffect.contracts import FailureClass
from maineffect.preparation import is_preparatory, is_trial

__all__ = ["BREAKER", "Breaker", "breaker", "signature"]

BREAKER = 5
_DETAIL = re.compile(r"0x[0-9a-f]+|[0-9a-f]{8,}|\d+(\.\d+)?([eE][+-]?\d+)?")


def signature(failure: FailureClass, message: str, run_id: str = "") -> str:
    """What makes two failures the same one: class and message without the run's name, numbers and addresses."""
    return f"{failure.value}: {_DETAIL.sub('#', message.replace(run_id, '') if run_id else message)}"


def breaker(signatures: Sequence[str], successes: int) -> str | None:
    """The failure that ends a submission early: the same one :data:`BREAKER` times before any run finished."""
    if successes or not signatures:
        return None
    common, count = Counter(signatures).most_common(1)[0]
    return common if count >= BREAKER else None


class Breaker:
    """Counts what ended, and says when going on would only burn money."""

    def __init__(self) -> None:
        self._signatures: list[str] = []
        self._successes = 0

    def count_success(self, run_id: str) -> None:
        """A run finished: what fails from here on is no fault of all runs. A preparation says nothing of that."""
        self._successes += not is_preparatory(run_id) or is_trial(run_id)

    def count_failure(self, failure: FailureClass, message: str, run_id: str) -> str | None:
        """A run failed for good; why nothing new should start, if so."""
        if failure is FailureClass.CANCELLED:
            return None
        self._signatures.append(signature(failure, message, run_id))
        if breaker(self._signatures, self._successes) is None:
            return None
        return f"nothing new starts: the first {len(self._signatures)} runs all failed with: {message}"
