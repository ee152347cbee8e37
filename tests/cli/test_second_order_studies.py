"""Studies for a second-order model from check to submit, as people type it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

STUDY = """\
schema_version: 1
name: surface
trainable: maineffect.lab:train_search_agent
factors:
  conflict_rate: {{levels: {levels}, binds: world.conflict_rate}}
  unanswerable_share: {{levels: {levels}, binds: world.unanswerable_share}}
  recall: {{levels: {levels}, binds: retriever.recall}}
design: {design}
responses: {{clean_accuracy: {{goal: maximize, smallest_effect: 0.05}}}}
hypotheses: [{{id: H1, term: "{term}", response: clean_accuracy}}]
analysis: {{terms: second_order}}
"""


@pytest.mark.parametrize(
    ("design", "levels", "runs"),
    [
        ("{kind: central_composite, blocks: 3}", "[0.01, 0.2, 0.5, 0.8, 0.99]", 20),
        ("{kind: box_behnken}", "[0.2, 0.5, 0.8]", 15),
    ],
)
def test_from_check_to_submit(design: str, levels: str, runs: int, here: Any, tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(STUDY.format(design=design, levels=levels, term="recall^2"))
    assert f"{runs} runs" in here("check", "study.yaml", cwd=tmp_path).stdout
    made = json.loads(here("design", "study.yaml", "--json", cwd=tmp_path).stdout)
    assert len(made["runs"]) == runs
    power = json.loads(here("power", "study.yaml", "--json", cwd=tmp_path).stdout)
    assert [row["term"] for row in power["terms"]][-1] == "recall^2"
    assert f"{runs} of {runs} runs would start" in here("submit", "study.yaml", "--dry-run", cwd=tmp_path).stdout


@pytest.mark.parametrize("term", ["recall:conflict_rate", "recall"])
def test_a_claim_about_a_term_of_second_order_is_registered(term: str, here: Any, tmp_path: Path) -> None:
    text = STUDY.format(design="{kind: box_behnken}", levels="[0.2, 0.5, 0.8]", term=term)
    (tmp_path / "study.yaml").write_text(text)
    assert here("check", "study.yaml", cwd=tmp_path).returncode == 0


def test_a_claim_of_higher_order_is_refused(here: Any, tmp_path: Path) -> None:
    text = STUDY.format(design="{kind: box_behnken}", levels="[0.2, 0.5, 0.8]", term="recall^2:conflict_rate")
    (tmp_path / "study.yaml").write_text(text)
    refused = here("check", "study.yaml", cwd=tmp_path, expect=3)
    assert "which analysis.terms leaves out" in refused.stderr


def test_analyse_and_report_say_where_the_optimum_is(here: Any, tmp_path: Path) -> None:
    """A planted maximum at .4, .6, .5, read from a table that `design --csv` began."""
    text = STUDY.format(design="{kind: box_behnken}", levels="[0.2, 0.5, 0.8]", term="recall^2")
    (tmp_path / "study.yaml").write_text(text)
    here("design", "study.yaml", "--csv", "runs.csv", cwd=tmp_path)
    table = pd.read_csv(tmp_path / "runs.csv")
    away = (table["conflict_rate"] - 0.4) ** 2 + (table["unanswerable_share"] - 0.6) ** 2 + (table["recall"] - 0.5) ** 2
    table["clean_accuracy"] = 0.9 - away + 0.002 * np.random.default_rng(1).normal(size=len(table))
    table.to_csv(tmp_path / "runs.csv", index=False)
    said = here("analyse", "--study", "study.yaml", "--table", "runs.csv", cwd=tmp_path).stdout
    (line,) = [line for line in said.splitlines() if line.startswith("optimum, clean_accuracy: best at ")]
    assert line.endswith(", a maximum")
    places = [float(value) for value in re.findall(r"(?:rate|share|recall) = ([\d.]+)", line)]
    assert places == pytest.approx([0.4, 0.6, 0.5] * 2, abs=0.02)
    here("report", "--study", "study.yaml", "--table", "runs.csv", "-o", "r.html", cwd=tmp_path)
    assert "Where is the optimum?" in (tmp_path / "r.html").read_text()
