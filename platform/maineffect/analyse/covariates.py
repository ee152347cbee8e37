"""Numbers known before training: covariates beside the design (ANCOVA), and gains in and out of the training regime.

response ~ design + θ(x − x̄): a covariate that training cannot touch, such as the base model's score, takes its share of
the noise away and leaves the effects' meaning alone (Fisher (1932) Statistical Methods for Research Workers, 4th ed.,
§49.1; with item scores CUPED, Deng, Xu, Kohavi and Walker (2013)). One that the factors move is no covariate: adjusting
for it would take part of the effect away, so that its own dependence on the design is tested and said.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from maineffect.analyse.anova import added_space
from maineffect.analyse.fit import least_squares
from maineffect.analyse.further import CovariateUse
from maineffect.analyse.model import BLOCK, CURVATURE, INTERCEPT, covariate_span
from maineffect.analyse.respond import Fitted, answer
from maineffect.analyse.table import tidy
from maineffect.errors import AnalysisError
from maineffect.spec.responses import Goal, Response
from maineffect.spec.study import StudySpec

__all__ = ["covariate_uses", "covariate_values", "with_covariates", "with_overfit"]

Floats = NDArray[np.float64]
_MOVED = 0.01
"""Chance imbalance is what the adjustment is for; below this p-value it is hardly chance."""


def with_covariates(
    study: StudySpec, table: pd.DataFrame, measures: Mapping[str, Mapping[str, float | None]] | None
) -> pd.DataFrame:
    """The table with a column for every covariate that the runs measured and it does not hold yet."""
    wanted = [name for name in study.analysis.covariates if name not in table]
    if not wanted or not measures or "run_id" not in table:
        return table
    ids = table["run_id"].astype(str)
    found = {
        name: ids.map({run: own[name] for run, own in measures.items() if own.get(name) is not None}).astype(float)
        for name in wanted
        if any(own.get(name) is not None for own in measures.values())
    }
    return table.assign(**found)


def with_overfit(study: StudySpec, table: pd.DataFrame) -> tuple[StudySpec, pd.DataFrame]:
    """The study and its tidy table with regime overfit as responses of their own: gain inside minus gain outside."""
    if not study.analysis.overfit:
        return study, table
    clean = tidy(table, study)
    responses = dict(study.responses)
    for name, (inside, outside) in study.analysis.overfit.items():
        clean[name] = clean[inside] - clean[outside]
        scores = [study.responses[gain].on_failure for gain in (inside, outside)]
        responses[name] = Response(
            name=name,
            goal=Goal.MINIMIZE,
            unit=study.responses[inside].unit,
            description=f"Regime overfit: {inside} minus {outside}.",
            on_failure=None if scores[0] is None or scores[1] is None else scores[0] - scores[1],
        )
    plain = study.analysis.model_copy(update={"overfit": {}})
    return study.model_copy(update={"responses": responses, "analysis": plain}), clean


def covariate_values(
    study: StudySpec, table: pd.DataFrame, rows: Sequence[int], warnings: list[str]
) -> dict[str, Floats]:
    """Name → centred values of some runs; a run without a value gets the mean, which moves no effect.

    Raises:
        AnalysisError: The runs do not know the covariate.
    """
    found = {}
    for name in study.analysis.covariates:
        values = table[name].to_numpy(dtype=float)[list(rows)] if name in table else np.full(len(rows), np.nan)
        known = np.isfinite(values)
        if not known.any():
            raise AnalysisError(
                f"no run has a value of the covariate {name!r}",
                "add its column to the table, let the trainable return it as a measure, or drop it from "
                "analysis.covariates",
            )
        if not known.all():
            warnings.append(f"covariate {name}: {int((~known).sum())} run(s) without a value have the mean")
        found[name] = np.where(known, values - values[known].mean(), 0.0)
    return found


def covariate_uses(fitted: Fitted, warnings: list[str]) -> list[CovariateUse]:
    """Slope of every covariate in the model, what it saved, and whether the factors move it."""
    names = fitted.model.covariates
    if not names:
        return []
    first = min(fitted.model.spans[covariate_span(name)].start for name in names)
    bare = least_squares(fitted.model.matrix[:, :first], fitted.y[:, None])
    before = float(np.sqrt(bare.sse[0] / bare.df_error)) if bare.df_error > 0 else None
    sigma2 = float(fitted.fit.sse[fitted.column]) / fitted.fit.df_error if fitted.fit.df_error > 0 else None
    found = []
    for name in names:
        row = np.zeros(fitted.model.matrix.shape[1])
        row[fitted.model.spans[covariate_span(name)]] = 1.0
        said = answer(fitted, row)
        p = _moved(fitted, name)
        if p is not None and p <= _MOVED:
            warnings.append(
                f"the covariate {name} differs between levels of the factors (p = {p:.3g}): if training can have "
                "touched it, adjusting for it takes part of the effects away"
            )
        half = said.half_width
        found.append(
            CovariateUse(
                name=name,
                slope=said.estimate,
                std_error=said.std_error,
                ci_low=None if half is None else said.estimate - half,
                ci_high=None if half is None else said.estimate + half,
                p_value=said.p_value,
                sigma_with=None if sigma2 is None else float(np.sqrt(sigma2)),
                sigma_without=before,
                p_design=p,
            )
        )
    return found


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
