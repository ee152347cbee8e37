"""Effects against size, and what the line says where nobody has run."""

from __future__ import annotations

from maineffect.analyse.record.result import AnalysisResult
from maineffect.analyse.record.scaling import EffectOverSizes, SizePoint
from maineffect.report.cards.effects import panel_id, per_response
from maineffect.report.charts.over_sizes import over_sizes_rows, over_sizes_spec
from maineffect.report.content.blocks import Block, Card, Cell, Figure, Panel, Say, Table
from maineffect.report.content.tabular import file_stem
from maineffect.report.content.wording import (
    Phrase,
    decimals,
    interval,
    name,
    number,
    p_value,
    ratio,
    safe,
    say,
    signed,
    strong,
)

__all__ = ["over_sizes_card"]

_QUESTION = "Does the effect hold at other sizes?"
_PER = {"log2": "doubling", "log10": "tenfold", "linear": "unit"}


def over_sizes_card(result: AnalysisResult) -> Card:
    """Each effect at each size, its trend, and its extrapolation, labelled as one."""
    if not result.over_sizes:
        return Card(
            "sizes", "Sizes", _QUESTION, not_applicable="The study states no covariate that is a size (scaling)."
        )
    level = f"{1 - result.alpha:.0%}"

    def make(response: str) -> tuple[Block, ...]:
        mine = [effect for effect in result.over_sizes if effect.response == response]
        read = [effect for effect in mine if effect.slope is not None]
        blocks: list[Block] = [Say(_unread(effect), "warn") for effect in mine if effect.slope is None]
        for effect in read:
            blocks += _doubts(effect, result.alpha)
        if read:
            blocks += [_figure(result, response, read), _points(result, response, read), _trends(read, level)]
        return tuple(blocks)

    head = Say(
        say(
            strong("Extrapolations are no verdicts: "),
            "they say where the effect would be if its line went on, and nobody has run there. ",
            f"Intervals hold one at a time ({level}); the trends’ adjusted p-values are Benjamini and Hochberg’s over "
            "all of this card, exploratory. Only registered hypotheses are judged, at the top of the page.",
        ),
        "muted",
    )
    how = (
        "Dots are effects at the sizes that were run, with the line through them and its band. Where it is shaded "
        "nothing was run: the dashed line and the diamonds are extrapolation."
    )
    return Card("sizes", "Sizes", _QUESTION, how, (head, *per_response(result, make)))


def _unread(effect: EffectOverSizes) -> Phrase:
    return say(name(effect.factor), " over ", name(effect.covariate), f" could not be read: {effect.reason}")


def _doubts(effect: EffectOverSizes, alpha: float) -> list[Block]:
    """What speaks against the line, and what nothing speaks for."""
    what = (name(effect.factor), f" ({safe(effect.contrast)}) over ", name(effect.covariate))
    bent = effect.linearity
    said: list[Block] = []
    if bent is not None and bent.p_value is not None and bent.p_value <= alpha:
        after = " Do not believe what it says beyond the sizes that were run." if effect.beyond else ""
        line = f" is no straight line on the {effect.scale} scale ({p_value(bent.p_value)})."
        said.append(Say(say(strong("Not a line: "), *what, line, after), "warn"))
    if bent is not None and bent.reason is not None and effect.beyond:
        said.append(Say(say(strong("Line not tested: "), *what, f": {bent.reason}."), "muted"))
    said += [Say(say(strong("Far away: "), *what, f": {note}."), "warn") for note in effect.notes]
    return said


def _figure(result: AnalysisResult, response: str, read: list[EffectOverSizes]) -> Figure:
    analysed = result.responses[response]
    panels = tuple(
        Panel(
            panel_id("sizes", response, effect.factor, effect.contrast, effect.covariate),
            over_sizes_spec(effect, analysed.unit_of_effects, analysed.smallest_effect),
            f"Effect of {effect.factor} ({effect.contrast}) on {response} against {effect.covariate}: "
            + "; ".join(
                f"{'extrapolated to' if point.extrapolated else 'at'} {point.size:g} {signed(point.estimate)} "
                f"({interval(point.ci_low, point.ci_high)})"
                for point in (*effect.at, *effect.beyond)
            ),
            330,
        )
        for effect in read
    )
    margin = " Dotted: the smallest effect of interest." if analysed.smallest_effect else ""
    rows = tuple(row for effect in read for row in over_sizes_rows(effect))
    caption = say("Effects on ", name(response), " against size. Shaded: extrapolation.", margin)
    return Figure(panel_id("f-sizes", response), caption, panels, stem=file_stem("sizes", response), records=rows)


def _points(result: AnalysisResult, response: str, read: list[EffectOverSizes]) -> Table:
    analysed = result.responses[response]
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (
            (name(effect.factor),),
            safe(effect.contrast),
            _size(effect, point),
            "extrapolation" if point.extrapolated else "run",
            *_estimate(point, analysed.unit_of_effects),
            *([ratio(point, analysed.scale)] if analysed.scale else []),
        )
        for effect in read
        for point in (*effect.at, *effect.beyond)
    )
    on_scale = ("as ratio",) if analysed.scale else ()
    columns = ("factor", "contrast", "size", "", "effect", "interval", *on_scale)
    return Table(f"Effects on {response} at each size", columns, rows, frozenset({4}), folded=True)


def _size(effect: EffectOverSizes, point: SizePoint) -> str:
    level = "" if point.level is None or isinstance(point.level, int | float) else f" ({safe(point.level)})"
    unit = f" {safe(effect.unit)}" if effect.unit else ""
    return f"{safe(effect.covariate)} = {point.size:g}{unit}{level}"


def _estimate(point: SizePoint, unit: str) -> tuple[str, str]:
    places = decimals(point.std_error, point.estimate)
    return signed(point.estimate, places, unit), interval(point.ci_low, point.ci_high, places)


def _trends(read: list[EffectOverSizes], level: str) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for effect in read:
        places = decimals(effect.slope_std_error, effect.slope)
        rows.append(
            (
                (name(effect.factor),),
                safe(effect.contrast),
                f"{signed(effect.slope, places)} per {_PER[effect.scale]} of {safe(effect.covariate)}",
                interval(effect.slope_low, effect.slope_high, places),
                p_value(effect.p_value),
                p_value(effect.p_adjusted),
                _tested(effect),
                ", ".join(map(safe, effect.hypotheses)) or "–",
                ", ".join(map(safe, effect.aliased_with)) or "–",
            )
        )
    columns = ("factor", "contrast", "trend", f"{level} interval", "p", "adjusted", "straight line", "registered as",
               "cannot be told from")  # fmt: skip
    return Table("Trends of the effects", columns, tuple(rows))


def _tested(effect: EffectOverSizes) -> str:
    test = effect.linearity
    if test is None or test.p_value is None:
        return "not tested"
    if test.F is None or test.df is None:
        return f"{p_value(test.p_value)} ({test.method})"
    error = "" if test.df_error is None else f", {test.df_error:.3g}"
    return f"F({test.df:g}{error}) = {number(test.F, 2)}, {p_value(test.p_value)}"
