"""Levels reach the settings that their factors drive, and nothing else changes."""

from __future__ import annotations

import pytest

from maineffect.errors import SpecError
from maineffect.spec.binding import bound_settings
from maineffect.spec.study import StudySpec


def study(settings: dict, **binds: str) -> StudySpec:
    return StudySpec.model_validate(
        {
            "schema_version": 1,
            "name": "s",
            "factors": {name: {"name": name, "levels": [1, 2], "binds": where} for name, where in binds.items()},
            "design": {"kind": "full"},
            "responses": {"y": {"name": "y"}},
            "settings": settings,
        }
    )


def test_levels_are_written_where_factors_bind() -> None:
    given = study({"world": {"size": 3}, "seed": 1}, a="world.hops", b="train.deep.er", c="")
    assert bound_settings(given, {"a": 2, "b": 1, "c": "x"}) == {
        "world": {"size": 3, "hops": 2},
        "seed": 1,
        "train": {"deep": {"er": 1}},
        "c": "x",
    }


def test_the_study_is_left_alone() -> None:
    given = study({"world": {"size": [3]}}, a="world.hops")
    first = bound_settings(given, {"a": 1})
    first["world"]["size"].append(4)
    assert given.settings == {"world": {"size": [3]}}
    assert bound_settings(given, {"a": 2}) == {"world": {"size": [3], "hops": 2}}


@pytest.mark.parametrize(
    ("levels", "message"),
    [({}, "factor 'a' has no level"), ({"a": 1, "ab": 2}, "there is no factor 'ab'")],
)
def test_levels_and_factors_must_match(levels: dict, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        bound_settings(study({}, a="x"), levels)


def test_a_binding_through_a_value_is_refused() -> None:
    with pytest.raises(SpecError, match="leads through 'world', which is 3"):
        bound_settings(study({"world": 3}, a="world.hops"), {"a": 1})
