"""Every figure of a report as SVG, PNG and CSV files, for papers and slides."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from maineffect.analyse.record.result import AnalysisResult
from maineffect.report.charts.drawing import draw_png, draw_svg
from maineffect.report.content.blocks import Block, Figure, Live, Section
from maineffect.report.content.tabular import csv_text
from maineffect.report.page import build_cards

__all__ = ["figures_by_card", "figures_of", "write_figures"]


def figures_of(result: AnalysisResult) -> Iterator[Figure]:
    """Every figure of the page, in its order."""
    for _, figure in figures_by_card(result):
        yield figure


def figures_by_card(result: AnalysisResult) -> Iterator[tuple[str, Figure]]:
    """Every figure of the page with the id of its card, in the page's order."""
    for card in build_cards(result):
        for figure in _inside(card.blocks):
            yield card.card_id, figure


def _inside(blocks: tuple[Block, ...]) -> Iterator[Figure]:
    for block in blocks:
        if isinstance(block, Figure):
            yield block
        elif isinstance(block, Live):
            yield block.figure
        elif isinstance(block, Section):
            yield from _inside(block.blocks)


def write_figures(result: AnalysisResult, folder: Path) -> list[Path]:
    """Write ``<figure>[-<n>].svg`` and ``.png`` (about 290 dpi) per panel and ``<figure>.csv`` per figure.

    Raises:
        OSError: The folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    taken: set[str] = set()
    for figure in figures_of(result):
        stem, n = figure.stem, 1
        while stem in taken:
            n += 1
            stem = f"{figure.stem}-{n}"
        taken.add(stem)
        for i, panel in enumerate(figure.panels, 1):
            path = folder / (f"{stem}-{i}" if len(figure.panels) > 1 else stem)
            svg, png = path.with_name(path.name + ".svg"), path.with_name(path.name + ".png")
            svg.write_text(draw_svg(panel.spec), encoding="utf-8")
            png.write_bytes(draw_png(panel.spec))
            written += [svg, png]
        if figure.records:
            table = folder / f"{stem}.csv"
            table.write_text(csv_text(figure.records), encoding="utf-8")
            written.append(table)
    return written
