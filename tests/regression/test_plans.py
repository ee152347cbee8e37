"""Studies that were called valid, and powers that were called good, with what is right."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from maineffect import study as journey
from maineffect.design.emit import design_csv
from maineffect.errors import SpecError, UsageError
from maineffect.spec.yaml_lines import read_yaml

Case = Callable[[str], Path]


def _changed(case: Path, folder: Path, **parts: Any) -> Path:
    path = folder / "study.yaml"
    path.write_text(json.dumps({**read_yaml(case).value, **parts}))
    return path


@pytest.mark.parametrize(
    ("name", "where", "message"),
    [
        ("chk_forbid_const", "design.forbid", "leave 'A' one level, 0"),
        ("chk_limits_margin", "responses.y.smallest_effect", "as wide as the limits of 'y', which leave 1"),
        ("chk_mixed_num_text", "factors.A", "levels 1 and '1' cannot be told apart in a table"),
    ],
)
def test_a_study_that_could_not_be_judged_is_invalid(case: Case, name: str, where: str, message: str) -> None:
    with pytest.raises(SpecError, match=message) as caught:
        journey.check(case(name))
    assert [problem.path for problem in caught.value.problems] == [where]
    assert caught.value.problems[0].line is not None


@pytest.mark.parametrize(
    ("forbid", "message"),
    [
        ([{"A": 1, "B": 0}, {"A": 1, "B": 1}], "leave 'A' one level, 0"),
        ([{"A": 0}, {"A": 1}], "leave no cell"),
    ],
)
def test_what_several_combinations_forbid_together(case: Case, tmp_path: Path, forbid: Any, message: str) -> None:
    design = {"kind": "full", "replicates": 2, "forbid": forbid}
    with pytest.raises(SpecError, match=message):
        journey.check(_changed(case("chk_forbid_const"), tmp_path, design=design))


def test_a_level_that_never_occurs_is_an_error_and_a_corner_is_none(case: Case, tmp_path: Path) -> None:
    factors = {"A": {"levels": [0, 1, 2]}, "B": {"levels": [0, 1]}}
    design = {"kind": "full", "replicates": 2, "forbid": [{"A": 2}]}
    with pytest.raises(SpecError, match="no cell with A = 2"):
        journey.check(_changed(case("chk_forbid_const"), tmp_path, factors=factors, design=design))
    design = {"kind": "full", "replicates": 2, "forbid": [{"A": 2, "B": 1}]}
    assert (
        len(journey.check(_changed(case("chk_forbid_const"), tmp_path, factors=factors, design=design)).design.cells)
        == 5
    )


@pytest.mark.parametrize("levels", [[0.5, "0.50"], [True, "true"], ["a", " a"], [False, "False"]])
def test_levels_that_look_alike_in_a_table(case: Case, tmp_path: Path, levels: list[Any]) -> None:
    factors = {"A": {"levels": levels}, "B": {"levels": [0, 1]}}
    with pytest.raises(SpecError, match="cannot be told apart in a table"):
        journey.check(_changed(case("chk_mixed_num_text"), tmp_path, factors=factors))


@pytest.mark.parametrize("levels", [["01", "1"], [1, "one"], [True, 2], ["true", "1"]])
def test_levels_that_do_not(case: Case, tmp_path: Path, levels: list[Any]) -> None:
    factors = {"A": {"levels": levels}, "B": {"levels": [0, 1]}}
    assert journey.check(_changed(case("chk_mixed_num_text"), tmp_path, factors=factors)).design.cells


def test_a_hypothesis_margin_as_wide_as_the_limits(case: Case, tmp_path: Path) -> None:
    claim = [{"id": "H1", "term": "A", "response": "y", "direction": "negligible", "smallest_effect": 1}]
    responses = {"y": {"smallest_effect": 0.1, "limits": [0, 1]}}
    with pytest.raises(SpecError, match="as wide as the limits") as caught:
        journey.check(_changed(case("chk_limits_margin"), tmp_path, hypotheses=claim, responses=responses))
    assert caught.value.problems[0].path == "hypotheses.0.smallest_effect"


def test_the_power_of_a_contradicted_claim_is_refused(case: Case, tmp_path: Path) -> None:
    question = journey.PowerQuestion(sigma=0.5, effect=-0.5, replicates=(4,))
    with pytest.raises(UsageError, match="wrong sign: H1 claims an increase"):
        journey.power(case("pneg"), question=question)
    claim = [{"id": "H1", "term": "A", "response": "y", "direction": "decrease"}]
    falls = _changed(case("pneg"), tmp_path, hypotheses=claim)
    rises = journey.power(case("pneg"), question=journey.PowerQuestion(sigma=0.5, effect=0.5, replicates=(4,)))
    lowered = journey.power(falls, question=question)
    assert lowered["hypotheses"][0]["power_alone"] == rises["hypotheses"][0]["power_alone"]
    with pytest.raises(UsageError, match="wrong sign: H1 claims a decrease"):
        journey.power(falls, question=journey.PowerQuestion(sigma=0.5, effect=0.5))
    with pytest.raises(UsageError, match="an effect of 0"):
        journey.power(falls, question=journey.PowerQuestion(sigma=0.5, effect=0.0))


def test_where_claims_go_both_ways_the_effect_is_a_size(case: Case, tmp_path: Path) -> None:
    claims = [
        {"id": "H1", "term": "A", "response": "y", "direction": "increase"},
        {"id": "H2", "term": "B", "response": "y", "direction": "decrease"},
    ]
    both = _changed(case("pneg"), tmp_path, hypotheses=claims)
    document = journey.power(both, question=journey.PowerQuestion(sigma=0.5, effect=0.5, replicates=(4,)))
    first, second = document["hypotheses"]
    assert first["power_alone"] == pytest.approx(second["power_alone"], rel=1e-12)


def test_emitted_labels_survive_a_spreadsheet(case: Case) -> None:
    """pandas takes columns for numbers where it can, as spreadsheets do."""
    design = journey.check(case("wp_straight")).design
    back = pd.read_csv(io.StringIO(design_csv(design)))
    planned = [str(run.whole_plot) for run in design.runs]
    assert len(set(planned)) == 12
    assert [label.removeprefix("plot ") for label in back["whole_plot"]] == planned
