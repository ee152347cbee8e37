"""Learning curves: every run as a thin line, the mean over runs at each level of one factor as a thick one."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from maineffect.analyse.record.result import AnalysisResult
from maineffect.report.charts.drawing import finish, inline_data
from maineffect.report.charts.theme import DASHES, DOT, SERIES
from maineffect.report.content.lookup import factor_levels
from maineffect.report.content.wording import axis_title, level

__all__ = ["CurveLine", "CurvesRecord", "curves_record", "curves_spec"]

MOST_THIN_LINES = 40
_MOST_POINTS = 60


@dataclass(frozen=True)
class CurveLine:
    """One line: a run's, or the mean over the runs at a level with the band that holds the middle 80 % of them."""

    name: str
    steps: tuple[int, ...]
    values: tuple[float, ...]
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()


@dataclass(frozen=True)
class CurvesRecord:
    """One metric over training steps, split by the levels of one factor."""

    metric: str
    factor: str
    means: tuple[CurveLine, ...]
    runs: tuple[CurveLine, ...]


def curves_record(result: AnalysisResult, metric: str, factor: str) -> CurvesRecord:
    """Collect a metric's curves. Means are plain averages of what was logged, over runs that reached the step."""
    level_of = {run.run_id: level(run.levels[factor]) for run in result.runs if factor in run.levels}
    curves = [curve for curve in result.curves if curve.metric == metric and curve.run_id in level_of]
    runs, at = [], defaultdict(lambda: defaultdict(list))  # type: ignore[var-annotated]
    for curve in curves:
        pairs = [(s, v) for s, v in zip(curve.steps, curve.values, strict=True) if v is not None]
        stride = max(1, len(pairs) // _MOST_POINTS)
        runs.append(CurveLine(curve.run_id, tuple(s for s, _ in pairs[::stride]), tuple(v for _, v in pairs[::stride])))
        for step, value in pairs:
            at[level_of[curve.run_id]][step].append(value)
    means = []
    for label in [level(v) for v in factor_levels(result).get(factor, [])]:
        steps = sorted(at[label])[:: max(1, len(at[label]) // _MOST_POINTS)]
        values = [sorted(at[label][s]) for s in steps]
        means.append(
            CurveLine(
                label,
                tuple(steps),
                tuple(sum(v) / len(v) for v in values),
                tuple(_quantile(v, 0.1) for v in values),
                tuple(_quantile(v, 0.9) for v in values),
            )
        )
    return CurvesRecord(metric, factor, tuple(line for line in means if line.steps), tuple(runs[:MOST_THIN_LINES]))


def _quantile(ordered: list[float], share: float) -> float:
    """Linear between the ordered values (Hyndman and Fan 1996, Am. Stat. 50:361, type 7)."""
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


def curves_spec(record: CurvesRecord) -> dict[str, Any]:
    """Vega-Lite specification of one panel, about 300 px wide."""
    import altair as alt

    thin = [
        {"line": r.name, "step": s, "value": v} for r in record.runs for s, v in zip(r.steps, r.values, strict=True)
    ]
    thick = [
        {"line": m.name, "step": s, "value": v, "low": low, "high": high}
        for m in record.means
        for s, v, low, high in zip(m.steps, m.values, m.low, m.high, strict=True)
    ]
    names = [mean.name for mean in record.means]
    x: Any = alt.X("step:Q", axis=alt.Axis(title="step", tickCount=5, format="d", grid=False))
    y: Any = alt.Y("value:Q", scale=alt.Scale(zero=False), axis=alt.Axis(title=None, tickCount=4))
    legend = alt.Legend(
        title=axis_title(record.factor),
        orient="bottom",
        columns=3,
        symbolType="stroke",
        symbolOpacity=1,
        symbolStrokeWidth=2.5,
    )
    colour: Any = alt.Color("line:N", scale=alt.Scale(domain=names, range=list(SERIES[: len(names)])), legend=legend)
    dash: Any = alt.StrokeDash(
        "line:N", scale=alt.Scale(domain=names, range=[list(d) for d in DASHES[: len(names)]]), legend=legend
    )
    return finish(
        alt.layer(
            alt.Chart(inline_data(thin))
            .mark_line(color=DOT, strokeWidth=0.7, opacity=0.5)
            .encode(x=x, y=y, detail="line:N"),
            alt.Chart(inline_data(thick))
            .mark_area(opacity=0.16)
            .encode(x=x, y=alt.Y("low:Q", title=None), y2="high:Q", color=colour),
            alt.Chart(inline_data(thick)).mark_line(strokeWidth=2.5).encode(x=x, y=y, color=colour, strokeDash=dash),
        ).properties(width=250, height=140, title=record.metric)
    )
