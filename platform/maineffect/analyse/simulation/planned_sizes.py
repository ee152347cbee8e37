"""What a plan will say of effects against size: how wide the interval is at each size that is run, and beyond them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy import stats

from maineffect.analyse.fit.model import build_model
from maineffect.analyse.fit.surface import Surface
from maineffect.analyse.fit.terms import fitted_terms, registered_terms
from maineffect.analyse.over_sizes import asked_sizes, far_beyond
from maineffect.design.model.model import Design
from maineffect.design.model.terms import expand_terms
from maineffect.design.power.precision import precision_of
from maineffect.errors import Problem
from maineffect.spec.study import StudySpec

__all__ = ["PlannedSizes", "planned_sizes", "scaling_warnings", "sizes_document", "sizes_text"]


@dataclass(frozen=True)
class PlannedSizes:
    """One effect over the sizes of one covariate, in standard deviations of a run.

    Attributes:
        factor: Whose effect.
        contrast: Between which of its levels.
        covariate: Whose levels are sizes.
        scale: Where the effect is taken to be a straight line.
        unit: Of the sizes.
        half_widths: Size → half-width of the effect's interval there.
        beyond: The same at sizes that are not run.
        df_error: Degrees of freedom of the error: the fewest of the effect's and the interaction's.
        reason: Why there are no half-widths.
    """

    factor: str
    contrast: str
    covariate: str
    scale: str
    unit: str
    half_widths: dict[float, float]
    beyond: dict[float, float]
    df_error: float | None = None
    reason: str | None = None


def planned_sizes(study: StudySpec, design: Design) -> list[PlannedSizes]:
    """Every effect that the study reads against size, as the planned runs will estimate it.

    Variances are c′Cc with C the covariance of the coefficients under the plan's own blocks and whole plots
    (:func:`maineffect.design.power.precision.precision_of`), so that nothing is simulated. Where verdicts are about new
    seeds from shared ones, what an effect's variance between seeds adds is not known before the runs.
    """
    asked = asked_sizes(study)
    if not asked:
        return []
    factors = tuple(study.factors.values())
    levels = {name: [design.levels_of(run)[name] for run in design.runs] for name in study.factors}
    blocks = [str(run.block) for run in design.runs] if design.runs[0].block is not None else None
    model = build_model(factors, levels, fitted_terms(study), blocks=blocks, first=registered_terms(study))
    precision = None if model.partial else precision_of(design, model.terms)
    surface, planned = Surface(model), []
    for one in asked:
        terms = expand_terms(factors, (one.factor, f"{one.factor}:{one.covariate}"))
        what = (one.factor, one.contrast, one.covariate, one.scale, one.unit)
        gone = [term for term in terms if term not in model.terms]
        if precision is None or gone:
            why = "some cells have no runs" if precision is None else f"the runs cannot estimate {', '.join(gone)}"
            planned.append(PlannedSizes(*what, {}, {}, reason=why))
            continue
        df = [precision.terms[term].df_error for term in terms]
        known = [one_df for one_df in df if one_df is not None]
        if len(known) < len(df):
            planned.append(PlannedSizes(*what, {}, {}, reason="the runs leave no error to judge it by"))
            continue
        rows = np.zeros((len(one.sizes), precision.covariance.shape[0]))
        effects = one.rows(surface)
        for term in model.terms:
            rows[:, precision.model.spans[term]] = effects[:, model.spans[term]]
        weights = np.vstack([np.eye(len(rows)), one.on_line(one.beyond)]) @ rows
        half = stats.t.isf(study.analysis.alpha / 2, min(known)) * np.sqrt(
            np.einsum("kp,pq,kq->k", weights, precision.covariance, weights)
        )
        at = dict(zip(one.sizes, half[: len(rows)].tolist(), strict=True))
        beyond = dict(zip(one.beyond, half[len(rows) :].tolist(), strict=True))
        planned.append(PlannedSizes(*what, at, beyond, min(known)))
    return planned


def scaling_warnings(study: StudySpec, design: Design) -> list[Problem]:
    """What a reader should know before the runs: lines that nothing tests, and sizes that are far away."""
    problems = []
    seen: set[str] = set()
    for one in asked_sizes(study):
        path = f"scaling.covariates.{one.covariate}"
        if one.covariate in seen:
            continue
        seen.add(one.covariate)
        if len(one.sizes) == 2 and one.beyond:
            message = f"two sizes of {one.covariate}: whether an effect follows a line between them cannot be tested"
            problems.append(Problem(message, path, hint="run a third size, between or beyond them"))
        if far := far_beyond(one):
            sizes = ", ".join(f"{size:g}" for size in far)
            message = f"{sizes}: farther from the sizes that are run than these are from each other"
            hint = "run a size nearer to it, or read the interval as what it is: one that trusts the line"
            problems.append(Problem(message, f"{path}.extrapolate", hint=hint))
    problems += [
        Problem(f"the effect of {one.factor} over {one.covariate} cannot be read: {one.reason}", "scaling",
                hint="run the missing cells or more replicates, or name other scaling.effects")
        for one in planned_sizes(study, design)
        if one.reason is not None
    ]  # fmt: skip
    return problems


def sizes_document(planned: Sequence[PlannedSizes]) -> list[dict[str, Any]]:
    """Plain JSON values; sizes and half-widths as pairs."""
    return [
        {
            **asdict(one),
            "half_widths": [*map(list, one.half_widths.items())],
            "beyond": [*map(list, one.beyond.items())],
        }
        for one in planned
    ]


def sizes_text(planned: Sequence[PlannedSizes], alpha: float) -> str:
    """One line an effect; empty without any."""
    if not planned:
        return ""
    lines = [f"effects against size, with half-widths of their {1 - alpha:.0%} intervals in run standard deviations"]
    return "\n".join([*lines, *(f"  {_line(one)}" for one in planned)])


def _line(one: PlannedSizes) -> str:
    unit = f" {one.unit}" if one.unit else ""
    head = f"{one.factor} ({one.contrast}) over {one.covariate} ({one.scale})"
    if one.reason is not None:
        return f"{head}: {one.reason}"
    at = ", ".join(f"{half:.2f} at {size:g}" for size, half in one.half_widths.items())
    beyond = ", ".join(f"{half:.2f} at {size:g}" for size, half in one.beyond.items())
    return f"{head}: {at}{unit}" + (f"; extrapolated: {beyond}{unit}" if beyond else "")
