"""The prediction profiler: what would another combination of levels give?"""

from __future__ import annotations

import json
from typing import Any

from maineffect.analyse.record.result import AnalysisResult
from maineffect.report.charts.profile import ProfiledResponse, ProfileRecord, grid_rows, profile_record, profile_spec
from maineffect.report.charts.theme import CSS_VARIABLES, config
from maineffect.report.content.blocks import Card, Cell, Figure, Live, Panel, Slider, Table
from maineffect.report.content.wording import Phrase, decimals, interval, level, name, number, safe, say, strong

__all__ = ["profiler_card"]

_MOST_RESPONSES = 40


def profiler_card(result: AnalysisResult) -> Card:
    """Predicted responses at any combination of levels."""
    question = "What would another combination give?"
    record = profile_record(result)
    if record is None:
        why = "No model has a factor in it, so every combination is predicted alike."
        return Card("profiler", "Profiler", question, not_applicable=why)
    first = record.responses[0]
    rows = grid_rows(record, first)
    panels = tuple(
        Panel(
            f"p-profile-{i}",
            {**profile_spec(record, i), "data": {"name": "grid", "values": rows}},
            f"Predicted {first.name} over {factor}, every other factor at its first level: "
            + "; ".join(f"{label}: {number(value)}" for label, value in _trace(record, first, i)),
            190,
        )
        for i, factor in enumerate(record.factors)
    )
    averaged = f" Averaged over {', '.join(map(safe, record.averaged))}." if record.averaged else ""
    caption = say("Line: predicted mean. Bars: its interval. Diamond: the chosen combination." + averaged)
    figure = Figure(
        figure_id="f-profiler", caption=caption, panels=panels, data=None, stem="profiler", records=_records(record)
    )
    live = Live(
        figure,
        tuple(Slider(safe(f), labels) for f, labels in zip(record.factors, record.labels, strict=True)),
        tuple(safe(response.name) for response in record.responses[:_MOST_RESPONSES]),
        _now(first),
        _script(record),
    )
    how = "Move a slider: every curve shows what its factor would do from there. A model’s word, not a measured cell’s."
    return Card("profiler", "Profiler", question, how, (live, _best(record)))


def _trace(record: ProfileRecord, response: ProfiledResponse, factor: int) -> list[tuple[str, float | None]]:
    held = [i for i, cell in enumerate(record.cells) if all(c == 0 for k, c in enumerate(cell) if k != factor)]
    return [(record.labels[factor][record.cells[i][factor]], response.estimate[i]) for i in held]


def _places(response: ProfiledResponse) -> int:
    halves = [(b - a) / 2 for a, b in zip(response.low, response.high, strict=True) if a is not None and b is not None]
    sizes = [abs(value) for value in response.estimate if value is not None]
    return decimals(max(halves) / 2 if halves else None, max(sizes, default=None))


def _said(response: ProfiledResponse, cell: int) -> tuple[str, str]:
    estimate, low, high = response.estimate[cell], response.low[cell], response.high[cell]
    places = _places(response)
    if estimate is None:
        return "not estimable", "no interval"
    between = "no interval" if low is None else interval(low, high, places)
    return number(estimate, places, response.unit), between


def _now(response: ProfiledResponse) -> Phrase:
    estimate, between = _said(response, 0)
    return say(name(response.name), ": ", strong(estimate), f" ({between})")


def _best(record: ProfileRecord) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for response in record.responses:
        cell = response.best()
        if cell is not None:
            places = [labels[position] for labels, position in zip(record.labels, record.cells[cell], strict=True)]
            rows.append(((name(response.name),), response.goal, *places, *_said(response, cell)))
    columns = ("response", "goal", *(safe(f) for f in record.factors), "prediction", "interval")
    numeric = frozenset({len(columns) - 2, len(columns) - 1})
    return Table(
        "Best predicted combination of each response (chosen by the data, so optimistic: confirm it with new runs)",
        columns,
        tuple(rows),
        numeric,
    )


def _records(record: ProfileRecord) -> tuple[dict[str, object], ...]:
    return tuple(
        {
            **{f: labels[c] for f, labels, c in zip(record.factors, record.labels, cell, strict=True)},
            **{r.name: r.estimate[i] for r in record.responses},
            **{
                f"{r.name} {end}": limits[i]
                for r in record.responses
                for end, limits in (("low", r.low), ("high", r.high))
            },
        }
        for i, cell in enumerate(record.cells)
    )


def _script(record: ProfileRecord) -> str:
    """What the page's script needs, as JSON that cannot end its own element."""
    document = {
        "labels": record.labels,
        "cells": record.cells,
        "responses": [
            {
                "name": safe(r.name),
                "unit": level(r.unit),
                "places": _places(r),
                "e": [_short(v) for v in r.estimate],
                "l": [_short(v) for v in r.low],
                "h": [_short(v) for v in r.high],
            }
            for r in record.responses[:_MOST_RESPONSES]
        ],
        "specs": [_themed(profile_spec(record, i)) for i in range(len(record.factors))],
        "config": _themed(config()),
    }
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.7g}")


def _themed(value: Any) -> Any:
    """The theme's colours as the CSS variables that follow light and dark."""
    if isinstance(value, dict):
        return {key: _themed(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_themed(inner) for inner in value]
    return f"var({CSS_VARIABLES[value]})" if isinstance(value, str) and value in CSS_VARIABLES else value
