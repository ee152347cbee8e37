"""Shortcut baselines against the trained policies: one row of dots for the runs, one diamond per shortcut."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from maineffect.analyse.record.result import AnalysisResult
from maineffect.report.charts.drawing import finish, inline_data
from maineffect.report.charts.theme import DOT, DOWN, INK, LABEL_PADDING
from maineffect.report.content.lookup import dots
from maineffect.report.content.wording import axis_title, safe

__all__ = ["BaselineRecord", "Shortcut", "baseline_record", "baseline_spec"]

_ROW = 28
_MOST_DOTS = 200


@dataclass(frozen=True)
class Shortcut:
    """What a policy without the capability reaches."""

    name: str
    value: float
    low: float | None
    high: float | None
    description: str


@dataclass(frozen=True)
class BaselineRecord:
    """Shortcuts of one response and the runs' own values; ``beaten_by`` counts runs that do better, per shortcut."""

    response: str
    unit: str
    shortcuts: tuple[Shortcut, ...]
    runs: tuple[float, ...]
    beaten_by: tuple[int, ...]


def baseline_record(result: AnalysisResult, response: str) -> BaselineRecord | None:
    """Collect the baselines of a response; None when it has none.

    An entry of ``facts.baselines`` says ``name``, ``response`` and ``value``, and may say ``ci_low``, ``ci_high`` and
    ``description``.
    """
    shortcuts = tuple(
        Shortcut(str(b["name"]), float(b["value"]), b.get("ci_low"), b.get("ci_high"), str(b.get("description") or ""))
        for b in result.facts.baselines
        if b.get("response") == response and b.get("value") is not None
    )
    if not shortcuts:
        return None
    values = tuple(value for _, value in dots(result, response))
    sign = -1.0 if result.responses[response].goal == "minimize" else 1.0
    beaten = tuple(sum(sign * value > sign * s.value for value in values) for s in shortcuts)
    return BaselineRecord(response, result.responses[response].unit, shortcuts, values, beaten)


def baseline_spec(record: BaselineRecord) -> dict[str, Any]:
    """Vega-Lite specification of one panel, about 350 px wide."""
    import altair as alt

    names = ["trained runs", *(safe(s.name) for s in record.shortcuts)]
    runs = [{"row": 0, "value": value} for value in record.runs[:: max(1, len(record.runs) // _MOST_DOTS)]]
    marks = [
        {"row": i + 1, "value": s.value, "low": s.value if s.low is None else s.low, "high": s.high or s.value}
        for i, s in enumerate(record.shortcuts)
    ]
    labels = [{"row": i, "label": name} for i, name in enumerate(names)]
    x: Any = alt.X(
        "value:Q",
        scale=alt.Scale(zero=False),
        axis=alt.Axis(title=axis_title(record.response, record.unit), tickCount=5),
    )
    y: Any = alt.Y("row:O", axis=None)
    shortcut = alt.Chart(inline_data(marks))
    return finish(
        alt.layer(
            alt.Chart(inline_data(runs)).mark_circle(color=DOT, size=28, opacity=0.6).encode(x=x, y=y),
            shortcut.mark_rule(color=DOWN, strokeWidth=2).encode(x=alt.X("low:Q", title=None), x2="high:Q", y=y),
            shortcut.mark_point(color=DOWN, filled=True, shape="diamond", size=80, opacity=1).encode(x=x, y=y),
            alt.Chart(inline_data(labels))
            .mark_text(align="right", baseline="middle", limit=150, fontSize=11, color=INK)
            .encode(x=alt.value(-8), y=y, text="label:N"),
        ).properties(width=215, height=_ROW * len(names), padding=LABEL_PADDING)
    )
