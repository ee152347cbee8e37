"""Tables that break analysers: each ends in a right answer or in a clear refusal, never in a wrong number."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from maineffect.analyse.record.result import AnalysisResult
from maineffect.analyse.run import analyse
from maineffect.errors import AnalysisError


def _finite_json(result: AnalysisResult) -> None:
    text = result.model_dump_json()
    assert "NaN" not in text
    assert "Infinity" not in text
    json.loads(text)


def test_constant_response(make_study: Any, make_table: Any) -> None:
    table = make_table()
    table["y"] = 0.1
    study = make_study(hypotheses=[{"id": "H1", "term": "A", "response": "y"}])
    result = analyse(study, table)
    assert all(e.estimate == 0 and e.p_value is None and e.ci_low is None for e in result.responses["y"].effects)
    assert result.hypotheses[0].verdict == "inconclusive"
    assert any("constant" in warning for warning in result.warnings)
    _finite_json(result)


def test_exact_fit_claims_no_precision(make_study: Any, make_table: Any) -> None:
    table = make_table()
    table["y"] = 0.1 + 0.2 * table["A"]
    result = analyse(make_study(), table)
    effects = {e.term: e for e in result.responses["y"].effects}
    assert effects["A"].estimate == pytest.approx(0.2)
    assert effects["A"].std_error is None
    assert effects["B"].p_value is None
    assert any("exactly" in warning for warning in result.warnings)
    _finite_json(result)


def test_missing_and_infinite_values(make_study: Any, make_table: Any) -> None:
    table = make_table(effects={"A": 3.0})
    table.loc[0, "y"] = np.nan
    table.loc[1, "y"] = np.inf
    table.loc[2, "y"] = -np.inf
    result = analyse(make_study(), table)
    assert (result.n_runs, result.n_missing) == (13, 3)
    assert any("infinite" in warning for warning in result.warnings)
    reference = analyse(make_study(), table.drop(index=[0, 1, 2]))
    for mine, theirs in zip(result.responses["y"].effects, reference.responses["y"].effects, strict=True):
        assert mine.estimate == theirs.estimate
    _finite_json(result)


def test_nothing_measured(make_study: Any, make_table: Any) -> None:
    table = make_table()
    table["y"] = np.nan
    with pytest.raises(AnalysisError, match="no run has a value"):
        analyse(make_study(), table)


def test_one_level_only(make_study: Any, make_table: Any) -> None:
    table = make_table(replicates=4)
    result = analyse(make_study(terms="two_way"), table[table["C"] == 0])
    assert {e.term for e in result.responses["y"].effects} == {"A", "B", "A:B"}
    reasons = {e.term: e.reason for e in result.responses["y"].not_estimable}
    assert set(reasons) == {"C", "A:C", "B:C"}
    assert "did not vary" in reasons["C"]


def test_one_run(make_study: Any) -> None:
    result = analyse(make_study(), pd.DataFrame({"A": [0], "B": [1], "C": [0], "y": [1.0]}))
    assert result.responses["y"].effects == []
    assert any("nothing can be compared" in warning for warning in result.warnings)
    _finite_json(result)


def test_two_runs_that_differ_in_everything(make_study: Any) -> None:
    result = analyse(make_study(), pd.DataFrame({"A": [0, 1], "B": [0, 1], "C": [0, 1], "y": [1.0, 2.0]}))
    (effect,) = result.responses["y"].effects
    assert (effect.term, effect.estimate, effect.p_value) == ("A", 1.0, None)
    assert {e.term for e in result.responses["y"].not_estimable} == {"B", "C"}
    assert set(effect.aliased_with) >= {"B", "C"}


def test_perfectly_collinear_factors(make_study: Any, make_table: Any) -> None:
    table = make_table(effects={"A": 2.0}, replicates=3)
    table["C"] = table["B"]
    table["run_id"] = [f"r{i}" for i in range(len(table))]
    result = analyse(make_study(), table)
    effects = {e.term: e for e in result.responses["y"].effects}
    assert effects["B"].aliased_with[0] == "C"
    assert [e.term for e in result.responses["y"].not_estimable] == ["C"]
    assert "cannot be told from B" in result.responses["y"].not_estimable[0].reason


def test_duplicated_runs_are_refused(make_study: Any, make_table: Any) -> None:
    table = make_table()
    with pytest.raises(AnalysisError, match="one row is one run"):
        analyse(make_study(), pd.concat([table, table.iloc[:1]]))
    table["run_id"] = [f"r{i}" for i in range(len(table))]
    table.loc[5, "run_id"] = "r4"
    with pytest.raises(AnalysisError, match="r4"):
        analyse(make_study(), table)


def test_repeats_are_measurements(make_study: Any, make_table: Any) -> None:
    """Evaluating each run five times must not change standard errors or degrees of freedom."""
    table = make_table(effects={"A": 1.0})
    rng = np.random.default_rng(3)
    repeated = pd.concat([table.assign(repeat=i) for i in range(5)], ignore_index=True)
    noise = rng.normal(0, 0.5, (5, len(table)))
    noise -= noise.mean(axis=0)
    repeated["y"] += noise.ravel()
    once, five = analyse(make_study(), table), analyse(make_study(), repeated)
    assert five.n_runs == once.n_runs
    for a, b in zip(once.responses["y"].effects, five.responses["y"].effects, strict=True):
        assert (a.estimate, a.std_error, a.df) == pytest.approx((b.estimate, b.std_error, b.df))
    assert any("not replicates" in warning for warning in five.warnings)


@pytest.mark.parametrize("name", ["C", "__import__('os')", "I", "y ~ 1", "np.log(x)", "1", "block", 'Q("a")'])
def test_factor_names_are_only_names(make_study: Any, make_table: Any, name: str) -> None:
    table = make_table(effects={"B": 1.0})
    plain = analyse(make_study(terms="two_way"), table)
    renamed = table.rename(columns={"B": name, "C": "Z"})
    factors = {label: {"levels": [0, 1]} for label in ("A", name, "Z")}
    result = analyse(make_study(factors, terms="two_way"), renamed)
    for a, b in zip(plain.responses["y"].effects, result.responses["y"].effects, strict=True):
        assert b.term == a.term.replace("C", "Z").replace("B", name)
        assert b.estimate == a.estimate
        assert b.p_value == a.p_value


@pytest.mark.parametrize("scale", [1e-12, 1e12])
@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_scale_free(make_study: Any, make_table: Any, scale: float, shift: float) -> None:
    table = make_table(effects={"A": 1.0})
    study = make_study(terms="two_way", hypotheses=[{"id": "H1", "term": "A", "response": "y"}])
    plain = analyse(study, table)
    table["y"] = (table["y"] + shift) * scale
    scaled = analyse(study, table)
    for a, b in zip(plain.responses["y"].effects, scaled.responses["y"].effects, strict=True):
        assert b.estimate / scale == pytest.approx(a.estimate, rel=1e-9)
        assert b.p_value == pytest.approx(a.p_value, rel=1e-9)
    assert scaled.hypotheses[0].p_permutation == plain.hypotheses[0].p_permutation


def test_a_large_offset_costs_no_digits(make_study: Any, make_table: Any) -> None:
    """NIST StRD's trap: nine leading digits that do not vary."""
    table = make_table(effects={"A": 1.0})
    table["y"] = (table["y"] * 1024).round() / 1024
    plain = analyse(make_study(), table)
    table["y"] += 1e9
    shifted = analyse(make_study(), table)
    for a, b in zip(plain.responses["y"].effects, shifted.responses["y"].effects, strict=True):
        assert b.estimate == pytest.approx(a.estimate, abs=1e-6)
        assert b.p_value == pytest.approx(a.p_value, rel=1e-4)


def test_unequal_factor_scales_keep_rank(make_study: Any) -> None:
    """Levels of 1e−9 and 1e9 are levels, not numerical noise."""
    factors = {"tiny": {"levels": [1e-9, 2e-9, 3e-9]}, "huge": {"levels": [1e9, 2e9]}}
    rng = np.random.default_rng(0)
    rows = [(a, b) for a in (1e-9, 2e-9, 3e-9) for b in (1e9, 2e9) for _ in range(2)]
    table = pd.DataFrame(rows, columns=["tiny", "huge"]).assign(y=rng.normal(size=12))
    result = analyse(make_study(factors, terms="two_way"), table)
    assert not result.responses["y"].not_estimable
    assert result.responses["y"].model.df_error == 6


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda t: t.rename(columns={"A": "a1"}), "lacks the column"),
        (lambda t: t.assign(A=[2, *t["A"][1:]]), r"row 1: A has no level 2"),
        (lambda t: t.assign(A=[None, *t["A"][1:]]), r"row 1: A has no level"),
        (lambda t: t.assign(y=["high", *t["y"][1:]]), "not a number"),
        (lambda t: t.iloc[:0], "no rows"),
        (lambda t: t.assign(block=[None, *["a", "b"] * 7, "a"]), r"block is blank in row 1"),
    ],
)
def test_bad_tables_are_refused(
    make_study: Any, make_table: Any, change: Callable[[pd.DataFrame], pd.DataFrame], match: str
) -> None:
    with pytest.raises(AnalysisError, match=match) as caught:
        analyse(make_study(), change(make_table()))
    assert caught.value.hint


def test_blocks_that_swallow_everything(make_study: Any, make_table: Any) -> None:
    table = make_table(replicates=1)
    table["block"] = range(len(table))
    result = analyse(make_study(), table)
    assert not result.responses["y"].effects
    assert all(e.reason == "confounded with blocks" for e in result.responses["y"].not_estimable)
    _finite_json(result)


def test_saturated_and_too_small_for_lenth(make_study: Any, make_table: Any) -> None:
    table = make_table("AB", replicates=1)[:3]
    result = analyse(make_study("AB"), table)
    assert [e.p_value for e in result.responses["y"].effects] == [None, None]
    assert any("no degrees of freedom" in warning for warning in result.warnings)
    _finite_json(result)


@pytest.mark.parametrize("scale", [1e300, 1e-300])
def test_what_cannot_be_squared_is_refused(make_study: Any, make_table: Any, scale: float) -> None:
    table = make_table(effects={"A": 1.0})
    table["y"] *= scale
    with pytest.raises(AnalysisError, match="state the response in another unit"):
        analyse(make_study(), table)
