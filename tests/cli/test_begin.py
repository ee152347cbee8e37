"""`init`, `try` and `sweeps` as they are typed."""

from __future__ import annotations

import json

from tests.homes import ready_home


def test_from_nothing_to_one_run(here, tmp_path) -> None:
    made = here("init", "mine", cwd=tmp_path)
    assert made.stdout.split() == ["mine/study.yaml", "mine/train.py", "mine/study.schema.json"]
    assert "next: maineffect try mine/study.yaml" in made.stderr
    tried = here("try", "mine/study.yaml", "--set", "steps=11", "--json", cwd=tmp_path)
    document = json.loads(tried.stdout)
    assert (document["changed"], document["metrics"]) == ({"steps": 11}, {"reward": 2})
    said = here("try", "mine/study.yaml", "--set", "steps=11", cwd=tmp_path)
    assert "curves: reward (2)" in said.stdout
    assert "next: maineffect register mine/study.yaml" in said.stderr


def test_examples_name_the_command_that_writes_each(here, tmp_path) -> None:
    rows = json.loads(here("examples", "--json", cwd=tmp_path).stdout)["examples"]
    assert [row["kind"] for row in rows] == ["function", "command", "lab", "trl"]
    for row in rows:
        here(*row["command"].split()[1:], cwd=tmp_path)
        assert (tmp_path / f"my-{row['kind']}" / "study.yaml").exists()


def test_what_is_no_setting_and_two_kinds_are_refused(here, tmp_path) -> None:
    assert "--command and --lab are two kinds" in here("init", "x", "--lab", "--command", cwd=tmp_path, expect=2).stderr
    here("init", "mine", cwd=tmp_path)
    assert "names no value" in here("try", "mine/study.yaml", "--set", "steps", cwd=tmp_path, expect=2).stderr
    refused = here("try", "mine/study.yaml", "--set", "steps=[1", cwd=tmp_path, expect=3).stderr
    assert "--set steps:1" in refused


def test_an_empty_store_has_no_sweep(here, tmp_path) -> None:
    home = ready_home(tmp_path / "home")
    listed = here("sweeps", "--home", str(home), cwd=tmp_path)
    assert listed.stdout == "no sweep yet\n"
    assert json.loads(here("sweeps", "--json", "--home", str(home), cwd=tmp_path).stdout) == {
        "schema_version": 1,
        "sweeps": [],
    }
