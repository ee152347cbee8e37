"""What an attempt came to: a valid result, or a failure with its class."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from typing import Any

from maineffect.code_version import OtherCodeError
from maineffect.contracts import FailureClass, RunCancelled, RunDiverged, RunLost, RunResult
from maineffect.errors import BadResultError, LedgerError
from maineffect.record import tell_run

__all__ = ["BadResultError", "classify", "text_of", "valid_result"]


def valid_result(returned: object, declared: Sequence[str]) -> RunResult:
    """Hold what a trainable returned to its contract.

    Raises:
        BadResultError: Not a mapping of numbers, or a declared response is missing.
        RunDiverged: A declared response is not finite: an outcome, not a defect.
    """
    if isinstance(returned, RunResult):
        result = returned
    elif isinstance(returned, Mapping):
        result = RunResult(returned)
    else:
        raise BadResultError(
            f"the trainable returned {type(returned).__name__}, not a RunResult or a mapping of responses",
            f"return {{{', '.join(f'{name!r}: …' for name in declared)}}}",
        )
    # None for a part is none of it.
    items = () if result.items is None else result.items
    result = RunResult(result.responses, result.measures or {}, items, result.texts or {})
    _require_parts(result)
    left_out: list[str] = []
    numbers = _declared_numbers(result.responses, declared)
    extra = _other_numbers({k: v for k, v in result.responses.items() if str(k) not in declared}, left_out)
    measures = {**extra, **_other_numbers(result.measures, left_out)}
    returned_names = sorted([*numbers, *extra])
    missing = [name for name in declared if name not in numbers]
    if missing:
        near = [
            f"{name!r} (returned {close[0]!r}?)"
            if (close := difflib.get_close_matches(name, returned_names, 1))
            else f"{name!r}"
            for name in missing
        ]
        raise BadResultError(
            f"the trainable returned {returned_names or 'no responses'}, the study declares also {', '.join(near)}",
            "return every declared response, or declare what is returned",
        )
    broken = [name for name in declared if not math.isfinite(numbers[name])]
    if broken:
        raise RunDiverged(f"response {', '.join(f'{name} = {numbers[name]}' for name in broken)} is not finite")
    if left_out:
        tell_run(f"left out of the result, as they are no numbers: {', '.join(left_out)}")
    return RunResult({name: numbers[name] for name in declared}, measures, result.items, result.texts)


def _require_parts(result: RunResult) -> None:
    """Refuse parts of a result that are not of the kind that they are said to be.

    Raises:
        BadResultError: Responses, measures or texts are no mapping, or items are no list of mappings.
    """
    for name in ("responses", "measures", "texts"):
        part = getattr(result, name)
        if not isinstance(part, Mapping):
            raise BadResultError(
                f"the result's {name} are {type(part).__name__}, not a mapping", f"return {name}={{…}}"
            )
    items = result.items
    if isinstance(items, str | bytes) or not isinstance(items, Sequence):
        raise BadResultError(f"the result's items are {type(items).__name__}, not a list", "return a list of mappings")
    odd = next((item for item in items if not isinstance(item, Mapping)), None)
    if odd is not None:
        raise BadResultError(f"an item of the result is {type(odd).__name__}, not a mapping", "give each item's scores")


def _declared_numbers(responses: Mapping[Any, Any], declared: Sequence[str]) -> dict[str, float]:
    numbers = {}
    for key, value in responses.items():
        if str(key) not in declared:
            continue
        try:
            numbers[str(key)] = float(value)
        except Exception as error:
            raise BadResultError(
                f"the response {str(key)!r} is {_shown(value)}, not a number: {error}", "return a float"
            ) from None
    return numbers


def _other_numbers(mapping: Mapping[Any, Any], left_out: list[str]) -> dict[str, float]:
    """Numbers among what no study declared; names of what is none go to ``left_out``."""
    numbers = {}
    for key, value in mapping.items():
        try:
            if value is None or isinstance(value, str | bytes):
                raise TypeError
            numbers[str(key)] = float(value)
        except Exception:
            left_out.append(f"{str(key)[:80]!r} ({type(value).__name__})")
    return numbers


def _shown(value: object) -> str:
    try:
        return repr(value)[:80]
    except Exception:
        return f"a {type(value).__name__} that cannot be shown"


def text_of(error: BaseException) -> str:
    """What an error says; saying it calls code of the error's own, which may raise."""
    try:
        return str(error)
    except Exception:
        return "(it cannot say what is wrong: its own __str__ raised)"


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
    text = text_of(error)
    if "CUDA" in text and "out of memory" in text:
        return FailureClass.OOM_GPU
    if isinstance(error, MemoryError):
        return FailureClass.OOM_HOST
    return FailureClass.USER_ERROR
