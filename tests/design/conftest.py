"""Studies made in one line."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from maineffect.spec.study import StudySpec

MakeStudy = Callable[..., StudySpec]


@pytest.fixture(scope="session")
def make_study() -> MakeStudy:
    """``make_study("ABC" or {name: levels}, {kind: …}, terms="main", **more)``."""

    def make(
        factors: str | Mapping[str, Sequence[Any] | Mapping[str, Any]],
        design: Mapping[str, Any],
        terms: Any = "two_way",
        **more: Any,
    ) -> StudySpec:
        given = {name: [-1, 1] for name in factors} if not isinstance(factors, Mapping) else factors
        return StudySpec.model_validate(
            {
                "schema_version": 1,
                "name": "s",
                "factors": {
                    name: {"name": name, **(levels if isinstance(levels, Mapping) else {"levels": list(levels)})}
                    for name, levels in given.items()
                },
                "design": dict(design),
                "responses": {"y": {"name": "y", "smallest_effect": 0.5}},
                "analysis": {"terms": terms},
                **more,
            }
        )

    return make
