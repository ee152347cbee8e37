"""Which capability each factor moves, which are two, what an unreplicated design shows, and what shortcuts reach."""

from __future__ import annotations

from dataclasses import asdict

from maineffect.analyse.record.result import AnalysisResult, CapabilityPair
from maineffect.report.cards.effects import panel_id, per_response
from maineffect.report.charts.baselines import baseline_record, baseline_spec
from maineffect.report.charts.heatmap import heat_record, heat_spec, heat_width
from maineffect.report.charts.noise import half_normal_record, half_normal_spec
from maineffect.report.content.blocks import Block, Card, Figure, Panel, Table
from maineffect.report.content.tabular import file_stem
from maineffect.report.content.wording import decimals, interval, name, number, safe, say

__all__ = ["baselines_card", "dissociation_card", "half_normal_card", "heat_card"]

_DISSOCIATION = "Do the responses measure different capabilities?"


def heat_card(result: AnalysisResult) -> Card:
    """Every factor against every capability."""
    question = "Which factor moved which capability?"
    record = heat_record(result)
    if not record.cells:
        return Card("capabilities", "Capabilities", question, not_applicable="No main effect could be estimated.")
    label = "Effects of every factor on every response: " + "; ".join(
        f"{c.factor} on {c.response} {c.text}, {c.finding}" for c in record.cells[:12]
    )
    panel = Panel("p-heat", heat_spec(record), label, heat_width(record))
    by_place = {(c.response, c.factor): c for c in record.cells}
    rows = tuple(
        (safe(response), *(by_place[response, f].text if (response, f) in by_place else "" for f in record.factors))
        for response in record.responses
    )
    columns = ("response", *map(safe, record.factors))
    table = Table("Main effects, response by factor", columns, rows, frozenset(range(1, len(columns))), folded=True)
    caption = say(
        "Effects in the responses’ units. Boxed and bold: the interval for all effects at once excludes zero."
    )
    figure = Figure(
        figure_id="f-heat",
        caption=caption,
        panels=(panel,),
        data=table,
        stem="capabilities",
        records=tuple(asdict(cell) for cell in record.cells),
    )
    how = "Blue raises, orange lowers; the colour steps at ½, 1 and 2 standard deviations between runs."
    return Card("capabilities", "Capabilities", question, how, (figure,))


def dissociation_card(result: AnalysisResult) -> Card:
    """Convergent pairs (one capability), then discriminant ones, with the reliability of each response."""
    if not result.capability_pairs:
        return Card(
            "dissociation",
            "Dissociation",
            _DISSOCIATION,
            not_applicable="No two responses state which capability they measure.",
        )
    blocks: list[Block] = [
        _pairs_table(title, [pair for pair in result.capability_pairs if pair.same is same])
        for title, same in (("One capability: should move together", True), ("Different capabilities: need not", False))
        if any(pair.same is same for pair in result.capability_pairs)
    ]
    return Card(
        "dissociation",
        "Dissociation",
        _DISSOCIATION,
        "Correlation of two responses over the effects of all terms, and over the runs of one cell. Capabilities that "
        "no factor can move apart are not shown to be two; an unreliable response hides what it shares with others.",
        tuple(blocks),
    )


def _pairs_table(title: str, pairs: list[CapabilityPair]) -> Table:
    rows = tuple(
        (
            (name(pair.first),),
            (name(pair.second),),
            _correlation(pair.effects_r),
            _correlation(pair.runs_r),
            _correlation(pair.first_reliability),
            _correlation(pair.second_reliability),
        )
        for pair in sorted(pairs, key=lambda pair: -(pair.effects_r or 0.0))
    )
    columns = ("response", "and", "r of effects", "r of runs", "reliability", "of the other")
    return Table(title, columns, rows, frozenset({2, 3, 4, 5}))


def _correlation(value: float | None) -> str:
    return "–" if value is None else number(value, 2)


def half_normal_card(result: AnalysisResult) -> Card:
    """Active effects without an error estimate."""
    question = "Without replicates, which effects leave the line?"

    def make(response: str) -> tuple[Block, ...]:
        record = half_normal_record(result, response)
        if record is None:
            return ()
        label = f"Half-normal plot of effects on {response}: " + "; ".join(
            f"{p.label} {number(p.size)}{' beyond the line' if p.beyond else ''}" for p in reversed(record.points[-8:])
        )
        panel = Panel(panel_id("half-normal", response), half_normal_spec(record), label, 330)
        caption = say(f"The dashed line has Lenth’s pseudo standard error, {number(record.slope)}, as its slope.")
        records = tuple(asdict(point) for point in record.points)
        stem = file_stem("half-normal", response)
        return (Figure(panel_id("f-half-normal", response), caption, (panel,), stem=stem, records=records),)

    sections = per_response(result, make)
    if not sections:
        replicated = any(r.model.df_error for r in result.responses.values())
        why = (
            "The runs leave degrees of freedom for error, so the intervals above judge each effect; this plot is for "
            "unreplicated designs."
            if replicated
            else "Lenth’s method needs at least three uncorrelated effects, and this model does not have them."
        )
        return Card("half-normal", "Half-normal", question, not_applicable=why)
    how = "Noise lies along the dashed line; effects that leave it upwards (named) are larger than noise makes them."
    return Card("half-normal", "Half-normal", question, how, sections)


def baselines_card(result: AnalysisResult) -> Card:
    """Would a policy that cannot do the task score as well?"""
    question = "Would a shortcut have done as well?"

    def make(response: str) -> tuple[Block, ...]:
        record = baseline_record(result, response)
        if record is None:
            return ()
        rows = []
        for shortcut, beaten in zip(record.shortcuts, record.beaten_by, strict=True):
            spread = None if shortcut.low is None or shortcut.high is None else (shortcut.high - shortcut.low) / 4
            places = decimals(spread, shortcut.value)
            rows.append(
                (
                    (name(shortcut.name),),
                    number(shortcut.value, places, record.unit),
                    interval(shortcut.low, shortcut.high, places),
                    f"{beaten} of {len(record.runs)}",
                    shortcut.description,
                )
            )
        columns = ("shortcut", "reaches", "interval", "runs that do better", "what it does")
        table = Table(f"Shortcuts on {response}", columns, tuple(rows), frozenset({1, 2, 3}), folded=True)
        label = f"Shortcuts on {response} against {len(record.runs)} trained runs: " + "; ".join(
            f"{s.name} {number(s.value)}" for s in record.shortcuts
        )
        panel = Panel(panel_id("baseline", response), baseline_spec(record), label, 350)
        caption = say("Grey: trained runs. Diamonds: policies that take a shortcut.")
        stem, records = file_stem("baselines", response), tuple(asdict(s) for s in record.shortcuts)
        return (
            Figure(
                figure_id=panel_id("f-baseline", response),
                caption=caption,
                panels=(panel,),
                data=None,
                stem=stem,
                records=records,
            ),
            table,
        )

    sections = per_response(result, make)
    if not sections:
        why = "No scripted shortcut was played on these responses, so nothing here rules one out."
        return Card("baselines", "Shortcuts", question, not_applicable=why)
    how = "A response on which a shortcut reaches what training reaches does not measure the capability."
    return Card("baselines", "Shortcuts", question, how, sections)
