"""What the study could have found, planned and achieved; and whether every cell had the same chance."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from maineffect.analyse.record.result import AnalysisResult
from maineffect.report.content.blocks import Block, Card, Cell, Say, Table
from maineffect.report.content.lookup import factor_levels, level_key, ordered_responses
from maineffect.report.content.wording import decimals, level, name, number, say, seconds

__all__ = ["detectable_card", "tuning_card"]


def detectable_card(result: AnalysisResult) -> Card:
    """What 'no effect' means here: less than this; as planned and as it turned out."""
    question = "How small an effect could have been found?"
    planned = _planned(result.facts.design)
    rows: list[tuple[Cell, ...]] = []
    for response in ordered_responses(result):
        analysed = result.responses[response]
        sigma, wanted, reached = analysed.model.sigma, analysed.smallest_effect, analysed.smallest_detectable
        if reached is None and (planned is None or sigma is None):
            continue
        as_planned = planned * sigma if planned is not None and sigma is not None else None
        places = decimals(None, reached if reached is not None else as_planned)
        enough = "" if wanted is None or reached is None else "yes" if reached <= wanted else "no"
        rows.append(
            (
                (name(response),),
                number(as_planned, places, analysed.unit_of_effects),
                number(reached, places, analysed.unit_of_effects),
                number(wanted, places, analysed.unit_of_effects) if wanted is not None else "not stated",
                number(sigma, places + 1),
                number(analysed.model.df_error, 0),
                enough,
            )
        )
    blocks: list[Block] = [Say(say(text)) for text in _design_sentences(result.facts.design, planned)]
    if not rows:
        why = "Without error degrees of freedom there is no smallest detectable effect: replicate, or fit fewer terms."
        return Card("detectable", "Sensitivity", question, not_applicable=why)
    columns = ("response", "planned", "achieved", "of interest", "run SD", "error df", "sensitive enough")
    caption = "Smallest main effect that is found with power 80 %, per response"
    blocks.append(Table(caption, columns, tuple(rows), frozenset({1, 2, 3, 4, 5})))
    terms = _planned_terms(result.facts.design)
    if terms:
        blocks.append(terms)
    how = (
        "“No effect” means less than the column achieved. Planned: the design with every run, at the spread between "
        "runs that was observed."
    )
    return Card("detectable", "Sensitivity", question, how, tuple(blocks))


def _mains(design: dict[str, Any]) -> Iterable[float]:
    for row in design.get("detectable") or ():
        if ":" not in row["term"] and row.get("mde_sigma") is not None:
            yield float(row["mde_sigma"])


def _planned(design: dict[str, Any]) -> float | None:
    """The design's own smallest detectable main effect, in standard deviations of a run; its worst factor decides."""
    return max(_mains(design), default=None)


def _design_sentences(design: dict[str, Any], planned: float | None) -> Iterable[str]:
    if design.get("d_efficiency") is not None:
        text = f"D-efficiency {number(float(design['d_efficiency']), 1, '%')}"
        if design.get("d_bound") is not None:
            text += f"; no design of this size exceeds {number(float(design['d_bound']), 1, '%')}"
        yield text + "."
    if planned is not None:
        yield f"The plan finds a main effect of {number(planned, 2)} standard deviations of a run with power 80 %."


def _planned_terms(design: dict[str, Any]) -> Table | None:
    rows = tuple(
        (
            level(row["term"]).replace(":", " × "),
            str(row.get("stratum") or ""),
            number(row.get("df_error"), 0),
            number(row.get("mde_sigma"), 2) if row.get("mde_sigma") is not None else str(row.get("reason") or "none"),
        )
        for row in design.get("detectable") or ()
    )
    if not rows:
        return None
    columns = ("term", "compared between", "error df", "smallest effect, in run SDs")
    return Table("What the plan could find, term by term", columns, rows, frozenset({2, 3}), folded=True)


def tuning_card(result: AnalysisResult) -> Card:
    """Did every level get the same effort?"""
    question = "Did every cell get the same chance?"
    rows: list[tuple[Cell, ...]] = []
    for factor, levels in factor_levels(result).items():
        for value in levels:
            runs = [r for r in result.runs if level_key(r.levels.get(factor, "")) == level_key(value)]
            timed = [r.seconds for r in runs if r.seconds is not None]
            if runs:
                rows.append(
                    (
                        (name(factor),),
                        level(value),
                        str(len(runs)),
                        str(sum(r.status == "finished" for r in runs)),
                        number(sum(r.attempts for r in runs) / len(runs), 2),
                        seconds(sum(timed) / len(timed)) if timed else "n/a",
                    )
                )
    if not rows:
        return Card("tuning", "Fairness", question, not_applicable="No runs are known.")
    tuned = result.facts.tuning
    if tuned is not None:
        trials = sum(group.trials for group in tuned.groups)
        sentence = f"{trials} tuning trials for {len(tuned.groups)} groups came before; “Was tuning fair?” has them."
    else:
        frozen = "; what is not a factor has one registered value in all cells" if result.facts.registered_hash else ""
        sentence = f"Nothing was tuned{frozen}."
    columns = ("factor", "level", "runs planned", "finished", "attempts a run", "mean time of a run")
    table = Table("Effort spent at each level", columns, tuple(rows), frozenset({2, 3, 4, 5}))
    how = "A level that got more trials, attempts or finished runs than another is not compared fairly."
    return Card("tuning", "Fairness", question, how, (Say(say(sentence)), table))
