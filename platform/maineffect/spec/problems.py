"""How a finding about a study becomes a Problem with file, line, path and the way out.

Paths are tuples, never joined strings, until they are shown: a factor may be called ``a.b/c`` or ``1``.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

__all__ = ["Finding", "KeyPath", "dotted", "nearest", "shown"]

KeyPath = tuple[str | int, ...]
"""Keys and indices from the root of a document to a value in it."""

_LISTED = 12


@dataclass(frozen=True)
class Finding:
    """Something wrong at a path of the study, not yet placed in a file."""

    path: KeyPath
    message: str
    hint: str = ""


def dotted(path: Sequence[str | int]) -> str:
    """A path as it is shown: ``factors.hops.levels.0``."""
    return ".".join(str(part) for part in path)


def shown(value: object, most: int = 80) -> str:
    """An offending value, short enough for one line."""
    text = repr(value)
    return text if len(text) <= most else text[: most - 1] + "…"


def nearest(word: object, candidates: Iterable[object]) -> str:
    """A hint that names the nearest known word, or lists what there is."""
    names = [str(name) for name in candidates]
    folded = {name.casefold(): name for name in reversed(names)}
    close = difflib.get_close_matches(str(word).casefold(), folded, n=1, cutoff=0.6)
    if close:
        return f"did you mean {folded[close[0]]!r}?"
    return f"known: {', '.join(names[:_LISTED])}{' …' if len(names) > _LISTED else ''}" if names else ""
