"""The last gate: a design that is not what it claims does not leave the builder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from maineffect.design.build import build_design
from maineffect.design.kinds.fractional import fractional
from maineffect.design.kinds.optimal import optimal
from maineffect.design.kinds.split_plot import split_plot
from maineffect.design.model.verify import verify
from maineffect.errors import DesignError
from maineffect.spec.study import StudySpec

MakeStudy = Callable[..., StudySpec]


def refuse(study: StudySpec, design: Any, treatments: Any, message: str) -> None:
    with pytest.raises(DesignError, match=message):
        verify(study, design, treatments)


def test_a_lower_resolution_than_claimed_is_caught(make_study: MakeStudy) -> None:
    """The error of pyDOE3: resolution IV handed out for V, seven factors in 32 runs."""
    study = make_study("ABCDEFG", {"kind": "fractional", "runs": 32})
    design, treatments = build_design(study), fractional(study)
    verify(study, design, treatments)
    assert design.resolution == 4
    refuse(study, replace(design, resolution=5), treatments, "resolution 5 was claimed and 4 found")
    refuse(study, replace(design, word_length_pattern={4: 2, 5: 2}), treatments, "words .* were claimed")


def test_a_singular_design_is_caught(make_study: MakeStudy) -> None:
    """The other error of pyDOE3: an "optimal" matrix of determinant zero."""
    study = make_study("AB", {"kind": "optimal", "runs": 4})
    design, treatments = build_design(study), optimal(study)
    run = design.runs[0]
    same = tuple(replace(other, cell_id=run.cell_id) for other in design.runs)
    refuse(study, replace(design, runs=same), treatments, "cannot estimate its 4 model parameters")


def test_claims_about_rows_are_held(make_study: MakeStudy) -> None:
    study = make_study(
        "AB", {"kind": "optimal", "runs": 6, "forbid": [{"A": 1, "B": 1}], "fixed": [{"A": 1, "B": -1}]}, "main"
    )
    design, treatments = build_design(study), optimal(study)
    spoilt = replace(treatments, rows=(*treatments.rows[:-1], {"A": 1, "B": 1}))
    refuse(study, design, spoilt, "forbidden combination")
    gone = replace(treatments, rows=tuple({"A": -1, "B": -1} for _ in treatments.rows))
    refuse(study, design, gone, "fixed run .* is gone")
    refuse(study, replace(design, d_efficiency=99.9), treatments, "exceeds the bound")
    refuse(study, replace(design, runs=design.runs[:-1]), treatments, "replicates are not complete")
    twice = (*design.runs[:-1], replace(design.runs[0], order=5))
    refuse(study, replace(design, runs=twice), treatments, "share an id")


def test_whole_plots_are_held(make_study: MakeStudy) -> None:
    study = make_study("AB", {"kind": "split_plot", "hard_to_change": ["A"], "replicates": 2})
    design, treatments = build_design(study), split_plot(study)
    verify(study, design, treatments)
    mixed = replace(treatments, whole_plots=tuple(reversed((1, 2, 1, 2))))
    if [row["A"] for row in treatments.rows] == [-1, 1, -1, 1]:
        mixed = replace(treatments, whole_plots=(1, 1, 2, 2))
    refuse(study, design, mixed, "A changes within whole plot")
    first, second = design.runs[0], next(run for run in design.runs if run.whole_plot != design.runs[0].whole_plot)
    swapped = [
        replace(
            run, whole_plot=second.whole_plot if run is first else first.whole_plot if run is second else run.whole_plot
        )
        for run in design.runs
    ]
    refuse(study, replace(design, runs=tuple(swapped)), treatments, "not together")


def test_very_wide_fractions_pass_although_their_word_counts_exceed_a_float(make_study: MakeStudy) -> None:
    study = make_study([f"x{i}" for i in range(63)], {"kind": "fractional", "runs": 64}, "main")
    design = build_design(study)
    assert design.resolution == 3
    assert sum((design.word_length_pattern or {}).values()) == 2**57 - 1
