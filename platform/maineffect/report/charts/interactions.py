"""Interaction plots: means of one factor's levels, a line for each level of another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from maineffect.analyse.record.result import AnalysisResult
from maineffect.report.charts.drawing import finish, inline_data
from maineffect.report.charts.theme import DASHES, SERIES, SHAPES
from maineffect.report.content.lookup import factor_levels, level_key, means_of
from maineffect.report.content.wording import axis_title, level

__all__ = ["InteractionPoint", "InteractionRecord", "interaction_record", "interaction_spec"]


@dataclass(frozen=True)
class InteractionPoint:
    """A cell mean with its interval; ``x`` and ``series`` are labels of levels."""

    x: str
    series: str
    estimate: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class InteractionRecord:
    """One panel: the first factor along x, the second as lines."""

    response: str
    term: str
    x_factor: str
    series_factor: str
    x_labels: tuple[str, ...]
    series_labels: tuple[str, ...]
    points: tuple[InteractionPoint, ...]


def interaction_record(result: AnalysisResult, response: str, term: str) -> InteractionRecord:
    """Collect the cell means of a two-factor interaction."""
    first, second = term.split(":")
    levels = factor_levels(result)
    order = {name: {level_key(v): i for i, v in enumerate(levels.get(name, []))} for name in (first, second)}
    means = [mean for mean in means_of(result.responses[response], term) if mean.estimate is not None]
    means.sort(
        key=lambda m: (
            order[second].get(level_key(m.levels[second]), 0),
            order[first].get(level_key(m.levels[first]), 0),
        )
    )
    points = tuple(
        InteractionPoint(level(m.levels[first]), level(m.levels[second]), m.estimate, m.ci_low, m.ci_high)
        for m in means
        if m.estimate is not None
    )
    return InteractionRecord(
        response=response,
        term=term,
        x_factor=first,
        series_factor=second,
        x_labels=tuple(level(v) for v in levels.get(first, [])),
        series_labels=tuple(level(v) for v in levels.get(second, [])),
        points=points,
    )


def interaction_spec(record: InteractionRecord, domain: tuple[float, float]) -> dict[str, Any]:
    """Vega-Lite specification of one panel, about 200 px wide."""
    import altair as alt

    place = {label: i for i, label in enumerate(record.x_labels)}
    count = max(1, len(record.series_labels))
    nudge = {label: 0.05 * (i - (count - 1) / 2) for i, label in enumerate(record.series_labels)}
    values = [
        {
            "x": point.x,
            "position": place[point.x] + nudge[point.series],
            "series": point.series,
            "estimate": point.estimate,
            "low": point.low,
            "high": point.high,
        }
        for point in record.points
    ]
    labels = list(record.x_labels)
    expression = " : ".join(f"datum.value == {i} ? {_text(label)}" for i, label in enumerate(labels)) + " : ''"
    axis = alt.Axis(
        title=axis_title(record.x_factor), values=list(range(len(labels))), labelExpr=expression, grid=False
    )
    x: Any = alt.X("position:Q", axis=axis, scale=alt.Scale(domain=[-0.35, len(labels) - 0.65], nice=False))
    y: Any = alt.Y(
        "estimate:Q",
        scale=alt.Scale(domain=list(domain), nice=False, zero=False),
        axis=alt.Axis(title=None, tickCount=4),
    )
    domain_series = list(record.series_labels)
    legend = alt.Legend(
        title=axis_title(record.series_factor), orient="bottom", columns=3, symbolOpacity=1, symbolStrokeWidth=0
    )
    colour: Any = alt.Color(
        "series:N", scale=alt.Scale(domain=domain_series, range=list(SERIES[:count])), legend=legend
    )
    dash: Any = alt.StrokeDash(
        "series:N", scale=alt.Scale(domain=domain_series, range=[list(d) for d in DASHES[:count]]), legend=None
    )
    shape: Any = alt.Shape("series:N", scale=alt.Scale(domain=domain_series, range=list(SHAPES[:count])), legend=legend)
    chart = alt.Chart(inline_data(values))
    return finish(
        alt.layer(
            chart.mark_rule(strokeWidth=1.5, opacity=0.6).encode(
                x=x, y=alt.Y("low:Q", title=None), y2="high:Q", color=colour
            ),
            chart.mark_line(strokeWidth=2).encode(x=x, y=y, color=colour, strokeDash=dash),
            chart.mark_point(filled=True, size=55, opacity=1).encode(x=x, y=y, color=colour, shape=shape),
        ).properties(width=150, height=130)
    )


def _text(label: str) -> str:
    """A label as a string literal of Vega's expression language."""
    from maineffect.report.charts.main_effects import quoted

    return quoted(label)
