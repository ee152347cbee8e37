"""The run order: random, seeded, restricted by strata, and balanced over time if asked."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations

import numpy as np

from maineffect.design.build import build_design
from maineffect.design.model.model import Design, PlannedRun
from maineffect.design.model.order import planned_runs, time_correlation
from maineffect.design.model.treatments import Treatments
from maineffect.seeds import derive_seed
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


def _named(make_study: MakeStudy, names: str = "AB", **design: object) -> Design:
    return build_design(make_study(names, {"kind": "full", **design}, terms="main", seed=7))


def test_names_seeds_and_places_of_runs(make_study: MakeStudy) -> None:
    """Without shared random numbers each run has the seed of its own name, and no block."""
    design = _named(make_study, replicates=2)
    assert [run.order for run in design.runs] == list(range(8))
    for run in design.runs:
        assert run.run_id == f"{run.cell_id}-r{run.replicate}"
        assert run.seed == derive_seed(7, "run", run.run_id)
        assert run.block is None
        assert run.whole_plot is None
    assert [run.replicate for run in design.runs] == [1] * 4 + [2] * 4
    assert len({(run.cell_id, run.replicate) for run in design.runs}) == 8


def test_shared_seeds_are_those_of_the_replicate_which_is_a_block(make_study: MakeStudy) -> None:
    design = _named(make_study, replicates=2, common_random_numbers=True)
    for run in design.runs:
        assert run.seed == derive_seed(7, "replicate", run.replicate)
        assert run.block == run.replicate
    assert {run.block for run in _named(make_study, common_random_numbers=True).runs} == {None}, "one is no block"


def _repeated(make_study: MakeStudy, **design: object) -> tuple[PlannedRun, ...]:
    """Four treatments of which the last two are one cell, in two blocks and two whole plots."""
    study = make_study("AB", {"kind": "full", **design}, terms="main", seed=7)
    rows = ({"A": -1, "B": -1}, {"A": 1, "B": -1}, {"A": 1, "B": 1}, {"A": 1, "B": 1})
    return planned_runs(study, Treatments(rows, blocks=(1, 2, 1, 2), whole_plots=(1, 2, 3, 4)))


def test_a_repeated_cell_has_a_name_and_a_seed_of_its_own(make_study: MakeStudy) -> None:
    runs = _repeated(make_study, replicates=2, common_random_numbers=True)
    for replicate in (1, 2):
        here = [run for run in runs if run.replicate == replicate]
        again = [run for run in here if run.run_id.endswith("-2")]
        assert len(again) == 1
        assert again[0].run_id == f"{again[0].cell_id}-r{replicate}-2"
        assert again[0].seed == derive_seed(7, "run", again[0].run_id)
        shared = derive_seed(7, "replicate", replicate)
        assert [run.seed for run in here if run not in again] == [shared] * 3


def test_blocks_and_whole_plots_are_named_by_replicate(make_study: MakeStudy) -> None:
    runs = _repeated(make_study, replicates=2)
    assert {run.block for run in runs} == {"1.1", "1.2", "2.1", "2.2"}
    assert {run.whole_plot for run in runs} == {f"{r}.{i}" for r in (1, 2) for i in (1, 2, 3, 4)}
    once = _repeated(make_study)
    assert {run.block for run in once} == {1, 2}
    assert {run.whole_plot for run in once} == {f"1.{i}" for i in (1, 2, 3, 4)}


def test_every_order_of_blocks_of_plots_and_of_runs_comes_up(make_study: MakeStudy) -> None:
    """Two blocks of two plots of two runs: 2·2·2·2·2·2·2 orders keep what belongs together; of 400 seeds most are seen."""
    rows = tuple({"A": a, "B": b, "C": c} for a in (-1, 1) for b in (-1, 1) for c in (-1, 1))
    seen = set()
    for seed in range(400):
        study = make_study("ABC", {"kind": "full"}, terms="main", seed=seed)
        runs = planned_runs(study, Treatments(rows, blocks=(1,) * 4 + (2,) * 4, whole_plots=(1, 1, 2, 2, 3, 3, 4, 4)))
        assert [run.block for run in runs] in ([1] * 4 + [2] * 4, [2] * 4 + [1] * 4)
        plots = [run.whole_plot for run in runs]
        assert all(plots[i] == plots[i + 1] for i in (0, 2, 4, 6))
        seen.add(tuple(run.run_id for run in runs))
    assert 110 <= len(seen) <= 128


def test_the_balanced_order_is_the_best_of_those_that_were_drawn(make_study: MakeStudy) -> None:
    """Of all 24 orders of a 2² four are best: 0.447 at the most; 500 draws find one of them."""
    study = make_study("AB", {"kind": "full", "replicates": 2, "balanced_order": True}, terms="main", seed=3)
    cells = [{"A": a, "B": b} for a in (-1, 1) for b in (-1, 1)]
    best = min(time_correlation(study, list(order)) for order in permutations(cells))
    design = build_design(study)
    assert [drift(study, design, replicate) for replicate in (1, 2)] == [best, best]
    assert [run.replicate for run in design.runs] == [1] * 4 + [2] * 4
