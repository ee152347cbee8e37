"""Contours of a fitted surface over two factors: lines of equal prediction, the runs, and where the optimum is.

Vega-Lite draws no contours, so the lines are traced here: each cell of the grid is cut into two triangles, in which a
line of equal height is straight (marching triangles), and pieces that meet on an edge are joined.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from maineffect.analyse.record.result import AnalysisResult, Contour, Optimum
from maineffect.report.charts.drawing import finish, inline_data
from maineffect.report.charts.theme import DOT, DOWN, INK, LABEL_PADDING, PAPER, UP
from maineffect.report.content.wording import axis_title, number

__all__ = ["ContourLine", "ContourRecord", "contour_record", "contour_spec", "surface_record", "traced"]

_LINES = 7
_SIDE = 220
Point = tuple[float, float]
Edge = tuple[int, int]


@dataclass(frozen=True)
class ContourLine:
    """One line of equal height."""

    height: float
    points: tuple[Point, ...]


@dataclass(frozen=True)
class ContourRecord:
    """One panel.

    Attributes:
        contour: The grid that was traced.
        lines: Within the reach of the runs.
        region: Outline of the stationary point's confidence region, where it has two factors.
        runs: Where runs lie, each place once.
        stationary: None where it lies outside the levels.
        best: None without a goal.
    """

    contour: Contour
    lines: tuple[ContourLine, ...]
    region: tuple[ContourLine, ...]
    runs: tuple[Point, ...]
    stationary: Point | None
    best: Point | None


def contour_record(result: AnalysisResult, optimum: Optimum, contour: Contour) -> ContourRecord:
    """Trace one panel of an optimum."""
    i, j = optimum.factors.index(contour.across), optimum.factors.index(contour.up)
    places = {
        (float(run.levels[contour.across]), float(run.levels[contour.up]))
        for run in result.runs
        if run.responses.get(optimum.response) is not None
    }
    stationary = optimum.stationary if optimum.inside else None
    return surface_record(
        contour,
        sorted(places),
        stationary=None if stationary is None else (stationary[i], stationary[j]),
        best=None if optimum.best is None else (optimum.best[i], optimum.best[j]),
    )


def surface_record(
    contour: Contour, runs: Sequence[Point], *, best: Point | None, stationary: Point | None = None
) -> ContourRecord:
    """Trace one panel of any surface.

    Args:
        contour: Its heights.
        runs: Where runs lie.
        best: The best point of the surface.
        stationary: Its stationary point.
    """
    return ContourRecord(
        contour,
        tuple(line for height in _heights(contour.height) for line in traced(contour, contour.height, height)),
        tuple(traced(contour, contour.region, 1.0)) if contour.region is not None else (),
        tuple(runs),
        stationary,
        best,
    )


def _heights(values: Sequence[float | None]) -> list[float]:
    """About seven round heights between the lowest and the highest."""
    known = [value for value in values if value is not None]
    low, high = min(known, default=0.0), max(known, default=0.0)
    if not high > low:
        return []
    rough = (high - low) / _LINES
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(size * factor for factor in (1, 2, 2.5, 5, 10) if size * factor >= rough)
    return [k * step for k in range(math.floor(low / step) + 1, math.ceil(high / step))]


def traced(contour: Contour, values: Sequence[float | None], height: float) -> list[ContourLine]:
    """Lines of one height over a grid; nothing is drawn where a corner of a triangle has no value."""
    rows, columns = len(contour.x), len(contour.y)
    links: dict[Edge, list[Edge]] = {}
    at: dict[Edge, Point] = {}
    for i in range(rows - 1):
        for j in range(columns - 1):
            a, b, c, d = i * columns + j, (i + 1) * columns + j, i * columns + j + 1, (i + 1) * columns + j + 1
            for corners in ((a, b, c), (b, c, d)):
                crossed = _crossed(contour, values, height, corners)
                if len(crossed) == 2:
                    (first, p), (second, q) = crossed
                    at[first], at[second] = p, q
                    links.setdefault(first, []).append(second)
                    links.setdefault(second, []).append(first)
    return [ContourLine(height, tuple(at[edge] for edge in line)) for line in _joined(links)]


def _crossed(
    contour: Contour, values: Sequence[float | None], height: float, corners: tuple[int, int, int]
) -> list[tuple[Edge, Point]]:
    """Edges of a triangle that a line of this height crosses, and where."""
    columns = len(contour.y)
    found: list[tuple[Edge, Point]] = []
    for edge in ((corners[0], corners[1]), (corners[0], corners[2]), (corners[1], corners[2])):
        one, other = (values[node] for node in edge)
        if one is None or other is None or any(values[node] is None for node in corners):
            return []
        if (one > height) != (other > height):
            share = (height - one) / (other - one)
            (x0, y0), (x1, y1) = ((contour.x[node // columns], contour.y[node % columns]) for node in edge)
            found.append((edge, (x0 + share * (x1 - x0), y0 + share * (y1 - y0))))
    return found


def _joined(links: dict[Edge, list[Edge]]) -> list[list[Edge]]:
    """Pieces as lines: open ones from an end, then closed ones."""
    left = {edge: list(others) for edge, others in links.items()}
    lines = []
    for start in [*(e for e, others in links.items() if len(others) == 1), *links]:
        line = [start]
        while left[line[-1]]:
            onward = left[line[-1]].pop()
            left[onward].remove(line[-1])
            line.append(onward)
        if len(line) > 1:
            lines.append(line)
    return lines


def contour_spec(record: ContourRecord) -> dict[str, Any]:
    """Vega-Lite specification of one panel, about 270 px wide."""
    import altair as alt

    contour = record.contour
    x: Any = alt.X(
        "x:Q",
        scale=alt.Scale(domain=[contour.x[0], contour.x[-1]], nice=False, zero=False),
        axis=alt.Axis(title=axis_title(contour.across), grid=False, tickCount=5),
    )
    y: Any = alt.Y(
        "y:Q",
        scale=alt.Scale(domain=[contour.y[0], contour.y[-1]], nice=False, zero=False),
        axis=alt.Axis(title=axis_title(contour.up), grid=False, tickCount=5),
    )

    def path(lines: tuple[ContourLine, ...], **mark: Any) -> Any:
        rows = [
            {"line": n, "order": m, "x": p[0], "y": p[1]}
            for n, line in enumerate(lines)
            for m, p in enumerate(line.points)
        ]
        return (
            alt.Chart(inline_data(rows)).mark_line(clip=True, **mark).encode(x=x, y=y, detail="line:N", order="order:Q")
        )

    def points(places: Sequence[Point], **mark: Any) -> Any:
        rows = [{"x": p[0], "y": p[1]} for p in places]
        return alt.Chart(inline_data(rows)).mark_point(filled=True, opacity=1, **mark).encode(x=x, y=y)

    labels = [
        {"x": p[0], "y": p[1], "text": number(line.height)}
        for line in record.lines
        if len(line.points) > 4
        for p in [line.points[len(line.points) // 2]]
    ]
    text = alt.Chart(inline_data(labels))
    layers = [
        path(record.lines, color=UP, strokeWidth=1.2),
        points(record.runs, color=DOT, size=22, shape="circle"),
        text.mark_text(fontSize=10, stroke=PAPER, strokeWidth=3).encode(x=x, y=y, text="text:N"),
        text.mark_text(fontSize=10, color=INK).encode(x=x, y=y, text="text:N"),
    ]
    if record.region:
        layers.append(path(record.region, color=DOWN, strokeWidth=1.6, strokeDash=[5, 3]))
    if record.stationary is not None:
        layers.append(points([record.stationary], color=DOWN, size=90, shape="cross"))
    if record.best is not None:
        layers.append(points([record.best], color=INK, size=110, shape="diamond"))
    return finish(alt.layer(*layers).properties(width=_SIDE, height=_SIDE, padding=LABEL_PADDING))
