"""The run order: random, seeded, restricted by strata, and balanced over time if asked."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from maineffect.design.build import build_design
from maineffect.design.model.model import Design
from maineffect.design.model.order import time_correlation
from maineffect.spec.study import StudySpec

MakeStudy = Callable[..., StudySpec]


def drift(study: StudySpec, design: Design, replicate: int) -> float:
    return time_correlation(study, [design.levels_of(run) for run in design.runs if run.replicate == replicate])


def test_balanced_orders_hardly_correlate_with_time(make_study: MakeStudy) -> None:
    plain, balanced = [], []
    for seed in range(8):
        for asked, found in ((False, plain), (True, balanced)):
            study = make_study("ABCD", {"kind": "full", "replicates": 2, "balanced_order": asked}, seed=seed)
            design = build_design(study)
            found += [drift(study, design, replicate) for replicate in (1, 2)]
    assert max(balanced) < np.median(plain)
    assert max(balanced) < 0.3


def test_balance_keeps_blocks_and_whole_plots_together(make_study: MakeStudy) -> None:
    asked = {"kind": "split_plot", "hard_to_change": ["A"], "whole_plots": 4, "balanced_order": True, "replicates": 2}
    design = build_design(make_study("ABC", asked))
    plots = [run.whole_plot for run in design.runs]
    assert [plot for i, plot in enumerate(plots) if i == 0 or plots[i - 1] != plot] == list(dict.fromkeys(plots))
    assert any("correlates least with time" in note for note in design.notes)


def test_the_correlation_is_the_largest_of_both_drifts(make_study: MakeStudy) -> None:
    study = make_study("A", {"kind": "full"})
    step = [{"A": level} for level in (-1, -1, 1, 1)]
    assert time_correlation(study, step) == abs(np.corrcoef([-1, -1, 1, 1], [0, 1, 2, 3])[0, 1])
    bow = [{"A": level} for level in (-1, 1, 1, -1)]
    assert time_correlation(study, bow) == abs(np.corrcoef([-1, 1, 1, -1], np.linspace(-1, 1, 4) ** 2)[0, 1])


def test_a_constant_factor_has_no_drift(make_study: MakeStudy) -> None:
    assert time_correlation(make_study("A", {"kind": "full"}), [{"A": 1}] * 4) == 0
