"""Power and smallest detectable effects, before a GPU-hour is spent.

A two-level effect δ over n balanced runs has noncentrality λ = n·δ²/(4σ²) on the F scale (Montgomery, Design and
Analysis of Experiments, 8th ed., sec. 6.2): the effect is *twice* the coefficient, and taking one for the other is a
fourfold error in n. Here λ comes from the emitted rows, so that blocks and imbalance are in it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import optimize, stats

from maineffect.design.model import Design
from maineffect.design.terms import ModelMatrix, model_matrix
from maineffect.spec.study import StudySpec

__all__ = ["power_document", "power_of", "smallest_detectable"]


def power_of(noncentrality: float, df: float, df_error: float, alpha: float) -> float:
    """Power of an F test.

    Args:
        noncentrality: λ = δ'Cov(δ̂)⁻¹δ.
        df: Degrees of freedom of the term.
        df_error: Degrees of freedom of the error; with less than one there is no test.
        alpha: Two-sided error rate.
    """
    if df_error < 1:
        return float("nan")
    critical = stats.f.isf(alpha, df, df_error)
    return float(stats.ncf.sf(critical, df, df_error, noncentrality))


def smallest_detectable(
    unit_noncentrality: float, df: float, df_error: float, alpha: float, power: float = 0.8
) -> float:
    """Smallest effect, in units of σ, that is found with the stated power.

    Args:
        unit_noncentrality: λ of an effect of one σ; λ grows with its square.
    """
    if df_error < 1 or unit_noncentrality <= 0:
        return float("nan")

    def gap(effect: float) -> float:
        return power_of(unit_noncentrality * effect**2, df, df_error, alpha) - power

    high = 1.0
    while gap(high) < 0:
        high *= 2
    return float(optimize.brentq(gap, 0.0, high, xtol=1e-10))


def _unit_noncentrality(model: ModelMatrix, term: str) -> float:
    """λ of an effect of one σ in a term: for two levels 1/(4·v), v the variance of the coefficient over σ².

    For a term with several columns: the least favourable pair of levels, one σ apart.
    """
    matrix = model.matrix
    covariance = np.linalg.inv(matrix.T @ matrix)
    span = model.spans[term]
    block = covariance[span, span]
    if block.shape == (1, 1):
        return float(1 / (4 * block[0, 0]))
    rows = np.unique(np.round(matrix[:, span], 12), axis=0)
    information = np.linalg.inv(block)
    centred = rows - rows.mean(axis=0)
    spread = [
        float(direction @ information @ direction) / max(float(direction @ direction) ** 2, 1e-300)
        for i, a in enumerate(centred)
        for b in centred[i + 1 :]
        for direction in [(a - b)]
        if np.any(direction)
    ]
    return min(spread) if spread else 0.0


def power_document(
    study: StudySpec, design: Design, *, sigma: float | None = None, power: float = 0.8
) -> dict[str, Any]:
    """The document of ``power --json``.

    Args:
        sigma: Standard deviation of a run, from a pilot; effects are in units of σ when it is unknown.
        power: Power wanted.
    """
    rows = {name: [design.levels_of(run)[name] for run in design.runs] for name in study.factors}
    blocks = [run.block for run in design.runs]
    model = model_matrix(design.factors, rows, design.terms, blocks=blocks)
    n, p = model.matrix.shape
    df_error = n - p
    alpha = study.analysis.alpha
    terms = []
    for term in model.terms:
        span = model.spans[term]
        unit = _unit_noncentrality(model, term)
        df = span.stop - span.start
        mde = smallest_detectable(unit, df, df_error, alpha, power)
        entry: dict[str, Any] = {"term": term, "df": df, "df_error": df_error, "mde_sigma": mde, "mde": None}
        if sigma is not None:
            entry["mde"] = mde * sigma
            entry["power"] = {
                name: power_of(unit * (response.smallest_effect / sigma) ** 2, df, df_error, alpha)
                for name, response in study.responses.items()
                if response.smallest_effect is not None
            }
        terms.append(entry)
    return {
        "schema_version": 1,
        "study": study.name,
        "n_runs": n,
        "alpha": alpha,
        "power": power,
        "sigma": sigma,
        "terms": terms,
        "cost": {
            "runs": n,
            "gpu_hours_at_most": n * study.resources.gpus * study.resources.timeout_seconds / 3600,
            "price_at_most": n
            * study.resources.gpus
            * study.resources.timeout_seconds
            / 3600
            * study.resources.gpu_hour_price,
        },
    }
