"""What noise looks like: residuals against fitted values, and effects along a half-normal line."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any

from maineffect.analyse.record.result import AnalysisResult
from maineffect.report.charts.drawing import finish, inline_data
from maineffect.report.charts.forest import effect_label
from maineffect.report.charts.theme import INK, MUTED, UP
from maineffect.report.content.wording import axis_title

__all__ = [
    "HalfNormalPoint",
    "HalfNormalRecord",
    "ResidualsRecord",
    "half_normal_record",
    "half_normal_spec",
    "residuals_record",
    "residuals_spec",
]

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


@dataclass(frozen=True)
class HalfNormalPoint:
    """One effect: its size and the half-normal quantile of its rank."""

    label: str
    size: float
    quantile: float
    beyond: bool


@dataclass(frozen=True)
class HalfNormalRecord:
    """Points, smallest first; ``slope`` is Lenth's pseudo standard error: the line that noise would follow."""

    response: str
    unit: str
    slope: float
    points: tuple[HalfNormalPoint, ...]


def half_normal_record(result: AnalysisResult, response: str) -> HalfNormalRecord | None:
    """Rank the effects; None where the analysis has an error estimate of its own.

    The i-th smallest of m sizes is set against Φ⁻¹(½ + (i − ½)/(2m)) (Daniel 1959, Technometrics 1:311).
    """
    analysed = result.responses[response]
    if analysed.lenth is None:
        return None
    ordered = sorted(analysed.effects, key=lambda e: abs(e.estimate))
    m = len(ordered)
    points = tuple(
        HalfNormalPoint(
            effect_label(e.term, e.contrast),
            abs(e.estimate),
            NormalDist().inv_cdf(0.5 + (i + 0.5) / (2 * m)),
            e.ci_low is not None and e.ci_high is not None and (e.ci_low > 0 or e.ci_high < 0),
        )
        for i, e in enumerate(ordered)
    )
    return HalfNormalRecord(response, analysed.unit_of_effects, analysed.lenth.pse, points)


def half_normal_spec(record: HalfNormalRecord) -> dict[str, Any]:
    """Vega-Lite specification of one panel, about 330 px wide."""
    import altair as alt

    values = [asdict(point) for point in record.points]
    top = max((point.quantile for point in record.points), default=1.0)
    line = [{"quantile": 0.0, "size": 0.0}, {"quantile": top, "size": record.slope * top}]
    x: Any = alt.X("quantile:Q", axis=alt.Axis(title="half-normal quantile", tickCount=5, grid=False))
    y: Any = alt.Y("size:Q", axis=alt.Axis(title=axis_title("|effect|", record.unit), tickCount=5))
    points = alt.Chart(inline_data(values))
    named = points.transform_filter("datum.beyond")
    return finish(
        alt.layer(
            alt.Chart(inline_data(line)).mark_line(color=MUTED, strokeDash=[4, 3]).encode(x=x, y=y),
            points.transform_filter("!datum.beyond").mark_point(filled=True, size=40, color=MUTED).encode(x=x, y=y),
            named.mark_point(filled=True, shape="diamond", size=80, color=UP).encode(x=x, y=y),
            named.mark_text(align="right", dx=-8, fontSize=11, limit=170, color=INK).encode(x=x, y=y, text="label:N"),
        ).properties(width=260, height=200)
    )
