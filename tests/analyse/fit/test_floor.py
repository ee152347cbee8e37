"""A response that most runs share a value of is named: t intervals are not made for it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from maineffect.analyse.run import analyse

# Shares right of 80 questions, as sixteen trainings that nothing distinguished ended: 2^3 in two replicates.
FLOORED = [0, 0, 0, 0.0125, 0, 0.025, 0.05, 0, 0, 0, 0.0375, 0.0125, 0.025, 0.025, 0, 0]


def _said(study: Any, table: Any) -> list[str]:
    return [warning for warning in analyse(study, table, draws=19).warnings if "the same value" in warning]


def test_a_response_on_its_floor_is_said(make_study: Any, make_table: Any) -> None:
    table = make_table()
    table["y"] = FLOORED
    (said,) = _said(make_study(), table)
    assert "9 of 16 runs have the same value, 0:" in said


@pytest.mark.parametrize("share", [0.3, 0.5, 0.7])
def test_shares_in_the_middle_are_not(make_study: Any, make_table: Any, share: float) -> None:
    table = make_table()
    for seed in range(5):
        table["y"] = np.random.default_rng(seed).binomial(80, share, len(table)) / 80
        assert _said(make_study(), table) == []
