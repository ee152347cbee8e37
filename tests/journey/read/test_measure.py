"""Shortcuts in the report, psychometrics of a sweep, and a battery that can be made harder."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.homes import ready_home

from maineffect.errors import UsageError
from maineffect.journey.plan.place import Place
from maineffect.journey.read import measure as measuring
from maineffect.lab.evaluate.battery import HARDEST, build_battery
from maineffect.lab.settings import LabSettings
from maineffect.spec.load import load_study

STUDY = """
schema_version: 1
name: tiny
trainable: maineffect.lab:train_search_agent
factors: {conflict_rate: {levels: [0.0, 0.5], binds: world.conflict_rate}}
design: {kind: full, replicates: 2}
responses: {clean_accuracy: {goal: maximize}, source_weighting: {goal: maximize}}
settings: {evaluation: {items: 4, pairs: 4}}
"""


@pytest.fixture
def study(tmp_path: Path):
    (tmp_path / "study.yaml").write_text(STUDY, encoding="utf-8")
    return load_study(tmp_path / "study.yaml")


def test_baselines_are_played_once_and_kept(study, tmp_path: Path) -> None:
    place = Place(home=tmp_path / "home")
    found = measuring.baselines_of(study, tmp_path, place)
    assert {record["response"] for record in found} == {"clean_accuracy", "source_weighting"}
    by_name = {(record["name"], record["response"]): record["value"] for record in found}
    assert by_name["oracle", "source_weighting"] == 1.0
    assert by_name["reads, counts votes", "source_weighting"] == 0.0
    (kept,) = (place.home / "cache" / "baselines").iterdir()
    kept.write_text('[{"name": "kept", "response": "clean_accuracy", "value": 0.5}]', encoding="utf-8")
    assert [record["name"] for record in measuring.baselines_of(study, tmp_path, place)] == ["kept"]


def test_a_trainable_without_baselines_has_none(study, tmp_path: Path) -> None:
    (tmp_path / "unscored.py").write_text("def run(request, context):\n    return {}\n", encoding="utf-8")
    other = study.model_copy(update={"trainable": "unscored:run"})
    assert measuring.baselines_of(other, tmp_path, Place(home=tmp_path)) == []
    absent = study.model_copy(update={"trainable": "nowhere:run"})
    assert measuring.baselines_of(absent, tmp_path, Place(home=tmp_path)) == []


def test_the_table_says_which_probes_discriminate(study) -> None:
    document = measuring.shortcut_table(study)
    probes = {row["probe"]: row for row in document["probes"]}
    assert probes["triad"]["discriminating"]
    assert not probes["closed_book"]["discriminating"]
    with pytest.raises(UsageError, match="built-in lab"):
        measuring.shortcut_table(study.model_copy(update={"trainable": "unscored:run"}))


def test_a_harder_battery_keeps_its_anchors() -> None:
    def built(**evaluation: int):
        return build_battery(LabSettings.model_validate({"evaluation": {"items": 4, "pairs": 4, **evaluation}}), 3)

    plain, harder = built(), built(difficulty=HARDEST, anchors=2)
    assert plain.digest != harder.digest
    same = {a.item_id for a, b in zip(plain.items, harder.items, strict=True) if a.member == b.member}
    assert {"triad-000a", "triad-001e", "edit-001b"} <= same
    assert "edit-002a" not in same
    crowd = {len(item.member.question.documents) for item in harder.items if item.pair_id == "edit-003"}
    assert min(crowd) > max(len(i.member.question.documents) for i in plain.items if i.pair_id == "edit-003")


@pytest.mark.timeout(300)
def test_a_recorded_sweep_is_measured_again(tmp_path: Path) -> None:
    """Runs are made and committed as a worker would; the policies trained again score what was recorded."""
    from datetime import UTC, datetime

    from maineffect.journey.plan.requests import plan_requests
    from maineffect.journey.run.submission import open_submission
    from maineffect.lab import train_search_agent
    from maineffect.lab.evaluate.metrics import BATTERY_RESPONSES, RESPONSES
    from maineffect.ledger.store.connection import prepare
    from maineffect.register import freeze
    from maineffect.study import check

    path = tmp_path / "study.yaml"
    small = (
        "{policy: {width: 32, heads: 2}, warmstart: {steps: 40, batch: 32}, train: {steps: 1, prompts: 2}, "
        "evaluation: {items: 4, pairs: 2, regime_episodes: 8}}"
    )
    text = STUDY.replace("{evaluation: {items: 4, pairs: 4}}", small).replace("replicates: 2", "replicates: 1")
    recorded = "{clean_accuracy: {goal: maximize}, mean_searches: {goal: minimize}, regime_score: {goal: maximize}}"
    path.write_text(text.replace("{clean_accuracy: {goal: maximize}, source_weighting: {goal: maximize}}", recorded))
    place, checked = Place(home=ready_home(tmp_path / "home")), check(path)
    prepare(place.uri())
    registration = freeze.require_registered(checked.study, checked.design, path, again=False, now=datetime.now(UTC))
    ledger = open_submission(checked, place, registration)
    results = {}
    for request in plan_requests(checked, ledger.sweep_id):
        assert ledger.claim(request.run_id, 1, "test")
        attempt = ledger.start_attempt(request, 1, place.home / "runs" / request.run_id)
        context = measuring._Unrecorded(tmp_path, place.home / "cache", request.seed)
        results[request.run_id] = train_search_agent(request, context)
        assert attempt.commit(results[request.run_id], seconds=1.0)
    told: list[tuple[int, int]] = []
    document = measuring.measured_again(
        ledger.sweep_id, "mean_searches", 2, 2, place, lambda _: None, lambda *now: told.append(now)
    )
    assert told == [(done, 14) for done in range(1, 15)]
    ranked = [row["mean_searches"] for row in document["runs"]]
    assert ranked == sorted(ranked), "minimised: the fewest searches come first"
    rows = {row["response"]: row for row in document["responses"]}
    assert tuple(rows) == RESPONSES
    first = results[document["runs"][0]["run"]].responses
    assert {name: row["value"] for name, row in rows.items()} == pytest.approx(first, abs=0, nan_ok=True)
    assert all(rows[name]["resampled_sd"] == 0 for name in BATTERY_RESPONSES)
    over_runs = measuring._over_runs(checked, ledger)
    assert set(over_runs) == {*BATTERY_RESPONSES, "regime_score"}, "from items where nothing else was recorded"
    for name, values in over_runs.items():
        assert sorted(values) == sorted(result.responses[name] for result in results.values())
    with pytest.raises(UsageError, match="does not record"):
        measuring.measured_again(ledger.sweep_id, "triad", 1, 2, place, lambda _: None, lambda *_: None)
