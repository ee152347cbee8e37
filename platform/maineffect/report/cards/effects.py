"""Pictures of effects: forest, Pareto, main effects, interactions; and the table behind them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import asdict

from maineffect.analyse.record.result import AnalysisResult, ResponseResult
from maineffect.report.charts.forest import forest_record, forest_spec
from maineffect.report.charts.interactions import interaction_record, interaction_spec
from maineffect.report.charts.main_effects import main_effect_record, main_effect_spec, y_domain
from maineffect.report.charts.pareto import pareto_record, pareto_spec
from maineffect.report.content.blocks import Block, Card, Figure, Panel, Section, Table
from maineffect.report.content.lookup import by_strength, factor_levels, ordered_responses
from maineffect.report.content.tabular import file_stem
from maineffect.report.content.wording import (
    axis_title,
    decimals,
    interval,
    name,
    number,
    p_value,
    ratio,
    say,
    signed,
    term,
)

__all__ = ["forest_card", "interaction_card", "main_effect_card", "panel_id", "pareto_card", "per_response"]

_OPEN = 4
_MOST_INTERACTIONS = 6
_MANY_RESPONSES = 8


def panel_id(*parts: str) -> str:
    """A short id that is unique to what a panel shows, safe in markup whatever the names are."""
    return "p" + hashlib.sha256("\x00".join(parts).encode()).hexdigest()[:10]


def per_response(result: AnalysisResult, make: Callable[[str], tuple[Block, ...]]) -> tuple[Block, ...]:
    """A section per response; the first few are open."""
    return tuple(
        Section(say(name(response)), blocks, folded=i >= _OPEN)
        for i, response in enumerate(ordered_responses(result))
        if (blocks := make(response))
    )


def forest_card(result: AnalysisResult) -> Card:
    """Which effects are real, and how large."""

    def make(response: str) -> tuple[Block, ...]:
        record = forest_record(result, response)
        if not record.rows:
            return ()
        label = f"Forest plot of the effects on {response}: " + "; ".join(
            f"{row.term} {signed(row.estimate)} ({interval(row.low, row.high)})" for row in record.rows[:8]
        )
        panel = Panel(panel_id("forest", response), forest_spec(record), label, 350)
        left = f" {record.left_out} weaker effects are in the table only." if record.left_out else ""
        caption = say("Thick: interval of one effect. Thin: holds for all at once. Diamond: registered." + left)
        return (
            Figure(
                figure_id=panel_id("f-forest", response),
                caption=caption,
                panels=(panel,),
                data=_effects(response, result.responses[response]),
                stem=file_stem("effects", response),
                records=tuple(effect.model_dump() for effect in by_strength(result.responses[response].effects)),
            ),
        )

    return Card(
        "forest",
        "Effects",
        "Which factor contributed what?",
        "Coloured effects exclude zero even when all are looked at together; the band is what would not matter.",
        per_response(result, make),
    )


def _effects(response: str, analysed: ResponseResult) -> Table:
    rows = []
    for effect in by_strength(analysed.effects):
        places = decimals(effect.std_error, effect.estimate)
        rows.append(
            (
                term(effect.term),
                effect.contrast,
                signed(effect.estimate, places),
                interval(effect.ci_low, effect.ci_high, places),
                *([ratio(effect, analysed.scale)] if analysed.scale else []),
                number(effect.t, 2),
                p_value(effect.p_value).removeprefix("p = ").removeprefix("p "),
                p_value(effect.p_adjusted).removeprefix("p = ").removeprefix("p "),
                ", ".join(map(term, effect.aliased_with)) or "nothing",
            )
        )
    on_scale = ("as ratio",) if analysed.scale else ()
    columns = ("term", "contrast", "effect", "interval", *on_scale, "t", "p", "p adjusted", "cannot be told from")
    title = f"Effects on {response}" + (f" ({analysed.unit_of_effects})" if analysed.scale else "")
    return Table(title, columns, tuple(rows), frozenset(range(2, 7 + len(on_scale))), folded=True)


def pareto_card(result: AnalysisResult) -> Card:
    """The order of importance."""

    def make(response: str) -> tuple[Block, ...]:
        record = pareto_record(result, response)
        if not record.bars:
            return ()
        label = f"Pareto chart of effects on {response}, strongest first: " + ", ".join(
            f"{bar.label} {number(bar.size, 2)}".replace("\n", " ") for bar in record.bars[:8]
        )
        panel = Panel(panel_id("pareto", response), pareto_spec(record), label, 350)
        caption = say("Upward triangles raise the response.")
        stem, records = file_stem("pareto", response), tuple(asdict(bar) for bar in record.bars)
        return (Figure(panel_id("f-pareto", response), caption, (panel,), stem=stem, records=records),)

    return Card(
        "pareto",
        "Importance",
        "Which effects stand out most?",
        "Bars beyond the dashed line are significant one by one, beyond the solid line all together.",
        per_response(result, make),
    )


def main_effect_card(result: AnalysisResult) -> Card:
    """Means per level over the single runs."""

    def make(response: str) -> tuple[Block, ...]:
        records = [main_effect_record(result, response, factor) for factor in factor_levels(result)]
        records = [record for record in records if record.means]
        if not records:
            return ()
        domain = y_domain(records)
        panels = tuple(
            Panel(
                panel_id("main", response, record.factor),
                main_effect_spec(record, domain),
                f"{response} by {record.factor}: "
                + "; ".join(f"{m.label}: {number(m.estimate)} ({interval(m.low, m.high)})" for m in record.means),
                170,
            )
            for record in records
        )
        unit = result.responses[response].unit
        caption = say(f"Mean {axis_title(response, unit)}.")
        rows = tuple({"factor": r.factor, **asdict(m)} for r in records for m in r.means)
        stem = file_stem("main-effects", response)
        return (Figure(panel_id("f-main", response), caption, panels, stem=stem, records=rows),)

    return Card(
        "main-effects",
        "Main effects",
        "What does each level give?",
        "Grey dots are single runs, blue points marginal means with intervals; one scale per response.",
        per_response(result, make),
    )


def interaction_card(result: AnalysisResult) -> Card:
    """Does one factor's effect depend on another's level?"""
    most = _MOST_INTERACTIONS if len(result.responses) <= _MANY_RESPONSES else _MOST_INTERACTIONS // 2

    def make(response: str) -> tuple[Block, ...]:
        analysed = result.responses[response]
        terms = [e.term for e in by_strength(analysed.effects) if e.kind == "interaction" and e.term.count(":") == 1]
        records = [interaction_record(result, response, t) for t in dict.fromkeys(terms)][:most]
        records = [record for record in records if len(record.points) > 1]
        if not records:
            return ()
        values = [v for r in records for p in r.points for v in (p.estimate, p.low, p.high) if v is not None]
        margin = 0.05 * (max(values) - min(values)) or 0.5
        domain = (min(values) - margin, max(values) + margin)
        aliases = {e.term: e.aliased_with for e in analysed.effects}
        panels = tuple(
            Panel(
                panel_id("interaction", response, record.term),
                interaction_spec(record, domain),
                f"{response} by {record.x_factor}, a line per level of {record.series_factor}: "
                + "; ".join(f"{p.x}, {p.series}: {number(p.estimate)}" for p in record.points),
                210,
            )
            for record in records
        )
        mixed = [
            f"{term(r.term)} cannot be told from {', '.join(map(term, aliases[r.term]))}"
            for r in records
            if aliases.get(r.term)
        ]
        caption = say("; ".join(mixed) + "." if mixed else "Strongest interactions first.")
        rows = tuple({"term": r.term, **asdict(p)} for r in records for p in r.points)
        stem = file_stem("interactions", response)
        return (Figure(panel_id("f-interaction", response), caption, panels, stem=stem, records=rows),)

    sections = per_response(result, make)
    question = "Do factors change each other's effect?"
    if not sections:
        why = "No two-factor interaction is estimated: the model has main effects only, or the runs do not allow more."
        return Card("interactions", "Interactions", question, not_applicable=why)
    return Card(
        "interactions",
        "Interactions",
        question,
        "Parallel lines: no interaction. Crossing lines: the effect turns.",
        sections,
    )
