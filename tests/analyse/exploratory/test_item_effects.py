"""Item scores through the public analysis: which scores are modelled, whose degrees of freedom they get, what is said."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import special, stats

from maineffect.analyse.exploratory import item_effects
from maineffect.analyse.exploratory_report import add_exploratory
from maineffect.analyse.fit.crossed import fit_crossed
from maineffect.analyse.record.result import AnalysisResult
from maineffect.analyse.run import analyse


def _world(
    names: str = "AB", replicates: int = 3, items: int = 60, effect: float = 1.2, seed: int = 0, run_sd: float = 0.3
) -> tuple[pd.DataFrame, dict[str, pd.DataFrame]]:
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(
        [c for _ in range(replicates) for c in product([0, 1], repeat=len(names))], columns=list(names)
    )
    table["replicate"] = np.repeat(np.arange(1, replicates + 1), 2 ** len(names))
    table["run_id"] = [f"r{i}" for i in range(len(table))]
    hard = rng.normal(size=items)
    scores = {}
    for run, a in zip(table["run_id"], table["A"], strict=True):
        right = rng.random(items) < special.expit(effect * (a - 0.5) + run_sd * rng.normal() + hard)
        scores[run] = pd.DataFrame(
            {"item_id": [f"i{k}" for k in range(items)], "probe": ["easy", "hard"] * (items // 2), "score": right * 1.0,
             "abstained": ~right, "tokens": rng.integers(5, 50, items), "answer": "x"}
        )  # fmt: skip
    table["y"] = [scores[run]["score"].mean() for run in table["run_id"]]
    return table, scores


def _both(study: Any, table: pd.DataFrame, scores: dict[str, pd.DataFrame]) -> AnalysisResult:
    return add_exploratory(analyse(study, table, draws=99), study, table, items=scores)


def test_binary_scores_are_modelled_and_the_main_one_by_part(make_study: Any) -> None:
    table, scores = _world()
    result = _both(make_study("AB", terms="two_way"), table, scores)
    models = {(m.score, m.part): m for m in result.item_models}
    assert set(models) == {("score", ""), ("score", "easy"), ("score", "hard"), ("abstained", "")}
    whole = models["score", ""]
    assert (whole.method, whole.runs, whole.items) == ("laplace", 12, 60)
    assert models["score", "easy"].items == 30
    assert {"run", "item"} == set(whole.sd)
    effects = {e.term: e for e in whole.effects}
    a = effects["A"]
    assert a.log_odds == pytest.approx(1.2, abs=0.6)
    assert a.ci_low is not None
    assert a.ci_low > 0
    # The share's difference is the run-level effect: items are measurement, not replication.
    run_level = {e.term: e for e in result.responses["y"].effects}
    for term, one in effects.items():
        assert one.difference == pytest.approx(run_level[term].estimate)
        assert (one.difference_low, one.difference_high) == pytest.approx(
            (run_level[term].ci_low, run_level[term].ci_high)
        )
        assert one.df == run_level[term].df == 12 - 4 - 2
    opposite = {e.term: e for e in models["abstained", ""].effects}
    assert opposite["A"].log_odds == pytest.approx(-(a.log_odds or 0), abs=1e-4)


def test_the_fit_is_that_of_the_design_with_its_blocks(make_study: Any) -> None:
    table, scores = _world()
    result = _both(make_study("AB", terms="main"), table, scores)
    (model,) = [m for m in result.item_models if (m.score, m.part) == ("score", "")]
    y = np.array([scores[run]["score"].to_numpy() for run in table["run_id"]])
    blocks = (table["replicate"].to_numpy()[:, None] == np.array([1, 2])) * 1.0 - (table["replicate"] == 3).to_numpy()[
        :, None
    ]
    x = np.column_stack([np.ones(12), blocks, 2 * table[["A", "B"]].to_numpy() - 1])
    direct = fit_crossed(y, x, {"run": range(12)})
    a = next(e for e in model.effects if e.term == "A")
    assert a.log_odds == pytest.approx(2 * direct.beta[3], abs=1e-4)
    assert a.std_error == pytest.approx(2 * np.sqrt(direct.covariance[3, 3]), rel=1e-3)
    assert a.p_value == pytest.approx(
        2 * stats.t.sf(abs(2 * direct.beta[3]) / (a.std_error or 1), 12 - 3 - 2), rel=1e-2
    )
    assert model.sd == pytest.approx(direct.sd, abs=1e-3)


def test_at_scale_both_ways_of_clustering_answer(make_study: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    table, scores = _world(replicates=6)
    small = _both(make_study("AB", terms="main"), table, scores).item_models[0]
    monkeypatch.setattr(item_effects, "_MOST_SCORES", 10)
    large = _both(make_study("AB", terms="main"), table, scores).item_models[0]
    assert large.method == "two_way_clustered"
    assert large.sd == {}
    for one, other in zip(large.effects, small.effects, strict=True):
        assert one.log_odds is None
        assert one.difference == pytest.approx(other.difference)
        assert one.difference_low is not None
        assert one.difference_high is not None
        assert one.difference_low < one.difference < one.difference_high


def test_whole_plots_are_a_random_effect_with_their_own_degrees_of_freedom(make_study: Any) -> None:
    table, scores = _world(replicates=4)
    table["whole_plot"] = [f"{r}-{a}" for r, a in zip(table["replicate"], table["A"], strict=True)]
    study = make_study("AB", terms="main", design={"kind": "split_plot", "hard_to_change": ["A"]})
    result = _both(study, table.drop(columns="replicate"), scores)
    model = result.item_models[0]
    assert set(model.sd) == {"run", "whole_plot", "item"}
    df = {e.term: e.df for e in model.effects}
    assert df["A"] is not None
    assert df["B"] is not None
    assert df["A"] == pytest.approx(6, abs=0.5)
    assert df["B"] > df["A"]


def test_runs_without_items_are_left_out_and_saturated_designs_refused(make_study: Any) -> None:
    table, scores = _world()
    del scores["r3"]
    model = _both(make_study("AB"), table, scores).item_models[0]
    assert model.runs == 11
    table, scores = _world(replicates=1)
    result = _both(make_study("AB", terms="full"), table.drop(columns="replicate"), scores)
    assert result.item_models == []
    assert any("a seed cannot be told from an effect" in warning for warning in result.warnings)


def test_items_that_a_run_did_not_meet_are_missing_not_wrong(make_study: Any) -> None:
    table, scores = _world(replicates=4)
    scores["r2"] = scores["r2"].iloc[:45]
    scores["r5"] = scores["r5"].assign(score=scores["r5"]["score"].where(scores["r5"].index % 7 > 0))
    result = _both(make_study("AB"), table, scores)
    model = next(m for m in result.item_models if (m.score, m.part) == ("score", ""))
    assert (model.runs, model.items) == (16, 60)
    y = np.array([own.set_index("item_id")["score"].reindex([f"i{k}" for k in range(60)]) for own in scores.values()])
    assert model.share == pytest.approx(np.nanmean(y))
    a = next(e for e in model.effects if e.term == "A")
    assert a.log_odds is not None
    assert a.log_odds == pytest.approx(1.2, abs=0.7)
    # Variance components need complete items: the others are left out.
    complete = np.isfinite(y).all(axis=0).sum()
    assert next(v for v in result.item_variances if v.score == "score").items == complete


def test_nothing_is_modelled_without_runs_items_or_binary_scores(make_study: Any) -> None:
    table, scores = _world()
    study = make_study("AB")
    assert _both(study, table, {}).item_models == []
    graded = {run: own.assign(score=own["score"] * 0.5).drop(columns="abstained") for run, own in scores.items()}
    assert _both(study, table, graded).item_models == []
    assert _both(study, table.drop(columns="run_id"), scores).item_models == []
    separated = {run: own.assign(score=float(a)) for (run, own), a in zip(scores.items(), table["A"], strict=True)}
    result = _both(study, table, {run: own.drop(columns="abstained") for run, own in separated.items()})
    assert result.item_models == []
    assert any("every score is the same" in warning for warning in result.warnings)


def test_collapsed_runs_give_no_log_odds_and_no_p_and_it_is_said(make_study: Any) -> None:
    """Runs all right or all wrong in every cell: the variance between runs has no maximum."""
    table, scores = _world()
    right = np.random.default_rng(2).permutation([0.0, 1.0] * (len(table) // 2))
    alike = {run: own[["item_id"]].assign(score=one) for (run, own), one in zip(scores.items(), right, strict=True)}
    first = next(iter(alike))
    alike[first].loc[:2, "score"] = 1 - alike[first]["score"][0]
    result = _both(make_study("AB", terms="main"), table, alike)
    assert result.item_models == []
    assert any("has not converged" in warning for warning in result.warnings), result.warnings


def test_the_same_items_give_the_same_document(make_study: Any) -> None:
    table, scores = _world(replicates=2, items=20)
    study = make_study("AB")
    assert _both(study, table, scores).model_dump_json() == _both(study, table, scores).model_dump_json()
