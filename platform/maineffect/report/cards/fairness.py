"""Was tuning fair? Trials, cost and chosen values of every group, and what to distrust."""

from __future__ import annotations

from collections.abc import Iterator

from maineffect.analyse.record.result import AnalysisResult
from maineffect.analyse.record.tuning import NuisanceCurve, Tuned, TunedGroup
from maineffect.report.charts.nuisance import nuisance_rows, nuisance_spec
from maineffect.report.content.blocks import Block, Card, Cell, Figure, Panel, Say, Table
from maineffect.report.content.wording import Phrase, code, decimals, level, name, number, p_value, safe, say, seconds

__all__ = ["fairness_card"]

_QUESTION = "Was tuning fair?"
_MOST_NAMES = 6
_WIDE = 300


def fairness_card(result: AnalysisResult) -> Card:
    """What was tuned before the registered runs, group by group."""
    tuned = result.facts.tuning
    if tuned is None:
        why = "Nothing was tuned: settings that are no factors have one registered value in all runs."
        return Card("fairness", "Tuning", _QUESTION, not_applicable=why)
    blocks: list[Block] = [Say(_claim(tuned)), *(Say(text, "warn") for text in _warnings(tuned, result.alpha))]
    blocks += [Say(text) for text in _moved(tuned, result.alpha)]
    blocks += [_table(tuned), *_errors(tuned), *_curves(tuned)]
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
    if tuned.scope != "replicate":
        by = "every cell" if tuned.scope == "cell" else f"every combination of {', '.join(map(safe, tuned.scope))}"
        return say(
            f"One value of {what} serves {by}: these groups of runs are the units of what was tuned, and effects "
            "between them have the error between groups, whatever the spread between runs."
        )
    return say(
        f"Every run has tuned {what} by itself: effects are those of training under this tuning procedure, and the "
        "spread between runs holds what tuning adds to it."
    )


def _warnings(tuned: Tuned, alpha: float) -> Iterator[Phrase]:
    counts = {group.trials - group.set_aside for group in tuned.groups}
    if len(counts) > 1:
        yield say(f"Groups have between {min(counts)} and {max(counts)} trials: they are not compared fairly.")
    if short := [group for group in tuned.groups if group.set_aside]:
        yield say(
            f"{_some([group.group for group in short])} went without trials that failed, "
            f"{sum(group.set_aside for group in short)} in all (--accept-unequal): who has more finds better values."
        )
    for pair in tuned.interactions:
        if pair.compromise and pair.p_adjusted <= alpha:
            yield say(
                f"The best {safe(pair.nuisance)} differs between the levels of ",
                name(pair.factor),
                f" ({p_value(pair.p_adjusted)}, Holm), and they share one value: the level that it suits is favoured. "
                f"Tune by it: scope: replicate, or a scope that {safe(pair.factor)} is part of.",
            )
    if unchosen := [group.group for group in tuned.groups if group.values is None]:
        yield say(f"Nothing is chosen yet for {_some(unchosen)}.")
    for nuisance in tuned.nuisance:
        if edge := [group.group for group in tuned.groups if nuisance in group.on_edge]:
            yield say(f"{nuisance} lies on the edge of its range for {_some(edge)}: the best value may lie beyond.")
    if useless := [group.group for group in tuned.groups if _no_better(tuned, group)]:
        yield say(f"The chosen values are predicted to be no better than the default was for {_some(useless)}.")
    if lost := [group.group for group in tuned.groups if group.diverged > group.trials / 2]:
        yield say(f"More than half of the trials have no score for {_some(lost)}: the range is too wide.")


def _moved(tuned: Tuned, alpha: float) -> Iterator[Phrase]:
    """What tuning has evened out: one value for all would have favoured a level."""
    for pair in tuned.interactions:
        if not pair.compromise and pair.p_adjusted <= alpha:
            yield say(
                f"The best {safe(pair.nuisance)} differs between the levels of ",
                name(pair.factor),
                f" ({p_value(pair.p_adjusted)}, Holm). They had values of their own, so this favours none of them.",
            )


def _no_better(tuned: Tuned, group: TunedGroup) -> bool:
    if group.predicted is None or group.default_score is None:
        return False
    gain = group.predicted - group.default_score
    return (gain if tuned.goal == "maximize" else -gain) <= 0


def _some(groups: list[str]) -> str:
    more = f" and {len(groups) - _MOST_NAMES} more" if len(groups) > _MOST_NAMES else ""
    return f"{', '.join(groups[:_MOST_NAMES])}{more}"


def _label(group: TunedGroup) -> Phrase:
    """A group by its levels, where its runs have some in common."""
    if not group.levels:
        return (code(group.group),)
    return say(", ".join(f"{safe(factor)} = {level(value)}" for factor, value in group.levels.items()))


def _errors(tuned: Tuned) -> Iterator[Block]:
    """The error that decides, beside the one that would if tuning had added nothing."""
    rows: list[tuple[Cell, ...]] = []
    for one in tuned.errors:
        places = decimals(min(one.std_error, one.std_error_runs))
        rows.append(
            (
                (name(one.term),),
                safe(one.response),
                one.contrast,
                number(one.std_error, places),
                number(one.df, 1),
                number(one.std_error_runs, places),
                number(one.df_runs, 1),
            )
        )
    if rows:
        columns = ("term", "response", "contrast", "with the groups", "df", "without", "df without")
        caption = "Standard errors of effects between groups. With the groups: it decides. Without: runs as if alone"
        yield Table(caption, columns, tuple(rows), frozenset(range(3, 7)))


def _curves(tuned: Tuned) -> Iterator[Block]:
    """The response over each nuisance, by the levels of the factors that may move its best value."""
    pairs: dict[tuple[str, str], list[NuisanceCurve]] = {}
    for curve in tuned.curves:
        pairs.setdefault((curve.factor, curve.nuisance), []).append(curve)
    if not pairs:
        return
    tests = {(one.factor, one.nuisance): one for one in tuned.interactions}
    panels, records = [], []
    for i, ((factor, nuisance), curves) in enumerate(pairs.items()):
        label = f"{safe(tuned.response)} over {safe(nuisance)} by {safe(factor)}"
        if (test := tests.get((factor, nuisance))) is not None:
            label += f"; best value by level: {p_value(test.p_adjusted)} (Holm)"
        spec = nuisance_spec(curves, tuned.response, log=nuisance in tuned.log)
        panels.append(Panel(f"p-fairness-{i}", spec, label, _WIDE))
        records += nuisance_rows(curves)
    caption = (
        "Trials: means at each value (dots) and the quadratic through them (lines), by the factors that are likeliest "
        "to move the best value. Curves that peak at different values say that one value for all favours a level."
    )
    yield Figure("f-fairness", say(caption), tuple(panels), stem="fairness", records=tuple(records))


def _table(tuned: Tuned) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for group in tuned.groups:
        values = [number((group.values or {}).get(nuisance), 6) for nuisance in tuned.nuisance]
        rows.append(
            (
                _label(group),
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
