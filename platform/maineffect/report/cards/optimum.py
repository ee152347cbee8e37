"""The optimum of a second-order model: where it is, how well it is known, and what it is."""

from __future__ import annotations

from maineffect.analyse.record.result import AnalysisResult, Optimum
from maineffect.report.cards.searched import searched_card
from maineffect.report.charts.contours import contour_record, contour_spec
from maineffect.report.content.blocks import Block, Card, Cell, Figure, Panel, Say, Section, Table
from maineffect.report.content.lookup import ordered_responses
from maineffect.report.content.wording import (
    Bit,
    Phrase,
    decimals,
    interval,
    level,
    name,
    number,
    p_value,
    safe,
    say,
    signed,
    strong,
)

__all__ = ["optimum_card"]

_QUESTION = "Where is the optimum?"
_OPEN = 2
_WIDE = 280


def optimum_card(result: AnalysisResult) -> Card:
    """Best and stationary point of every response with quadratics, and contours between its factors.

    Of a search for the best setting it is what was recommended, and whether new runs confirm it.
    """
    if result.facts.searched is not None:
        return searched_card(result, result.facts.searched)
    by_response = {optimum.response: optimum for optimum in result.optima}
    shown = [by_response[response] for response in ordered_responses(result) if response in by_response]
    if not shown:
        why = "No quadratic of a numeric factor was fitted (terms: second_order), so no optimum lies between levels."
        return Card("optimum", "Optimum", _QUESTION, not_applicable=why)
    sections = tuple(
        Section(say(name(optimum.response)), _blocks(result, optimum, i), folded=i >= _OPEN)
        for i, optimum in enumerate(shown)
    )
    how = (
        "The data chose the point, so what is predicted there is optimistic: confirm it with new runs. Intervals of "
        "the stationary point hold together; where there is none, the runs do not bound it."
    )
    return Card("optimum", "Optimum", _QUESTION, how, sections)


def _blocks(result: AnalysisResult, optimum: Optimum, place: int) -> tuple[Block, ...]:
    unit = result.responses[optimum.response].unit
    blocks: list[Block] = []
    if optimum.best is not None:
        blocks.append(Say(_best(optimum, unit)))
        if optimum.best_on_edge:
            way = "It lies on the edge of what was tried: the optimum may lie beyond. Move the levels that way."
            blocks.append(Say(say(way), "warn"))
    blocks.append(Say(_nature(optimum, unit), "" if optimum.established else "warn"))
    if optimum.lack_of_fit_p is not None:
        poor = optimum.lack_of_fit_p < result.alpha
        words = "the surface is not of second order: do not trust the point" if poor else "no sign of another shape"
        blocks.append(Say(say(f"Lack of fit: {p_value(optimum.lack_of_fit_p)}, {words}."), "bad" if poor else "muted"))
    blocks.append(_points(optimum))
    if optimum.eigenvalues:
        blocks.append(_axes(optimum))
    if optimum.contours:
        blocks.append(_figure(result, optimum, place))
    return tuple(blocks)


def _at(optimum: Optimum, point: list[float]) -> list[Bit | str]:
    parts: list[Bit | str] = []
    for i, (factor, value) in enumerate(zip(optimum.factors, point, strict=True)):
        parts += [", " if i else "", name(factor), f" = {_value(optimum, i, value)}"]
    return parts


def _places(optimum: Optimum, i: int) -> int:
    low, high = optimum.limits[i]
    return decimals((high - low) / 20)


def _value(optimum: Optimum, i: int, value: float) -> str:
    return number(value, _places(optimum, i))


def _best(optimum: Optimum, unit: str) -> Phrase:
    assert optimum.best is not None
    low, high = optimum.best_low, optimum.best_high
    error = None if low is None or high is None else (high - low) / 4
    places = decimals(error, optimum.best_predicted)
    averaged = f", averaged over {', '.join(map(safe, optimum.averaged))}" if optimum.averaged else ""
    return say(
        "Best within the runs: ",
        *_at(optimum, optimum.best),
        ". Predicted there: ",
        strong(number(optimum.best_predicted, places, unit)),
        f" ({interval(low, high, places)}){averaged}.",
    )


def _nature(optimum: Optimum, unit: str) -> Phrase:
    if optimum.stationary is None:
        return say("The surface is a plane in some direction: it has no stationary point.")
    where = "within the runs" if optimum.inside else "outside the runs"
    if optimum.established:
        return say(
            "The stationary point is a ",
            strong(f"{optimum.nature}"),
            f" {where}, {number(optimum.stationary_value, None, unit)}; the runs rule out any other nature.",
        )
    flat = [
        part
        for i, (factor, step) in enumerate(zip(optimum.factors, optimum.weakest, strict=True))
        for part in ((", " if i else ""), name(factor), f" {signed(step, _places(optimum, i))}")
    ]
    return say(
        f"The stationary point seems a {optimum.nature} {where}, and the runs do not establish it: along ",
        *flat,
        " the surface may be flat or curved the other way.",
    )


def _points(optimum: Optimum) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for i, factor in enumerate(optimum.factors):
        low, high = optimum.limits[i]
        ends = [end[i] if end is not None else None for end in (optimum.stationary_low, optimum.stationary_high)]
        rows.append(
            (
                (name(factor),),
                f"{level(low)} to {level(high)}",
                "no goal" if optimum.best is None else _value(optimum, i, optimum.best[i]),
                "none" if optimum.stationary is None else _value(optimum, i, optimum.stationary[i]),
                "not bounded" if None in ends else " to ".join(_value(optimum, i, e) for e in ends if e is not None),
            )
        )
    columns = ("factor", "levels", "best within the runs", "stationary point", "interval (together)")
    return Table("Best and stationary point", columns, tuple(rows), frozenset({2, 3, 4}))


def _axes(optimum: Optimum) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for value, error, axis in zip(optimum.eigenvalues, optimum.eigenvalue_errors, optimum.axes, strict=True):
        places = decimals(error, value)
        steps = [signed(step, _places(optimum, i)) for i, step in enumerate(axis)]
        rows.append((signed(value, places), number(error, places), *steps))
    columns = ("curvature", "standard error", *(safe(factor) for factor in optimum.factors))
    caption = "Canonical axes: curvature per squared half range of the levels, and one half range along each axis"
    return Table(caption, columns, tuple(rows), frozenset(range(len(columns))), folded=True)


def _figure(result: AnalysisResult, optimum: Optimum, place: int) -> Figure:
    panels = []
    records: list[dict[str, object]] = []
    for j, contour in enumerate(optimum.contours):
        held = ", ".join(f"{safe(factor)} = {number(value)}" for factor, value in contour.held.items())
        label = f"Contours of {safe(optimum.response)} over {safe(contour.across)} and {safe(contour.up)}"
        drawn = contour_record(result, optimum, contour)
        heights = sorted({line.height for line in drawn.lines})
        label += f", {held}" if held else ""
        label += f"; lines at {', '.join(number(h) for h in heights)}" if heights else ""
        panels.append(Panel(f"p-optimum-{place}-{j}", contour_spec(drawn), label, _WIDE))
        grid = [(x, y) for x in contour.x for y in contour.y]
        records += [
            {contour.across: x, contour.up: y, **contour.held, "prediction": height}
            for (x, y), height in zip(grid, contour.height, strict=True)
            if height is not None
        ]
    caption = "Lines: equal prediction, as far as the runs reach. Dots: runs. Diamond: best. Cross: stationary point."
    if any(contour.region is not None for contour in optimum.contours):
        caption += " Dashed: its confidence region."
    return Figure(
        figure_id=f"f-optimum-{place}",
        caption=say(caption),
        panels=tuple(panels),
        stem=f"optimum-{place}",
        records=tuple(records),
    )
