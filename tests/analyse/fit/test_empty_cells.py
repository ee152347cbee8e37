"""What cannot be estimated says which cells have no run."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from maineffect.analyse.fit.empty_cells import empty_cells, named, needs
from maineffect.analyse.run import analyse


def test_empty_cells_are_counted_and_named(make_study: Any) -> None:
    factors = tuple(make_study({"A": {"levels": [1, 2, 3]}, "B": {"levels": [False, True]}}).factors.values())
    rows = {"A": [1, 1.0, 2, 2], "B": [False, True, False, False]}
    cells = empty_cells(factors, rows, ["A", "B"])
    assert named(cells) == "A = 2, B = True; A = 3, B = False; A = 3, B = True"
    assert empty_cells(factors, rows, ["B"]) == ()
    assert needs({"A:B": cells}, ["A"], {"A": 2}) == "needs cells that have no runs: A = 2, B = True"
    assert needs({}, ["A"]) == "needs cells that have no runs"


@pytest.mark.parametrize(
    ("factors", "lost", "reason"),
    [
        ("AB", "A == 1 and B == 1", "no runs with A = 1, B = 1"),
        ({"A": {"levels": ["a", "b", "c"]}, "B": {"levels": [0, 1]}}, "A == 'c' and B == 1", "A = c, B = 1"),
    ],
)
def test_the_reason_names_them(make_study: Any, factors: Any, lost: str, reason: str) -> None:
    study = make_study(factors, terms="two_way")
    names = study.factors
    rows = [
        {"A": a, "B": b, "y": i * 0.37 % 1.0, "replicate": r}
        for r in range(3)
        for i, (a, b) in enumerate((a, b) for a in names["A"].levels for b in names["B"].levels)
    ]
    table = pd.DataFrame(rows).assign(y=lambda t: [(0.37 * k) % 1.0 for k in range(len(t))]).query(f"not ({lost})")
    result = analyse(study, table, draws=19).responses["y"]
    assert any(entry.term == "A:B" and reason in entry.reason for entry in result.not_estimable)
    assert any(
        mean.reason is not None and reason.removeprefix("no runs with ") in mean.reason for mean in result.means
    ) or (factors == "AB")


def test_lost_runs_name_them_too(make_study: Any) -> None:
    study = make_study({"A": {"levels": ["a", "b", "c"]}, "B": {"levels": [0, 1]}}, terms="two_way")
    rows = [{"A": a, "B": b, "y": None if (a, b) == ("c", 1) else k} for k, (a, b) in enumerate(
        [(a, b) for _ in range(2) for a in "abc" for b in (0, 1)])]  # fmt: skip
    warnings = analyse(study, pd.DataFrame(rows), draws=19).warnings
    assert "A:B can no longer be estimated (no runs with A = c, B = 1)" in warnings
