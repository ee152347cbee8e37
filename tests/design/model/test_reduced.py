"""The triangle of a model matrix, run by run, against the whole matrix; and memory that grows with the runs only."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from maineffect.analyse.simulation.planned import planned_model
from maineffect.design.build import build_design
from maineffect.design.model import reduced
from maineffect.design.model.aliasing import alias_matrix
from maineffect.design.model.reduced import PlotSums, reduced_model, triangle
from maineffect.design.model.terms import model_matrix
from maineffect.design.power.analytic import power_document
from maineffect.spec.study import StudySpec

MakeStudy = Callable[..., StudySpec]


@pytest.mark.parametrize("coding", ["effect", "orthonormal"])
@pytest.mark.parametrize("blocked", [False, True])
def test_the_triangle_has_the_inner_products_of_the_matrix(
    make_study: MakeStudy, monkeypatch: pytest.MonkeyPatch, coding: Any, blocked: bool
) -> None:
    monkeypatch.setattr(reduced, "_CHUNK", 7)
    factors = tuple(make_study({"A": [1, 2, 4], "B": ["a", "b", "c"], "C": [0, 1]}, {"kind": "full"}).factors.values())
    rng = np.random.default_rng(0)
    rows = {factor.name: [factor.levels[i] for i in rng.integers(0, len(factor.levels), 40)] for factor in factors}
    blocks = [i % 3 for i in range(40)] if blocked else None
    whole = model_matrix(factors, rows, "two_way", blocks=blocks, coding=coding)
    small = reduced_model(factors, rows, "two_way", blocks=blocks, coding=coding)
    assert (small.columns, small.terms, dict(small.spans)) == (whole.columns, whole.terms, dict(whole.spans))
    np.testing.assert_allclose(small.matrix.T @ small.matrix, whole.matrix.T @ whole.matrix, atol=1e-10)


def test_sums_over_plots() -> None:
    x = np.arange(12.0).reshape(6, 2)
    plots = PlotSums.of(["b", "a", "b", "a", "a", "b"], iter([x[:4], x[4:]]))
    np.testing.assert_allclose(plots.sums, [x[[1, 3, 4]].sum(axis=0), x[[0, 2, 5]].sum(axis=0)])
    np.testing.assert_allclose(plots.means[1], x[[0, 2, 5]].mean(axis=0))


def test_aliases_are_least_squares_on_the_whole_matrix(make_study: MakeStudy) -> None:
    factors = tuple(make_study("ABCDE", {"kind": "full"}).factors.values())
    rng = np.random.default_rng(1)
    rows = {f.name: [f.levels[i] for i in rng.integers(0, 2, 30)] for f in factors}
    fitted = model_matrix(factors, rows, "main").matrix
    pair = np.array(rows["A"]) * np.array(rows["B"])
    bias = np.linalg.lstsq(fitted, pair.astype(float), rcond=None)[0]
    found = alias_matrix(factors, rows, ("A", "B", "C", "D", "E"))
    assert [found[name].get("A:B", 0.0) for name in "ABCDE"] == pytest.approx(bias[1:].tolist(), abs=1e-9)


def test_the_triangle_of_few_rows() -> None:
    assert triangle(iter([np.ones((2, 3))])).shape == (2, 3)


def _peak(study: StudySpec) -> float:
    tracemalloc.start()
    try:
        design = build_design(study)
        model = planned_model(study, design)
        power_document(study, design, terms=model.terms, extra=model.extra)
        return float(tracemalloc.get_traced_memory()[1])
    finally:
        tracemalloc.stop()


def test_memory_grows_with_the_runs_and_not_with_their_square(make_study: MakeStudy) -> None:
    few = make_study("ABCDEFGH", {"kind": "full", "replicates": 2}, terms="main")
    many = make_study("ABCDEFGH", {"kind": "full", "replicates": 16}, terms="main")
    assert _peak(many) < 10 * _peak(few)
