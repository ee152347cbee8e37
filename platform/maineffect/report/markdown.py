"""AnalysisResult → Markdown for a pull request: sentences and tables, no pictures."""

from __future__ import annotations

from maineffect.analyse.record.result import AnalysisResult
from maineffect.report.content.blocks import (
    Block,
    Card,
    Cell,
    Download,
    Figure,
    Live,
    Notes,
    Say,
    Section,
    Strip,
    Table,
    Tiles,
    Verdict,
)
from maineffect.report.content.wording import plain, safe
from maineffect.report.page import build_cards

__all__ = ["cards_markdown", "render_markdown"]


def render_markdown(result: AnalysisResult) -> str:
    """Render verdicts, plan, effects and the rest as Markdown."""
    return cards_markdown(result.study, build_cards(result))


def cards_markdown(title: str, cards: list[Card]) -> str:
    """Render cards as Markdown under a title."""
    lines = [f"# {_escape(safe(title))}", ""]
    for card in cards:
        lines += [f"## {card.question}", ""]
        if card.not_applicable or card.error:
            lines += [f"_{_escape(card.not_applicable or card.error)}_", ""]
        for block in card.blocks:
            lines += [*_block(block), ""]
    return "\n".join(lines).rstrip() + "\n"


def _block(block: Block) -> list[str]:
    if isinstance(block, Say):
        return [_escape(plain(block.phrase))]
    if isinstance(block, Notes):
        return [f"- {_escape(plain(item))}" for item in block.items]
    if isinstance(block, Verdict):
        detail = f" _{_escape(plain(block.detail))}_" if block.detail else ""
        return [
            f"- {block.symbol} **{block.badge}**: {_escape(plain(block.claim))} {_escape(plain(block.finding))}{detail}"
        ]
    if isinstance(block, Strip):
        return [
            f"- {row.symbol} **{row.badge}** {_escape(row.claim)}: {_escape(plain(row.clause))} {_escape(row.numbers)}"
            for row in block.rows
        ]
    if isinstance(block, Tiles):
        return [", ".join(f"{number} {what}" for number, what, _ in block.items)]
    if isinstance(block, Table):
        return _table(block)
    if isinstance(block, Figure):
        return _table(block.data) if block.data is not None else []
    if isinstance(block, Live):
        return [_escape(plain(block.now))]
    if isinstance(block, Section):
        return [
            f"### {_escape(plain(block.title))}",
            "",
            *(line for inner in block.blocks for line in [*_block(inner), ""]),
        ]
    assert isinstance(block, Download)
    return []


def _table(table: Table) -> list[str]:
    align = ["---:" if i in table.numeric else "---" for i in range(len(table.columns))]
    rows = [[_cell(cell) for cell in row] for row in table.rows]
    return [f"| {' | '.join(row)} |" for row in [[_escape(column) for column in table.columns], align, *rows]]


def _cell(cell: Cell) -> str:
    return _escape(cell if isinstance(cell, str) else plain(cell))


def _escape(text: str) -> str:
    """Text that Markdown shows as it is."""
    cleaned = " ".join(text.split())
    for sign in "\\`*_[]|":
        cleaned = cleaned.replace(sign, f"\\{sign}")
    return cleaned.replace("<", "&lt;").replace(">", "&gt;")
