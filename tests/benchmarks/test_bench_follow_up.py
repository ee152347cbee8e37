"""What to run next, beyond the analysis, on a large sweep. CPU seconds."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pandas as pd
import pytest

from maineffect.analyse.follow_up.propose import what_next
from maineffect.analyse.run import analyse
from maineffect.design.build import build_design
from maineffect.design.emit import design_rows
from maineffect.spec.study import StudySpec

pytestmark = pytest.mark.benchmark


def test_next_on_a_thousand_runs_and_twenty_responses(capsys: pytest.CaptureFixture[str]) -> None:
    """2^(8−1) × 8 = 1,024 runs, 36 terms, 20 responses, a registered hypothesis on each."""
    names, responses = "ABCDEFGH", [f"y{i}" for i in range(20)]
    claims: list[dict[str, Any]] = [
        {
            "id": f"H{i}",
            "term": names[i % 8],
            "response": response,
            "direction": "increase",
            "beyond": "smallest_effect",
        }
        for i, response in enumerate(responses)
    ]
    study = StudySpec.model_validate(
        {
            "schema_version": 1,
            "name": "bench",
            "factors": {name: {"name": name, "levels": [-1, 1]} for name in names},
            "design": {"kind": "fractional", "runs": 128, "replicates": 8},
            "responses": {name: {"name": name, "smallest_effect": 0.2} for name in responses},
            "hypotheses": claims,
        }
    )
    design = build_design(study)
    table = pd.DataFrame(design_rows(design))
    rng = np.random.default_rng(0)
    for i, response in enumerate(responses):
        table[response] = 0.1 * table[names[i % 8]] + 0.2 * table["A"] * table["B"] + rng.normal(size=len(table))
    table["status"], table["seconds"] = "finished", 60.0
    start = time.process_time()
    result = analyse(study, table, design=design, draws=0)
    analysed = time.process_time() - start
    start = time.process_time()
    shown, _ = what_next(study, result, design, "bench-1")
    seconds = time.process_time() - start
    with capsys.disabled():
        open_claims = len(shown.questions)
        print(
            f"\nanalysis {analysed:.1f} s, next {seconds:.2f} s, {open_claims} questions, {len(shown.proposals)} lines"
        )
    assert open_claims > 10
    assert seconds < 5
