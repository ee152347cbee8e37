"""Levels → settings: each factor's level is written at the dotted setting it drives."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from maineffect.contracts import Level
from maineffect.spec.study import StudySpec

__all__ = ["bound_settings"]


def bound_settings(study: StudySpec, levels: Mapping[str, Level]) -> dict[str, Any]:
    """The trainable's settings for one cell: the study's fixed settings plus this cell's levels.

    Args:
        study: A validated study (conflicting bindings were refused by the loader).
        levels: A level for every factor.
    """
    settings: dict[str, Any] = copy.deepcopy(study.settings)
    for name, factor in study.factors.items():
        *sections, last = factor.setting.split(".")
        node = settings
        for section in sections:
            node = node.setdefault(section, {})
        node[last] = levels[name]
    return settings
