"""Responses on a logarithmic or a logit scale: there for the fit, and back for the reader.

On a log scale differences are log ratios, on a logit scale log odds ratios; the interaction of two two-level factors is
half a difference of them, so that its ratio is the root of a ratio of ratios. Means come back as geometric means and as
shares. A share of 0 or 1 has no logit: with n items it is taken as (x + 1/2)/(n + 1), x of n solved (Cox and Snell
(1989) Analysis of Binary Data, 2nd ed., sec. 2.1.6 and 1.3), and without a known n it is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from maineffect.analyse.record.further_records import Aggregate, Transported
from maineffect.analyse.record.result import (
    AnalysisResult,
    Attribution,
    Effect,
    HypothesisResult,
    Mean,
    ResponseResult,
    SimpleEffect,
    Trace,
)
from maineffect.analyse.record.scaling import EffectOverSizes, SizePoint
from maineffect.errors import AnalysisError
from maineffect.spec.responses import Response, Scale
from maineffect.spec.study import StudySpec

__all__ = [
    "aggregates_in_units",
    "back_transformed",
    "effect_unit",
    "on_scale",
    "transported_in_ratios",
    "unscaled",
    "with_ratios",
]

Floats = NDArray[np.float64]
_AT_LIMIT = 1e-12
_UNITS = {Scale.LOG: "log ratio", Scale.LOGIT: "log odds ratio"}
T = TypeVar("T", Effect, SimpleEffect, HypothesisResult, Transported, SizePoint)


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
    attribution = [
        _attributed(share, scaled[share.response]) if share.response in scaled else share
        for share in result.attribution
    ]
    profiler = result.profiler
    if profiler is not None:
        traces = {
            name: _traced(trace, scaled[name]) if name in scaled else trace
            for name, trace in profiler.responses.items()
        }
        profiler = profiler.model_copy(update={"responses": traces})
    return result.model_copy(
        update={
            "responses": responses,
            "hypotheses": hypotheses,
            "attribution": attribution,
            "profiler": profiler,
            "over_sizes": [_over_sizes(e) if e.response in scaled else e for e in result.over_sizes],
        }
    )


def _over_sizes(effect: EffectOverSizes) -> EffectOverSizes:
    return effect.model_copy(
        update={part: [_ratio(point) for point in getattr(effect, part)] for part in ("at", "beyond", "line")}
    )


def transported_in_ratios(study: StudySpec, transported: Sequence[Transported]) -> list[Transported]:
    """Transported effects of responses with a scale, with their ratios."""
    return [
        moved if (response := _scaled(study, moved.response)) is None
        else _ratio(moved).model_copy(update={"scale": str(response.scale)})
        for moved in transported
    ]  # fmt: skip


def aggregates_in_units(study: StudySpec, aggregates: Sequence[Aggregate]) -> list[Aggregate]:
    """Interquartile means of responses with a scale in their own units, with the ratio of the two."""
    return [
        aggregate if (response := _scaled(study, aggregate.response)) is None else _aggregated(aggregate, response)
        for aggregate in aggregates
    ]


def _scaled(study: StudySpec, name: str) -> Response | None:
    """A response if it has a scale."""
    response = study.responses.get(name)
    return response if response is not None and response.scale is not None else None


def _aggregated(aggregate: Aggregate, response: Response) -> Aggregate:
    ratios = _exponentials(
        aggregate.iqm_last - aggregate.iqm_first, aggregate.difference_low, aggregate.difference_high
    )
    means = {end: back_transformed(getattr(aggregate, end), response) for end in ("iqm_first", "iqm_last")}
    return aggregate.model_copy(update={**means, **ratios, "scale": str(response.scale)})


def _attributed(share: Attribution, response: Response) -> Attribution:
    ratios = _exponentials(share.contribution, share.ci_low, share.ci_high)
    return share.model_copy(update={**ratios, "gap_ratio": _exp(share.gap), "scale": str(response.scale)})


def _traced(trace: Trace, response: Response) -> Trace:
    pairs = list(zip(trace.estimate, trace.half_width, strict=True))
    known = [(None, None) if e is None or h is None else (e - h, e + h) for e, h in pairs]
    return trace.model_copy(
        update={
            "estimate": [back_transformed(value, response) for value in trace.estimate],
            "half_width": [None] * len(pairs),
            "low": [back_transformed(low, response) for low, _ in known],
            "high": [back_transformed(high, response) for _, high in known],
        }
    )


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
    return record.model_copy(update=_exponentials(record.estimate, record.ci_low, record.ci_high))


def _exponentials(estimate: float | None, low: float | None, high: float | None) -> dict[str, float | None]:
    ends = {"ratio": estimate, "ratio_low": low, "ratio_high": high}
    return {key: None if end is None else _exp(end) for key, end in ends.items()}


def _exp(value: float) -> float | None:
    with np.errstate(over="ignore"):
        ratio = float(np.exp(value))
    return ratio if np.isfinite(ratio) else None


def _mean(mean: Mean, response: Response) -> Mean:
    ends = ("estimate", "ci_low", "ci_high")
    return mean.model_copy(update={end: back_transformed(getattr(mean, end), response) for end in ends})
