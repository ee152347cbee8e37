"""Effects of two sweeps against each other: on the diagonal they agree."""

from __future__ import annotations

from typing import Any

from maineffect.analyse.exploratory.comparison import Compared
from maineffect.report.charts.drawing import finish, inline_data
from maineffect.report.charts.forest import effect_label
from maineffect.report.charts.theme import DOWN, GRID, INK, MUTED, UP
from maineffect.report.content.wording import axis_title

__all__ = ["agreement_spec"]

_COLOURS = {"same": UP, "compatible": MUTED, "differ": DOWN, "unknown": MUTED}
_SHAPES = {"same": "diamond", "compatible": "circle", "differ": "cross", "unknown": "circle"}


def agreement_spec(effects: list[Compared], names: tuple[str, str]) -> dict[str, Any]:
    """Vega-Lite specification of one response's panel, about 350 px wide; both axes have the same scale."""
    import altair as alt

    values = [
        {
            "a": e.first,
            "a_low": e.first if e.first_low is None else e.first_low,
            "a_high": e.first if e.first_high is None else e.first_high,
            "b": e.second,
            "b_low": e.second if e.second_low is None else e.second_low,
            "b_high": e.second if e.second_high is None else e.second_high,
            "colour": _COLOURS[e.agreement],
            "agreement": e.agreement,
            "label": effect_label(e.term, e.contrast) if e.agreement in ("same", "differ") else "",
        }
        for e in effects
    ]
    ends = [value[key] for value in values for key in ("a_low", "a_high", "b_low", "b_high")]
    numbers = [float(v) for v in ends if isinstance(v, int | float)]
    low, high = min([0.0, *numbers]), max([0.0, *numbers])
    margin = 0.05 * (high - low) or 0.5
    domain = [low - margin, high + margin]
    scale = alt.Scale(domain=domain, nice=False)
    x_axis = alt.Axis(title=axis_title(f"effect in {names[0]}"), tickCount=5, titleLimit=260)
    y_axis = alt.Axis(title=axis_title(f"effect in {names[1]}"), tickCount=5, titleLimit=240)
    points = alt.Chart(inline_data(values))

    def across(field: str) -> Any:
        return alt.X(f"{field}:Q", scale=scale, axis=x_axis)

    def up(field: str) -> Any:
        return alt.Y(f"{field}:Q", scale=scale, axis=y_axis)

    x, y = across("a"), up("b")
    colour = alt.Color("colour:N", scale=None)
    shape = alt.Shape("agreement:N", scale=alt.Scale(domain=list(_SHAPES), range=list(_SHAPES.values())), legend=None)
    line = alt.Chart(inline_data([{"a": end, "b": end} for end in domain]))
    zero = alt.Chart(inline_data([{"zero": 0}]))
    return finish(
        alt.layer(
            zero.mark_rule(color=GRID).encode(x=across("zero")),
            zero.mark_rule(color=GRID).encode(y=up("zero")),
            line.mark_line(color=MUTED, strokeDash=[4, 3]).encode(x=x, y=y),
            points.mark_rule(opacity=0.6).encode(x=across("a_low"), x2="a_high:Q", y=y, color=colour),
            points.mark_rule(opacity=0.6).encode(x=x, y=up("b_low"), y2="b_high:Q", color=colour),
            points.mark_point(filled=True, size=60, opacity=1).encode(x=x, y=y, color=colour, shape=shape),
            points.mark_text(align="right", dx=-8, dy=-8, fontSize=11, limit=150, color=INK).encode(
                x=x, y=y, text="label:N"
            ),
        ).properties(width=260, height=240)
    )
