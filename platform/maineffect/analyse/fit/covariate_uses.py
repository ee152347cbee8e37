"""What covariates beside the design explained of a response (ANCOVA), and whether the factors move them.

response ~ design + θ(x − x̄): a covariate that training cannot touch, such as the base model's score, takes its share of
the noise away and leaves the effects' meaning alone (Fisher (1932) Statistical Methods for Research Workers, 4th ed.,
§49.1; with item scores CUPED, Deng, Xu, Kohavi and Walker (2013)). One that the factors move is no covariate: adjusting
for it would take part of the effect away, so that its own dependence on the design is tested and said.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from maineffect.analyse.fit.anova import added_space
from maineffect.analyse.fit.least_squares import least_squares
from maineffect.analyse.fit.model import BLOCK, CURVATURE, INTERCEPT, covariate_span
from maineffect.analyse.fit.respond import Fitted, answer
from maineffect.analyse.record.further_records import CovariateUse

__all__ = ["covariate_uses"]

Floats = NDArray[np.float64]
_MOVED = 0.01
"""Chance imbalance is what the adjustment is for; below this p-value it is hardly chance."""


def covariate_uses(fitted: Fitted, warnings: list[str]) -> list[CovariateUse]:
    """Slope of every covariate in the model, what it saved, and whether the factors move it."""
    names = fitted.model.covariates
    if not names:
        return []
    first = min(fitted.model.spans[covariate_span(name)].start for name in names)
    bare = least_squares(fitted.model.matrix[:, :first], fitted.y[:, None])
    before = float(np.sqrt(bare.sse[0] / bare.df_error)) if bare.df_error > 0 else None
    sigma2 = float(fitted.fit.sse[fitted.column]) / fitted.fit.df_error if fitted.fit.df_error > 0 else None
    uses = []
    for name in names:
        row = np.zeros(fitted.model.matrix.shape[1])
        row[fitted.model.spans[covariate_span(name)]] = 1.0
        slope = answer(fitted, row)
        p = _moved(fitted, name)
        if p is not None and p <= _MOVED:
            warnings.append(
                f"the covariate {name} differs between levels of the factors (p = {p:.3g}): if training can have "
                "touched it, adjusting for it takes part of the effects away"
            )
        half = slope.half_width
        uses.append(
            CovariateUse(
                name=name,
                slope=slope.estimate,
                std_error=slope.std_error,
                ci_low=None if half is None else slope.estimate - half,
                ci_high=None if half is None else slope.estimate + half,
                p_value=slope.p_value,
                sigma_with=None if sigma2 is None else float(np.sqrt(sigma2)),
                sigma_without=before,
                p_design=p,
            )
        )
    return uses


def _moved(fitted: Fitted, name: str) -> float | None:
    """F test of the covariate on all terms of the design, blocks taken out."""
    x, spans = fitted.model.matrix, fitted.model.spans
    values = x[:, spans[covariate_span(name)]][:, 0]
    base = np.hstack([x[:, spans[part]] for part in (INTERCEPT, BLOCK, CURVATURE) if part in spans])
    if not fitted.model.terms:
        return None
    design = np.hstack([x[:, spans[term]] for term in fitted.model.terms])
    space = added_space(design, base)
    rest = least_squares(np.hstack([base, design]), values[:, None])
    if rest.df_error < 1 or not rest.sse[0] > 0 or not space.shape[1]:
        return None
    between = float(np.sum((space.T @ values) ** 2)) / space.shape[1]
    return float(stats.f.sf(between / (float(rest.sse[0]) / rest.df_error), space.shape[1], rest.df_error))
