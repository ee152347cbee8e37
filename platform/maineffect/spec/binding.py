"""Levels → settings: each factor's level is written at the dotted setting it drives."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from maineffect.contracts import Level
from maineffect.errors import Problem, SpecError
from maineffect.spec.phases.optimise import SETTING
from maineffect.spec.problems import nearest
from maineffect.spec.study import StudySpec

__all__ = ["at_nuisance", "bound_settings", "with_bindings"]


def bound_settings(study: StudySpec, levels: Mapping[str, Level]) -> dict[str, Any]:
    """The trainable's settings for one cell: a copy of the study's fixed settings with this cell's levels in it.

    Args:
        study: A validated study (the loader refuses bindings that collide with settings or each other).
        levels: A level for every factor of the study, and for nothing else.

    Raises:
        SpecError: A factor has no level, a level no factor, or a binding leads through a value.
    """
    _check_names(study, levels)
    if study.optimise is not None:  # its one factor stands for a whole setting
        return with_bindings(study.settings, study.optimise.binds, study.optimise.setting_values(str(levels[SETTING])))
    drives = {name: factor.setting for name, factor in study.factors.items()}
    return with_bindings(study.settings, drives, {name: levels[name] for name in drives})


def with_bindings(
    settings: Mapping[str, Any], drives: Mapping[str, str], values: Mapping[str, Level]
) -> dict[str, Any]:
    """A copy of settings with values written where their factors drive.

    Args:
        settings: Nested.
        drives: Factor → dotted setting.
        values: Factor → its value.

    Raises:
        SpecError: A binding leads through a value.
    """
    bound: dict[str, Any] = copy.deepcopy(dict(settings))
    for name, level in values.items():
        *sections, last = drives[name].split(".")
        node = bound
        for section in sections:
            node = node.setdefault(section, {})
            if not isinstance(node, dict):
                message = f"{drives[name]!r} leads through {section!r}, which is {node!r}"
                raise SpecError([Problem(message, f"factors.{name}.binds", hint="make it a section")])
        node[last] = level
    return bound


def at_nuisance(study: StudySpec, settings: Mapping[str, Any], at: str) -> dict[str, Any]:
    """A cell's settings with every nuisance of ``tuning`` at its ``default``, ``low`` or ``high`` value.

    Args:
        study: A validated study.
        settings: Of a cell.
        at: Which value; anything else leaves the settings alone.
    """
    bound: dict[str, Any] = copy.deepcopy(dict(settings))
    for nuisance in study.tuning.nuisance.values() if study.tuning is not None else ():
        value = {"default": nuisance.default, "low": nuisance.range[0], "high": nuisance.range[1]}.get(at)
        *sections, last = nuisance.binds.split(".")
        node = bound
        for section in sections:
            node = node.setdefault(section, {})
        if value is not None:
            node[last] = value
    return bound


def _check_names(study: StudySpec, levels: Mapping[str, Level]) -> None:
    problems = [
        Problem(f"factor {name!r} has no level", f"factors.{name}") for name in study.factors if name not in levels
    ]
    problems += [
        Problem(f"there is no factor {name!r}", hint=nearest(name, study.factors))
        for name in levels
        if name not in study.factors
    ]
    if problems:
        raise SpecError(problems)
