"""A search for the best setting: its confirmation first, then what was predicted, and how it was found."""

from __future__ import annotations

from collections.abc import Mapping

from maineffect.analyse.record.further_records import Contour
from maineffect.analyse.record.result import AnalysisResult
from maineffect.analyse.record.searched import Paired, Prediction, Recommended, Searched
from maineffect.contracts import Level
from maineffect.report.charts.contours import ContourRecord, contour_spec, surface_record
from maineffect.report.content.blocks import Block, Card, Cell, Figure, Notes, Panel, Say, Section, Table
from maineffect.report.content.wording import (
    Bit,
    Phrase,
    code,
    decimals,
    interval,
    name,
    number,
    p_value,
    safe,
    say,
    signed,
    strong,
)

__all__ = ["searched_card"]

_QUESTION = "Where is the optimum?"
_WIDE = 280


def searched_card(result: AnalysisResult, searched: Searched) -> Card:
    """The paired effect of the recommended setting on fresh seeds, and below it the exploration that led there."""
    best = searched.recommended
    blocks: list[Block] = [*_headlines(result, searched)]
    if searched.confirmed:
        blocks.append(_confirmed(searched))
    explored: list[Block] = []
    if best is not None:
        explored += [_predicted(searched, best), *_warnings(searched, best)]
        if best.front:
            explored.append(_front(searched, best))
        if best.contours:
            explored.append(_figure(searched, best))
    explored.append(_runs(searched))
    blocks.append(Section(say("How it was found: exploration"), tuple(explored)))
    how = (
        "The confirmation is the claim: the recommended setting beside the comparator, in pairs with a common fresh "
        "seed, on worlds and items that the search has not seen. What is below it was chosen by its own data, so its "
        "best run promises too much; the surrogate's prediction at the recommended setting has an interval that holds "
        "over the whole box at once."
    )
    return Card("optimum", "Optimum", _QUESTION, how, tuple(blocks))


def _headlines(result: AnalysisResult, searched: Searched) -> list[Block]:
    verdicts = {h.response: h.verdict for h in result.hypotheses}
    if searched.chosen is None:
        return [Say(say("Nothing is confirmed yet."), "warn")]
    blocks: list[Block] = [
        Say(say("Recommended: ", *_setting(searched.chosen), ". Compared with: ", *_setting(searched.comparator), "."))
    ]
    for one in searched.confirmed:
        if one.name not in searched.objectives:
            continue
        verdict = verdicts.get(one.name, "")
        tone = {"supported": "good", "refuted": "bad"}.get(verdict, "")
        blocks.append(Say(_headline(result, one, verdict), tone))
    return blocks


def _headline(result: AnalysisResult, one: Paired, verdict: str) -> Phrase:
    if one.difference is None:
        return say(name(one.name), ": no pair of the confirmation has both values.")
    places = _places(one)
    unit = _unit(result, one.name)
    said = f": {verdict}" if verdict else ""
    return say(
        name(one.name),
        " of the recommended setting minus the comparator: ",
        strong(signed(one.difference, places)),
        f"{f' {safe(unit)}' if unit else ''} ({interval(one.low, one.high, places)}; {one.pairs} pairs){said}.",
    )


def _places(one: Paired) -> int:
    """Digits that the error leaves meaningful; pairs that agree to the digit have hardly any."""
    least = 1e-4 * abs(one.difference or 0.0)
    return decimals(max(one.std_error, least) if one.std_error is not None else None, one.difference)


def _unit(result: AnalysisResult, response: str) -> str:
    found = result.responses.get(response)
    return found.unit if found is not None else ""


def _setting(values: Mapping[str, Level]) -> list[Bit | str]:
    parts: list[Bit | str] = []
    for i, (factor, value) in enumerate(values.items()):
        parts += [", " if i else "", name(factor), f" = {_level(value)}"]
    return parts


def _level(value: Level) -> str:
    return number(value) if isinstance(value, float) else safe(str(value))


def _confirmed(searched: Searched) -> Table:
    rows: list[tuple[Cell, ...]] = []
    predicted = {p.name: p for p in searched.recommended.predictions} if searched.recommended is not None else {}
    for one in searched.confirmed:
        places = _places(one)
        wanted = searched.objectives.get(one.name) or searched.constraints.get(one.name, "")
        expected = predicted.get(one.name)
        rows.append(
            (
                (name(one.name),),
                safe(wanted),
                number(one.recommended, places),
                number(one.comparator, places),
                "" if one.difference is None else signed(one.difference, places),
                interval(one.low, one.high, places),
                "" if one.p_value is None else p_value(one.p_value).removeprefix("p = ").removeprefix("p "),
                "" if expected is None else number(expected.estimate, places),
            )
        )
    columns = ("number", "wanted", "recommended", "comparator", "difference", "interval", "p (paired t)", "predicted")
    return Table("Confirmation on fresh seeds, worlds and items", columns, tuple(rows), frozenset({2, 3, 4, 7}))


def _predicted(searched: Searched, best: Recommended) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for one in best.predictions:
        kept = "" if one.shown is None else "shown to be kept" if one.shown else "not shown to be kept"
        lack = "" if one.lack_of_fit_p is None else p_value(one.lack_of_fit_p).removeprefix("p = ").removeprefix("p ")
        wanted = searched.constraints.get(one.name) or searched.objectives.get(one.name, "")
        rows.append(((name(one.name),), safe(wanted), *_prediction(one), one.by, lack, kept))
    columns = ("number", "wanted", "predicted", "interval over the box", "surrogate", "lack of fit p", "limit")
    return Table("Predicted at the recommended setting", columns, tuple(rows), frozenset({2}))


def _prediction(one: Prediction) -> tuple[str, str]:
    error = None if one.low is None or one.high is None else (one.high - one.low) / 4
    places = decimals(error, one.estimate)
    return number(one.estimate, places), interval(one.low, one.high, places)


def _warnings(searched: Searched, best: Recommended) -> list[Block]:
    notes: list[Phrase] = [say(f"{safe(note)}.") for note in best.notes]
    if best.on_edge:
        where = ", ".join(map(safe, best.on_edge))
        notes.append(say(f"On the edge of its range: {where}. The optimum may lie beyond; widen it in a next search."))
    luckiest = next((run for run in searched.runs if run.run == searched.best_run), None)
    if luckiest is not None:
        ((objective, _),) = searched.objectives.items()
        notes.append(
            say(
                "The best run, ",
                code(luckiest.run),
                f", had {number(luckiest.scores[objective])}. It is not what is recommended: the best of many runs is "
                "mostly the luckiest.",
            )
        )
    return [Notes(tuple(notes))] if notes else []


def _front(searched: Searched, best: Recommended) -> Table:
    rows: list[tuple[Cell, ...]] = []
    numbers = [one.name for one in best.front[0].predictions]
    for i, point in enumerate(best.front, 1):
        predictions = [f"{e} ({i_})" for e, i_ in map(_prediction, point.predictions)]
        rows.append((str(i), *(_level(value) for value in point.values.values()), *predictions))
    columns = ("", *map(safe, searched.ranges | searched.levels), *map(safe, numbers))
    return Table("Pareto front: settings that no other is predicted to beat in every objective", columns, tuple(rows))


def _runs(searched: Searched) -> Table:
    rows: list[tuple[Cell, ...]] = []
    numbers = list(dict.fromkeys(n for run in searched.runs for n in run.scores))
    for run in searched.runs:
        scores = [number(run.scores[n]) if n in run.scores else "diverged" for n in numbers]
        origin = "the sweep" if run.known else "the search"
        rows.append(((code(run.run),), origin, *(_level(value) for value in run.values.values()), *scores))
    factors = list(searched.runs[0].values) if searched.runs else []
    known = sum(run.known for run in searched.runs)
    caption = (
        f"{len(searched.runs)} runs: {known} of {searched.sweep} (less their block effects, at the fixed levels), "
        f"{len(searched.runs) - known} of the search ({searched.sampler})"
    )
    right = frozenset(range(2, 2 + len(factors) + len(numbers)))
    return Table(
        safe(caption), ("run", "of", *map(safe, factors), *map(safe, numbers)), tuple(rows), right, folded=True
    )


def _figure(searched: Searched, best: Recommended) -> Figure:
    objective = next(iter(searched.objectives))
    panels, records = [], []
    for i, contour in enumerate(best.contours):
        label = f"Contours of {safe(objective)} over {safe(contour.across)} and {safe(contour.up)}"
        panels.append(Panel(f"p-searched-{i}", contour_spec(_panel(searched, best, contour)), label, _WIDE))
        grid = [(x, y) for x in contour.x for y in contour.y]
        records += [
            {contour.across: x, contour.up: y, **contour.held, "prediction": height}
            for (x, y), height in zip(grid, contour.height, strict=True)
        ]
    return Figure(
        figure_id="f-searched",
        caption=say("Lines: equal prediction of ", name(objective), ". Dots: runs. Diamond: recommended."),
        panels=tuple(panels),
        stem="searched",
        records=tuple(records),
    )


def _panel(searched: Searched, best: Recommended, contour: Contour) -> ContourRecord:
    def at(values: Mapping[str, Level]) -> tuple[float, float]:
        return float(values[contour.across]), float(values[contour.up])

    places = sorted({at(run.values) for run in searched.runs if run.scores})
    return surface_record(contour, places, best=at(best.values))
