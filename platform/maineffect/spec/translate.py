"""Pydantic's errors → findings in the user's words: paths as written, offending values, nearest names."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from maineffect.spec.factors import Factor, StrictModel
from maineffect.spec.phases.optimise import OptimiseRequest
from maineffect.spec.problems import Finding, KeyPath, nearest, shown
from maineffect.spec.requests import REQUESTS
from maineffect.spec.responses import Hypothesis, Response
from maineffect.spec.study import AnalysisPlan, Budget, Resources, StudySpec

__all__ = ["translate"]

_ENTRIES: dict[str, tuple[type[StrictModel], int]] = {
    "factors": (Factor, 2),
    "responses": (Response, 2),
    "hypotheses": (Hypothesis, 2),
    "analysis": (AnalysisPlan, 1),
    "resources": (Resources, 1),
    "budget": (Budget, 1),
    "optimise": (OptimiseRequest, 1),
}
"""Section → model of its entries, and the length of an entry's path."""

_NEEDED = {
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "dict_type": "a mapping",
    "tuple_type": "a list",
    "string_type": "a word (quote it if it looks like a number)",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
}


def translate(errors: Sequence[Any], document: Mapping[str, Any]) -> list[Finding]:
    """Findings for the errors of one validation.

    Args:
        errors: ``ValidationError.errors()``.
        document: What was validated.
    """
    placed = [(_as_written(error["loc"], document, error["type"]), error) for error in errors]
    findings: dict[KeyPath, Finding] = {}
    for path, error in placed:
        # One wrong member of a list also makes the list no word, or too short: say only the former.
        inside = any(len(other) > len(path) and other[: len(path)] == path for other, _ in placed)
        if not (inside and error["type"] in {"literal_error", "too_short"}):
            findings.setdefault(path, _finding(path, error, document))
    return list(findings.values())


def _as_written(loc: Sequence[str | int], document: Any, kind: str) -> KeyPath:
    """The part of pydantic's path that the user wrote: union tags lead nowhere in the document."""
    path: list[str | int] = []
    node = document
    for i, part in enumerate(loc):
        is_key = isinstance(node, dict) and part in node
        is_index = isinstance(node, list) and isinstance(part, int) and part < len(node)
        if is_key or is_index:
            path.append(part)
            node = node[part]
        elif kind == "missing" and i == len(loc) - 1:
            path.append(part)
    return tuple(path)


def _finding(path: KeyPath, error: Any, document: Mapping[str, Any]) -> Finding:
    kind, value = error["type"], error["input"]
    if kind == "extra_forbidden":
        return Finding(path, f"unknown key {str(path[-1])!r}", nearest(path[-1], _known_keys(path, document)))
    if kind == "missing":
        return Finding(path, f"{str(path[-1])!r} is required", _hint_for_missing(path, document))
    if kind in {"union_tag_invalid", "union_tag_not_found"}:
        return _design_kind(value)
    if path in {("analysis", "terms"), ("design", "model")}:
        return Finding(
            path,
            f"{shown(value)} is neither main, two_way, second_order, full nor a list of terms",
            nearest(value, _MODELS),
        )
    if not path:  # said of the study as a whole: its message begins with the place that it is about
        where, _, said = error["msg"].removeprefix("Value error, ").partition(": ")
        return Finding(tuple(where.split(".")), said)
    if path[:2] in {("analysis", "terms"), ("design", "model")}:
        return Finding(path, f"{shown(value)} is not a term", "write a factor, or an interaction such as A:B")
    if _is_level(path):
        return Finding(path, f"{shown(value)} is not a level", "a level is a word, a number, true or false")
    if kind in {"literal_error", "enum"}:
        allowed = re.findall(r"'((?:[^'\\]|\\.)*)'", str(error.get("ctx", {}).get("expected", "")))
        return Finding(path, f"{shown(value)} is not {error['ctx']['expected']}", nearest(value, allowed))
    if kind in _NEEDED:
        return _wrong_type(path, _NEEDED[kind], value)
    message = error["msg"].removeprefix("Value error, ")
    if not isinstance(value, dict) and repr(value) not in message:
        message = f"{message}, got {shown(value)}"
    return Finding(path, message, _HINTS.get(path, ""))


_MODELS = ("main", "two_way", "second_order", "full")
_HINTS: dict[KeyPath, str] = {
    ("name",): "1 to 100 letters, digits, '-', '_' or '.', beginning with a letter or digit, such as evidence-regimes",
    ("factors",): "declare at least one factor",
    ("responses",): "declare at least one response",
    ("design",): "write design: {kind: full, replicates: 2}",
}


def _is_level(path: KeyPath) -> bool:
    if path[0] == "factors":
        return len(path) == 4 and path[2] == "levels"
    return (
        path[0] == "design"
        and len(path) >= 3
        and path[1] in {"forbid", "fixed", "cells", "baseline"}
        and (isinstance(path[-1], str))
    )


def _wrong_type(path: KeyPath, needed: str, value: object) -> Finding:
    if value is None:
        return Finding(path, f"{needed} is needed, nothing is given", "fill it in, or remove the key")
    quoted = isinstance(value, str) and "number" in needed and re.fullmatch(r"[-+]?[\d.]+", value)
    hint = "write it without quotes" if quoted else _HINTS.get(path, "")
    return Finding(path, f"{needed} is needed, got {shown(value)}", hint)


def _design_kind(value: object) -> Finding:
    kinds = f"kinds: {', '.join(REQUESTS)}"
    if not isinstance(value, dict) or "kind" not in value:
        return Finding(("design", "kind"), "'kind' is required", kinds)
    hint = nearest(value["kind"], REQUESTS)
    return Finding(("design", "kind"), f"unknown design kind {shown(value['kind'])}", hint)


def _hint_for_missing(path: KeyPath, document: Mapping[str, Any]) -> str:
    if path == ("schema_version",):
        return "write schema_version: 1"
    if path == ("design",):
        return _HINTS[path]
    if len(path) == 3 and path[0] == "factors":
        return "give its levels, or take it from a library by `use:`"
    near = [key for key in _written(path[:-1], document) if key not in _known_keys(path, document)]
    return nearest(path[-1], near) if near else ""


def _written(path: KeyPath, document: Any) -> list[str]:
    for part in path:
        document = document[part]
    return list(document) if isinstance(document, dict) else []


def _known_keys(path: KeyPath, document: Mapping[str, Any]) -> list[str]:
    """Keys that may stand beside the last one of a path."""
    section = str(path[0])
    if len(path) == 1:
        return list(StudySpec.model_fields)
    if section == "design":
        design = document.get("design")
        kind = design.get("kind") if isinstance(design, dict) else None
        return list(REQUESTS[kind].model_fields) if isinstance(kind, str) and kind in REQUESTS else []
    model, _ = _ENTRIES.get(section, (None, 0))
    if model is None:
        return []
    keys = [name for name in model.model_fields if name != "name"]
    return [*keys, "use"] if section == "factors" else keys
