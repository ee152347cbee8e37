"""Comparison of two sweeps → one self-contained HTML file, like a report's."""

from __future__ import annotations

from maineffect.analyse.exploratory.comparison import Comparison
from maineffect.analyse.record.result import AnalysisResult
from maineffect.report.cards.agreement import comparison_cards
from maineffect.report.content.wording import code, say
from maineffect.report.markdown import cards_markdown
from maineffect.report.page import render_page

__all__ = ["render_comparison", "render_comparison_markdown"]


def render_comparison(comparison: Comparison, first: AnalysisResult, second: AnalysisResult) -> str:
    """Render the page. The same results give the same bytes."""
    lead = say(
        code(comparison.names[0]), f", {first.n_runs} runs · ", code(comparison.names[1]), f", {second.n_runs} runs"
    )
    return render_page(
        comparison_cards(comparison, first, second),
        title=_title(comparison),
        question=first.facts.question,
        lead=lead,
        brand="maineffect comparison of two sweeps",
    )


def render_comparison_markdown(comparison: Comparison, first: AnalysisResult, second: AnalysisResult) -> str:
    """Render the same cards as Markdown."""
    return cards_markdown(_title(comparison), comparison_cards(comparison, first, second))


def _title(comparison: Comparison) -> str:
    return f"{comparison.names[0]} and {comparison.names[1]}"
