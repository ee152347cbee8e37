"""The grid of runs: what it shows is what it is given, and every text of a user is text."""

from __future__ import annotations

import re

from maineffect.dashboards.markup import run_grid

STATES = {("c1", 1): "finished", ("c1", 2): "failed", ("c2", 1): "running", ("c2", 2): "planned"}
LEVELS = {"c1": {"lr": 0.8, "model": "<b>"}, "c2": {"lr": 0.1, "model": "<b>"}}


def grid(**more: str) -> str:
    return run_grid(
        {"run_id": f"{cell}-r{number}", "cell_id": cell, "replicate": number, "state": state, "levels": LEVELS[cell]}
        for (cell, number), state in {**STATES, **more}.items()
    )


def test_one_row_a_cell_and_one_column_a_replicate_in_the_order_of_levels() -> None:
    made = grid()
    rows = re.findall(r"<tr>(.*?)</tr>", made.partition("<tbody>")[2])
    assert [re.search(r"<th[^>]*>(.*?)<", row)[1] for row in rows] == ["0.1", "0.8"]
    assert [re.findall(r'class="state (\w+)"', row) for row in rows] == [["running", "planned"], ["finished", "failed"]]
    assert 'title="c1-r2: failed">✗' in made
    assert re.findall(r'<th scope="col">(.*?)</th>', made) == ["lr", "model", "1", "2"]


def test_hostile_levels_are_text_and_no_runs_are_nothing() -> None:
    assert "<b>" not in grid()
    assert "&lt;b&gt;" in grid()
    assert run_grid([]) == ""
