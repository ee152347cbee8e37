"""Seeds and items: what the next GPU-hour should buy, what items say, and whether effects hold for other seeds."""

from __future__ import annotations

from maineffect.analyse.record.result import AnalysisResult, ItemModel, ItemVariance
from maineffect.report.content.blocks import Block, Card, Cell, Say, Table
from maineffect.report.content.lookup import ordered_responses
from maineffect.report.content.wording import decimals, interval, name, number, p_value, say, signed, strong, term

__all__ = ["precision_card"]

_MAIN = ("score", "correct")


def precision_card(result: AnalysisResult) -> Card:
    """Variance between seeds and between items, effects on items, effects between blocks, covariates."""
    question = "More seeds or more items?"
    blocks: list[Block] = []
    if result.item_variances:
        first = min(result.item_variances, key=lambda part: (part.score not in _MAIN, part.score))
        blocks.append(Say(say(strong(first.score), f": {first.sentence}.")))
        blocks.append(_variances(result.item_variances))
    tables = (
        _item_effects(result.item_models),
        _scales(result.item_models),
        _between_seeds(result),
        _covariates(result),
    )
    blocks += [table for table in tables if table is not None]
    if not blocks:
        why = "It needs item scores of replicated runs, or a design in blocks."
        return Card("precision", "Seeds, items", question, not_applicable=why)
    how = (
        "The run is the unit of every interval: items sharpen a run's score, they never stand in for seeds. Effects on "
        "items hold for the items of this battery."
    )
    return Card("precision", "Seeds, items", question, how, tuple(blocks))


def _sd(variance: float | None) -> str:
    return "" if variance is None else number(variance**0.5)


def _variances(parts: list[ItemVariance]) -> Table:
    rows: list[tuple[Cell, ...]] = [
        (
            (name(part.score),),
            _sd(part.run),
            _sd(part.item),
            _sd(part.residual),
            _sd(part.block),
            number(part.std_error),
            part.advice,
            ", ".join(part.on_boundary).replace("_", " × "),
        )
        for part in parts
    ]
    columns = ("score", "seed", "item", "seed × item", "block", "error of a comparison", "advice", "on the boundary 0")
    caption = "Standard deviation of an item score by where it comes from"
    return Table(caption, columns, tuple(rows), frozenset({1, 2, 3, 4, 5}), folded=len(rows) > 3)


def _of(model: ItemModel) -> str:
    return f"{model.score}, {model.part}" if model.part else model.score


def _item_effects(models: list[ItemModel]) -> Table | None:
    rows: list[tuple[Cell, ...]] = []
    for model in models:
        for effect in model.effects:
            if ":" in effect.term:
                continue
            places = decimals(effect.std_error, effect.log_odds)
            share = decimals(None, effect.difference)
            rows.append(
                (
                    (name(_of(model)),),
                    term(effect.term),
                    effect.contrast,
                    "" if effect.log_odds is None else signed(effect.log_odds, places),
                    interval(effect.ci_low, effect.ci_high, places),
                    signed(effect.difference, share),
                    interval(effect.difference_low, effect.difference_high, share),
                )
            )
    if not rows:
        return None
    columns = ("items", "term", "contrast", "log-odds", "interval", "share", "interval of the share")
    caption = "Main effects on item scores, runs and items crossed"
    return Table(caption, columns, tuple(rows), frozenset({3, 4, 5, 6}), folded=len(rows) > 8)


def _scales(models: list[ItemModel]) -> Table | None:
    rows: list[tuple[Cell, ...]] = [
        (
            (name(_of(model)),),
            str(model.runs),
            str(model.items),
            number(model.share, 3),
            ", ".join(f"{part.replace('_', ' ')} {number(sd, 2)}" for part, sd in model.sd.items()) or "not fitted",
            ", ".join(model.on_boundary).replace("_", " "),
        )
        for model in models
    ]
    if not rows:
        return None
    columns = ("items", "runs", "number", "share of 1", "deviations on the log-odds scale", "on the boundary 0")
    return Table("The models of item scores", columns, tuple(rows), frozenset({1, 2, 3}), folded=True)


def _between_seeds(result: AnalysisResult) -> Table | None:
    rows: list[tuple[Cell, ...]] = []
    for response in ordered_responses(result):
        for variance in result.seed_variances:
            if variance.response != response:
                continue
            places = decimals(variance.std_error, variance.estimate)
            rows.append(
                (
                    (name(response),),
                    term(variance.term),
                    variance.contrast,
                    signed(variance.estimate, places),
                    "0 (boundary)" if variance.on_boundary else number(variance.sd, places),
                    p_value(variance.p_value).removeprefix("p = ").removeprefix("p "),
                    interval(variance.ci_low, variance.ci_high, places),
                )
            )
    if not rows:
        return None
    columns = ("response", "term", "contrast", "effect", "deviation between blocks", "p", "interval over blocks")
    caption = "Does an effect differ between blocks (seeds)?"
    return Table(caption, columns, tuple(rows), frozenset({3, 4, 5, 6}), folded=True)


def _covariates(result: AnalysisResult) -> Table | None:
    rows: list[tuple[Cell, ...]] = []
    for response in ordered_responses(result):
        for use in result.responses[response].covariates:
            places = decimals(use.std_error, use.slope)
            rows.append(
                (
                    (name(response),),
                    (name(use.name),),
                    signed(use.slope, places),
                    interval(use.ci_low, use.ci_high, places),
                    number(use.sigma_without),
                    number(use.sigma_with),
                    p_value(use.p_design).removeprefix("p = ").removeprefix("p ") if use.p_design is not None else "",
                )
            )
    if not rows:
        return None
    columns = ("response", "covariate", "slope", "interval", "run SD before", "run SD after", "p that factors move it")
    return Table("Covariates fitted beside the design", columns, tuple(rows), frozenset({2, 3, 4, 5, 6}))
