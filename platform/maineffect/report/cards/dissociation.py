"""Capabilities that should move together beside those that should not."""

from __future__ import annotations

from maineffect.analyse.record.result import AnalysisResult, CapabilityPair
from maineffect.report.content.blocks import Block, Card, Table
from maineffect.report.content.wording import name, number

__all__ = ["dissociation_card"]

_QUESTION = "Do the responses measure different capabilities?"


def dissociation_card(result: AnalysisResult) -> Card:
    """Convergent pairs (one capability), then discriminant ones, with the reliability of each response."""
    if not result.capability_pairs:
        return Card(
            "dissociation",
            "Dissociation",
            _QUESTION,
            not_applicable="No two responses state which capability they measure.",
        )
    blocks: list[Block] = [
        _table(title, [pair for pair in result.capability_pairs if pair.same is same])
        for title, same in (("One capability: should move together", True), ("Different capabilities: need not", False))
        if any(pair.same is same for pair in result.capability_pairs)
    ]
    return Card(
        "dissociation",
        "Dissociation",
        _QUESTION,
        "Correlation of two responses over the effects of all terms, and over the runs of one cell. Capabilities that "
        "no factor can move apart are not shown to be two; an unreliable response hides what it shares with others.",
        tuple(blocks),
    )


def _table(title: str, pairs: list[CapabilityPair]) -> Table:
    rows = tuple(
        (
            (name(pair.first),),
            (name(pair.second),),
            _shown(pair.effects_r),
            _shown(pair.runs_r),
            _shown(pair.first_reliability),
            _shown(pair.second_reliability),
        )
        for pair in sorted(pairs, key=lambda pair: -(pair.effects_r or 0.0))
    )
    columns = ("response", "and", "r of effects", "r of runs", "reliability", "of the other")
    return Table(title, columns, rows, frozenset({2, 3, 4, 5}))


def _shown(value: float | None) -> str:
    return "–" if value is None else number(value, 2)
