"""Pareto chart: effects by strength of evidence, with the lines they must pass. Sign by colour and by symbol."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from maineffect.analyse.record.result import AnalysisResult, Effect, ResponseResult
from maineffect.report.charts.drawing import finish, inline_data
from maineffect.report.charts.forest import effect_label
from maineffect.report.charts.theme import DOWN, INK, LABEL_PADDING, MUTED, UP
from maineffect.report.content.lookup import by_strength
from maineffect.report.content.wording import axis_title

__all__ = ["ParetoBar", "ParetoRecord", "pareto_record", "pareto_spec"]

MOST_BARS = 15
_BAR = 22


@dataclass(frozen=True)
class ParetoBar:
    """One effect: its |t|, or |estimate| where there is no error estimate."""

    label: str
    size: float
    sign: int


@dataclass(frozen=True)
class ParetoRecord:
    """Bars, strongest first, and the reference lines in the same scale (``None``: not available).

    ``each`` is the limit for one effect looked at alone, ``all_`` the one that holds for all effects at once.
    """

    response: str
    scale: str
    bars: tuple[ParetoBar, ...]
    each: float | None
    all_: float | None
    left_out: int


def pareto_record(result: AnalysisResult, response: str) -> ParetoRecord:
    """Collect the bars; the limits are read off the intervals that the analysis gave."""
    analysed = result.responses[response]
    ordered = by_strength(analysed.effects)
    with_t = bool(ordered) and all(e.t is not None for e in ordered)
    bars = tuple(
        ParetoBar(
            effect_label(e.term, e.contrast, lines=True),
            abs(e.t) if with_t and e.t is not None else abs(e.estimate),
            1 if e.estimate > 0 else -1,
        )
        for e in ordered[:MOST_BARS]
    )
    each, all_ = _limits_of_t(ordered) if with_t else _lenth_limits(analysed)
    scale = "|t|" if with_t else axis_title("|effect|", analysed.unit_of_effects)
    return ParetoRecord(
        response=response, scale=scale, bars=bars, each=each, all_=all_, left_out=max(0, len(ordered) - MOST_BARS)
    )


def _limits_of_t(effects: list[Effect]) -> tuple[float | None, float | None]:
    """Half widths of the intervals in standard errors; the widest, when they differ."""
    with_error = [e for e in effects if e.std_error]
    each = [(e.ci_high - e.estimate) / e.std_error for e in with_error if e.ci_high is not None and e.std_error]
    every = [
        (e.simultaneous_high - e.estimate) / e.std_error
        for e in with_error
        if e.simultaneous_high is not None and e.std_error
    ]
    return max(each, default=None), max(every, default=None)


def _lenth_limits(analysed: ResponseResult) -> tuple[float | None, float | None]:
    if analysed.lenth is None:
        return None, None
    return analysed.lenth.margin_of_error, analysed.lenth.simultaneous_margin


def pareto_spec(record: ParetoRecord) -> dict[str, Any]:
    """Vega-Lite specification, about 350 px wide."""
    import altair as alt

    values = [
        asdict(bar) | {"row": i, "colour": UP if bar.sign > 0 else DOWN, "shape": "up" if bar.sign > 0 else "down"}
        for i, bar in enumerate(record.bars)
    ]
    two_lines = any("\n" in bar.label for bar in record.bars)
    height = (_BAR + 10 * two_lines) * len(values)
    chart = alt.Chart(inline_data(values))
    y: Any = alt.Y("row:O", axis=None, scale=alt.Scale(paddingInner=0.35, paddingOuter=0.2))
    x: Any = alt.X("size:Q", axis=alt.Axis(title=record.scale, tickCount=5))
    colour = alt.Color("colour:N", scale=None)
    shape = alt.Shape(
        "shape:N", scale=alt.Scale(domain=["up", "down"], range=["triangle-up", "triangle-down"]), legend=None
    )
    layers: list[Any] = [
        chart.mark_bar(opacity=0.85).encode(x=x, y=y, color=colour),
        chart.mark_point(filled=True, size=55, opacity=1, xOffset=9).encode(x=x, y=y, color=colour, shape=shape),
        chart.mark_text(align="right", baseline="middle", limit=150, lineBreak="\n", fontSize=11, color=INK).encode(
            x=alt.value(-6), y=y, text="label:N"
        ),
    ]
    for limit, dash in ((record.each, [3, 3]), (record.all_, [1, 0])):
        if limit is not None:
            line = alt.Chart(inline_data([{"limit": limit}]))
            layers.append(
                line.mark_rule(color=MUTED if dash[1] else INK, strokeDash=dash).encode(x=alt.X("limit:Q", title=None))
            )
    return finish(alt.layer(*layers).properties(width=215, height=height, padding=LABEL_PADDING))
