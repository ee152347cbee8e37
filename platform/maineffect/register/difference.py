"""What changed between two plans, in sentences."""

from __future__ import annotations

from typing import Any

__all__ = ["differences"]

_ABSENT = object()


def differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Sentences such as ``seed: 7 → 8``; the runs are summed up, not listed."""
    found = list(_walk("", old.get("study", {}), new.get("study", {})))
    before, after = old.get("runs", {}), new.get("runs", {})
    dropped, added = sorted(set(before) - set(after)), sorted(set(after) - set(before))
    moved = sum(1 for run in set(before) & set(after) if before[run] != after[run])
    if dropped or added or moved:
        found.append(f"runs: {len(dropped)} dropped, {len(added)} added, {moved} with another seed, block or order")
    return found or ["the plan's canonical form"]


def _walk(path: str, old: Any, new: Any) -> list[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        keys = [*old, *(key for key in new if key not in old)]
        return [
            line
            for key in keys
            for line in _walk(f"{path}.{key}" if path else str(key), old.get(key, _ABSENT), new.get(key, _ABSENT))
        ]
    if old == new:
        return []
    if old is _ABSENT:
        return [f"{path}: added {_short(new)}"]
    if new is _ABSENT:
        return [f"{path}: dropped {_short(old)}"]
    return [f"{path}: {_short(old)} → {_short(new)}"]


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
