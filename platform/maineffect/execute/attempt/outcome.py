"""What an attempt came to: a valid result, or a failure with its class."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from typing import Any

from maineffect.code_version import OtherCodeError
from maineffect.contracts import FailureClass, RunCancelled, RunDiverged, RunLost, RunResult
from maineffect.errors import BadResultError, LedgerError

__all__ = ["BadResultError", "classify", "valid_result"]


def valid_result(returned: object, declared: Sequence[str]) -> RunResult:
    """Hold what a trainable returned to its contract.

    Raises:
        BadResultError: Not a mapping of numbers, or a declared response is missing.
        RunDiverged: A declared response is not finite: an outcome, not a defect.
    """
    if isinstance(returned, RunResult):
        result = returned
    elif isinstance(returned, Mapping):
        result = RunResult(_numbers(returned))
    else:
        raise BadResultError(
            f"the trainable returned {type(returned).__name__}, not a RunResult or a mapping of responses",
            f"return {{{', '.join(f'{name!r}: …' for name in declared)}}}",
        )
    numbers = _numbers(result.responses)
    missing = [name for name in declared if name not in numbers]
    if missing:
        near = [
            f"{name!r} (returned {close[0]!r}?)"
            if (close := difflib.get_close_matches(name, numbers, 1))
            else f"{name!r}"
            for name in missing
        ]
        raise BadResultError(
            f"the trainable returned {sorted(numbers) or 'no responses'}, the study declares also {', '.join(near)}",
            "return every declared response, or declare what is returned",
        )
    broken = [name for name in declared if not math.isfinite(numbers[name])]
    if broken:
        raise RunDiverged(f"response {', '.join(f'{name} = {numbers[name]}' for name in broken)} is not finite")
    extra = {name: value for name, value in numbers.items() if name not in declared}
    measures = {**extra, **_numbers(result.measures)}
    return RunResult({name: numbers[name] for name in declared}, measures, result.items, result.texts)


def _numbers(mapping: Mapping[Any, Any]) -> dict[str, float]:
    try:
        return {str(name): float(value) for name, value in mapping.items()}
    except (TypeError, ValueError) as error:
        raise BadResultError(f"a returned response is not a number: {error}", "return floats") from None


def classify(error: BaseException) -> FailureClass:
    """The failure class of whatever a trainable raised."""
    if isinstance(error, RunCancelled):
        return FailureClass.CANCELLED
    if isinstance(error, RunDiverged):
        return FailureClass.DIVERGED
    if isinstance(error, RunLost):
        return FailureClass.LOST
    if isinstance(error, BadResultError):
        return FailureClass.BAD_RESULT
    if isinstance(error, LedgerError):
        return FailureClass.LEDGER
    if isinstance(error, OtherCodeError):
        return FailureClass.OTHER_CODE
    text = str(error)
    if "CUDA" in text and "out of memory" in text:
        return FailureClass.OOM_GPU
    if isinstance(error, MemoryError):
        return FailureClass.OOM_HOST
    return FailureClass.USER_ERROR
