"""Every factor in ``factor_specs`` is usable as it stands, and drives a setting that the lab really has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from maineffect.lab.settings import LabSettings
from maineffect.plugins import check_settings, load_trainable
from maineffect.spec.binding import bound_settings
from maineffect.spec.load import load_study
from maineffect.spec.study import StudySpec
from maineffect.spec.yaml_lines import read_yaml

FOLDER = Path(__file__).resolve().parents[2] / "factor_specs"
ENTRIES = [
    (library.name, name, body)
    for library in sorted(FOLDER.glob("*.yaml"))
    for name, body in read_yaml(library).value.items()
]
IDS = [f"{library}#{name}" for library, name, _ in ENTRIES]

# LAB.md's factors that the first sweep must be able to vary.
DRIVEN = {
    "world.hops",
    "world.distractors",
    "world.conflict_rate",
    "world.reliability_gap",
    "world.unanswerable_share",
    "retriever.recall",
    "episode.budget",
    "reward.abstain_value",
}


def study_of(tmp_path: Path, library: str, name: str) -> StudySpec:
    path = tmp_path / "study.yaml"
    path.write_text(
        "schema_version: 1\nname: probe\ndesign: {kind: full}\nresponses: {y: {}}\n"
        f"factors:\n  {name}: {{use: '{FOLDER / library}#{name}'}}\n",
        encoding="utf-8",
    )
    return load_study(path)


@pytest.mark.parametrize(("library", "name", "body"), ENTRIES, ids=IDS)
def test_an_entry_loads_and_every_level_is_valid_for_the_lab(
    tmp_path: Path, library: str, name: str, body: dict[str, Any]
) -> None:
    study = study_of(tmp_path, library, name)
    factor = study.factors[name]
    trainable = load_trainable("maineffect.lab:train_search_agent")
    for level in factor.levels:
        assert check_settings(trainable, bound_settings(study, {name: level})) == []
    for field in ("description", "shortcut", "binds"):
        assert body.get(field), f"{library}#{name} says no {field}"
    if factor.is_numeric:
        assert factor.unit, f"{library}#{name} has no unit"


@pytest.mark.parametrize(("library", "name", "body"), ENTRIES, ids=IDS)
def test_a_binding_exists_in_the_labs_settings(library: str, name: str, body: dict[str, Any]) -> None:
    model: Any = LabSettings
    for part in body["binds"].split("."):
        assert issubclass(model, BaseModel), f"{body['binds']} goes deeper than the settings"
        assert part in model.model_fields, f"the lab has no setting {body['binds']}"
        model = model.model_fields[part].annotation


@pytest.mark.parametrize(("library", "name", "body"), ENTRIES, ids=IDS)
def test_a_range_is_no_wider_than_the_labs(tmp_path: Path, library: str, name: str, body: dict[str, Any]) -> None:
    """A level inside the library's range must never be refused by the lab afterwards."""
    study = study_of(tmp_path, library, name)
    trainable = load_trainable("maineffect.lab:train_search_agent")
    for end in body.get("range") or ():
        whole = all(isinstance(level, int) for level in body["levels"])
        level = int(end) if whole else float(end)
        assert check_settings(trainable, bound_settings(study, {name: level})) == [], f"{name} = {level}"


def test_the_required_factors_are_there() -> None:
    assert {body["binds"] for _, _, body in ENTRIES} >= DRIVEN
    names = [name for _, name, _ in ENTRIES]
    assert len(set(names)) == len(names)
