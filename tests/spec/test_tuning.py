"""``tuning:`` in a study file: what it may say, and what is refused with the way out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from maineffect.cli.planning import power_text
from maineffect.errors import SpecError
from maineffect.journey.plan.check import check
from maineffect.journey.plan.power import PowerQuestion, planned_power
from maineffect.spec.load import load_study

STUDY: dict[str, Any] = {
    "schema_version": 1,
    "name": "tuned",
    "factors": {
        "a": {"levels": [0.0, 1.0], "binds": "world.a"},
        "b": {"levels": [1, 2], "binds": "train.batch"},
    },
    "design": {"kind": "full", "replicates": 2},
    "responses": {"skill": {"goal": "maximize", "smallest_effect": 0.1}, "length": {"goal": "none"}},
    "analysis": {"terms": "main"},
    "tuning": {
        "scope": "replicate",
        "nuisance": {"rate": {"binds": "train.rate", "range": [1e-4, 1e-2], "scale": "log", "default": 1e-3}},
        "trials": 8,
        "response": "skill",
    },
    "seed": 3,
}


def written(folder: Path, **changes: Any) -> Path:
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump({**STUDY, "tuning": {**STUDY["tuning"], **changes}}))
    return path


def refused(folder: Path, **changes: Any) -> str:
    with pytest.raises(SpecError) as caught:
        load_study(written(folder, **changes))
    return str(caught.value)


def test_what_it_costs_is_in_the_design_and_a_warning_where_it_is_more_than_the_runs(tmp_path: Path) -> None:
    checked = check(written(tmp_path), plugins=False)
    note = "tuning of rate: 8 trials each for 8 group(s), 64 runs before the 8 registered ones"
    assert note in checked.design.notes
    assert [w.message for w in checked.warnings if w.path == "tuning.trials"] == [
        "tuning takes 64 runs, more than the 8 registered ones"
    ]
    shared = check(written(tmp_path, scope="shared", trials=8), plugins=False)
    assert "8 trials in every cell for 1 group(s), 32 runs before the 8 registered ones" in shared.design.notes[-1]
    assert shared.plan_hash != checked.plan_hash, "how it is tuned is registered"
    cell = check(written(tmp_path, scope="cell", trials=8, variance_ratio=0.1), plugins=False)
    assert cell.design.notes[-2:] == (
        "tuning of rate: 8 trials each for 4 group(s), 32 runs before the 8 registered ones",
        "runs that agree in a, b share a tuned value: these groups are the whole plots, and their variance is taken as "
        "0.1 of that of a run",
    )
    power = planned_power(cell, PowerQuestion(sigma=0.1), lambda _: None)
    assert power["cost"]["tuning_runs"] == 32
    assert power["tuned_groups"] == {"groups": 4, "variance_ratio": 0.1}
    assert "4 groups share a tuned value and add 0.1 of a run's variance" in power_text(power)


def test_a_study_without_it_has_the_plan_that_it_had(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump({name: part for name, part in STUDY.items() if name != "tuning"}))
    checked = check(path, plugins=False)
    assert "tuning" not in checked.plan["study"]


def test_what_a_tuning_does_not_say_is_not_in_its_plan(tmp_path: Path) -> None:
    """The hash is that of a version which knew neither groups nor their variance."""
    checked = check(written(tmp_path), plugins=False)
    assert set(checked.plan["study"]["tuning"]) == {
        "scope", "nuisance", "trials", "response", "select", "sampler", "batch"
    }  # fmt: skip
    assert checked.plan_hash == HASH


@pytest.mark.parametrize(
    ("part", "more", "said"),
    [
        ("design", {"hard_to_change": ["a"]}, "design.hard_to_change"),
        ("design", {"common_random_numbers": True, "replicates": 6}, "analysis.inference: seeds"),
        ("analysis", {"sequential": {}}, "analysis.sequential"),
        ("analysis", {"follow_up": {"phases": 2}}, "analysis.follow_up"),
    ],
)
def test_groups_are_no_stratum_beside_others(tmp_path: Path, part: str, more: dict[str, Any], said: str) -> None:
    analysis = {"terms": "main", **({"inference": "seeds"} if "common_random_numbers" in more else {})}
    study = {**STUDY, "analysis": analysis, "tuning": {**STUDY["tuning"], "scope": "cell"}}
    study[part] = {**study[part], **more}
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(study))
    with pytest.raises(SpecError, match=f"a stratum of their own, which {said} knows nothing of"):
        load_study(path)
    path.write_text(yaml.safe_dump({**study, "tuning": STUDY["tuning"]}))
    load_study(path)


HASH = "961fe75953e1095bcf7e0815a300853eeddab7232230b7127d3ec8677a5ea608"
RATE = STUDY["tuning"]["nuisance"]["rate"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"nuisance": {"a": RATE}}, "'a' is a factor of the study; tune something else"),
        ({"nuisance": {"size": {**RATE, "binds": "train.batch"}}}, "train.batch is driven by the factor 'b'"),
        ({"nuisance": {"size": {**RATE, "binds": "train"}}}, "train is driven by the factor 'b'"),
        ({"nuisance": {"rate": {**RATE, "default": 1.0}}}, "default 1 is not within [0.0001, 0.01]"),
        ({"nuisance": {"rate": {**RATE, "range": [1e-2, 1e-4]}}}, "range goes from the smaller to the larger value"),
        ({"nuisance": {"rate": {**RATE, "range": [0.0, 1e-2]}}}, "a log scale needs values above 0"),
        (
            {"nuisance": {"rate": RATE, "other": {**RATE, "range": [1e-5, 1e-1]}}, "select": "best"},
            "two nuisances drive train.rate",
        ),
        ({"response": "skil"}, "no response 'skil'; responses: length, skill"),
        ({"response": "length"}, "length has no goal (maximize or minimize) to tune for"),
        ({"sampler": "tpe"}, "tpe is random search with 8 trials: give 12, or sampler: sobol"),
        ({"sampler": "gp"}, "gp is random search with 8 trials"),
        ({"trials": 6}, "select: smooth fits 3 coefficients and needs 7.5 trials, not 6"),
        ({"scope": "cells"}, "scope"),
        ({"scope": []}, "scope"),
        ({"scope": ["a", "x"]}, "tuning.scope: no factor 'x'; factors: a, b"),
        ({"scope": ["a", "a"]}, "tuning.scope: a factor is listed twice"),
        ({"variance_ratio": 0.1}, "variance_ratio is about groups of runs, and scope: replicate has none"),
        ({"prune": True}, "prune"),
    ],
)
def test_what_cannot_be_tuned_fairly_is_refused(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    assert said in refused(tmp_path, **changes)
