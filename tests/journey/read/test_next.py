"""A finished sweep whose hypothesis is open → `next` → the written study, whose finished runs count and never run again."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.homes import ready_home

from maineffect.contracts import RunRequest, RunResult, RunState
from maineffect.errors import UsageError
from maineffect.journey.plan.check import check
from maineffect.journey.plan.place import Place
from maineffect.journey.plan.requests import plan_requests
from maineffect.journey.read.analyse import analyse_sweep
from maineffect.journey.read.next import propose_next
from maineffect.journey.run.submission import open_submission
from maineffect.journey.run.submit import preview, settle_submission
from maineffect.ledger.store.connection import prepare
from maineffect.ledger.sweep.ledger import MlflowLedger
from maineffect.register import freeze
from maineffect.seeds import generator

STUDY = """\
schema_version: 1
name: open
trainable: mine:train
factors: {a: {levels: [0, 1]}, b: {levels: [0, 1]}}
design: {kind: full, replicates: 3}
responses: {y: {smallest_effect: 0.5}}
hypotheses: [{id: H1, term: a, response: y, direction: increase}]
analysis: {terms: main}
settings: {steps: 5}
"""
HOUR = timedelta(hours=1)


def _record(ledger: MlflowLedger, requests: list[RunRequest], home: Path, surprise: float = 0.0) -> None:
    for request in requests:
        assert ledger.claim(request.run_id, 1, "me")
        record = ledger.start_attempt(request, 1, home / ledger.sweep_id / request.run_id / "a1")
        noise = float(generator(request.seed, "noise").normal(0, 1))
        assert record.commit(
            RunResult({"y": 0.6 * int(request.levels["a"]) + surprise * int(request.levels["b"]) + noise}), seconds=4.0
        )


def _finished(folder: Path, text: str = STUDY, surprise: float = 0.0) -> tuple[Place, str]:
    (folder / "mine.py").write_text("def train(request, context):\n    raise NotImplementedError\n")
    path = folder / "study.yaml"
    path.write_text(text)
    place, checked = Place(home=ready_home(folder / "home")), check(path)
    prepare(place.uri())
    registration = freeze.require_registered(
        checked.study, checked.design, path, again=False, now=datetime.now(UTC) - HOUR
    )
    ledger = open_submission(checked, place, registration)
    _record(ledger, plan_requests(checked, ledger.sweep_id), place.home, surprise)
    return place, ledger.sweep_id


def _submitted(path: Path, place: Place) -> tuple[MlflowLedger, list[RunRequest]]:
    """The follow-up as `submit` settles it, and the runs that it would start."""
    settled = settle_submission(path, place, register_again=False, reuse=None, go_on=False, on_notice=None)
    states = settled.ledger.state().runs
    open_runs = [
        r for r in settled.requests if r.run_id not in states or states[r.run_id].state is not RunState.FINISHED
    ]
    return settled.ledger, open_runs


def test_an_open_hypothesis_is_followed_to_a_verdict_of_the_new_runs(tmp_path: Path, here: Callable[..., Any]) -> None:
    place, sweep = _finished(tmp_path)
    first = analyse_sweep(sweep, place).hypotheses[0]
    assert first.verdict == "inconclusive"
    path = tmp_path / "follow-up.yaml"
    told = here("next", sweep, "--write", str(path), "--home", str(place.home), "--json", cwd=tmp_path)
    document = json.loads(told.stdout)
    best = document["proposals"][0]
    assert (best["kind"], document["file"]) == ("replicates", str(path))
    assert document["unit"] == "core-hours"
    assert best["hours"] == pytest.approx(best["runs"] * 4 / 3600)
    shown = preview(path, place)
    assert len(shown["reused"]) == 12
    assert len(shown["would_run"]) == best["runs"]

    power = json.loads(here("power", str(path), "--sigma", "1", "--json", cwd=tmp_path).stdout)
    assert power["n_runs"] == best["runs"], "what is judged on the new runs has their power"

    # Another version of the trainable's code: the finished runs count all the same, and do not run again.
    (tmp_path / "mine.py").write_text("def train(request, context):\n    raise ValueError\n")
    ledger, open_runs = _submitted(path, place)
    assert len(open_runs) == best["runs"]
    assert not {r.run_id for r in open_runs} & {r["run_id"] for r in shown["reused"]}
    _record(ledger, open_runs, place.home)
    result = analyse_sweep(ledger.sweep_id, place)
    judged = result.hypotheses[0]
    assert [(p.runs, p.counts) for p in judged.phases] == [(12, False), (best["runs"], True)]
    assert judged.phases[0].estimate == pytest.approx(first.estimate)
    assert judged.post_hoc is None, "the follow-up is a registration of its own"
    assert any("12 run(s) were reused from sweep" in text for text in result.facts.deviations)
    assert any("holds per phase" in text for text in judged.caveats)
    _, again = _submitted(path, place)
    assert not again, "a second submission finds nothing to do, and no two codes to mix"


def test_a_registered_reserve_is_inherited(tmp_path: Path) -> None:
    place, sweep = _finished(tmp_path, STUDY.replace("terms: main", "terms: main, follow_up: {phases: 2}"))
    path = tmp_path / "follow-up.yaml"
    propose_next(sweep, place, write=path)
    ledger, open_runs = _submitted(path, place)
    _record(ledger, open_runs, place.home)
    judged = analyse_sweep(ledger.sweep_id, place).hypotheses[0]
    assert judged.post_hoc is None, "it was registered before the first run of the first sweep"
    assert all(p.counts for p in judged.phases)
    assert "both phases together" in str(judged.reason)


def test_keeping_error_back_after_the_first_sweep_is_post_hoc(tmp_path: Path) -> None:
    place, sweep = _finished(tmp_path)
    path = tmp_path / "follow-up.yaml"
    propose_next(sweep, place, write=path)
    text = path.read_text()
    path.write_text(text.replace("terms: main", "terms: main, follow_up: {phases: 2}"))
    assert "follow_up: {phases: 2}" in path.read_text()
    ledger, open_runs = _submitted(path, place)
    _record(ledger, open_runs, place.home)
    judged = analyse_sweep(ledger.sweep_id, place).hypotheses[0]
    assert judged.post_hoc is not None
    assert "post hoc" in judged.label


def test_a_surprise_is_confirmed_on_runs_that_nothing_was_picked_on(tmp_path: Path) -> None:
    place, sweep = _finished(tmp_path, surprise=6.0)
    path = tmp_path / "follow-up.yaml"
    kinds = [proposal["kind"] for proposal in propose_next(sweep, place)["proposals"]]
    document = propose_next(sweep, place, write=path, choice=kinds.index("confirm") + 1)
    shown = preview(path, place)
    assert not shown["reused"]
    assert len(shown["would_run"]) == document["proposals"][kinds.index("confirm")]["runs"]
    ledger, open_runs = _submitted(path, place)
    _record(ledger, open_runs, place.home, 6.0)
    (judged,) = analyse_sweep(ledger.sweep_id, place).hypotheses
    assert (judged.term, judged.verdict, judged.post_hoc) == ("b", "supported", None)
    assert judged.suggested_by == sweep


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("steps: 5", "steps: 6"), "was made with another trainable, other settings or another seed"),
        (("results: ", "results: 0"), "is not|should match|have changed"),
        (("from: open-", "from: gone-"), "there is no sweep gone-"),
    ],
)
def test_what_does_not_continue_the_sweep_is_refused(tmp_path: Path, change: tuple[str, str], words: str) -> None:
    place, sweep = _finished(tmp_path)
    path = tmp_path / "follow-up.yaml"
    propose_next(sweep, place, write=path)
    text = path.read_text()
    if change[0] == "results: ":
        digest = text.split("results: ")[1][:64]
        text = text.replace(digest, "0" * 64 if digest != "0" * 64 else "1" * 64)
    else:
        assert change[0] in text
        text = text.replace(*change)
    path.write_text(text)
    with pytest.raises(UsageError, match=words):
        _submitted(path, place)


def test_errors_name_the_way_out(tmp_path: Path, here: Callable[..., Any]) -> None:
    place, sweep = _finished(tmp_path)
    (tmp_path / "there.yaml").write_text("")
    words = ("next", sweep, "--home", str(place.home))
    assert "there.yaml exists" in here(*words, "--write", "there.yaml", cwd=tmp_path, expect=2).stderr
    assert "there is no line 99" in here(*words, "--write", "n.yaml", "--choice", "99", cwd=tmp_path, expect=2).stderr
    small = here(*words, "--budget", "0.0001", cwd=tmp_path)
    assert "0.0001 core-hours decide nothing" in small.stdout
    refused = here(*words, "--budget", "0.0001", "--write", "n.yaml", cwd=tmp_path, expect=2)
    assert "there is nothing to write" in refused.stderr
    assert not (tmp_path / "n.yaml").exists()
