"""Precision in two strata, from sums over plots, against the same formulas on whole matrices."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from maineffect.design.build import build_design
from maineffect.design.model.terms import model_matrix
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
