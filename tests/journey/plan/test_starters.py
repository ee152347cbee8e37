"""What `init` writes passes `check` as it stands, and `try` runs it and holds it to its word."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from maineffect.errors import BadResultError, SpecError, UsageError
from maineffect.spec.schema import study_schema
from maineffect.study import check, init, try_study


@pytest.mark.parametrize("kind", ["function", "command", "lab"])
def test_a_starter_is_valid_tries_and_says_what_came_back(tmp_path: Path, kind: str) -> None:
    files = init(kind, tmp_path / f"my-{kind}")
    checked = check(files[0])
    assert (checked.study.name, len(checked.design.runs), checked.warnings) == (f"my-{kind}", 16, ())
    assert json.loads((tmp_path / f"my-{kind}" / "study.schema.json").read_text()) == study_schema()
    tried = try_study(files[0])
    assert set(tried["responses"]) == set(checked.study.responses)
    assert tried["shortened"] == (kind == "lab")
    assert tried["metrics"], "it logs curves"
    assert tried["run_id"] == checked.design.runs[0].run_id
    with pytest.raises(UsageError, match="is there already"):
        init(kind, tmp_path / f"my-{kind}")


def test_the_starter_for_trl_is_valid_where_trl_is_not(tmp_path: Path) -> None:
    """`tests/lm/test_trl.py` runs its script."""
    checked = check(init("trl", tmp_path / "mine")[0])
    assert (len(checked.design.runs), checked.warnings) == (16, ())


def test_a_name_that_is_none_and_a_kind_that_is_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'My Study' is no name for a study"):
        init("function", tmp_path / "My Study")
    with pytest.raises(UsageError, match="no starter 'verl'"):
        init("verl", tmp_path / "one")
    assert list(tmp_path.iterdir()) == []


def test_one_run_takes_other_settings_and_another_cell(tmp_path: Path) -> None:
    study = init("function", tmp_path / "one")[0]
    runs = check(study).design.runs
    other = next(run for run in runs if run.cell_id != runs[0].cell_id)
    tried = try_study(study, cell=other.cell_id, settings={"steps": 21})
    assert (tried["run_id"], tried["metrics"], tried["progress"]) == (other.run_id, {"reward": 3}, [21, 21])
    assert not (tmp_path / "one" / ".maineffect").exists(), "nothing is recorded"
    with pytest.raises(UsageError, match="no cell 'zz'"):
        try_study(study, cell="zz")


def test_a_response_that_is_not_returned_is_named(tmp_path: Path) -> None:
    study = init("function", tmp_path / "one")[0]
    script = study.with_name("train.py")
    script.write_text(script.read_text().replace('return {"answered"', 'return {"answred"'))
    with pytest.raises(BadResultError, match=r"declares also 'answered' \(returned 'answred'\?\)"):
        try_study(study, settings={"steps": 2})


def test_the_lab_shortened_is_the_same_study_with_less_of_everything(tmp_path: Path) -> None:
    from maineffect.lab.in_study import shortened

    given = {"train": {"steps": 1, "slices": 4}, "world": {"hops": 2}, "evaluation": {"items": 200}}
    short = shortened(given)
    assert short["train"] == {"steps": 1, "slices": 4, "prompts": 2, "group_size": 4}, "one step stays one"
    assert short["world"] == {"hops": 2}
    assert short["evaluation"]["items"] == 4
    assert given["evaluation"] == {"items": 200}, "what was given is not changed"


def test_a_library_of_the_package_is_named_without_a_path(tmp_path: Path) -> None:
    study = init("lab", tmp_path / "one")[0]
    assert check(study).study.factors["conflict_rate"].binds == "world.conflict_rate"
    text = study.read_text()
    for wrong, said in (
        ("maineffect/wrld#conflict_rate", "no library maineffect/wrld comes with the package"),
        ("maineffect/world#conflict", "maineffect/world has no factor 'conflict'"),
    ):
        study.write_text(text.replace("maineffect/world#conflict_rate", wrong))
        with pytest.raises(SpecError, match=said) as refused:
            check(study)
        assert refused.value.problems[0].line is not None
        assert refused.value.problems[0].hint
