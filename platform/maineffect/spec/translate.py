"""Pydantic's errors → findings in the user's words: paths as written, offending values, nearest names."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from maineffect.spec.factors import Factor, StrictModel
from maineffect.spec.phases.optimise import OptimiseRequest
from maineffect.spec.problems import Finding, KeyPath, nearest, shown
from maineffect.spec.questions.scaling import ScaleCovariate, Scaling
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
    "scaling": (Scaling, 1),
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


_OTHER_KEYS: dict[str, dict[str, str]] = {
    "": {
        **dict.fromkeys(("params", "parameters", "config", "args", "hyperparameters", "fixed"), "settings"),
        **dict.fromkeys(("metrics", "outcomes", "measures", "metric"), "responses"),
        **dict.fromkeys(("claims", "hypothesis"), "hypotheses"),
        **dict.fromkeys(("variables", "knobs", "sweep"), "factors"),
        **dict.fromkeys(("seeds", "random_seed"), "seed"),
    },
    "factors": {
        **dict.fromkeys(("values", "choices", "options", "low", "high", "min", "max", "start", "stop"), "levels"),
        **dict.fromkeys(("setting", "target", "path", "key", "bind"), "binds"),
    },
    "design": dict.fromkeys(("reps", "repeats", "repetitions", "n_replicates", "runs_per_cell", "seeds"), "replicates"),
    "responses": {
        **dict.fromkeys(("mde", "margin", "min_effect", "minimum_effect", "threshold", "delta"), "smallest_effect"),
        **dict.fromkeys(("direction", "objective", "mode", "optimize"), "goal"),
    },
    "hypotheses": {
        **dict.fromkeys(("factor", "effect", "factors", "interaction"), "term"),
        **dict.fromkeys(("metric", "outcome", "measure"), "response"),
        **dict.fromkeys(("name", "label"), "id"),
        **dict.fromkeys(("expect", "expected", "sign", "goal"), "direction"),
    },
    "resources": {
        **dict.fromkeys(("cpu", "cores", "num_cpus"), "cpus"),
        **dict.fromkeys(("gpu", "num_gpus"), "gpus"),
        **dict.fromkeys(("time", "time_limit", "max_time", "walltime"), "timeout"),
        **dict.fromkeys(("max_retries", "attempts"), "retries"),
    },
}
"""Section ("" is the study itself) → what people write for a key of ours."""

_OTHER_WORDS: dict[str, tuple[str, ...]] = {
    "maximize": ("max", "maximise", "higher", "higher_is_better", "increase", "up"),
    "minimize": ("min", "minimise", "lower", "lower_is_better", "decrease", "down"),
    "increase": ("up", "increases", "positive", "+", ">", "greater", "higher", "raises", "maximize"),
    "decrease": ("down", "decreases", "negative", "-", "<", "less", "lower", "lowers", "minimize"),
    "negligible": ("equal", "equivalent", "same", "zero", "0", "no_effect", "none", "null"),
    "different": ("any", "two-sided", "two_sided", "both", "nonzero", "differs", "!=", "change"),
    "full": ("factorial", "full_factorial", "full-factorial", "grid", "complete", "all", "everything", "saturated"),
    "fractional": ("fraction", "fractional_factorial", "half_fraction"),
    "central_composite": ("ccd", "central-composite"),
    "plackett_burman": ("pb", "plackett-burman"),
    "main": ("linear", "mains", "main_effects", "1"),
    "two_way": ("interactions", "two-way", "2fi", "twoway", "2"),
    "second_order": ("quadratic", "rsm", "second-order"),
    "holm": ("bonferroni", "holm-bonferroni", "sidak"),
    "bh": ("fdr", "benjamini-hochberg", "benjamini_hochberg"),
}
"""A word of ours → what people write for it."""


def _our_word(value: object, allowed: Sequence[str]) -> str:
    """The word of ours that somebody means, as a hint; else the nearest one."""
    written = str(value).strip().casefold()
    meant = next((ours for ours in allowed if written in _OTHER_WORDS.get(ours, ())), None)
    return f"write {meant}" if meant else nearest(value, allowed)


def _section(path: KeyPath) -> str:
    return "" if len(path) == 1 else str(path[0])


def _our_key(path: KeyPath) -> str:
    """The key of ours that the last one of a path stands for; empty if it is none that people write."""
    return _OTHER_KEYS.get(_section(path), {}).get(str(path[-1]).casefold(), "")


def translate(errors: Sequence[Any], document: Mapping[str, Any]) -> list[Finding]:
    """Findings for the errors of one validation.

    Args:
        errors: ``ValidationError.errors()``.
        document: What was validated.
    """
    placed = [(_as_written(error["loc"], document, error["type"]), error) for error in errors]
    findings: dict[KeyPath, Finding] = {}
    meant = {(*path[:-1], _our_key(path)) for path, error in placed if error["type"] == "extra_forbidden"}
    for path, error in placed:
        if error["type"] == "missing" and path in meant:
            continue  # it is there under another name, which is said
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
        known = _known_keys(path, document)
        hint = _write_key(path, document) if _our_key(path) in known else _elsewhere(path) or nearest(path[-1], known)
        return Finding(path, f"unknown key {str(path[-1])!r}", hint)
    if kind == "missing":
        return Finding(path, f"{str(path[-1])!r} is required", _hint_for_missing(path, document))
    if kind in {"union_tag_invalid", "union_tag_not_found"}:
        return _design_kind(value)
    if path in {("analysis", "terms"), ("design", "model")}:
        return Finding(
            path,
            f"{shown(value)} is neither main, two_way, second_order, full nor a list of terms",
            _our_word(value, _MODELS),
        )
    if not path:  # said of the study as a whole: its message begins with the place that it is about
        where, _, said = error["msg"].removeprefix("Value error, ").partition(": ")
        return Finding(tuple(where.split(".")), said)
    if path[:2] in {("analysis", "terms"), ("design", "model")}:
        return Finding(path, f"{shown(value)} is not a term", "write a factor, or an interaction such as A:B")
    if _is_level(path):
        return Finding(path, f"{shown(value)} is not a level", "a level is a word, a number, true or false")
    if path == ("schema_version",):
        return Finding(path, f"{shown(value)} is not 1", "write schema_version: 1, without quotes")
    if kind in {"literal_error", "enum"}:
        allowed = re.findall(r"'((?:[^'\\]|\\.)*)'", str(error.get("ctx", {}).get("expected", "")))
        return Finding(path, f"{shown(value)} is not {error['ctx']['expected']}", _our_word(value, allowed))
    if kind in _NEEDED:
        return _wrong_type(path, _NEEDED[kind], value)
    if (limit := _limit(kind, error.get("ctx") or {})) is not None:
        return Finding(path, f"{limit}, got {shown(value)}", _HINTS_OF_LIMITS.get(str(path[-1]), ""))
    message = error["msg"].removeprefix("Value error, ")
    if not isinstance(value, dict) and repr(value) not in message:
        message = f"{message}, got {shown(value)}"
    return Finding(path, message, _HINTS.get(path, ""))


def _elsewhere(path: KeyPath) -> str:
    """The section that a key of the study itself belongs to; empty if it belongs to none."""
    if len(path) > 1:
        return ""
    if path[0] == "replicates":
        return "it belongs to design: {replicates: …}"
    homes = [name for name, (model, depth) in _ENTRIES.items() if depth == 1 and path[0] in model.model_fields]
    return f"it belongs to {homes[0]}: {{{path[0]}: …}}" if homes else ""


def _write_key(path: KeyPath, document: Mapping[str, Any]) -> str:
    ours, written = _our_key(path), _written(path[:-1], document)
    if ours == "levels" and {"low", "high"} <= {*written}:
        return "write levels: [low, high], with the two values"
    if ours == "levels" and {"min", "max"} <= {*written}:
        return "write levels: [min, max], with the two values; `range:` is what is permitted"
    if path == ("seeds",):
        return "write seed: 1; how many runs a cell has is design.replicates"
    return f"write {ours}:"


def _limit(kind: str, context: Mapping[str, Any]) -> str | None:
    """What a number or a list must be, in our words; None where the error is of another kind."""
    if kind == "too_short":
        least = context["min_length"]
        return f"at least {least} {'is' if least == 1 else 'are'} needed"
    if kind == "too_long":
        return f"at most {context['max_length']} are possible"
    if kind == "string_pattern_mismatch":
        return "not a word that may stand here"
    bounds = {
        "greater_than": ("gt", "above"),
        "greater_than_equal": ("ge", "of at least"),
        "less_than": ("lt", "below"),
    }
    bounds["less_than_equal"] = ("le", "of at most")
    if kind not in bounds:
        return None
    name, words = bounds[kind]
    return f"a number {words} {context[name]:g} is needed"


_HINTS_OF_LIMITS = {
    "levels": "two levels or more; what is the same in every run belongs to settings",
    "alpha": "a share: 0.05 for 5 %",
    "smallest_effect": "the size of the smallest difference that matters; directions belong to hypotheses",
    "name": "1 to 100 letters, digits, '-', '_' or '.', beginning with a letter or digit, such as evidence-regimes",
}
_MODELS = ("main", "two_way", "second_order", "full")
_HINTS: dict[KeyPath, str] = {
    ("name",): "1 to 100 letters, digits, '-', '_' or '.', beginning with a letter or digit, such as evidence-regimes",
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
    hint = _HINTS.get(path, "") or _form(path, value)
    if isinstance(value, str) and "number" in needed:
        if re.fullmatch(r"[-+]?[\d.]+", value):
            hint = "write it without quotes"
        elif percent := re.fullmatch(r"([-+]?[\d.]+)\s*%", value):
            hint = f"write {float(percent[1]) / 100:g}"
    return Finding(path, f"{needed} is needed, got {shown(value)}", hint)


def _form(path: KeyPath, value: object) -> str:
    """How a section, or an entry of one, is written; empty where nothing usual was meant."""
    if path == ("hypotheses",):
        return "write a list: - {id: H1, term: …, response: …, direction: increase}"
    if path[0] == "factors":
        if len(path) == 2 and isinstance(value, list):
            return f"write {path[1]}: {{levels: {value}}}"
        if len(path) == 1:
            return "write a mapping: name: {levels: […]}"
        return "write levels: [1, 2]" if path[-1] == "levels" else ""
    if path[0] == "responses":
        written = str(value).casefold()
        goal = "minimize" if written in {"minimize", *_OTHER_WORDS["minimize"]} else "maximize"
        return f"write {path[1]}: {{goal: {goal}}}" if len(path) == 2 else "write a mapping: name: {goal: maximize}"
    return ""


def _design_kind(value: object) -> Finding:
    kinds = f"kinds: {', '.join(REQUESTS)}"
    if not isinstance(value, dict) or "kind" not in value:
        return Finding(("design", "kind"), "'kind' is required", kinds)
    hint = _our_word(value["kind"], tuple(REQUESTS))
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
    if path[:2] == ("scaling", "covariates"):
        model = ScaleCovariate
    if model is None:
        return []
    keys = [name for name in model.model_fields if name != "name"]
    return [*keys, "use"] if section == "factors" else keys
