"""A report on 1,000 runs × 20 responses: written in under 15 s of CPU time, under 5 MB."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
import pytest

from maineffect.analyse.record.result import AnalysisResult, Curve, SweepFacts
from maineffect.analyse.run import analyse
from maineffect.design.build import build_design
from maineffect.design.emit import design_document, design_rows
from maineffect.report.markdown import render_markdown
from maineffect.report.page import CARDS, render_report
from maineffect.spec.study import StudySpec

pytestmark = pytest.mark.benchmark

RESPONSES, STEPS = 20, 60


@pytest.fixture(scope="module")
def large() -> AnalysisResult:
    """Seven factors, 128 cells, eight replicates: 1,024 runs with a curve each."""
    names = [f"factor_{i}" for i in range(7)]
    answers = [f"capability_{i}" for i in range(RESPONSES)]
    study = StudySpec.model_validate(
        {
            "schema_version": 1,
            "name": "large",
            "question": "Does a large report stay quick?",
            "factors": {n: {"name": n, "levels": [0, 1]} for n in names},
            "design": {"kind": "full", "replicates": 8},
            "analysis": {"terms": "two_way"},
            "responses": {a: {"name": a, "smallest_effect": 0.5} for a in answers},
            "hypotheses": [{"id": "H1", "term": names[0], "response": answers[0], "direction": "increase"}],
        }
    )
    design = build_design(study)
    table = pd.DataFrame(design_rows(design))
    rng = np.random.default_rng(1)
    for i, answer in enumerate(answers):
        table[answer] = table[names[i % 7]] * 1.0 + rng.normal(0, 1, len(table))
    table["seconds"] = 60.0
    result = analyse(study, table, design=design, plan_hash="a" * 64)
    curves = [
        Curve(
            run_id=run.run_id,
            metric=metric,
            steps=list(range(STEPS)),
            values=np.cumsum(rng.normal(0, 1, STEPS)).tolist(),
        )
        for run in design.runs
        for metric in ("reward", "entropy")
    ]
    facts = SweepFacts(
        sweep_id="large-aaaa",
        design=design_document(design, "a" * 64),
        factors=[f.model_dump(mode="json") for f in study.factors.values()],
    )
    return result.model_copy(update={"curves": curves, "facts": facts})


def test_a_large_report_is_quick_and_small(large: AnalysisResult) -> None:
    assert large.n_runs == 1024
    assert len(large.responses) == RESPONSES
    for card_id, _, make in CARDS:
        begun = time.process_time()
        make(large)
        print(f"  card {card_id:14s} {time.process_time() - begun:6.2f} s")
    begun, wall = time.process_time(), time.perf_counter()
    html = render_report(large)
    spent, passed = time.process_time() - begun, time.perf_counter() - wall
    size = len(html.encode()) / 1e6
    print(
        f"  page of {large.n_runs} runs × {RESPONSES} responses: {spent:.1f} s CPU, {passed:.1f} s wall, {size:.2f} MB"
    )
    begun = time.process_time()
    markdown = render_markdown(large)
    print(f"  markdown: {time.process_time() - begun:.1f} s CPU, {len(markdown.encode()) / 1e6:.2f} MB")
    assert "This card could not be made" not in html
    assert spent < 15
    assert size < 5
