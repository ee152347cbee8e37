"""Precision in two strata, from sums over plots, against the same formulas on whole matrices."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from maineffect.design.build import build_design
from maineffect.design.model import reduced
from maineffect.design.model.terms import model_matrix
from maineffect.design.power import precision as strata
from maineffect.design.power.precision import precision_of
from maineffect.spec.study import StudySpec

MakeStudy = Callable[..., StudySpec]


def _dense(design: Any, eta: float) -> tuple[Any, dict[str, float]]:
    """Covariance (X'V⁻¹X)⁻¹, and Satterthwaite's df of single columns, with V and P written out."""
    rows = {f.name: [design.levels_of(run)[f.name] for run in design.runs] for f in design.factors}
    model = model_matrix(design.factors, rows, design.terms, blocks=[run.block for run in design.runs])
    x, labels = model.matrix, [run.whole_plot for run in design.runs]
    z = np.array([[float(label == other) for other in sorted(set(labels))] for label in labels])
    w = np.linalg.inv(np.eye(len(x)) + eta * z @ z.T)
    c = np.linalg.inv(x.T @ w @ x)
    p = w - w @ x @ c @ x.T @ w
    parts = [np.eye(len(x)), z @ z.T]
    information = 0.5 * np.array([[np.trace(p @ a @ p @ b) for b in parts] for a in parts])
    df = {}
    for term in model.terms:
        span = model.spans[term]
        if span.stop - span.start > 1:
            continue
        row = np.eye(len(c))[span.start]
        slope = np.array([row @ c @ x.T @ w @ part @ w @ x @ c @ row for part in parts])
        df[term] = float(2 * c[span.start, span.start] ** 2 / (slope @ np.linalg.inv(information) @ slope))
    return c, df


@pytest.mark.parametrize("eta", [0.3, 1.0, 5.0])
@pytest.mark.parametrize("lost", [0, 5])
def test_sums_over_plots_are_the_whole_matrices(make_study: MakeStudy, eta: float, lost: int) -> None:
    asked = {"kind": "split_plot", "hard_to_change": ["A", "B"], "replicates": 3}
    design = build_design(make_study({"A": [0, 1], "B": [0, 1], "C": [0, 1], "D": ["u", "v", "w"]}, asked))
    design = replace(design, runs=tuple(run for i, run in enumerate(design.runs) if i % 11 or i // 11 >= lost))
    found = precision_of(design, ratio=eta)
    covariance, df = _dense(design, eta)
    np.testing.assert_allclose(found.covariance, covariance, atol=1e-12)
    for term, right in df.items():
        assert found.terms[term].df_error == pytest.approx(right, rel=1e-8)


@pytest.mark.parametrize("eta", [0.2, 0.3, 1.0])
def test_of_a_balanced_design_whole_degrees_of_freedom_are_whole(make_study: MakeStudy, eta: float) -> None:
    """One degree of freedom is a test; .9999999999999999 would be none."""
    factors = {name: [0, 1] for name in "ABCD"}
    few = build_design(make_study(factors, {"kind": "split_plot", "hard_to_change": ["A", "B"]}, terms="main"))
    assert precision_of(few, ratio=eta).terms["A"].df_error == 1.0
    more = build_design(
        make_study(factors, {"kind": "split_plot", "hard_to_change": ["A"], "replicates": 2}, terms="main")
    )
    found = precision_of(more, ratio=eta).terms
    assert (found["A"].df_error, found["B"].df_error) == (2.0, 25.0)


def test_where_no_direction_has_more_than_two_the_fewest_degrees_of_freedom_stand(make_study: MakeStudy) -> None:
    """Fai and Cornelius (1996), J. Stat. Comput. Simul. 54:363: the F's mean exists for none of the directions."""
    asked = {"kind": "split_plot", "hard_to_change": ["A"], "replicates": 2}
    whole = build_design(make_study({"A": ["u", "v", "w"], "B": [0, 1], "C": [0, 1]}, asked, terms="main"))
    first = min(run.whole_plot for run in whole.runs)
    left = [run for i, run in enumerate(whole.runs) if run.whole_plot != first and i not in (0, 5, 9)]
    design = replace(whole, runs=tuple(left))
    rows = {f.name: [design.levels_of(run)[f.name] for run in left] for f in design.factors}
    model = model_matrix(design.factors, rows, design.terms)
    x, labels = model.matrix, [run.whole_plot for run in left]
    z = np.array([[float(label == other) for other in sorted(set(labels))] for label in labels])
    w = np.linalg.inv(np.eye(len(x)) + z @ z.T)
    c = np.linalg.inv(x.T @ w @ x)
    p = w - w @ x @ c @ x.T @ w
    parts = [np.eye(len(x)), z @ z.T]
    information = 0.5 * np.array([[np.trace(p @ a @ p @ b) for b in parts] for a in parts])
    values, vectors = np.linalg.eigh(c[model.spans["A"], model.spans["A"]])
    each = []
    for value, vector in zip(values, vectors.T, strict=True):
        row = np.zeros(len(c))
        row[model.spans["A"]] = vector
        slope = np.array([row @ c @ x.T @ w @ part @ w @ x @ c @ row for part in parts])
        each.append(2 * value**2 / (slope @ np.linalg.inv(information) @ slope))
    assert max(each) < 2
    assert max(each) - min(each) > 0.01
    assert precision_of(design, ratio=1.0).terms["A"].df_error == pytest.approx(min(each), rel=1e-8)


def _split(make_study: MakeStudy, terms: Any, factors: Any = "ABC", replicates: int = 4, **asked: Any) -> Any:
    kind = {"kind": "split_plot", "hard_to_change": ["A"], "replicates": replicates, **asked}
    return build_design(make_study(factors, kind, terms=terms))


@pytest.mark.parametrize("eta", [0.0, 2.0])
def test_a_balanced_split_plot_has_the_classical_strata(make_study: MakeStudy, eta: float) -> None:
    """Eight plots of four runs in four replicates: 8 − 4 − 1 and 32 − 8 − 5; Montgomery (8th ed.), sec. 14.4.

    The difference of two means has variance 4(1 + 4η)σ²/32 between plots and 4σ²/32 within.
    """
    design = _split(make_study, "two_way", common_random_numbers=True)
    assert len({run.whole_plot for run in design.runs}) == 8
    assert len({run.block for run in design.runs}) == 4
    found = precision_of(design, ratio=eta).terms
    assert set(found) == {"A", "B", "C", "A:B", "A:C", "B:C"}
    assert (found["A"].df, found["A"].stratum) == (1, "whole plots")
    assert found["A"].df_error == pytest.approx(3)
    assert found["A"].unit_noncentrality == pytest.approx(8 / (1 + 4 * eta))
    for term in set(found) - {"A"}:
        assert (found[term].df, found[term].stratum) == (1, "within whole plots")
        assert found[term].df_error == pytest.approx(19)
        assert found[term].unit_noncentrality == pytest.approx(8)


@pytest.mark.parametrize("three", [["u", "v", "w"], [0, 1, 2]])
def test_of_balanced_levels_the_least_favourable_pattern_is_half_the_runs_of_one(
    make_study: MakeStudy, three: list[Any]
) -> None:
    """n/2 with n runs a level, Cohen (1988), sec. 8.2; between plots of two runs n/2/(1 + 2η)."""
    plain = build_design(make_study({"A": three, "B": [0, 1]}, {"kind": "full", "replicates": 2}, terms="main"))
    found = precision_of(plain).terms
    assert (found["A"].df, found["A"].df_error, found["A"].stratum) == (2, 12 - 4, "runs")
    assert found["A"].unit_noncentrality == pytest.approx(4 / 2)
    assert found["B"].unit_noncentrality == pytest.approx(12 / 4)
    split = _split(make_study, "two_way", {"A": three, "B": [0, 1]})
    found = precision_of(split, ratio=1.5).terms
    assert (found["A"].df, found["A"].stratum) == (2, "whole plots")
    assert found["A"].df_error == pytest.approx(12 - 3)
    assert found["A"].unit_noncentrality == pytest.approx(8 / 2 / (1 + 2 * 1.5))
    assert found["A:B"].df_error == pytest.approx(24 - 12 - 3)


def test_without_spare_runs_there_is_no_error(make_study: MakeStudy) -> None:
    design = build_design(make_study("AB", {"kind": "full"}, terms="main"))
    assert {precision.df_error for precision in precision_of(design).terms.values()} == {1.0}
    assert {precision.df_error for precision in precision_of(design, ("A", "B", "A:B")).terms.values()} == {None}


def test_a_stratum_without_spare_units_has_no_error_and_the_other_has(make_study: MakeStudy) -> None:
    """Four plots of two runs: A, D and their interaction use up the plots, or B and its interactions the runs."""
    design = _split(make_study, "main", "ADB", 1, hard_to_change=["A", "D"])
    assert len({run.whole_plot for run in design.runs}) == 4
    plots_used_up = precision_of(design, ("A", "D", "B", "A:D")).terms
    assert {term: p.df_error for term, p in plots_used_up.items()} == {"A": None, "D": None, "A:D": None, "B": 3.0}
    runs_used_up = precision_of(design, ("A", "D", "B", "A:B", "D:B", "A:D:B")).terms
    assert {term: p.df_error for term, p in runs_used_up.items()} == {
        "A": 1.0, "D": 1.0, "B": None, "A:B": None, "D:B": None, "A:D:B": None,
    }  # fmt: skip


def test_whole_plots_of_one_run_or_one_for_all_are_no_stratum(make_study: MakeStudy) -> None:
    design = build_design(make_study("AB", {"kind": "full", "replicates": 2}, terms="main"))
    for label in (lambda i: f"p{i}", lambda i: "p"):
        marked = replace(design, runs=tuple(replace(run, whole_plot=label(i)) for i, run in enumerate(design.runs)))
        assert {p.stratum for p in precision_of(marked).terms.values()} == {"runs"}
        assert {p.df_error for p in precision_of(marked).terms.values()} == {5.0}


def test_a_term_in_both_strata_and_one_of_several_columns(make_study: MakeStudy) -> None:
    """Runs are lost: B varies between plots too. Several columns as Fai and Cornelius (1996), with V written out."""
    design = _split(make_study, "main", {"A": [0, 1], "B": ["u", "v", "w"], "C": [0, 1]}, 3)
    design = replace(design, runs=tuple(run for i, run in enumerate(design.runs) if i % 5))
    eta = 1.5
    found = precision_of(design, ratio=eta)
    assert found.terms["B"].stratum == "both"
    covariance, _ = _dense(design, eta)
    rows = {f.name: [design.levels_of(run)[f.name] for run in design.runs] for f in design.factors}
    model = model_matrix(design.factors, rows, design.terms, blocks=[run.block for run in design.runs])
    x, labels, span = model.matrix, [run.whole_plot for run in design.runs], model.spans["B"]
    z = np.array([[float(label == other) for other in sorted(set(labels))] for label in labels])

    def moved(sigma2: float, between: float) -> np.ndarray:
        return np.linalg.inv(x.T @ np.linalg.inv(sigma2 * np.eye(len(x)) + between * z @ z.T) @ x)[span, span]

    w = np.linalg.inv(np.eye(len(x)) + eta * z @ z.T)
    p = w - w @ x @ covariance @ x.T @ w
    parts = [np.eye(len(x)), z @ z.T]
    variances = np.linalg.inv(0.5 * np.array([[np.trace(p @ a @ p @ b) for b in parts] for a in parts]))
    step = 1e-5
    slopes = [(moved(1 + a, eta + b) - moved(1 - a, eta - b)) / (2 * step) for a, b in ((step, 0.0), (0.0, step))]
    values, vectors = np.linalg.eigh(covariance[span, span])
    each = []
    for value, vector in zip(values, vectors.T, strict=True):
        slope = np.array([vector @ part @ vector for part in slopes])
        each.append(2 * value**2 / (slope @ variances @ slope))
    mean = sum(df / (df - 2) for df in each)
    assert found.terms["B"].df_error == pytest.approx(2 * mean / (mean - 2), rel=1e-5)
    assert min(each) > 2
    distinct = np.unique(np.round(x[:, span], 12), axis=0)
    spread = [
        d @ covariance[span, span] @ d
        for d in (distinct[1] - distinct[0], distinct[2] - distinct[0], distinct[2] - distinct[1])
    ]
    assert found.terms["B"].unit_noncentrality == pytest.approx(1 / max(spread))


def test_further_columns_cost_degrees_of_freedom(make_study: MakeStudy) -> None:
    design = build_design(make_study("AB", {"kind": "full", "replicates": 2}, terms="main"))
    extra = np.random.default_rng(0).normal(size=(8, 1))
    assert precision_of(design, extra=extra).terms["A"].df_error == 4.0


@pytest.mark.parametrize("levels", [["u", "v", "w"], [0, 1, 2]])
def test_the_order_of_the_runs_does_not_matter(make_study: MakeStudy, levels: list[Any]) -> None:
    """Of unequal cells, whichever level the first run has."""
    design = _split(make_study, "main", {"A": [0, 1], "B": levels, "C": [0, 1]}, 3)
    kept = [run for i, run in enumerate(design.runs) if i % 5 and (design.levels_of(run)["B"] != levels[0] or i % 2)]
    first, *others = (
        precision_of(replace(design, runs=tuple(kept[start:] + kept[:start]))).terms for start in range(0, len(kept), 3)
    )
    for other in others:
        for term, precision in first.items():
            assert other[term].unit_noncentrality == pytest.approx(precision.unit_noncentrality)
            assert other[term].df_error == pytest.approx(precision.df_error)


def test_levels_that_every_plot_has_as_unequally_vary_within_plots_only(make_study: MakeStudy) -> None:
    design = _split(make_study, "main", {"A": [0, 1], "B": ["u", "v", "w"], "C": [0, 1]}, 3)
    kept = [run for run in design.runs if design.levels_of(run)["B"] != "u" or design.levels_of(run)["C"]]
    found = precision_of(replace(design, runs=tuple(kept))).terms
    assert {term: precision.stratum for term, precision in found.items()} == {
        "A": "whole plots", "B": "within whole plots", "C": "within whole plots",
    }  # fmt: skip


def test_runs_in_portions_have_the_precision_of_the_whole(
    make_study: MakeStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seven runs at a time: of what a term can be, each is kept once."""
    design = _split(make_study, "two_way", {"A": [0, 1], "B": [0, 1, 2], "C": ["u", "v", "w"]}, 2)
    whole = precision_of(design)
    monkeypatch.setattr(reduced, "_CHUNK", 7)
    found = precision_of(design)
    np.testing.assert_allclose(found.covariance, whole.covariance, atol=1e-12)
    for term, precision in whole.terms.items():
        assert found.terms[term].df_error == pytest.approx(precision.df_error)
        assert found.terms[term].unit_noncentrality == pytest.approx(precision.unit_noncentrality)
    rows = {f.name: [design.levels_of(run)[f.name] for run in design.runs] for f in design.factors}
    _, distinct = strata._reduced(reduced.chunks(design.factors, rows, design.terms))
    sizes = {"A": 2, "B": 3, "C": 3, "A:B": 6, "A:C": 6, "B:C": 9}
    assert {term: len(kept) for term, kept in distinct.items()} == sizes
