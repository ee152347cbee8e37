"""One way to write a document, so that equal plans have equal hashes: sorted keys, numbers in one form."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["canonical", "canonical_json"]

_EXACT = 2**53


def canonical(value: Any) -> Any:
    """Plain JSON values with whole floats as integers: ``1`` and ``1.0`` are one number, ``true`` is none."""
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT:
        return int(value)
    if isinstance(value, dict):
        return {str(key): canonical(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [canonical(item) for item in value]
    return value


def canonical_json(document: Any) -> str:
    """JSON with sorted keys, no spaces and canonical numbers.

    Raises:
        ValueError: A number is not finite.
    """
    return json.dumps(canonical(document), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
