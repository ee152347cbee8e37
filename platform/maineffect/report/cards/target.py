"""Effects on the registered target beside those on the designed cells."""

from __future__ import annotations

from maineffect.analyse.record.result import AnalysisResult
from maineffect.report.content.blocks import Block, Card, Cell, Say, Section, Table
from maineffect.report.content.lookup import ordered_responses
from maineffect.report.content.wording import decimals, interval, name, number, ratio, say, signed, strong

__all__ = ["target_card"]

_QUESTION = "Does it hold where the policy will be used?"


def target_card(result: AnalysisResult) -> Card:
    """What each effect is when the other factors follow the target that the study registered."""
    moved = [effect for effect in result.transported if effect.target]
    if not moved:
        return Card("target", "Target", _QUESTION, not_applicable="The study states no target distribution.")
    blocks: list[Block] = [
        Say(say(strong(h.id), f": {caveat}."), "warn")
        for h in result.hypotheses
        for caveat in h.caveats
        if caveat.startswith("on the registered target")
    ]
    shares = {group: cells for effect in moved for group, cells in effect.target.items()}
    rows = tuple(
        ((name(group),), combination, number(share, 3))
        for group, cells in shares.items()
        for combination, share in cells.items()
    )
    blocks.append(
        Section(say("The target"), (Table("Shares", ("factor", "level", "share"), rows, frozenset({2})),), folded=True)
    )
    for response in ordered_responses(result):
        mine = [effect for effect in moved if effect.response == response]
        if not mine:
            continue
        unit = result.responses[response].unit_of_effects
        lines: list[tuple[Cell, ...]] = []
        for effect in mine:
            places = decimals(effect.std_error, effect.estimate)
            lines.append(
                (
                    (name(effect.factor),),
                    signed(effect.designed, places, unit),
                    signed(effect.estimate, places, unit),
                    interval(effect.ci_low, effect.ci_high, places),
                    *([ratio(effect, effect.scale)] if effect.scale else []),
                )
            )
        on_scale = ("as ratio on the target",) if result.responses[response].scale else ()
        columns = ("factor", "on the designed cells", "on the target", "interval on the target", *on_scale)
        blocks.append(
            Section(
                say(name(response)),
                (Table(f"Effects on {response}, last minus first level", columns, tuple(lines), frozenset({1, 2})),),
                folded=len(blocks) > 4,
            )
        )
    return Card(
        "target",
        "Target",
        _QUESTION,
        "A design weights all levels of the other factors equally; the target weights them as stated. Where a share "
        "was measured, its error is in the interval.",
        tuple(blocks),
    )
