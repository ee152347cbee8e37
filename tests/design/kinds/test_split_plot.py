"""Whole plots: kept together, constant inside, and honest about their error term."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from maineffect.design.build import build_design
from maineffect.design.model.model import Design
from maineffect.spec.study import StudySpec

MakeStudy = Callable[..., StudySpec]


def plots_of(design: Design) -> dict[str | int | None, list[dict[str, Any]]]:
    plots: dict[str | int | None, list[dict[str, Any]]] = {}
    for run in design.runs:
        plots.setdefault(run.whole_plot, []).append(dict(design.levels_of(run)))
    return plots


def test_the_full_split_plot_has_one_whole_plot_per_combination(make_study: MakeStudy) -> None:
    design = build_design(make_study("ABC", {"kind": "split_plot", "hard_to_change": ["A"], "replicates": 3}))
    plots = plots_of(design)
    assert len(plots) == 6
    for rows in plots.values():
        assert len({row["A"] for row in rows}) == 1
        assert {(row["B"], row["C"]) for row in rows} == {(b, c) for b in (-1, 1) for c in (-1, 1)}
    assert {run.block for run in design.runs} == {None}


def test_whole_plots_and_their_runs_are_randomised_and_stay_together(make_study: MakeStudy) -> None:
    orders = set()
    for seed in range(6):
        design = build_design(make_study("ABC", {"kind": "split_plot", "hard_to_change": ["A"]}, seed=seed))
        plots = [run.whole_plot for run in design.runs]
        assert plots == sorted(plots, key=plots.index)
        orders.add(tuple(tuple(design.levels_of(run).values()) for run in design.runs))
    assert len(orders) == 6


def test_more_whole_plots_repeat_the_factorial(make_study: MakeStudy) -> None:
    asked = {"kind": "split_plot", "hard_to_change": ["A"], "whole_plots": 4}
    design = build_design(make_study("ABC", asked))
    assert len(plots_of(design)) == 4
    assert Counter(run.cell_id for run in design.runs).most_common()[0][1] == 2
    assert not any("no error term" in note for note in design.notes)


def test_whole_plots_that_do_not_divide_are_filled_optimally(make_study: MakeStudy) -> None:
    asked = {"kind": "split_plot", "hard_to_change": ["A"], "whole_plots": 5, "runs": 15}
    design = build_design(make_study("ABC", asked))
    assert sorted(len(rows) for rows in plots_of(design).values()) == [3] * 5
    assert design.d_bound is not None
    assert 0.9 * design.d_bound < design.d_efficiency <= design.d_bound


def test_a_model_may_be_a_word_or_a_list(make_study: MakeStudy) -> None:
    for model, count in (("main", 3), (["A", "B", "A:B"], 3), ("full", 7)):
        asked = {"kind": "split_plot", "hard_to_change": ["A"], "model": model}
        assert len(build_design(make_study("ABC", asked)).terms) == count


def test_unreplicated_whole_plots_are_said(make_study: MakeStudy) -> None:
    design = build_design(make_study("ABC", {"kind": "split_plot", "hard_to_change": ["A", "B"]}))
    assert any("4 whole plots" in note and "no error term" in note for note in design.notes)


@pytest.mark.parametrize(
    ("asked", "plots"),
    [
        ({"kind": "full", "hard_to_change": ["A", "B"]}, 4),
        ({"kind": "full", "hard_to_change": ["A"], "blocks": 2}, 4),
        ({"kind": "fractional", "runs": 8, "hard_to_change": ["A", "D"]}, 4),
        ({"kind": "plackett_burman", "hard_to_change": ["A"]}, 2),
    ],
)
def test_any_design_can_hold_factors_constant(make_study: MakeStudy, asked: dict[str, Any], plots: int) -> None:
    design = build_design(make_study("ABCD", asked))
    found = plots_of(design)
    assert len(found) == plots
    for rows in found.values():
        for name in asked["hard_to_change"]:
            assert len({row[name] for row in rows}) == 1
    assert design.d_bound is not None
    assert design.d_efficiency <= design.d_bound * (1 + 1e-9) < 100


def test_forbidden_cells_stay_out_of_whole_plots(make_study: MakeStudy) -> None:
    asked = {"kind": "split_plot", "hard_to_change": ["A"], "forbid": [{"A": 1, "C": 1}], "replicates": 2}
    design = build_design(make_study("ABC", asked, "main"))
    assert len(design.runs) == 12
    assert not any(row["A"] == 1 and row["C"] == 1 for rows in plots_of(design).values() for row in rows)
