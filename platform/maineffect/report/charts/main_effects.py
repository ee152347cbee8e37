"""Main-effect plots: marginal means with intervals over the levels of one factor, the single runs behind them."""

from __future__ import annotations

from collections import Counter, defaultdict
from copy import deepcopy
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

from maineffect.analyse.record.result import AnalysisResult
from maineffect.report.charts.drawing import finish, inline_data
from maineffect.report.charts.theme import DOT, INK, UP
from maineffect.report.content.lookup import Level, dots, factor_levels, level_key, means_of
from maineffect.report.content.wording import axis_title, level

__all__ = ["Dot", "MainEffectRecord", "MeanPoint", "main_effect_record", "main_effect_spec", "quoted", "y_domain"]

MOST_DOTS = 150
"""Above this many runs, dots of one level that lie close together are drawn as one, its area their number."""
_BINS = 24


@dataclass(frozen=True)
class MeanPoint:
    """A marginal mean at one level; ``position`` counts levels from 0."""

    position: int
    label: str
    estimate: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Dot:
    """One run (or ``count`` runs, when there are too many to draw each)."""

    position: float
    value: float
    count: int = 1


@dataclass(frozen=True)
class MainEffectRecord:
    """Everything that one panel draws."""

    response: str
    factor: str
    title: str
    labels: tuple[str, ...]
    means: tuple[MeanPoint, ...]
    dots: tuple[Dot, ...]


def main_effect_record(result: AnalysisResult, response: str, factor: str) -> MainEffectRecord:
    """Collect means and runs of one factor."""
    levels: list[Level] = factor_levels(result).get(factor, [])
    place = {level_key(value): i for i, value in enumerate(levels)}
    means = tuple(
        MeanPoint(place[key], level(mean.levels[factor]), mean.estimate, mean.ci_low, mean.ci_high)
        for mean in means_of(result.responses[response], factor)
        if mean.estimate is not None and (key := level_key(mean.levels[factor])) in place
    )
    at_level: dict[int, list[float]] = defaultdict(list)
    for run, value in dots(result, response):
        if factor in run.levels and (key := level_key(run.levels[factor])) in place:
            at_level[place[key]].append(value)
    title = axis_title(factor)
    return MainEffectRecord(
        response=response,
        factor=factor,
        title=title,
        labels=tuple(level(v) for v in levels),
        means=means,
        dots=_spread(at_level),
    )


def _spread(at_level: dict[int, list[float]]) -> tuple[Dot, ...]:
    """Set runs of one level side by side in a fixed order, so that equal values stay visible."""
    total = sum(len(values) for values in at_level.values())
    if total > MOST_DOTS:
        return _binned(at_level)
    spread: list[Dot] = []
    for position, values in sorted(at_level.items()):
        for i, value in enumerate(sorted(values)):
            spread.append(Dot(position + 0.08 * (i % 5 - 2), value))
    return tuple(spread)


def _binned(at_level: dict[int, list[float]]) -> tuple[Dot, ...]:
    everything = [value for values in at_level.values() for value in values]
    low, width = min(everything), (max(everything) - min(everything)) / _BINS or 1.0
    binned: list[Dot] = []
    for position, values in sorted(at_level.items()):
        counts = Counter(min(_BINS - 1, int((value - low) / width)) for value in values)
        binned += [Dot(position, low + (bin_ + 0.5) * width, count) for bin_, count in sorted(counts.items())]
    return tuple(binned)


def y_domain(records: list[MainEffectRecord]) -> tuple[float, float]:
    """One scale for all panels of a response, so that their slopes can be compared by eye."""
    values = [d.value for r in records for d in r.dots]
    values += [v for r in records for m in r.means for v in (m.estimate, m.low, m.high) if v is not None]
    if not values:
        return (0.0, 1.0)
    low, high = min(values), max(values)
    margin = 0.05 * (high - low) or 0.5
    return (low - margin, high + margin)


def main_effect_spec(record: MainEffectRecord, domain: tuple[float, float]) -> dict[str, Any]:
    """Vega-Lite specification of one panel, about 170 px wide."""
    labels = "{" + ",".join(f"'{i}': {quoted(text)}" for i, text in enumerate(record.labels)) + "}"
    axis = {"title": record.title, "labelExpr": f"{labels}[format(datum.value, 'd')]"}
    most = max((d.count for d in record.dots), default=1) + 1
    means = [asdict(mean) | {"value": mean.estimate} for mean in record.means]
    spec = deepcopy(_frame(len(record.labels) - 1))
    for i, layer in enumerate(spec["layer"]):
        layer["data"] = {"values": means if i else [asdict(dot) for dot in record.dots]}
        layer["encoding"]["x"]["axis"].update(axis)
        if "scale" in layer["encoding"]["y"]:
            layer["encoding"]["y"]["scale"]["domain"] = list(domain)
    spec["layer"][0]["encoding"]["size"]["scale"]["domain"] = [1, most]
    return spec


@cache
def _frame(last: int) -> dict[str, Any]:
    """The panel of a factor whose last level is at this position, without names, numbers and scales of its own.

    Large reports have hundreds of panels, and Altair takes 25 ms to lay four marks over each other.
    """
    import altair as alt

    x_axis = alt.Axis(values=list(range(last + 1)), grid=False, labelLimit=max(40, 120 // max(1, last)), titleLimit=175)
    x: Any = alt.X("position:Q", axis=x_axis, scale=alt.Scale(domain=[-0.4, last + 0.4], nice=False))
    y: Any = alt.Y("value:Q", scale=alt.Scale(nice=False, zero=False), axis=alt.Axis(title=None, tickCount=5))
    size = alt.Size("count:Q", scale=alt.Scale(range=[16, 160]), legend=None)
    points, means = alt.Chart(inline_data([])), alt.Chart(inline_data([]))
    return finish(
        alt.layer(
            points.mark_circle(color=DOT, opacity=0.6).encode(x=x, y=y, size=size),
            means.mark_line(color=UP, strokeWidth=1.5, opacity=0.7).encode(x=x, y=y),
            means.mark_rule(color=UP, strokeWidth=2.5).encode(x=x, y=alt.Y("low:Q", title=None), y2="high:Q"),
            means.mark_point(color=INK, fill=UP, filled=True, size=60, opacity=1).encode(x=x, y=y),
        ).properties(width=150, height=130)
    )


def quoted(text: str) -> str:
    """A user's text as a string literal of Vega's expression language: every character but plain ones is escaped."""
    return "'" + "".join(c if c.isalnum() and c.isascii() else f"\\u{u:04x}" for c in text for u in _utf16(c)) + "'"


def _utf16(character: str) -> list[int]:
    data = character.encode("utf-16-be")
    return [int.from_bytes(data[i : i + 2], "big") for i in range(0, len(data), 2)]
