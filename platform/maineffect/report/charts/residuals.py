"""Residuals against fitted values, one dot per run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from maineffect.analyse.record.result import AnalysisResult
from maineffect.report.charts.drawing import finish, inline_data
from maineffect.report.charts.theme import MUTED, UP

__all__ = ["ResidualsRecord", "residuals_record", "residuals_spec"]

MOST_DOTS = 2400
"""Over all panels; of one panel at most an eighth."""


@dataclass(frozen=True)
class ResidualsRecord:
    """Points (fitted, residual) of one response, and the run that lies farthest off."""

    response: str
    points: tuple[tuple[float, float], ...]
    worst: str
    largest: float


def residuals_record(result: AnalysisResult, response: str) -> ResidualsRecord | None:
    """Collect the residuals; None when there are none or all vanish."""
    rows = result.responses[response].residuals
    if not rows or all(row["residual"] == 0 for row in rows):
        return None
    worst = max(rows, key=lambda row: abs(row["residual"]))
    shown = sorted(rows, key=lambda row: -abs(row["residual"]))[: MOST_DOTS // max(8, len(result.responses))]
    points = tuple((row["fitted"], row["residual"]) for row in shown)
    return ResidualsRecord(response, points, str(worst["run_id"]), worst["residual"])


def residuals_spec(record: ResidualsRecord) -> dict[str, Any]:
    """Vega-Lite specification of one panel, about 200 px wide."""
    import altair as alt

    values = [{"fitted": x, "residual": y} for x, y in record.points]
    x: Any = alt.X("fitted:Q", scale=alt.Scale(zero=False), axis=alt.Axis(title="fitted", tickCount=4, grid=False))
    y: Any = alt.Y("residual:Q", axis=alt.Axis(title=None, tickCount=4))
    zero = alt.Chart(inline_data([{"zero": 0}])).mark_rule(color=MUTED).encode(y=alt.Y("zero:Q", title=None))
    dots = alt.Chart(inline_data(values)).mark_circle(color=UP, size=28, opacity=0.7).encode(x=x, y=y)
    return finish(alt.layer(zero, dots).properties(width=150, height=110, title=record.response))
