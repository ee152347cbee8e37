"""What stands behind the numbers: attribution, aliases, provenance, data."""

from __future__ import annotations

from maineffect.analyse.record.result import AnalysisResult
from maineffect.report.content.blocks import Block, Card, Cell, Download, Notes, Say, Section, Table
from maineffect.report.content.lookup import ordered_responses
from maineffect.report.content.tabular import csv_text
from maineffect.report.content.wording import decimals, interval, level, name, number, ratio, say, signed, term

_LARGE = 2_000_000
"""Characters of JSON above which the page holds only what its cards say, compressed."""

__all__ = [
    "alias_card",
    "attribution_card",
    "data_card",
    "provenance_card",
]


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
                *([ratio(share, share.scale)] if share.scale else []),
            )
            for share in sorted(shares, key=lambda s: -abs(s.contribution))
        ]
        gap = shares[0]
        whole = [f"{'odds ratio' if gap.scale == 'logit' else 'ratio'} {number(gap.gap_ratio)}"] if gap.scale else []
        total: tuple[Cell, ...] = ("all together", "", signed(gap.gap, places), "", *whole)
        unit = f" ({result.responses[response].unit_of_effects})" if gap.scale else ""
        table = Table(
            f"Shares of the change in {response}{unit}",
            ("factor", "change", "share", "interval", *(("as ratio, which multiply",) if gap.scale else ())),
            (*one_each, total),
            frozenset({2, 3}),
        )
        sections.append(Section(say(name(response)), (table,), folded=len(sections) >= 3))
    return Card(
        "attribution",
        "Attribution",
        question,
        "Exact Shapley shares of the step that the column “change” spells out; they sum to the whole."
        + (
            " The data chose both ends: the intervals hold for all pairs of cells and all factors at once."
            if any(share.simultaneous for share in result.attribution)
            else ""
        ),
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
    document = result.model_dump_json()
    if len(document) > _LARGE:
        document = _without_runs(result).model_dump_json()
        told = "the analysis without its runs, curves and residuals (JSON); all of it: maineffect report --format json"
        files = [Download("result.json.gz", told, "application/gzip", document, packed=True)]
    else:
        files = [Download("result.json", "the whole analysis (JSON)", "application/json", document)]
    if result.runs:
        files.insert(0, Download("runs.csv", "one row per run (CSV)", "text/csv", _runs_csv(result)))
    return Card("data", "Data", "May I have the data?", "The files are inside this page.", tuple(files))


def _without_runs(result: AnalysisResult) -> AnalysisResult:
    responses = {name: r.model_copy(update={"residuals": []}) for name, r in result.responses.items()}
    return result.model_copy(update={"runs": [], "curves": [], "responses": responses})


def _runs_csv(result: AnalysisResult) -> str:
    factors = list(dict.fromkeys(f for run in result.runs for f in run.levels))
    run_fields = ("run_id", "replicate", "block", "status", "seconds")
    return csv_text(
        {
            **{key: getattr(run, key) for key in run_fields},
            **{factor: run.levels.get(factor) for factor in factors},
            **{response: run.responses.get(response) for response in result.responses},
        }
        for run in result.runs
    )
