"""Values written into a run's settings, where what they belong to is driven from."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from maineffect.contracts import Level

__all__ = ["bound"]


def bound(settings: Mapping[str, Any], drives: Mapping[str, str], values: Mapping[str, Level]) -> dict[str, Any]:
    """A copy of settings with values in it.

    Args:
        settings: Nested.
        drives: Name → dotted setting.
        values: Name → value.
    """
    made: dict[str, Any] = copy.deepcopy(dict(settings))
    for name, value in values.items():
        *sections, last = drives[name].split(".")
        node = made
        for section in sections:
            node = node.setdefault(section, {})
        node[last] = value
    return made
