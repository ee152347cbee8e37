"""Heat map: every factor's effect on every capability, its colour in standard deviations between runs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from maineffect.analyse.record.result import AnalysisResult, Effect
from maineffect.report.charts.drawing import finish, inline_data
from maineffect.report.charts.theme import HEAT, HEAT_INK, INK, LABEL_PADDING
from maineffect.report.content.lookup import active, factor_levels, ordered_responses
from maineffect.report.content.wording import decimals, safe, signed

__all__ = ["HeatCell", "HeatRecord", "heat_record", "heat_spec", "heat_width"]

_WIDE, _HIGH, _LABEL = 84, 26, 150
_HEAD, _LINE = 13, 13
"""Characters of a line above a column, and its height."""
_STEPS = (0.5, 1.0, 2.0)
"""Limits between the colours, in standard deviations between runs."""


@dataclass(frozen=True)
class HeatCell:
    """One factor's strongest contrast on one response; ``in_sd`` is None where runs have no spread to compare with."""

    response: str
    factor: str
    contrast: str
    estimate: float
    in_sd: float | None
    text: str
    finding: str


@dataclass(frozen=True)
class HeatRecord:
    """Cells, and the order of rows and columns."""

    responses: tuple[str, ...]
    factors: tuple[str, ...]
    cells: tuple[HeatCell, ...]


def heat_record(result: AnalysisResult) -> HeatRecord:
    """Collect the main effects. With several contrasts the one with the strongest evidence stands for its factor."""
    factors = tuple(factor_levels(result))
    responses = tuple(ordered_responses(result))
    cells = []
    for response in responses:
        analysed = result.responses[response]
        for factor in factors:
            factor_effects = [e for e in analysed.effects if e.term == factor]
            if factor_effects:
                effect = max(factor_effects, key=_strength)
                spread = analysed.model.sigma
                cells.append(
                    HeatCell(
                        response=response,
                        factor=factor,
                        contrast=effect.contrast,
                        estimate=effect.estimate,
                        in_sd=effect.estimate / spread if spread else None,
                        text=signed(effect.estimate, min(3, decimals(effect.std_error, effect.estimate))),
                        finding=active(effect, analysed.smallest_effect),
                    )
                )
    return HeatRecord(responses, factors, tuple(cells))


def _strength(effect: Effect) -> float:
    return abs(effect.t if effect.t is not None else effect.estimate)


def heat_width(record: HeatRecord) -> int:
    """Width of the picture in pixels."""
    return _WIDE * len(record.factors) + _LABEL + 10


def heat_spec(record: HeatRecord) -> dict[str, Any]:
    """Vega-Lite specification: a row per response, a column per factor; active effects are boxed and bold."""
    import altair as alt

    row = {name: i for i, name in enumerate(record.responses)}
    column = {name: i for i, name in enumerate(record.factors)}
    values = [
        asdict(cell)
        | {
            "x": column[cell.factor],
            "y": row[cell.response],
            "fill": _colour(cell.in_sd),
            "border": INK if cell.finding == "active" else _colour(cell.in_sd),
        }
        for cell in record.cells
    ]
    names = [_stacked(name) for name in column]
    lines = 2 if any("\n" in name for name in names) else 1
    # A name of one line stands on the second, next to its column.
    heads = [{"x": i, "label": name if "\n" in name or lines == 1 else f"\n{name}"} for i, name in enumerate(names)]
    sides = [{"y": i, "label": _short(name, 26)} for name, i in row.items()]
    x: Any = alt.X("x:O", axis=None, scale=alt.Scale(padding=0.04))
    y: Any = alt.Y("y:O", axis=None, scale=alt.Scale(padding=0.08))
    cells = alt.Chart(inline_data(values))
    text = cells.mark_text(baseline="middle", fontSize=11, color=HEAT_INK)
    return finish(
        alt.layer(
            cells.mark_rect(strokeWidth=1.6).encode(
                x=x, y=y, color=alt.Color("fill:N", scale=None), stroke=alt.Stroke("border:N", scale=None)
            ),
            text.transform_filter("datum.finding != 'active'").encode(x=x, y=y, text="text:N"),
            text.transform_filter("datum.finding == 'active'")
            .mark_text(baseline="middle", fontSize=11, fontWeight=700, color=HEAT_INK)
            .encode(x=x, y=y, text="text:N"),
            alt.Chart(inline_data(heads))
            .mark_text(baseline="bottom", lineBreak="\n", lineHeight=_LINE, fontSize=11, color=INK)
            .encode(x=x, y=alt.value(-4 - _LINE * (lines - 1)), text="label:N"),
            alt.Chart(inline_data(sides))
            .mark_text(align="right", baseline="middle", fontSize=11, color=INK)
            .encode(x=alt.value(-8), y=y, text="label:N"),
        ).properties(width=_WIDE * len(heads), height=_HIGH * len(sides), padding=LABEL_PADDING)
    )


def _colour(in_sd: float | None) -> str:
    middle = len(HEAT) // 2
    if in_sd is None:
        return HEAT[middle]
    step = sum(abs(in_sd) >= limit for limit in _STEPS)
    return HEAT[middle + step] if in_sd > 0 else HEAT[middle - step]


def _stacked(name: str) -> str:
    """A factor's name in two lines at most, broken at an underscore where there is one."""
    text = safe(name)
    if len(text) <= _HEAD:
        return text
    breaks = [i + 1 for i, c in enumerate(text) if c in "_- " and i < _HEAD]
    at = max(breaks, default=_HEAD)
    rest = text[at:]
    return f"{text[:at]}\n{rest if len(rest) <= _HEAD else rest[: _HEAD - 1] + '…'}"


def _short(name: str, most: int) -> str:
    text = safe(name)
    return text if len(text) <= most else f"{text[: most - 1]}…"
