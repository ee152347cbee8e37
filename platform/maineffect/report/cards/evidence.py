"""What stands behind the numbers: attribution, aliases, curves, residuals, failures, cost, provenance, data."""

from __future__ import annotations

import csv
import io

from maineffect.analyse.result import AnalysisResult
from maineffect.report.blocks import Block, Card, Cell, Download, Figure, Notes, Panel, Say, Section, Table
from maineffect.report.cards.effects import panel_id
from maineffect.report.charts.curves import curves_record, curves_spec
from maineffect.report.charts.residuals import residuals_record, residuals_spec
from maineffect.report.lookup import by_strength, factor_levels, ordered_responses
from maineffect.report.wording import code, decimals, interval, level, name, number, say, seconds, signed, term

__all__ = [
    "alias_card",
    "attribution_card",
    "curves_card",
    "data_card",
    "diagnostics_card",
    "failures_card",
    "provenance_card",
]

_PREFERRED = ("reward", "abstained", "entropy", "kl", "grad_norm", "searches")


def attribution_card(result: AnalysisResult) -> Card:
    """Which factor contributed what to the whole change."""
    question = "Who gets the credit for the whole change?"
    if not result.attribution:
        return Card("attribution", "Attribution", question, not_applicable="No two configurations could be compared.")
    sections: list[Block] = []
    for response in ordered_responses(result):
        shares = [share for share in result.attribution if share.response == response]
        if not shares:
            continue
        places = decimals(None, max((abs(s.contribution) for s in shares), default=1.0))
        one_each: list[tuple[Cell, ...]] = [
            (
                (name(share.factor),),
                f"{level(share.from_level)} → {level(share.to_level)}",
                signed(share.contribution, places),
                interval(share.ci_low, share.ci_high, places),
            )
            for share in sorted(shares, key=lambda s: -abs(s.contribution))
        ]
        total: tuple[Cell, ...] = ("all together", "", signed(shares[0].gap, places), "")
        table = Table(
            f"Shares of the change in {response}",
            ("factor", "change", "share", "interval"),
            (*one_each, total),
            frozenset({2, 3}),
        )
        sections.append(Section(say(name(response)), (table,), folded=len(sections) >= 3))
    return Card(
        "attribution",
        "Attribution",
        question,
        "Exact Shapley shares of the step from every factor's first level to its last; they sum to the whole.",
        tuple(sections),
    )


def alias_card(result: AnalysisResult) -> Card:
    """What cannot be told apart."""
    question = "What can this design not tell apart?"
    chains = result.facts.design.get("aliases") or []
    gone = {(g.term, g.reason) for response in result.responses.values() for g in response.not_estimable}
    blocks: list[Block] = []
    if chains:
        rows = tuple((term(chain[0]), ", ".join(map(term, chain[1:]))) for chain in chains)
        blocks.append(Table("Aliases up to two-factor interactions", ("effect", "cannot be told from"), rows))
    if gone:
        blocks.append(
            Section(say("Not estimated"), (Notes(tuple(say(term(t), ": ", reason) for t, reason in sorted(gone))),))
        )
    if not blocks:
        why = "Every effect up to two-factor interactions has columns of its own in this design."
        return Card("aliases", "Aliases", question, not_applicable=why)
    return Card("aliases", "Aliases", question, "An estimate is the sum of everything on its line.", tuple(blocks))


def curves_card(result: AnalysisResult) -> Card:
    """How the runs learned."""
    question = "How did the runs learn?"
    metrics = [metric for metric in _PREFERRED if any(curve.metric == metric for curve in result.curves)]
    metrics = metrics or sorted({curve.metric for curve in result.curves})[:6]
    if not metrics:
        return Card("curves", "Curves", question, not_applicable="The table came without training curves.")
    factor = _strongest_factor(result)
    records = [curves_record(result, metric, factor) for metric in metrics]
    panels = tuple(
        Panel(
            panel_id("curve", record.metric),
            curves_spec(record),
            f"{record.metric} over training steps by level of {factor}: "
            + "; ".join(f"{m.name}: from {number(m.values[0])} to {number(m.values[-1])}" for m in record.means),
            310,
        )
        for record in records
        if record.means
    )
    caption = say("Split by ", name(factor), ", the factor with the strongest effect. Grey lines are single runs.")
    return Card(
        "curves",
        "Curves",
        question,
        "Thick lines are means over runs at a level; a curve that falls back warns of collapse.",
        (Figure("f-curves", caption, panels),),
    )


def _strongest_factor(result: AnalysisResult) -> str:
    first = [h.term for h in result.hypotheses if ":" not in h.term]
    if first:
        return first[0]
    mains = [e for r in result.responses.values() for e in by_strength(r.effects) if e.kind == "main"]
    return mains[0].term if mains else next(iter(factor_levels(result)))


def diagnostics_card(result: AnalysisResult) -> Card:
    """Are the model's assumptions bearable?"""
    question = "Do the residuals look like noise?"
    panels = []
    for response in ordered_responses(result):
        record = residuals_record(result, response)
        if record is not None:
            label = f"Residuals of {response}; the largest, {number(record.largest)}, is of run {record.worst}"
            panels.append(Panel(panel_id("residuals", response), residuals_spec(record), label, 210))
    if not panels:
        return Card(
            "diagnostics",
            "Diagnostics",
            question,
            not_applicable="No model left residuals: every run is fitted exactly.",
        )
    return Card(
        "diagnostics",
        "Diagnostics",
        question,
        "A funnel or a bend means that intervals are not to be trusted; a lone dot is a run to look at.",
        (Figure("f-residuals", say("Residual against fitted value, one dot per run."), tuple(panels)),),
    )


def failures_card(result: AnalysisResult) -> Card:
    """What failed, and what it cost."""
    cost = result.facts.cost
    failed = [run for run in result.runs if run.failure]
    blocks: list[Block] = []
    timed = [run.seconds for run in result.runs if run.seconds is not None]
    if timed:
        hours = cost.get("gpu_hours", 0.0)
        each = seconds(sum(timed) / len(timed))
        text = f"Runs took {seconds(sum(timed))} in all, {each} each; GPU-hours {number(hours, 2)}"
        blocks.append(Say(say(text + (f", price {number(cost['price'], 2)}." if cost.get("price") else "."))))
    if failed:
        rows = tuple((run.run_id, run.failure or "", str(run.attempts), run.message or "") for run in failed)
        blocks.append(
            Table("Failed runs", ("run", "class", "attempts", "first line of the error"), rows, frozenset({2}))
        )
        sweep = result.facts.sweep_id
        if sweep:
            blocks.append(Say(say("Run them again with ", code(f"maineffect resubmit {sweep}"))))
    elif result.runs:
        blocks.append(Say(say("No run failed."), "good"))
    if not blocks:
        return Card(
            "failures", "Failures, cost", "What failed, and what did it cost?", not_applicable="No runs are known."
        )
    return Card(
        "failures",
        "Failures, cost",
        "What failed, and what did it cost?",
        "Failures are outcomes: they may depend on a factor.",
        tuple(blocks),
    )


def provenance_card(result: AnalysisResult) -> Card:
    """Where the numbers come from, and the methods in words."""
    facts = result.facts
    rows = tuple(
        (key.removeprefix("me."), str(value))
        for key, value in sorted(facts.provenance.items())
        if not key.startswith("mlflow.note")
    )
    formulas = [response.model.formula for response in result.responses.values()]
    text = (
        f"Run-level responses were fitted by ordinary least squares ({formulas[0] if formulas else 'no model'}), "
        f"blocks as fixed effects, t intervals at {1 - result.alpha:.0%}; registered hypotheses are adjusted "
        "as one family, everything else by Benjamini–Hochberg; simultaneous intervals use the largest |t|; "
        "the randomisation test "
        "permutes residuals of the reduced model within blocks (Freedman and Lane 1983). "
        "The unit is the run: one training with one seed."
    )
    blocks: list[Block] = [Say(say(text))]
    if facts.question:
        blocks.insert(0, Say(say(facts.question)))
    if rows:
        blocks.append(Table("Provenance", ("what", "value"), rows, folded=True))
    return Card("provenance", "Methods", "Where do these numbers come from?", "Enough to do it again.", tuple(blocks))


def data_card(result: AnalysisResult) -> Card:
    """The table of runs and the whole result, inside the page."""
    files = [Download("result.json", "the whole analysis (JSON)", "application/json", result.model_dump_json())]
    if result.runs:
        files.insert(0, Download("runs.csv", "one row per run (CSV)", "text/csv", _runs_csv(result)))
    return Card("data", "Data", "May I have the data?", "The files are inside this page.", tuple(files))


def _runs_csv(result: AnalysisResult) -> str:
    factors = list(dict.fromkeys(f for run in result.runs for f in run.levels))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["run_id", "replicate", "block", "status", "seconds", *factors, *result.responses])
    for run in result.runs:
        values = [run.responses.get(r) for r in result.responses]
        writer.writerow(
            [
                run.run_id,
                run.replicate,
                run.block,
                run.status,
                run.seconds,
                *(run.levels.get(f) for f in factors),
                *values,
            ]
        )
    return text.getvalue()
