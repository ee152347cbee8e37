"""experiments/05_economics: its truth is the trained runs', its headline comes out again from few simulated studies."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from maineffect.design.build import build_design
from maineffect.spec.study import StudySpec

FOLDER = Path(__file__).resolve().parents[2] / "experiments" / "05_economics"
SCRIPTS = ("truth", "strategies", "simulate", "compare")


@pytest.fixture(scope="module")
def economics() -> Iterator[Any]:
    """The scripts of the folder, which import one another by name."""
    sys.path.insert(0, str(FOLDER))
    try:
        yield SimpleNamespace(**{name: __import__(name) for name in SCRIPTS})
    finally:
        sys.path.remove(str(FOLDER))
        for name in SCRIPTS:
            sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def results() -> pd.DataFrame:
    """The simulated rows, as committed."""
    return pd.read_csv(FOLDER / "results.csv")


def test_the_theory_is_the_least_over_allocations_and_the_designs_keep_to_it(economics: Any) -> None:
    """Dunnett (1955): (1/r + 1/b)(b + kr) is least at b = r√k. The rest is 4σ²/N (Montgomery, 8th ed., sec. 6.2)."""
    share = np.linspace(0.01, 0.99, 9_801)  # of the runs that are baseline
    least = float(np.min(1 / share + 7 / (1 - share)))
    assert economics.strategies.theory(7) == pytest.approx(4 / least, rel=1e-6)
    assert economics.strategies.theory(7) == pytest.approx(0.301, abs=5e-4)
    study = economics.truth.read_truth().study
    first = {name: factor.levels[0] for name, factor in study.factors.items()}
    single = {"kind": "ablation", "baseline": first, "mode": "add_one_in", "baseline_repeats": 3}
    per_run = [_variance_times_runs(study, request) for request in (single, {"kind": "fractional", "runs": 16})]
    assert per_run[0] == pytest.approx(np.full(7, (1 + 1 / 3) * (3 + 7)))  # three baseline runs for one of an arm
    assert per_run[1] == pytest.approx(np.full(7, 4.0))
    assert per_run[1] / per_run[0] == pytest.approx(economics.strategies.theory(7), rel=0.005)


def _variance_times_runs(study: Any, request: dict[str, Any]) -> Any:
    """(7,) variance of each main effect in σ², times the runs: from the rows that the design emits."""
    design = build_design(StudySpec.model_validate({**study.model_dump(), "design": request}))
    names = list(study.factors)
    levels = [design.levels_of(run) for run in design.runs]
    high = np.array([[row[name] == study.factors[name].levels[1] for name in names] for row in levels], dtype=float)
    x = np.column_stack([np.ones(len(high)), high])  # a change from the first to the second level is one coefficient
    return np.diag(np.linalg.inv(x.T @ x))[1:] * len(high)


def test_the_truth_is_the_trained_runs(economics: Any) -> None:
    """Effects of a balanced table are differences of means; residuals have the variance SSE/df of the fit."""
    truth = economics.truth.read_truth()
    runs = pd.read_csv(FOLDER / "runs.csv", keep_default_na=False)
    cells = {run.cell_id for run in build_design(truth.study).runs}
    assert set(runs["cell_id"]) == cells
    assert len(runs) == len(cells) == 128
    assert truth.df == 99
    for question in truth.study.hypotheses:
        high = runs[question.term].astype(str) == str(truth.study.factors[question.term].levels[1])
        means = runs.groupby(high)[question.response].mean()
        assert truth.effect(question) == pytest.approx(means[True] - means[False], abs=1e-9)
    y = runs[list(truth.study.responses)].to_numpy()
    assert np.sum(truth.residuals**2, axis=0) * 99 / 128 == pytest.approx(np.sum((y - truth.means) ** 2, axis=0))
    none = truth.without_effects()
    assert none.real() == []
    plain = truth.without_interactions()
    for question in truth.study.hypotheses:
        assert plain.effect_at_baseline(question) == pytest.approx(truth.effect(question), abs=1e-9)


def test_few_studies_give_the_recorded_costs_and_shares(economics: Any, results: pd.DataFrame) -> None:
    """At the sizes nearest to the same share decided, and for less than a third of the cost."""
    truth, few, hours = economics.truth.read_truth(), 4, {}
    for strategy, size in (("one factor", 32), ("fraction", 5)):
        row = (
            results[(results["strategy"] == strategy) & (results["effects"] == "as trained")]
            .set_index("size")
            .loc[size]
        )
        summary = economics.simulate.summary(truth, economics.simulate.simulate(truth, strategy, size, few))
        spread = row["decided_se"] * np.sqrt(row["studies"] / few)
        assert row["decided"] >= economics.compare.SHARE
        assert summary["hours"] == pytest.approx(row["hours"], rel=1e-3)
        assert summary["decided"] == pytest.approx(row["decided"], abs=4 * spread)
        hours[strategy] = summary["hours"]
    assert hours["fraction"] / hours["one factor"] < 1 / 3


def test_the_headline_follows_from_the_simulated_rows(economics: Any, results: pd.DataFrame) -> None:
    """As trained at most a third; without interactions what theory says, the dearer runs and fitted terms aside."""
    keys = ["effects", "strategy"]
    told = pd.read_csv(FOLDER / "comparison.csv").set_index(keys)
    pd.testing.assert_frame_equal(economics.compare.compared(results).set_index(keys), told, atol=2e-4)
    for effects in ("as trained", "main effects only"):
        fraction = told.loc[(effects, "fraction")]
        assert fraction["ratio_low"] < fraction["ratio"] < fraction["ratio_high"]
    assert told.loc[("as trained", "fraction"), "ratio_high"] < 1 / 3
    runs = told.loc["main effects only", "runs"]
    assert runs["fraction"] / runs["one factor"] == pytest.approx(economics.strategies.theory(7), rel=0.1)


def test_what_is_said_of_errors_is_in_the_rows(results: pd.DataFrame) -> None:
    """Without effects a family of 5 % keeps its rate; with interactions one factor at a time says what is not true."""
    none = results[results["effects"] == "none"]
    assert (none["any_false"] <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / none["studies"])).all()
    trained = results[results["effects"] == "as trained"]
    single = trained["strategy"] == "one factor"
    assert (trained.loc[single, "any_false"] > 0.9 - 1e-9).all()
    assert (trained.loc[single, "any_false_at_baseline"] <= 0.05).all()
    assert (trained.loc[~single, "any_false"] <= 0.05).all()
