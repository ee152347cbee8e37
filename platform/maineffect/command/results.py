"""The results file of a command → a RunResult, with every objection in words."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from maineffect.contracts import RunResult
from maineffect.errors import BadResultError

__all__ = ["read_results"]

_MOST_BYTES = 256 * 2**20
_SECTIONS = ("responses", "measures", "items")
_SHOWN = 120
_TOO_LARGE = 10**300


def read_results(path: Path, declared: Sequence[str]) -> tuple[RunResult, list[str]]:
    """Read what a command measured.

    Args:
        path: JSON: an object of numbers, or one with ``responses`` (an object of numbers) and, if wanted, ``measures``
            (the same) and ``items`` (a list of objects with equal keys, one per evaluation item).
        declared: Responses that the study declares.

    Returns:
        The result, and sentences about what was left out. A declared response that is NaN or infinite is left in: it
        means that the training diverged, which is an outcome.

    Raises:
        BadResultError: There is no file, it is not as described, or a declared response is missing or no number.
    """
    content = _content(path, declared)
    notes: list[str] = []
    flat = not isinstance(content.get("responses"), dict)
    responses = {k: v for k, v in content.items() if k not in _SECTIONS[1:]} if flat else content["responses"]
    if not flat and (more := [name for name in content if name not in _SECTIONS]):
        raise BadResultError(
            f"{path.name} has {_listed(more)} beside 'responses'", f"it may hold {', '.join(_SECTIONS)}, nothing else"
        )
    given = _declared(path, responses, declared)
    extra = {name: value for name, value in responses.items() if name not in declared}
    if numbers := [name for name, value in extra.items() if _is_finite(value)]:
        notes.append(f"{path.name}: recorded as measures, since the study does not declare them: {_listed(numbers)}")
    measures = _measures(path, {**extra, **_object(path, content, "measures")}, notes)
    return RunResult(given, measures, _items(path, content.get("items", []))), notes


def _content(path: Path, declared: Sequence[str]) -> dict[str, Any]:
    example = "{" + ", ".join(f'"{name}": …' for name in declared) + "}"
    try:
        if (size := path.stat().st_size) > _MOST_BYTES:
            raise BadResultError(f"{path.name} has {size / 2**20:.0f} MB", "results are numbers; keep texts elsewhere")
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise BadResultError(
            f"the command ended well but wrote no {path.name}",
            f"let it write {example} to the path that {{results}} gives, or name its file in settings.results",
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise BadResultError(f"{path.name} is no JSON: {error}", f"write {example}") from None
    if not isinstance(content, dict):
        raise BadResultError(f"{path.name} holds {_shown(content)}, not an object of numbers", f"write {example}")
    return content


def _declared(path: Path, responses: Mapping[str, Any], declared: Sequence[str]) -> dict[str, float]:
    """Declared responses as numbers; which are missing is said by whoever checks every trainable's result."""
    numbers = {}
    for name in declared:
        if name not in responses:
            continue
        value = responses[name]
        if not _is_number(value):
            raise BadResultError(
                f"{path.name}: response {name!r} is {_shown(value)}, not a number",
                "write a number; NaN says that the training diverged",
            )
        numbers[name] = float(value)
    if missing := [name for name in declared if name not in numbers]:
        raise BadResultError(
            f"{path.name} has {_listed(list(responses))}, the study declares also {_listed(missing)}",
            "write every declared response, or declare what is written",
        )
    return numbers


def _object(path: Path, content: Mapping[str, Any], section: str) -> dict[str, Any]:
    value = content.get(section, {})
    if not isinstance(value, dict):
        raise BadResultError(f"{path.name}: {section!r} is {_shown(value)}", "write an object of numbers")
    return value


def _measures(path: Path, given: Mapping[str, Any], notes: list[str]) -> dict[str, float]:
    numbers = {name: float(value) for name, value in given.items() if _is_finite(value)}
    if left := [name for name in given if name not in numbers]:
        notes.append(f"{path.name}: left out, since it is no finite number: {_listed(left)}")
    return numbers


def _items(path: Path, items: Any) -> list[dict[str, Any]]:
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise BadResultError(f"{path.name}: 'items' is {_shown(items)}", "write a list of objects, one per item")
    if items and (odd := next((n for n, item in enumerate(items) if item.keys() != items[0].keys()), None)):
        raise BadResultError(
            f"{path.name}: item {odd} has {_listed(list(items[odd]))}, item 0 has {_listed(list(items[0]))}",
            "give every item the same keys, so that they make a table",
        )
    nested = {name for item in items for name, value in item.items() if isinstance(value, dict | list)}
    if nested:
        raise BadResultError(f"{path.name}: items hold objects or lists under {_listed(sorted(nested))}", "write texts")
    return items


def _is_number(value: Any) -> bool:
    """Whether it is one that a float can hold: JSON knows no largest integer."""
    return isinstance(value, float) or (type(value) is int and abs(value) < _TOO_LARGE)


def _is_finite(value: Any) -> bool:
    return _is_number(value) and math.isfinite(value)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(repr(name) for name in names) or "nothing"


def _shown(value: Any) -> str:
    return json.dumps(value)[:_SHOWN]
