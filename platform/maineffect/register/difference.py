"""What changed between two plans, in sentences that a reader can check against the study file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from maineffect.register.canonical import canonical

__all__ = ["differences"]

_ABSENT = object()
_NAMED = {"factors": "factor", "responses": "response", "hypotheses": "hypothesis"}
_LONGEST = 80


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Sentences such as ``factor hops: level 3 added`` or ``seed: 7 → 8``; the runs are summed up, not listed.

    Args:
        old: The plan document that was registered.
        new: The plan document as it is now.
    """
    before, after = canonical(old.get("study", {})), canonical(new.get("study", {}))
    sentences = [
        line for key in [*before, *(key for key in after if key not in before)] for line in _key(key, before, after)
    ]
    if old.get("runs") and ("base_seed" in old) != ("base_seed" in new):
        now, then = ("one", "one per seed") if "base_seed" in new else ("one per seed", "one")
        sentences.append(f"what is made once for the sweep, such as a warm start: {then} → {now}")
    sentences += _runs(old.get("runs", {}), new.get("runs", {}))
    return sentences or ["the format of the plan, not its content"]


def _key(key: str, before: dict[str, Any], after: dict[str, Any]) -> Iterator[str]:
    old, new = before.get(key, _ABSENT), after.get(key, _ABSENT)
    if key not in _NAMED:
        yield from _walk(key, old, new)
        return
    kind, olds, news = _NAMED[key], _by_name(old), _by_name(new)
    for name in olds:
        if name not in news:
            yield f"{kind} {name!r} dropped"
        else:
            yield from _walk(f"{kind} {name}", olds[name], news[name])
    for name in news:
        if name not in olds:
            yield f"{kind} {name!r} added"


def _by_name(section: Any) -> dict[str, Any]:
    if isinstance(section, list):
        return {str(item.get("id", i)) if isinstance(item, dict) else str(i): item for i, item in enumerate(section)}
    return section if isinstance(section, dict) else {}


def _walk(path: str, old: Any, new: Any) -> Iterator[str]:
    if old == new and isinstance(old, bool) == isinstance(new, bool):
        return
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(key for key in new if key not in old)]:
            yield from _walk(f"{path}.{key}", old.get(key, _ABSENT), new.get(key, _ABSENT))
    elif path.endswith(".levels") and isinstance(old, list) and isinstance(new, list):
        yield from _levels(path.removesuffix(".levels"), old, new)
    elif old is _ABSENT:
        yield f"{path}: added {_short(new)}"
    elif new is _ABSENT:
        yield f"{path}: dropped {_short(old)}"
    else:
        yield f"{path}: {_short(old)} → {_short(new)}"


def _levels(path: str, old: list[Any], new: list[Any]) -> Iterator[str]:
    dropped = [level for level in old if level not in new]
    added = [level for level in new if level not in old]
    for level in dropped:
        yield f"{path}: level {_short(level)} dropped"
    for level in added:
        yield f"{path}: level {_short(level)} added"
    if not dropped and not added:
        yield f"{path}: levels reordered, {_short(old)} → {_short(new)}"


def _runs(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    dropped, added = set(before) - set(after), set(after) - set(before)
    kept = set(before) & set(after)
    counts = {
        "dropped": len(dropped),
        "added": len(added),
        "with another seed": sum(before[run].get("seed") != after[run].get("seed") for run in kept),
        "in another place": sum(
            any(before[run].get(key) != after[run].get(key) for key in ("order", "block", "whole_plot")) for run in kept
        ),
    }
    changes = [f"{count} {what}" for what, count in counts.items() if count]
    return [f"runs: {', '.join(changes)}"] if changes else []


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
