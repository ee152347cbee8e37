"""Two sweeps side by side: do they agree, what do they say together, what changed between them?"""

from __future__ import annotations

import re

from maineffect.analyse.exploratory.comparison import Compared, Comparison
from maineffect.analyse.record.result import AnalysisResult
from maineffect.report.cards.effects import panel_id
from maineffect.report.charts.agreement import agreement_spec
from maineffect.report.content.blocks import Block, Card, Cell, Figure, Notes, Panel, Say, Section, Table, Tiles
from maineffect.report.content.lookup import ordered_responses
from maineffect.report.content.tabular import file_stem
from maineffect.report.content.wording import decimals, interval, name, p_value, safe, say, signed, term

__all__ = ["comparison_cards"]

_OPEN = 4
_HASH = re.compile(r"\b[0-9a-f]{40,64}\b")


def comparison_cards(comparison: Comparison, first: AnalysisResult, second: AnalysisResult) -> list[Card]:
    """The cards of a comparison, in reader's order."""
    order = list(dict.fromkeys([*ordered_responses(first), *ordered_responses(second)]))
    return [
        _agreement(comparison, order),
        _verdicts(comparison, first, second),
        _pooled(comparison, order),
        _changes(comparison),
    ]


def _of(comparison: Comparison, response: str) -> list[Compared]:
    return [effect for effect in comparison.effects if effect.response == response]


def _agreement(comparison: Comparison, order: list[str]) -> Card:
    question = "Do the two sweeps agree?"
    if not comparison.effects:
        why = "No effect was estimated in both on the same levels. " + "; ".join(comparison.apart[:6])
        return Card("agreement", "Agreement", question, not_applicable=why)
    words = [e.agreement for e in comparison.effects]
    tiles = [
        (str(len(words)), "effects in both", ""),
        (str(words.count("same")), "found in both, same sign", "good"),
        (str(words.count("differ")), "differ", "bad" if words.count("differ") else ""),
        (str(words.count("compatible")), "compatible, not both found", ""),
    ]
    if words.count("unknown"):
        tiles.append((str(words.count("unknown")), "without error estimate", "warn"))
    blocks: list[Block] = [Say(say(warning + "."), "warn") for warning in comparison.warnings]
    blocks.append(Tiles(tuple(tiles)))
    responses = [response for response in order if _of(comparison, response)]
    for i, response in enumerate(responses):
        effects = _of(comparison, response)
        label = f"Effects on {response} in {comparison.names[0]} against {comparison.names[1]}: " + "; ".join(
            f"{e.term} {signed(e.first)} and {signed(e.second)}, {e.agreement}" for e in effects[:8]
        )
        panel = Panel(panel_id("agreement", response), agreement_spec(effects, comparison.names), label, 350)
        figure = Figure(
            figure_id=panel_id("f-agreement", response),
            caption=say("Diamonds: found in both. Crosses: differ. Lines: intervals."),
            panels=(panel,),
            data=_side_by_side(comparison, response, effects),
            stem=file_stem("agreement", response),
            records=tuple(e.model_dump() for e in effects),
        )
        blocks.append(Section(say(name(response)), (figure,), folded=i >= _OPEN))
    if comparison.apart:
        blocks.append(Section(say("Not compared"), (Notes(tuple(say(why) for why in comparison.apart)),), folded=True))
    how = (
        "On the dashed line both sweeps give the same effect; “differ” holds after Holm’s adjustment over all effects."
    )
    return Card("agreement", "Agreement", question, how, tuple(blocks))


def _side_by_side(comparison: Comparison, response: str, effects: list[Compared]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for e in effects:
        places = _places(e)
        rows.append(
            (
                term(e.term),
                e.contrast,
                signed(e.first, places),
                signed(e.second, places),
                signed(e.difference, places),
                interval(e.difference_low, e.difference_high, places),
                p_value(e.p_adjusted).removeprefix("p = ").removeprefix("p "),
                e.agreement,
            )
        )
    first, second = (safe(n) for n in comparison.names)
    columns = ("term", "contrast", first, second, "difference", "interval of the difference", "p adjusted", "agreement")
    return Table(f"Effects on {response}, side by side", columns, tuple(rows), frozenset({2, 3, 4, 5, 6}), folded=True)


def _places(effect: Compared) -> int:
    if effect.pooled_low is None or effect.pooled_high is None:
        return decimals(None, effect.first)
    return decimals((effect.pooled_high - effect.pooled_low) / 4)


def _verdicts(comparison: Comparison, first: AnalysisResult, second: AnalysisResult) -> Card:
    question = "Did the registered claims hold up?"
    claims = {(h.response, h.term, h.direction): h for h in second.hypotheses}
    rows: list[tuple[Cell, ...]] = []
    for mine in first.hypotheses:
        other = claims.pop((mine.response, mine.term, mine.direction), None)
        rows.append(
            (
                mine.id,
                (name(term(mine.term)),),
                (name(mine.response),),
                mine.direction,
                mine.verdict,
                other.verdict if other else "not claimed",
            )
        )
    rows += [
        (h.id, (name(term(h.term)),), (name(h.response),), h.direction, "not claimed", h.verdict)
        for h in claims.values()
    ]
    if not rows:
        return Card("claims", "Claims", question, not_applicable="Neither sweep registered a hypothesis.")
    columns = ("claim", "term", "response", "direction", safe(comparison.names[0]), safe(comparison.names[1]))
    table = Table("Verdicts of both sweeps", columns, tuple(rows))
    how = "Each verdict is by the rule that its own sweep registered; two that differ need not contradict each other."
    return Card("claims", "Claims", question, how, (table,))


def _pooled(comparison: Comparison, order: list[str]) -> Card:
    question = "What do both say together?"
    rows: list[tuple[Cell, ...]] = []
    for response in order:
        for e in _of(comparison, response):
            if e.pooled is not None:
                places = _places(e)
                caution = "they differ: read them apart" if e.agreement == "differ" else ""
                between = interval(e.pooled_low, e.pooled_high, places)
                rows.append(
                    ((name(response),), term(e.term), e.contrast, signed(e.pooled, places, e.unit), between, caution)
                )
    if not rows:
        why = "Pooling needs error estimates of the same effects in both sweeps."
        return Card("pooled", "Pooled", question, not_applicable=why)
    columns = ("response", "term", "contrast", "pooled effect", "interval", "")
    table = Table("Pooled effects", columns, tuple(rows), frozenset({3, 4}))
    how = "Weighted by precision, as if both sweeps estimated one effect; not adjusted for looking at many."
    return Card("pooled", "Pooled", question, how, (table,))


def _changes(comparison: Comparison) -> Card:
    question = "What changed between them?"
    if not comparison.changes:
        why = "Nothing: plan, factors, design, code and versions are the same."
        return Card("changes", "Changes", question, not_applicable=why)
    rows = tuple((safe(c.what), _short(c.first), _short(c.second)) for c in comparison.changes)
    columns = ("what", safe(comparison.names[0]), safe(comparison.names[1]))
    how = "A difference between effects may come from anything in this table, not only from chance."
    return Card("changes", "Changes", question, how, (Table("What is not the same", columns, rows),))


def _short(text: str) -> str:
    """A hash by its first digits, which tell it from any other."""
    return safe(_HASH.sub(lambda match: f"{match[0][:16]}…", text))
