"""Studies and tables for the analysis tests."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import pytest

from maineffect.spec.study import StudySpec

MakeStudy = Callable[..., StudySpec]


@pytest.fixture(scope="session")
def make_study() -> MakeStudy:
    """A study from factor names or specs: two levels 0 and 1 unless stated."""

    def make(factors: Any = "ABC", responses: tuple[str, ...] = ("y",), terms: Any = "main", **more: Any) -> StudySpec:
        named = factors if isinstance(factors, dict) else {name: {"levels": [0, 1]} for name in factors}
        given = more.pop("response", {})
        return StudySpec.model_validate(
            {
                "schema_version": 1,
                "name": "study",
                "factors": {name: {"name": name, **spec} for name, spec in named.items()},
                "design": {"kind": "full"},
                "responses": {name: {"name": name, **given} for name in responses},
                "analysis": {"terms": terms},
                **more,
            }
        )

    return make


@pytest.fixture(scope="session")
def make_table() -> Callable[..., pd.DataFrame]:
    """A full factorial with replicates and normal noise; ``effects`` adds to levels coded 0 and 1."""

    def make(
        names: str = "ABC", replicates: int = 2, seed: int = 0, effects: dict[str, float] | None = None, sd: float = 1.0
    ) -> pd.DataFrame:
        rng = np.random.default_rng(seed)
        rows = [
            dict(zip(names, cell, strict=True))
            for _ in range(replicates)
            for cell in product([0, 1], repeat=len(names))
        ]
        table = pd.DataFrame(rows)
        table["replicate"] = np.repeat(np.arange(1, replicates + 1), 2 ** len(names))
        table["y"] = sd * rng.standard_normal(len(table))
        for name, size in (effects or {}).items():
            table["y"] += size * table[name]
        return table

    return make
