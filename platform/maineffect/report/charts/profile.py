"""Prediction profiler: one curve per factor through a point that the reader moves.

The specification is the same for the picture in the page and for the live view: a parameter ``at0, at1, …`` per factor
holds the position of its level, and the data named ``grid`` hold one response over the whole grid.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

from maineffect.analyse.record.result import AnalysisResult, Trace
from maineffect.report.charts.main_effects import quoted
from maineffect.report.charts.theme import INK, UP
from maineffect.report.content.lookup import ordered_responses
from maineffect.report.content.wording import axis_title, level

__all__ = ["ProfileRecord", "ProfiledResponse", "grid_rows", "profile_record", "profile_spec"]


@dataclass(frozen=True)
class ProfiledResponse:
    """Predictions over the grid, in its order."""

    name: str
    unit: str
    goal: str
    estimate: tuple[float | None, ...]
    low: tuple[float | None, ...]
    high: tuple[float | None, ...]

    def best(self) -> int | None:
        """Index of the best predicted cell by the response's goal."""
        predicted = [i for i, value in enumerate(self.estimate) if value is not None]
        sign = -1.0 if self.goal == "minimize" else 1.0
        return max(predicted, key=lambda i: sign * (self.estimate[i] or 0.0), default=None)


@dataclass(frozen=True)
class ProfileRecord:
    """Factors with the labels of their levels, cells of the grid as positions of levels, responses."""

    factors: tuple[str, ...]
    labels: tuple[tuple[str, ...], ...]
    averaged: tuple[str, ...]
    cells: tuple[tuple[int, ...], ...]
    responses: tuple[ProfiledResponse, ...]


def _limits(trace: Trace) -> tuple[tuple[float | None, ...], tuple[float | None, ...]]:
    """Ends of the predictions' intervals."""
    if trace.low is not None and trace.high is not None:
        return tuple(trace.low), tuple(trace.high)
    known = list(zip(trace.estimate, trace.half_width, strict=True))
    return (
        tuple(None if e is None or h is None else e - h for e, h in known),
        tuple(None if e is None or h is None else e + h for e, h in known),
    )


def profile_record(result: AnalysisResult) -> ProfileRecord | None:
    """Collect the predictions that the analysis gave; None when it gave none."""
    profiler = result.profiler
    if profiler is None or not profiler.responses:
        return None
    labels = tuple(tuple(level(v) for v in profiler.levels[name]) for name in profiler.factors)
    responses = tuple(
        ProfiledResponse(
            name,
            result.responses[name].unit,
            result.responses[name].goal,
            tuple(profiler.responses[name].estimate),
            *_limits(profiler.responses[name]),
        )
        for name in ordered_responses(result)
        if name in profiler.responses
    )
    cells = tuple(product(*(range(len(level_labels)) for level_labels in labels)))
    return ProfileRecord(tuple(profiler.factors), labels, tuple(profiler.averaged), cells, responses)


def grid_rows(record: ProfileRecord, response: ProfiledResponse) -> list[dict[str, float]]:
    """The data ``grid`` of one response: c0, c1, … positions of levels; e estimate; l, h ends of the interval."""
    rows = []
    for cell, estimate, low, high in zip(record.cells, response.estimate, response.low, response.high, strict=True):
        if estimate is not None:
            row: dict[str, float] = {f"c{i}": position for i, position in enumerate(cell)}
            rows.append(
                row | {"e": estimate, "l": estimate if low is None else low, "h": estimate if high is None else high}
            )
    return rows


def profile_spec(record: ProfileRecord, factor: int) -> dict[str, Any]:
    """Vega-Lite specification of one factor's panel, about 190 px wide; its data are given by name."""
    labels = record.labels[factor]
    last = len(labels) - 1
    others = " && ".join(f"datum.c{i} == at{i}" for i in range(len(record.factors)) if i != factor) or "true"
    words = " : ".join(f"datum.value == {i} ? {quoted(text)}" for i, text in enumerate(labels)) + " : ''"
    x = {
        "field": f"c{factor}",
        "type": "quantitative",
        "scale": {"domain": [-0.35, last + 0.35], "nice": False},
        "axis": {
            "title": axis_title(record.factors[factor]),
            "values": list(range(last + 1)),
            "labelExpr": words,
            "grid": False,
            "titleLimit": 190,
        },
    }
    axis = {"title": None, "tickCount": 5}
    y = {"field": "e", "type": "quantitative", "scale": {"zero": False}, "axis": axis}
    low = {"field": "l", "type": "quantitative", "scale": {"zero": False}, "axis": axis}
    high = {"field": "h", "type": "quantitative", "scale": {"zero": False}, "axis": axis}
    here = {"filter": f"{others} && datum.c{factor} == at{factor}"}
    held = {"filter": others}
    # The first two layers draw nothing: they keep the scale of the whole grid while the curve moves.
    return {
        "params": [{"name": f"at{i}", "value": 0} for i in range(len(record.factors))],
        "data": {"name": "grid"},
        "width": 160,
        "height": 140,
        "layer": [
            {"mark": {"type": "point", "opacity": 0}, "encoding": {"x": x, "y": low}},
            {"mark": {"type": "point", "opacity": 0}, "encoding": {"x": x, "y": high}},
            {
                "transform": [held],
                "mark": {"type": "rule", "color": UP, "strokeWidth": 5, "opacity": 0.3},
                "encoding": {"x": x, "y": low, "y2": {"field": "h"}},
            },
            {
                "transform": [held],
                "mark": {"type": "line", "color": UP, "strokeWidth": 2},
                "encoding": {"x": x, "y": y, "order": {"field": f"c{factor}", "type": "quantitative"}},
            },
            {"transform": [held], "mark": {"type": "point", "color": UP, "filled": True, "size": 40, "opacity": 1},
             "encoding": {"x": x, "y": y}},
            {
                "transform": [here],
                "mark": {"type": "point", "shape": "diamond", "color": INK, "filled": True, "size": 130, "opacity": 1},
                "encoding": {"x": x, "y": y},
            },
        ],
    }  # fmt: skip
