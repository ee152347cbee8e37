"""Was tuning fair? Trials, cost and chosen values of every group, and what to distrust."""

from __future__ import annotations

from collections.abc import Iterator

from maineffect.analyse.record.further_records import Tuned, TunedGroup
from maineffect.analyse.record.result import AnalysisResult
from maineffect.report.content.blocks import Block, Card, Cell, Say, Table
from maineffect.report.content.wording import Phrase, code, number, say, seconds

__all__ = ["fairness_card"]

_QUESTION = "Was tuning fair?"
_MOST_NAMES = 6


def fairness_card(result: AnalysisResult) -> Card:
    """What was tuned before the registered runs, group by group."""
    tuned = result.facts.tuning
    if tuned is None:
        why = "Nothing was tuned: settings that are no factors have one registered value in all runs."
        return Card("fairness", "Tuning", _QUESTION, not_applicable=why)
    blocks: list[Block] = [Say(_claim(tuned)), *(Say(text, "warn") for text in _warnings(tuned)), _table(tuned)]
    how = (
        "Every group has as many trials, on seeds and items that no registered run sees, so no score of this table is "
        "in an effect. Predicted: at the chosen values, on the trials' items. Obtained: by the registered runs."
    )
    return Card("fairness", "Tuning", _QUESTION, how, tuple(blocks))


def _claim(tuned: Tuned) -> Phrase:
    what = ", ".join(tuned.nuisance)
    if tuned.scope == "shared":
        values = tuned.groups[0].values if tuned.groups else None
        at = ", ".join(f"{key} = {value:.4g}" for key, value in (values or {}).items()) or "none yet"
        return say(f"One value of {what} serves all runs ({at}): every effect is the effect at this value.")
    return say(
        f"Every run has tuned {what} by itself: effects are those of training under this tuning procedure, and the "
        "spread between runs holds what tuning adds to it."
    )


def _warnings(tuned: Tuned) -> Iterator[Phrase]:
    counts = {group.trials for group in tuned.groups}
    if len(counts) > 1:
        yield say(f"Groups have between {min(counts)} and {max(counts)} trials: they are not compared fairly.")
    if unchosen := [group.group for group in tuned.groups if group.values is None]:
        yield say(f"Nothing is chosen yet for {_some(unchosen)}.")
    for nuisance in tuned.nuisance:
        if edge := [group.group for group in tuned.groups if nuisance in group.on_edge]:
            yield say(f"{nuisance} lies on the edge of its range for {_some(edge)}: the best value may lie beyond.")
    if useless := [group.group for group in tuned.groups if _no_better(tuned, group)]:
        yield say(f"The chosen values are predicted to be no better than the default was for {_some(useless)}.")
    if lost := [group.group for group in tuned.groups if group.diverged > group.trials / 2]:
        yield say(f"More than half of the trials have no score for {_some(lost)}: the range is too wide.")


def _no_better(tuned: Tuned, group: TunedGroup) -> bool:
    if group.predicted is None or group.default_score is None:
        return False
    gain = group.predicted - group.default_score
    return (gain if tuned.goal == "maximize" else -gain) <= 0


def _some(groups: list[str]) -> str:
    more = f" and {len(groups) - _MOST_NAMES} more" if len(groups) > _MOST_NAMES else ""
    return f"{', '.join(groups[:_MOST_NAMES])}{more}"


def _table(tuned: Tuned) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for group in tuned.groups:
        values = [number((group.values or {}).get(nuisance), 6) for nuisance in tuned.nuisance]
        rows.append(
            (
                (code(group.group),),
                str(group.runs),
                str(group.trials),
                str(group.diverged),
                seconds(group.seconds),
                *values,
                number(group.default_score, 3),
                number(group.predicted, 3),
                number(group.std_error, 3),
                number(group.obtained, 3),
            )
        )
    columns = ("group", "runs", "trials", "without score", "cost", *tuned.nuisance)
    scores = (f"default: {tuned.response}", "predicted", "standard error", "obtained")
    count = len(columns) + len(scores)
    return Table("What was tuned, and to what", (*columns, *scores), tuple(rows), frozenset(range(1, count)))
