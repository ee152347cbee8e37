"""Responses on a logarithmic or a logit scale: there for the fit, and back for the reader.

On a log scale differences are log ratios, on a logit scale log odds ratios; the interaction of two two-level factors is
half a difference of them, so that its ratio is the root of a ratio of ratios. Means come back as geometric means and as
shares. A share of 0 or 1 has no logit: with n items it is taken as (x + 1/2)/(n + 1), x of n solved (Cox and Snell
(1989) Analysis of Binary Data, 2nd ed., sec. 2.1.6 and 1.3), and without a known n it is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from maineffect.analyse.record.result import (
    AnalysisResult,
    Effect,
    HypothesisResult,
    Mean,
    ResponseResult,
    SimpleEffect,
)
from maineffect.errors import AnalysisError
from maineffect.spec.responses import Response, Scale
from maineffect.spec.study import StudySpec

__all__ = ["back_transformed", "effect_unit", "on_scale", "unscaled", "with_ratios"]

Floats = NDArray[np.float64]
_AT_LIMIT = 1e-12
_UNITS = {Scale.LOG: "log ratio", Scale.LOGIT: "log odds ratio"}
T = TypeVar("T", Effect, SimpleEffect, HypothesisResult)


def on_scale(y: Floats, name: str, response: Response, place: Callable[[int], str]) -> Floats:
    """Values of a response on its scale; NaN stays NaN.

    Args:
        y: (n,) in the response's units.
        name: Of the response.
        response: With its scale, limits and items.
        place: Where a run came from.

    Raises:
        AnalysisError: A value has no logarithm, or no logit.
    """
    if response.scale is None:
        return y
    low, high = response.share_limits
    share = (y - low) / (high - low)
    known = np.isfinite(y)
    at_zero, at_one = known & (np.abs(share) <= _AT_LIMIT), known & (np.abs(share - 1) <= _AT_LIMIT)
    logit = response.scale is Scale.LOGIT
    if response.items is not None:
        share = np.where(at_zero, 0.5 / (response.items + 1), share)
        share = np.where(at_one & logit, (response.items + 0.5) / (response.items + 1), share)
    value = share if logit else low + (high - low) * share
    outside = known & ((value <= 0) | ((value >= 1) & logit))
    if outside.any():
        i = int(np.flatnonzero(outside)[0])
        at_limit = bool(at_zero[i] or at_one[i]) and response.items is None
        raise AnalysisError(
            f"{place(i)}: {name} is {y[i]:g}, which has no {'logit' if logit else 'logarithm'}",
            f"state responses.{name}.items, the number n of items behind a share (0 then counts as 1/2 of n + 1), or "
            "leave the scale out"
            if at_limit
            else f"correct the value, state responses.{name}.limits, or leave the scale out",
        )
    result = np.full(len(y), np.nan)
    inside = value[known]
    result[known] = np.log(inside / (1 - inside)) if logit else np.log(inside)
    return result


def effect_unit(response: Response) -> str:
    """The unit of a response's effects."""
    return response.unit if response.scale is None else _UNITS[response.scale]


def back_transformed(value: float | None, response: Response) -> float | None:
    """A mean on a response's scale → in its own units."""
    if value is None or response.scale is None:
        return value
    if response.scale is Scale.LOG:
        return float(np.exp(value))
    low, high = response.share_limits
    return float(low + (high - low) / (1 + np.exp(-value)))


def unscaled(study: StudySpec) -> StudySpec:
    """The study as its simulations see it: they draw values on the scale itself."""
    if not any(response.scale for response in study.responses.values()):
        return study
    plain = {
        name: response
        if response.scale is None
        else response.model_copy(update={"scale": None, "items": None, "limits": None, "on_failure": None})
        for name, response in study.responses.items()
    }
    return study.model_copy(update={"responses": plain})


def with_ratios(result: AnalysisResult, study: StudySpec) -> AnalysisResult:
    """Ratios beside every effect on a scale, and means in the response's own units."""
    scaled = {name: r for name, r in study.responses.items() if r.scale is not None and name in result.responses}
    if not scaled:
        return result
    responses = {
        name: _in_ratios(analysed, scaled[name]) if name in scaled else analysed
        for name, analysed in result.responses.items()
    }
    hypotheses = [
        _ratio(h).model_copy(update={"scale": str(scaled[h.response].scale)}) if h.response in scaled else h
        for h in result.hypotheses
    ]
    return result.model_copy(update={"responses": responses, "hypotheses": hypotheses})


def _in_ratios(analysed: ResponseResult, response: Response) -> ResponseResult:
    return analysed.model_copy(
        update={
            "scale": str(response.scale),
            "effect_unit": effect_unit(response),
            "effects": [_ratio(effect) for effect in analysed.effects],
            "simple_effects": [_ratio(effect) for effect in analysed.simple_effects],
            "means": [_mean(mean, response) for mean in analysed.means],
        }
    )


def _ratio(record: T) -> T:
    ends = {"ratio": record.estimate, "ratio_low": record.ci_low, "ratio_high": record.ci_high}
    return record.model_copy(update={key: None if end is None else _exp(end) for key, end in ends.items()})


def _exp(value: float) -> float | None:
    with np.errstate(over="ignore"):
        ratio = float(np.exp(value))
    return ratio if np.isfinite(ratio) else None


def _mean(mean: Mean, response: Response) -> Mean:
    ends = ("estimate", "ci_low", "ci_high")
    return mean.model_copy(update={end: back_transformed(getattr(mean, end), response) for end in ends})
