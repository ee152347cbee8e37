"""Forest plot: every effect of one response with its interval, its simultaneous interval and the margin band."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from maineffect.analyse.record.result import AnalysisResult
from maineffect.report.charts.drawing import finish, inline_data
from maineffect.report.charts.theme import BAND, DOWN, INK, LABEL_PADDING, MUTED, PAPER, UP
from maineffect.report.content.lookup import active, by_strength, registered_terms
from maineffect.report.content.wording import axis_title, term

__all__ = ["ForestRecord", "ForestRow", "effect_label", "forest_record", "forest_spec"]

MOST_ROWS = 24
_ROW = 26
_PLAIN_CONTRASTS = ("high \u2212 low", "high - low", "")


@dataclass(frozen=True)
class ForestRow:
    """One effect as drawn, in the response's units."""

    label: str
    term: str
    estimate: float
    low: float | None
    high: float | None
    simultaneous_low: float | None
    simultaneous_high: float | None
    registered: bool
    finding: str


@dataclass(frozen=True)
class ForestRecord:
    """The forest plot of one response: main effects first, then interactions, each by strength."""

    response: str
    unit: str
    margin: float | None
    rows: tuple[ForestRow, ...]
    left_out: int


def effect_label(term_text: str, contrast: str, *, lines: bool = False) -> str:
    """How an effect is named on an axis; an interaction takes a line per factor."""
    label = term(term_text)
    if contrast not in _PLAIN_CONTRASTS:
        label = f"{label} [{contrast}]"
    return label.replace(" \u00d7 ", " \u00d7\n") if lines else label


def forest_record(result: AnalysisResult, response: str) -> ForestRecord:
    """Collect what the forest plot draws; nothing is computed again."""
    analysed = result.responses[response]
    claimed = registered_terms(result, response)
    strongest = by_strength(analysed.effects)
    kept = [e for e in strongest if e.registered or e.term in claimed]
    kept += [e for e in strongest if e not in kept][: max(0, MOST_ROWS - len(kept))]
    ordered = sorted(kept, key=lambda e: (e.kind != "main", strongest.index(e)))
    rows = tuple(
        ForestRow(
            label=effect_label(e.term, e.contrast, lines=True),
            term=e.term,
            estimate=e.estimate,
            low=e.ci_low,
            high=e.ci_high,
            simultaneous_low=e.simultaneous_low,
            simultaneous_high=e.simultaneous_high,
            registered=e.registered or e.term in claimed,
            finding=active(e, analysed.smallest_effect),
        )
        for e in ordered
    )
    return ForestRecord(response, analysed.unit_of_effects, analysed.smallest_effect, rows, len(strongest) - len(kept))


def forest_spec(record: ForestRecord) -> dict[str, Any]:
    """Vega-Lite specification of a forest plot, about 350 px wide."""
    import altair as alt

    values = [asdict(row) | {"row": i, "colour": _colour(row)} for i, row in enumerate(record.rows)]
    chart = alt.Chart(inline_data(values))
    two_lines = any("\n" in row.label for row in record.rows)
    height = (_ROW + 8 * two_lines) * len(values)
    y: Any = alt.Y("row:O", axis=None, scale=alt.Scale(paddingInner=0.1, paddingOuter=0.3))
    x_axis = alt.Axis(title=axis_title("effect", record.unit), tickCount=4, format="~g")
    colour = alt.Color("colour:N", scale=None)
    layers: list[Any] = []
    if record.margin is not None:
        band = inline_data([{"a": -record.margin, "b": record.margin}])
        layers.append(
            alt.Chart(band)
            .mark_rect(color=BAND)
            .encode(x=alt.X("a:Q", title=None), x2="b:Q", y=alt.value(0), y2=alt.value(height))
        )
    zero = alt.Chart(inline_data([{"zero": 0}]))
    layers += [
        zero.mark_rule(color=MUTED).encode(x=alt.X("zero:Q", title=None)),
        chart.mark_rule(strokeWidth=1.2).encode(
            x=alt.X("simultaneous_low:Q", axis=x_axis), x2="simultaneous_high:Q", y=y, color=colour
        ),
        chart.mark_rule(strokeWidth=4, strokeCap="round").encode(x="low:Q", x2="high:Q", y=y, color=colour),
        chart.mark_point(filled=True, size=80, opacity=1, stroke=PAPER, strokeWidth=1).encode(
            x=alt.X("estimate:Q", axis=x_axis),
            y=y,
            color=colour,
            shape=alt.Shape(
                "registered:N", scale=alt.Scale(domain=[True, False], range=["diamond", "circle"]), legend=None
            ),
        ),
        chart.mark_text(align="right", baseline="middle", limit=150, lineBreak="\n", fontSize=11, color=INK).encode(
            x=alt.value(-8), y=y, text="label:N"
        ),
    ]
    return finish(alt.layer(*layers).properties(width=215, height=height, padding=LABEL_PADDING))


def _colour(row: ForestRow) -> str:
    if row.finding != "active":
        return MUTED
    return UP if row.estimate > 0 else DOWN
