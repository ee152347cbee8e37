"""What would decide the rest of a finished sweep, and at what price."""

from __future__ import annotations

from maineffect.analyse.record.proposals import Proposal, WhatNext
from maineffect.analyse.record.result import AnalysisResult, PhaseDifference
from maineffect.report.content.blocks import Block, Card, Cell, Notes, Say, Section, Table
from maineffect.report.content.wording import code, decimals, interval, name, number, p_value, say, signed, strong, term

__all__ = ["next_card", "phases_card"]

_NEXT = "What would decide the rest, at what price?"
_PHASES = "Do the phases agree?"


def next_card(result: AnalysisResult) -> Card:
    """The table of `maineffect next`."""
    table = result.what_next
    if table is None:
        return Card("next", "What next", _NEXT, not_applicable="The sweep has not ended, or nobody knows its plan.")
    sweep = result.facts.sweep_id or "SWEEP"
    first = table.proposals[0] if table.proposals else None
    blocks: list[Block] = []
    if first is not None:
        lead = say(strong(first.title), f": {first.why}.")
        blocks.append(Say(lead, "good" if first.kind == "stop" and not table.questions and not table.left_out else ""))
    if table.questions:
        blocks.append(_questions(table))
    if table.left_out:
        blocks.append(Notes(tuple(say(f"No chance can be given for {sentence}.") for sentence in table.left_out)))
    if any(p.runs for p in table.proposals):
        blocks.append(_proposals(table))
        blocks.append(Notes(tuple(say(f"{p.title}: {p.why}.") for p in table.proposals[1:] if p.runs)))
        blocks.append(
            Say(say("A study that does the first line: ", code(f"maineffect next {sweep} --write FILE")), "muted")
        )
    return Card(
        "next",
        "What next",
        _NEXT,
        "Each chance is an assurance: over what the sweep leaves open of effect and variance, how often the registered "
        f"rule would then decide. {table.rule}",
        tuple(block for block in blocks if not isinstance(block, Notes) or block.items),
    )


def _questions(table: WhatNext) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for question in table.questions:
        places = decimals(question.std_error, question.raw)
        rows.append(
            (
                (name(question.id),),
                question.kind,
                question.text,
                "" if question.raw is None else signed(question.raw, places),
                "" if question.shrunk is None else signed(question.shrunk, places),
            )
        )
    return Table(
        "Open questions", ("question", "kind", "in words", "estimate", "shrunk"), tuple(rows), frozenset({3, 4})
    )


def _proposals(table: WhatNext) -> Table:
    timed = table.hours_per_run is not None
    rows = tuple(
        (
            proposal.title,
            proposal.kind,
            str(proposal.runs),
            "" if proposal.hours is None else number(proposal.hours),
            number(proposal.decided, 2),
            number(proposal.per_hour),
            _chances(proposal),
        )
        for proposal in table.proposals
        if proposal.runs
    )
    rate = "questions per hour" if timed else "questions per run"
    columns = ("what", "kind", "runs", table.unit, "questions decided", rate, "with which chance")
    return Table("Best first", columns, rows, frozenset({2, 3, 4, 5}))


def _chances(proposal: Proposal) -> str:
    return ", ".join(f"{chance.question} {chance.assurance:.0%}" for chance in proposal.chances)


def phases_card(result: AnalysisResult) -> Card:
    """Each phase by itself beside the verdict, and phase × factor."""
    phased = [h for h in result.hypotheses if h.phases]
    if not phased and not result.phase_differences:
        return Card("phases", "Phases", _PHASES, not_applicable="All runs belong to one phase.")
    rows: list[tuple[Cell, ...]] = []
    for hypothesis in phased:
        for phase in hypothesis.phases:
            places = decimals(phase.std_error, phase.estimate)
            rows.append(
                (
                    (name(hypothesis.id),),
                    str(phase.phase),
                    str(phase.runs),
                    "" if phase.estimate is None else signed(phase.estimate, places),
                    interval(phase.ci_low, phase.ci_high, places),
                    "counts" if phase.counts else phase.reason or "shown only",
                )
            )
    blocks: list[Block] = []
    if rows:
        columns = ("claim", "phase", "runs", "effect", "interval", "in the verdict")
        blocks.append(Table("Each phase by itself", columns, tuple(rows), frozenset({1, 2, 3})))
    if result.phase_differences:
        table = _differences(result.phase_differences)
        blocks.append(Section(say("Phase × factor"), (table,), folded=len(result.phase_differences) > 12))
    return Card(
        "phases",
        "Phases",
        _PHASES,
        "A phase is a block: a drift of code, data or machine between phases moves no effect. Where an effect itself "
        "differs between phases, what both share is not one effect.",
        tuple(blocks),
    )


def _differences(differences: list[PhaseDifference]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for one in differences:
        places = decimals(one.std_error, one.difference)
        rows.append(
            (
                (name(one.response),),
                term(one.term),
                one.contrast,
                signed(one.first, places),
                signed(one.second, places),
                signed(one.difference, places),
                p_value(one.p_adjusted).removeprefix("p = ").removeprefix("p "),
            )
        )
    columns = ("response", "term", "contrast", "earlier runs", "new runs", "difference", "p (Holm)")
    return Table("Main effects, new runs minus earlier ones", columns, tuple(rows), frozenset({3, 4, 5, 6}))
