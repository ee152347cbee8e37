"""The page of two sweeps: its numbers are the comparison's, names are harmless, bytes are the same."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from maineffect.analyse.exploratory.comparison import compare
from maineffect.analyse.record.result import AnalysisResult
from maineffect.report.cards.agreement import comparison_cards
from maineffect.report.compare import render_comparison, render_comparison_markdown


@pytest.fixture(scope="module")
def both(simulate: Callable[..., AnalysisResult]) -> tuple[AnalysisResult, AnalysisResult]:
    first, second = simulate(), simulate(replicates=3)
    return first, second.model_copy(update={"facts": second.facts.model_copy(update={"sweep_id": "simulated-bbbb"})})


def test_page_of_two_sweeps(both: tuple[AnalysisResult, AnalysisResult]) -> None:
    comparison = compare(*both)
    cards = comparison_cards(comparison, *both)
    assert [card.question for card in cards] == [
        "Do the two sweeps agree?",
        "Did the registered claims hold up?",
        "What do both say together?",
        "What changed between them?",
    ]
    html = render_comparison(comparison, *both)
    assert html == render_comparison(compare(*both), *both)
    assert "simulated-aaaa and simulated-bbbb" in html
    assert "vegaEmbed=" not in html
    conflict = next(e for e in comparison.effects if (e.response, e.term) == ("skill 0", "conflict"))
    assert conflict.agreement == "same"
    assert f"+{conflict.pooled:.2f}" in html
    assert "design: n_runs" in html
    markdown = render_comparison_markdown(comparison, *both)
    assert f"+{conflict.pooled:.2f}" in markdown


def test_hostile_names_stay_text(hostile: AnalysisResult) -> None:
    html = render_comparison(compare(hostile, hostile), hostile, hostile)
    assert "<script>alert" not in html
    assert "&lt;script&gt;alert" in html
