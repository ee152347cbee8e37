"""The cards of phases, and of what would decide the rest."""

from __future__ import annotations

from maineffect.analyse.record.proposals import Chance, OpenQuestion, Proposal, WhatNext
from maineffect.analyse.record.result import AnalysisResult, HypothesisResult, PhaseDifference, PhaseEstimate
from maineffect.report.cards.what_next import next_card, phases_card
from maineffect.report.content.blocks import Cell, Say, Section, Table
from maineffect.report.content.wording import plain
from maineffect.report.markdown import render_markdown
from maineffect.report.page import CARDS, render_report

QUESTION = OpenQuestion(
    id="H4", kind="registered", response="y", term="A", text="A raises y", raw=0.4, std_error=0.2, level=0.05
)
LINE = Proposal(
    kind="replicates", title="whole replicates of the design × 2", runs=16, hours=8.0, decided=0.6, per_hour=0.075,
    chances=[Chance(question="H4", assurance=0.6)], why="H4 is inconclusive",
)  # fmt: skip
TABLE = WhatNext(questions=[QUESTION], proposals=[LINE], unit="GPU-hours", hours_per_run=0.5, rule="5% for each phase.")


def _text(cell: Cell) -> str:
    return cell if isinstance(cell, str) else plain(cell)


def _result(**more: object) -> AnalysisResult:
    return AnalysisResult(study="s", n_runs=8, n_missing=0, responses={}, **more)


def test_the_report_ends_with_what_would_decide_the_rest() -> None:
    assert CARDS[-1][0] == "next"
    card = next_card(_result(what_next=TABLE))
    questions, proposals = (block for block in card.blocks if isinstance(block, Table))
    assert [_text(cell) for cell in questions.rows[0]] == ["H4", "registered", "A raises y", "+0.40", ""]
    assert proposals.columns[3] == "GPU-hours"
    assert [_text(cell) for cell in proposals.rows[0][2:]] == ["16", "8.00", "0.60", "0.0750", "H4 60%"]
    assert "5% for each phase." in str(card.how_to_read)
    page, text = render_report(_result(what_next=TABLE)), render_markdown(_result(what_next=TABLE))
    assert "maineffect next SWEEP --write FILE" in page
    assert "whole replicates of the design × 2" in text


def test_a_sweep_that_goes_on_has_no_such_table() -> None:
    assert next_card(_result()).not_applicable
    assert phases_card(_result()).not_applicable


def test_nothing_open_is_said_and_nothing_is_sold() -> None:
    stop = Proposal(kind="stop", title="stop", runs=0, why="everything registered is decided")
    card = next_card(_result(what_next=WhatNext(proposals=[stop])))
    (line,) = card.blocks
    assert isinstance(line, Say)
    assert line.tone == "good"


def test_each_phase_stands_beside_the_verdict() -> None:
    phases = [
        PhaseEstimate(phase=1, runs=8, estimate=0.5, std_error=0.2, df=4, ci_low=0.1, ci_high=0.9, counts=False),
        PhaseEstimate(phase=2, runs=16, estimate=0.4, std_error=0.1, df=12, ci_low=0.2, ci_high=0.6),
    ]
    judged = HypothesisResult(id="H4", response="y", term="A", verdict="supported", phases=phases)
    moved = PhaseDifference(
        response="y", term="B", contrast="high − low", first=1.0, second=3.0, difference=2.0, std_error=0.4, df=9.0,
        p_value=0.001, p_adjusted=0.002,
    )  # fmt: skip
    card = phases_card(_result(hypotheses=[judged], phase_differences=[moved]))
    table, section = card.blocks
    assert isinstance(table, Table)
    assert isinstance(section, Section)
    assert [_text(row[5]) for row in table.rows] == ["shown only", "counts"]
    (differences,) = section.blocks
    assert isinstance(differences, Table)
    assert _text(differences.rows[0][5]) == "+2.00"
