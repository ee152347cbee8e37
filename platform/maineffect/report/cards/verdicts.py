"""What was found, in sentences; whether the plan was kept; and what the study could have found."""

from __future__ import annotations

import re
from collections.abc import Sequence

from maineffect.analyse.confirmatory.answers import further_replicates
from maineffect.analyse.record.result import AnalysisResult, HypothesisResult
from maineffect.report.content.blocks import (
    Block,
    Card,
    Notes,
    Say,
    Section,
    Strip,
    StripRow,
    Table,
    Tiles,
    Verdict,
)
from maineffect.report.content.lookup import active, by_strength, factor_fact, ordered_responses
from maineffect.report.content.wording import (
    Bit,
    Phrase,
    code,
    decimals,
    error_of,
    interval,
    muted,
    name,
    number,
    p_value,
    ratio,
    safe,
    say,
    signed,
    strong,
    term,
)

__all__ = ["factors_card", "plan_card", "verdict_card", "warning_blocks"]

_SYMBOLS = {"supported": "✓", "refuted": "✗", "negligible": "≈", "inconclusive": "?"}
_CLAIMS = {
    "increase": "raises",
    "decrease": "lowers",
    "different": "changes",
    "negligible": "on average hardly changes",
}


def verdict_card(result: AnalysisResult) -> Card:
    """The registered hypotheses first, then what exploration suggests."""
    blocks: list[Block] = []
    if result.hypotheses:
        blocks += [Say(_answer(result.hypotheses)), Strip(tuple(_row(result, h) for h in result.hypotheses))]
        full = tuple(_verdict(result, hypothesis) for hypothesis in result.hypotheses)
        blocks.append(Section(say("Every claim in full ", muted("(statement, estimate, tests)")), full, folded=True))
    else:
        blocks.append(Say(say("No hypothesis was registered: everything below is exploration."), "warn"))
    findings = _exploration(result)
    if findings:
        title = say(
            f"{len(findings)} exploratory finding{'s' if len(findings) > 1 else ''} ",
            muted("(not registered; simultaneous intervals exclude zero)"),
        )
        blocks.append(Section(title, (Notes(findings),), folded=True))
    blocks += warning_blocks(result.warnings)
    return Card(
        "verdicts",
        "Verdicts",
        "What does this study say?",
        f"Each effect is in the response's units, with its {1 - result.alpha:.0%} interval; {_rule(result)}.",
        tuple(blocks),
    )


def _answer(claims: Sequence[HypothesisResult]) -> Phrase:
    """One sentence: which claims stand, which do not, which are open."""
    said = {"supported": "supported", "refuted": "refuted", "negligible": "negligible", "inconclusive": "still open"}
    parts = [
        f"{', '.join(claim.id for claim in claims if claim.verdict == verdict)} {words}"
        for verdict, words in said.items()
        if any(claim.verdict == verdict for claim in claims)
    ]
    decided = sum(claim.verdict != "inconclusive" for claim in claims)
    return say(strong(f"{decided} of {len(claims)} questions decided: "), f"{'; '.join(parts)}.")


def _row(result: AnalysisResult, h: HypothesisResult) -> StripRow:
    badge = h.label or h.verdict
    if h.estimate is None:
        return StripRow(h.verdict, _SYMBOLS[h.verdict], badge, h.id, say(h.reason or "not estimated"))
    response = result.responses.get(h.response)
    places = decimals(error_of(h), h.estimate)
    numbers = f"{signed(h.estimate, places, response.unit_of_effects if response else '')}"
    if h.ci_low is not None:
        numbers += f" ({interval(h.ci_low, h.ci_high, places)})"
    limits = {"low": h.ci_low, "high": h.ci_high, "margin": h.sesoi}
    clause = say(name(term(h.term)), ": ", safe(h.answer)) if h.answer else say(name(term(h.term)))
    return StripRow(h.verdict, _SYMBOLS[h.verdict], badge, h.id, clause, h.estimate, **limits, numbers=numbers)


def warning_blocks(warnings: Sequence[str]) -> tuple[Block, ...]:
    """Warnings by kind: those that differ in names and numbers only are one line, and all of them unfold."""
    if not warnings:
        return ()
    kinds: dict[str, list[str]] = {}
    for text in warnings:
        kinds.setdefault(_NAMES_AND_NUMBERS.sub("…", text), []).append(text)
    lines = tuple(
        say(of[0], *((muted(f" (and {len(of) - 1} more like it)"),) if len(of) > 1 else ())) for of in kinds.values()
    )
    if len(warnings) <= _FEW_WARNINGS:
        return (Section(say("Warnings"), (Notes(lines),)),)
    title = say(f"{len(warnings)} warnings ", muted(f"of {len(kinds)} kinds"))
    inner: list[Block] = [Notes(lines)]
    if len(kinds) < len(warnings):
        inner.append(Section(say("All of them"), (Notes(tuple(say(text) for text in warnings)),), folded=True))
    return (Section(title, tuple(inner), folded=True),)


_FEW_WARNINGS = 3
_NAMES_AND_NUMBERS = re.compile(r"'[^']*'|\"[^\"]*\"|\b[\w-]*\d[\w.-]*\b")


def _rule(result: AnalysisResult) -> str:
    """When the rule was written down, as far as that is known."""
    late = [h.id for h in result.hypotheses if h.post_hoc is not None]
    if not result.hypotheses:
        return "nothing was claimed beforehand"
    if result.facts.registered_hash is None:
        return "no registration stands behind the verdicts: read them as exploration"
    if not late:
        return "the rule was registered before the first run"
    if len(late) == len(result.hypotheses):
        return "the rule was registered after the first run: the verdicts are post hoc"
    return f"the rule was registered before the first run, but for {', '.join(late)}: post hoc"


def _verdict(result: AnalysisResult, h: HypothesisResult) -> Verdict:
    response = result.responses.get(h.response)
    unit = response.unit_of_effects if response else ""
    claim = (
        say(strong(h.id), " ", h.statement)
        if h.statement
        else say(strong(h.id), " ", name(term(h.term)), f" {_CLAIMS.get(h.direction, 'changes')} ", name(h.response))
    )
    if h.estimate is None:
        return Verdict(h.verdict, _SYMBOLS[h.verdict], claim, say(f"Not estimated: {h.reason or 'no data'}."))
    places = decimals(error_of(h), h.estimate)
    finding = say(
        name(term(h.term)),
        " on ",
        name(h.response),
        ": ",
        strong(signed(h.estimate, places, unit)),
        f" ({interval(h.ci_low, h.ci_high, places)}){', ' if h.scale else ''}{ratio(h, h.scale)}. ",
        safe(h.answer),
    )
    return Verdict(h.verdict, _SYMBOLS[h.verdict], claim, finding, _small_print(h, places, unit), h.label or h.verdict)


def _small_print(h: HypothesisResult, places: int, unit: str) -> Phrase:
    parts: list[str] = []
    if h.sesoi is not None:
        parts.append(f"smallest effect of interest {number(h.sesoi, places, unit)}")
    if h.p_adjusted is not None:
        parts.append(f"adjusted {p_value(h.p_adjusted)}")
    if h.p_equivalence_adjusted is not None and h.direction == "negligible":
        parts.append(f"equivalence adjusted {p_value(h.p_equivalence_adjusted)}")
    if h.p_permutation is not None:
        parts.append(f"randomisation test {p_value(h.p_permutation)}")
    if h.p_wild is not None:
        parts.append(f"wild bootstrap {p_value(h.p_wild)}")
    if h.p_robust is not None:
        parts.append(f"unequal variances {p_value(h.p_robust)}")
    if h.verdict == "inconclusive":
        parts.append(further_replicates(h))
    if h.transported is not None:
        moved = h.transported
        parts.append(
            f"on the registered target {signed(moved.estimate, places, unit)} "
            f"({interval(moved.ci_low, moved.ci_high, places)}{', ' if moved.scale else ''}{ratio(moved, moved.scale)})"
        )
    if h.post_hoc is not None:
        parts.append(f"post hoc: {h.post_hoc}")
    parts += h.caveats
    if h.reason:
        parts.append(h.reason)
    return say("; ".join(parts)) if parts else ()


def _exploration(result: AnalysisResult) -> tuple[Phrase, ...]:
    findings = []
    for response in ordered_responses(result):
        analysed = result.responses[response]
        for effect in by_strength(analysed.effects):
            if effect.registered or active(effect, analysed.smallest_effect) != "active":
                continue
            places = decimals(effect.std_error, effect.estimate)
            parts: list[str | Bit] = [name(term(effect.term)), " on ", name(response), ": "]
            parts += [strong(signed(effect.estimate, places, analysed.unit_of_effects))]
            parts += [f" ({interval(effect.simultaneous_low, effect.simultaneous_high, places)})"]
            parts += [f", {ratio(effect, analysed.scale)}"] if analysed.scale else []
            if effect.aliased_with:
                parts.append(muted(f" cannot be told from {', '.join(map(term, effect.aliased_with))}"))
            findings.append(say(*parts))
    return tuple(findings)


def plan_card(result: AnalysisResult) -> Card:
    """Was the promise kept?"""
    facts = result.facts
    statuses: dict[str, int] = {}
    for run in result.runs:
        statuses[run.status] = statuses.get(run.status, 0) + 1
    finished = statuses.get("finished", 0)
    spare = sum(count for status, count in statuses.items() if status.startswith("not needed"))
    failed = (
        sum(count for status, count in statuses.items() if status not in {"finished", "planned", "running"}) - spare
    )
    waiting = len(result.runs) - finished - failed - spare
    tiles = [(str(len(result.runs)), "runs planned", ""), (str(finished), "finished", "good")]
    tiles += [(str(failed), "failed", "bad" if failed else ""), (str(waiting), "not done", "warn" if waiting else "")]
    tiles += [(str(spare), "not needed", "")] if spare else []
    blocks: list[Block] = [Tiles(tuple(tiles))]
    late = [h.id for h in result.hypotheses if h.post_hoc is not None]
    if facts.stopped is not None:
        blocks.append(Say(say(facts.stopped[0].upper() + facts.stopped[1:] + "."), "good"))
    if facts.registered_hash is None:
        blocks.insert(
            0, Say(say("No registration stands behind this table: read every finding as exploration."), "warn")
        )
    elif facts.registered_hash == result.plan_hash:
        blocks.insert(
            0,
            Say(
                say(
                    strong("Yes. "),
                    "The runs follow the plan ",
                    code(facts.registered_hash[:16]),
                    f", registered {facts.registered_at}.",
                    *(f" Post hoc, with the reason beside each: {', '.join(late)}." for _ in late[:1]),
                ),
                "warn" if late else "good",
            ),
        )
    else:
        blocks.insert(0, Say(say(strong("No. "), "The plan that was run is not the one that was registered."), "bad"))
    if result.looks:
        blocks.append(_looks(result))
    if facts.deviations:
        blocks.append(Section(say("Deviations"), (Notes(tuple(say(d) for d in facts.deviations)),)))
    return Card(
        "plan", "Plan", "Was the plan kept?", "A plan is frozen, with its hash, before the first run.", tuple(blocks)
    )


def _looks(result: AnalysisResult) -> Table:
    """Every interim look, with the level that it was held to."""
    rows = tuple(
        (
            f"{look.look} of {look.looks}",
            look.hypothesis,
            look.decision,
            number(look.p_value, 4) if look.p_value is not None else "–",
            number(look.level, 4) if look.level is not None else "–",
            interval(look.ci_low, look.ci_high, decimals(None, look.estimate)),
            "–" if look.conditional_power is None else number(look.conditional_power, 2),
        )
        for look in result.looks
    )
    kind = "registered" if result.looks[0].registered else "not registered: verdicts do not heed them"
    columns = ("look", "hypothesis", "decision", "p", "level", "repeated interval", "conditional power")
    return Table(f"Interim looks after complete replicates ({kind})", columns, rows, frozenset({3, 4, 6}))


def factors_card(result: AnalysisResult) -> Card:
    """What was varied."""
    rows = tuple(
        (
            (name(factor["name"]),),
            ", ".join(map(str, factor["levels"])),
            str(factor.get("unit") or ""),
            str(factor_fact(result, factor["name"], "description") or ""),
        )
        for factor in result.facts.factors
    )
    question = "What was varied?"
    if not rows:
        return Card("factors", "Factors", question, not_applicable="The table came without a study's factors.")
    design = result.facts.design
    shape: list[Block] = []
    if design:
        text = f"{design.get('kind')} design, {design.get('n_cells')} cells, {design.get('n_runs')} runs"
        if design.get("resolution"):
            text += f", resolution {design['resolution']}, {'; '.join(design.get('generators') or ())}"
        shape.append(Say(say(text + ".")))
    return Card(
        "factors",
        "Factors",
        question,
        "Every combination that was run is a cell; effects average over the other factors.",
        (*shape, Table("Factors and their levels", ("factor", "levels", "unit", "what it changes"), rows)),
    )
