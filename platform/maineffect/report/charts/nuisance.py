"""The response over a tuned setting, one curve for each level of a factor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from maineffect.analyse.record.tuning import NuisanceCurve
from maineffect.report.charts.drawing import finish, inline_data
from maineffect.report.charts.theme import DASHES, SERIES
from maineffect.report.content.wording import axis_title, level

__all__ = ["nuisance_rows", "nuisance_spec"]


def nuisance_rows(curves: Sequence[NuisanceCurve]) -> list[dict[str, object]]:
    """The numbers behind one panel: means over the trials at each value."""
    return [
        {curve.factor: curve.level, curve.nuisance: x, "mean score": score}
        for curve in curves
        for x, score in curve.points
    ]


def nuisance_spec(curves: Sequence[NuisanceCurve], response: str, *, log: bool) -> dict[str, Any]:
    """Vega-Lite specification of one panel, about 300 px wide.

    Args:
        curves: Of one factor and one nuisance, a level each.
        response: What was tuned for.
        log: Whether the nuisance lies on a logarithmic axis.
    """
    import altair as alt

    names = [level(curve.level) for curve in curves]
    dots = [
        {"line": label, "at": x, "value": score}
        for label, curve in zip(names, curves, strict=True)
        for x, score in curve.points
    ]
    lines = [
        {"line": label, "at": x, "value": value}
        for label, curve in zip(names, curves, strict=True)
        for x, value in zip(curve.x, curve.fitted, strict=True)
    ]
    scale = alt.Scale(type="log" if log else "linear", zero=False, nice=False)
    x: Any = alt.X("at:Q", scale=scale, axis=alt.Axis(title=axis_title(curves[0].nuisance), tickCount=4, grid=False))
    y: Any = alt.Y("value:Q", scale=alt.Scale(zero=False), axis=alt.Axis(title=None, tickCount=4))
    legend = alt.Legend(title=axis_title(curves[0].factor), orient="bottom", columns=3, symbolType="stroke")
    colour: Any = alt.Color("line:N", scale=alt.Scale(domain=names, range=list(SERIES[: len(names)])), legend=legend)
    dash: Any = alt.StrokeDash(
        "line:N", scale=alt.Scale(domain=names, range=[list(d) for d in DASHES[: len(names)]]), legend=legend
    )
    return finish(
        alt.layer(
            alt.Chart(inline_data(lines)).mark_line(strokeWidth=2).encode(x=x, y=y, color=colour, strokeDash=dash),
            alt.Chart(inline_data(dots)).mark_circle(size=28, opacity=0.8).encode(x=x, y=y, color=colour),
        ).properties(width=230, height=140, title=response)
    )
