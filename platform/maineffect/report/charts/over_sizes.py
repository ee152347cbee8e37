"""An effect against size: dots with intervals, the fitted line with its band, and the part that nobody has run."""

from __future__ import annotations

from typing import Any

from maineffect.analyse.record.scaling import EffectOverSizes
from maineffect.report.charts.drawing import finish, inline_data
from maineffect.report.charts.theme import BAND, DOWN, INK, MUTED, UP
from maineffect.report.content.wording import axis_title

__all__ = ["over_sizes_rows", "over_sizes_spec"]


def over_sizes_rows(effect: EffectOverSizes) -> list[dict[str, object]]:
    """The numbers behind one panel: effects at sizes, then the line."""
    kinds = {"at": "run", "beyond": "extrapolated", "line": "line"}
    return [
        {
            "factor": effect.factor,
            "contrast": effect.contrast,
            effect.covariate: point.size,
            "kind": kind,
            "extrapolated": point.extrapolated,
            "effect": point.estimate,
            "low": point.ci_low,
            "high": point.ci_high,
        }
        for part, kind in kinds.items()
        for point in getattr(effect, part)
    ]


def over_sizes_spec(effect: EffectOverSizes, unit: str, smallest_effect: float | None = None) -> dict[str, Any]:
    """Vega-Lite specification of one panel, about 330 px wide.

    Args:
        effect: With a slope.
        unit: Of the effect.
        smallest_effect: Dashed lines at plus and minus this.
    """
    import altair as alt

    line = [_row(point.size, point.estimate, point.ci_low, point.ci_high) for point in effect.line]
    dots = [_row(point.size, point.estimate, point.ci_low, point.ci_high) for point in effect.at]
    beyond = [_row(point.size, point.estimate, point.ci_low, point.ci_high) for point in effect.beyond]
    sizes = [point.size for point in (*effect.at, *effect.beyond)]
    scale = alt.Scale(type="linear" if effect.scale == "linear" else "log", nice=False, zero=False)
    axis = alt.Axis(title=axis_title(effect.covariate, effect.unit), values=sizes, format="~s", grid=False)
    x: Any = alt.X("size:Q", scale=scale, axis=axis)
    y: Any = alt.Y("effect:Q", scale=alt.Scale(zero=False), axis=alt.Axis(title=None, tickCount=5))
    rules = [0.0, *((-smallest_effect, smallest_effect) if smallest_effect else ())]
    zero = [{"at": at, "of": "zero" if at == 0 else "margin"} for at in rules]
    layers = []
    if shade := _shaded(effect):
        layers.append(
            alt.Chart(inline_data(shade))
            .mark_rect(color=BAND, opacity=0.9)
            .encode(x=alt.X("from:Q", scale=scale), x2="to:Q")
        )
    layers += [
        alt.Chart(inline_data([row for row in zero if row["of"] == of]))
        .mark_rule(color=MUTED, strokeDash=dash)
        .encode(y=alt.Y("at:Q", title=None))
        for of, dash in (("zero", [1, 0]), ("margin", [3, 3]))
        if any(row["of"] == of for row in zero)
    ]
    inside = [row for row, point in zip(line, effect.line, strict=True) if not point.extrapolated]
    outside = [part for part in _outside(effect, line) if len(part) > 1]
    band = [row for row in line if row["low"] is not None]
    layers += [
        alt.Chart(inline_data(band))
        .mark_area(color=UP, opacity=0.16)
        .encode(x=x, y=alt.Y("low:Q", title=None), y2="high:Q"),
        alt.Chart(inline_data(inside)).mark_line(color=UP, strokeWidth=2.2).encode(x=x, y=y),
        *(
            alt.Chart(inline_data(part)).mark_line(color=DOWN, strokeWidth=2, strokeDash=[5, 3]).encode(x=x, y=y)
            for part in outside
        ),
    ]
    for rows, shape, colour in ((dots, "circle", INK), (beyond, "diamond", DOWN)):
        if rows:
            chart = alt.Chart(inline_data(rows))
            layers += [
                chart.mark_rule(color=colour, strokeWidth=1.6).encode(x=x, y=alt.Y("low:Q", title=None), y2="high:Q"),
                chart.mark_point(filled=True, shape=shape, size=60, opacity=1, color=colour).encode(x=x, y=y),
            ]
    title = axis_title(f"{effect.factor}: {effect.contrast}", unit)
    return finish(alt.layer(*layers).properties(width=260, height=170, title=title))


def _row(size: float, effect: float, low: float | None, high: float | None) -> dict[str, float | None]:
    return {"size": size, "effect": effect, "low": low, "high": high}


def _shaded(effect: EffectOverSizes) -> list[dict[str, float]]:
    """Spans of size in which nothing was run."""
    first, last = effect.at[0].size, effect.at[-1].size
    asked = [point.size for point in effect.beyond]
    spans = [(min(asked, default=first), first), (last, max(asked, default=last))]
    return [{"from": low, "to": high} for low, high in spans if low < high]


def _outside(effect: EffectOverSizes, line: list[dict[str, float | None]]) -> list[list[dict[str, float | None]]]:
    """The line below and above the sizes that were run, each beginning where they end."""
    first, last = effect.at[0].size, effect.at[-1].size
    sizes = [point.size for point in effect.line]
    below = [row for row, size in zip(line, sizes, strict=True) if size <= first]
    above = [row for row, size in zip(line, sizes, strict=True) if size >= last]
    return [below, above]
