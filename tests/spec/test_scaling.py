"""``scaling:`` in a study file: what it may say, what is refused with its line, and what the plan then holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from scipy import stats
from typer.testing import CliRunner

from maineffect.cli.app import app
from maineffect.design.build import build_design
from maineffect.errors import SpecError
from maineffect.journey.plan.check import check
from maineffect.register.plan import plan_document, plan_hash
from maineffect.spec.load import load_study

STUDY = """\
schema_version: 1
name: scaled
factors:
  noise: {levels: [0.0, 0.5]}
  width: {levels: [16, 32, 64]}
  model: {levels: [small, large]}
design: {kind: full, replicates: 2}
responses:
  skill: {goal: maximize, smallest_effect: 0.1}
  cost:
analysis: {terms: two_way}
scaling:
  covariates:
    width:
      extrapolate: [128]
    model:
      sizes: {small: 1.0e+8, large: 1.0e+9}
      extrapolate: [7.0e+9]
  effects: [noise]
  responses: [skill]
"""


def written(folder: Path, *changes: tuple[str, str]) -> Path:
    text = STUDY
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    path = folder / "study.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_study_says_which_factors_are_sizes(tmp_path: Path) -> None:
    scaling = load_study(written(tmp_path)).scaling
    assert scaling is not None
    assert scaling.covariates["width"].extrapolate == (128.0,)
    assert scaling.covariates["model"].sizes == {"small": 1e8, "large": 1e9}
    assert scaling.covariates["model"].scale == "log2"


@pytest.mark.parametrize(
    ("old", "new", "fragment", "message"),
    [
        ("    width:\n", "    widht:\n", "widht:", "no factor 'widht'"),
        ("[noise]\n", "[nois]\n", "effects:", "no effect 'nois'"),
        ("[noise]\n", "[noise, noise]\n", "effects:", "'noise' is listed twice"),
        ("[skill]", "[skil]", "responses: [skil]", "no response 'skil'"),
        ("{small: 1.0e+8, large: 1.0e+9}", "{small: 1.0e+8}", "sizes:", "level 'large' has no size"),
        ("{small: 1.0e+8, large", "{smal: 1.0e+8, large", "sizes:", "no level 'smal'"),
        ("{small: 1.0e+8, large: 1.0e+9}", "{small: 1.0, large: 1.0}", "sizes:", "have the same size"),
        ("{small: 1.0e+8, large: 1.0e+9}", "{small: 0, large: 1.0}", "sizes:", "a size of 0 has no logarithm"),
        ("      sizes: {small: 1.0e+8, large: 1.0e+9}\n", "", "    model:\n", "are no numbers"),
        ("[128]", "[48]", "extrapolate: [48]", "48 lies within the sizes that are run, 16 to 64"),
        ("[128]", "[64]", "extrapolate: [64]", "64 lies within the sizes that are run, 16 to 64"),
        ("[128]", "[-1]", "extrapolate: [-1]", "a size of -1 has no logarithm"),
        ("[128]", "[128, 128]", "extrapolate: [128, 128]", "128 is listed twice"),
        ("[128]", "[128]\n      base: 2", "base: 2", "unknown key 'base'"),
        ("terms: two_way", "terms: main", "    width:\n", "needs noise:width, which analysis.terms leaves out"),
        ("terms: two_way", "terms: second_order", "    width:\n", "as a line and a square"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_line(
    tmp_path: Path, old: str, new: str, fragment: str, message: str
) -> None:
    path = written(tmp_path, (old, new))
    with pytest.raises(SpecError) as caught:
        load_study(path)
    found = [problem for problem in caught.value.problems if message in problem.message]
    assert found, str(caught.value)
    lines = path.read_text().splitlines()
    line = found[0].line
    assert line is not None
    assert fragment.strip() in lines[line - 1], f"line {line}: {lines[line - 1]}"
    assert found[0].hint


def test_an_effect_is_left_to_be_read(tmp_path: Path) -> None:
    everything = ("    model:\n", "    noise: {scale: linear}\n    model:\n")
    load_study(written(tmp_path, everything))  # the effect of a covariate over another one is an effect
    with pytest.raises(SpecError, match="every factor is a covariate"):
        load_study(written(tmp_path, everything, ("  effects: [noise]\n", "")))
    alone = ("    model:\n      sizes: {small: 1.0e+8, large: 1.0e+9}\n      extrapolate: [7.0e+9]\n", "")
    with pytest.raises(SpecError, match="is the only covariate, and no effect against itself"):
        load_study(written(tmp_path, alone, ("[noise]\n", "[width]\n")))


def test_it_is_registered_where_it_is_given_and_no_other_hash_changes(tmp_path: Path) -> None:
    study = load_study(written(tmp_path))
    design = build_design(study)
    plan = plan_document(study, design)
    assert plan["study"]["scaling"]["covariates"]["width"]["extrapolate"] == [128]
    farther = load_study(written(tmp_path, ("[128]", "[256]")))
    assert plan_hash(plan_document(farther, design)) != plan_hash(plan)
    without = plan_document(study.model_copy(update={"scaling": None}), design)
    assert "scaling" not in without["study"]
    expected = {**plan, "study": {k: v for k, v in plan["study"].items() if k != "scaling"}}
    assert plan_hash(without) == plan_hash(expected)


def test_check_and_design_show_how_wide_the_intervals_will_be(tmp_path: Path) -> None:
    """t · √(2/n) with n runs behind each mean, and more beyond: balanced, so that it is a closed form."""
    path = written(tmp_path)
    document = json.loads(CliRunner().invoke(app, ["check", str(path), "--json"]).stdout)
    widths, models = document["scaling"]
    # 24 runs, main effects (4) and two-way interactions (5) and the mean: 14 degrees of freedom.
    t = stats.t.isf(0.025, 14)
    assert widths["df_error"] == 14
    assert widths["half_widths"] == [[16, pytest.approx(t * np.sqrt(2 / 4))]] + [
        [size, pytest.approx(t * np.sqrt(2 / 4))] for size in (32, 64)
    ]
    assert widths["beyond"] == [[128, pytest.approx(t * np.sqrt(2 / 4 * (1 / 3 + 4 / 2)))]]
    x0, centre, spread = np.log2(7e9), np.log2(1e8 * 1e9) / 2, np.log2(10) ** 2 / 2
    assert models["beyond"] == [[7e9, pytest.approx(t * np.sqrt(2 / 6 * (1 / 2 + (x0 - centre) ** 2 / spread)))]]
    warnings = {warning["path"]: warning["message"] for warning in document["warnings"]}
    assert "two sizes of model" in warnings["scaling.covariates.model"]
    assert "scaling.covariates.width.extrapolate" not in warnings
    for verb in ("check", "design"):
        text = CliRunner().invoke(app, [verb, str(path)]).stdout
        assert "noise (0.5 − 0.0) over width (log2): 1.52 at 16" in text
        assert "extrapolated: 2.32 at 128" in text


def test_sizes_far_away_and_effects_that_cannot_be_read_are_said_beforehand(tmp_path: Path) -> None:
    far = check(written(tmp_path, ("[128]", "[512]")), plugins=False)
    assert any("512: farther from the sizes" in warning.message for warning in far.warnings)
    document: dict[str, Any] = yaml.safe_load(STUDY)
    document["design"] = {"kind": "full", "replicates": 1}
    document["analysis"] = {"terms": ["noise", "width", "model", "noise:width", "noise:model", "noise:width:model"]}
    document["analysis"]["terms"] += ["width:model"]
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(document))
    unreplicated = check(path, plugins=False)
    assert any("cannot be read: the runs leave no error to judge it by" in w.message for w in unreplicated.warnings)
