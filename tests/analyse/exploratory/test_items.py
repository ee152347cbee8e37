"""Item-level variance components, and the advice that follows from them."""

from __future__ import annotations

import numpy as np
import pytest

from maineffect.analyse.exploratory.items import advise, item_components
from maineffect.errors import AnalysisError


def _scores(run: float, item: float, rest: float, seed: int = 0, cells: int = 60) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    conditions = np.repeat(np.arange(cells), 3)
    n, items = len(conditions), 120
    noise = rest * rng.normal(size=(n, items))
    table = run * rng.normal(size=(n, 1)) + item * rng.normal(size=(1, items)) + noise
    return table + rng.normal(size=(cells, 1))[conditions], conditions


def test_components_recover_what_was_simulated() -> None:
    found = [item_components(*_scores(0.3, 0.7, 1.0, seed=seed)) for seed in range(8)]
    # 120 degrees of freedom a study: a relative standard error of 13 % each, 5 % for the mean of eight.
    assert np.mean([one.run for one in found]) == pytest.approx(0.09, rel=0.14)
    assert np.mean([one.item for one in found]) == pytest.approx(0.49, rel=0.14)
    assert np.mean([one.residual for one in found]) == pytest.approx(1.0, rel=0.02)
    assert all(one.flags == () for one in found)


def test_no_variance_between_runs_is_zero_and_flagged() -> None:
    table, conditions = _scores(0.0, 0.5, 1.0, seed=2)
    # Taking every run's mean out leaves less than chance between runs.
    table = table - table.mean(axis=1, keepdims=True)
    found = item_components(table, conditions)
    assert found.run == 0.0
    assert "run" in found.flags
    assert advise(found, run_cost=10, item_cost=1, runs=3, items=100)[0] == "more items"


def test_more_items_cannot_buy_back_missing_seeds() -> None:
    found = item_components(*_scores(0.3, 0.7, 1.0))
    assert found.std_error(3, 10**9) == pytest.approx(np.sqrt(2 * found.run / 3), rel=1e-3)
    advice, sentence = advise(found, run_cost=100, item_cost=0.01, runs=3, items=100_000)
    assert advice == "more seeds"
    assert "however many items" in sentence
    assert advise(found, run_cost=100, item_cost=0.01, runs=3, items=2)[0] == "more items"


def test_the_advice_agrees_with_the_standard_error() -> None:
    """A unit of cost spent as advised lowers the standard error more than spent otherwise."""
    found = item_components(*_scores(0.3, 0.7, 1.0))
    for items in (3, 30, 300, 3_000):
        runs, run_cost, item_cost = 4.0, 50.0, 1.0
        unit = 1e-3
        more_runs = found.std_error(runs + unit / (run_cost + items * item_cost), items)  # type: ignore[arg-type]
        more_items = found.std_error(runs, items + unit / (runs * item_cost))  # type: ignore[arg-type]
        better = "more seeds" if more_runs < more_items else "more items"
        assert advise(found, run_cost=run_cost, item_cost=item_cost, runs=4, items=items)[0] == better


def test_one_run_per_condition_is_refused() -> None:
    with pytest.raises(AnalysisError, match="two runs"):
        item_components(np.random.default_rng(0).random((3, 10)), [1, 2, 3])


def test_blocks_have_variances_of_their_own() -> None:
    """Replicates with common random numbers: what all runs of a block share is not the seed of one run."""
    found, ignored = [], []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        cells, blocks = np.tile(np.arange(12), 5), np.repeat(np.arange(5), 12)
        y = rng.normal(size=(12, 1))[cells] + 0.7 * rng.normal(size=(1, 80)) + 0.3 * rng.normal(size=(60, 1))
        y = y + 0.8 * rng.normal(size=(5, 1))[blocks] + 0.6 * rng.normal(size=(5, 80))[blocks]
        y = y + rng.normal(size=(60, 80))
        found.append(item_components(y, cells, blocks=blocks))
        ignored.append(item_components(y, cells))
    assert np.mean([one.run for one in found]) == pytest.approx(0.09, rel=0.25)
    assert np.mean([one.residual for one in found]) == pytest.approx(1.0, rel=0.03)
    assert np.mean([one.block or 0 for one in found]) == pytest.approx(0.64, rel=0.7)
    assert np.mean([one.block_item or 0 for one in found]) == pytest.approx(0.36, rel=0.1)
    # Left in, they would pass for seeds, and for noise of answering.
    assert np.mean([one.run for one in ignored]) > 0.4
    assert np.mean([one.residual for one in ignored]) > 1.2
    assert ignored[0].block is None
    # No run is left over: blocks stay in.
    assert item_components(y[:24], cells[:24], blocks=blocks[:24]).block is not None
    assert item_components(y[[0, 12]], [0, 0], blocks=[0, 1]).block is None
