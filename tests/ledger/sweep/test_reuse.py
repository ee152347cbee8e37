"""Finished runs are recognised by what they measured, and reused once, whatever happens in between."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from maineffect.contracts import RunRequest, RunResult, RunState
from maineffect.ledger.store.state import commits
from maineffect.ledger.sweep.collect import collect
from maineffect.ledger.sweep.ledger import MlflowLedger, open_sweep, sweep_results
from maineffect.ledger.sweep.reuse import finished_runs, same_runs, take_over


def finish(ledger: MlflowLedger, request: RunRequest, folder: Path, skill: float) -> None:
    assert ledger.claim(request.run_id, 1, "me")
    record = ledger.start_attempt(request, 1, folder / request.run_id / "a1")
    assert record.commit(RunResult({"skill": skill}), seconds=4.0)


@pytest.fixture
def wider(uri: str, plan, sweep: MlflowLedger) -> MlflowLedger:
    return open_sweep(uri, "known-99999999", study_name="known", study_text="x", plan=plan)


@pytest.fixture
def asked(requests: list[RunRequest]) -> list[RunRequest]:
    return [replace(request, code_version="v1") for request in requests]


def test_content_is_all_that_decides_what_is_measured(requests: list[RunRequest]) -> None:
    first = requests[0]
    same = replace(first, sweep_id="other", run_id="other", replicate=9, block=None, code_version="v2")
    assert same.content() == first.content()
    for change in (
        {"seed": first.seed + 1},
        {"evaluation_seed": 2},
        {"settings": {"steps": 3}},
        {"levels": {**first.levels, "hops": 9}},
        {"trainable": "known:other"},
    ):
        assert replace(first, **change).content() != first.content(), change


def test_finished_runs_of_another_sweep_are_counted_here(
    sweep: MlflowLedger, wider: MlflowLedger, design, asked: list[RunRequest], tmp_path: Path
) -> None:
    for number, request in enumerate(asked[:3]):
        finish(sweep, request, tmp_path, number / 8)
    found = same_runs(wider.uri, "known", asked, besides=wider.sweep_id)
    assert {run_id: [run.code for run in runs] for run_id, runs in found.items()} == {
        r.run_id: ["v1"] for r in asked[:3]
    }
    chosen = {run_id: runs[0] for run_id, runs in found.items()}
    assert take_over(wider, chosen) == 3
    assert take_over(wider, chosen) == 3, "twice is once"

    states = wider.state().runs
    first = asked[0].run_id
    assert states[first].state is RunState.FINISHED
    assert states[first].reused_from == f"{sweep.sweep_id}/{first}"
    assert states[first].tracking_run_id == sweep.state().runs[first].tracking_run_id
    assert sweep_results(wider) == sweep_results(sweep), "the very text that was committed"
    table = collect(wider, design, ("skill",)).table
    assert table["skill"].dropna().tolist() == [0.0, 1 / 8, 2 / 8]
    assert not wider.claim(first, 1, "somebody"), "nobody runs it again"
    assert finished_runs(wider)[first].place == f"{sweep.sweep_id}/{first}", "a third sweep learns who made it"


def test_nothing_else_is_recognised(
    sweep: MlflowLedger, wider: MlflowLedger, asked: list[RunRequest], tmp_path: Path
) -> None:
    finish(sweep, asked[0], tmp_path, 0.5)
    other_seed = [replace(asked[0], seed=1)]
    assert same_runs(wider.uri, "known", other_seed, besides=wider.sweep_id) == {}
    more_responses = [replace(asked[0], responses=("skill", "brier"))]
    assert same_runs(wider.uri, "known", more_responses, besides=wider.sweep_id) == {}
    assert same_runs(wider.uri, "another study", asked, besides=wider.sweep_id) == {}
    assert same_runs(wider.uri, "known", asked, besides=sweep.sweep_id) == {}


def test_what_somebody_runs_here_is_left_to_them(
    sweep: MlflowLedger, wider: MlflowLedger, asked: list[RunRequest], tmp_path: Path
) -> None:
    for request in asked[:2]:
        finish(sweep, request, tmp_path, 0.5)
    chosen = {run: runs[0] for run, runs in same_runs(wider.uri, "known", asked, besides=wider.sweep_id).items()}
    assert wider.claim(asked[0].run_id, 1, "a driver")
    assert take_over(wider, chosen) == 1
    assert wider.state().runs[asked[0].run_id].state is RunState.RUNNING
    assert list(commits(wider.records.read())) == [asked[1].run_id]


def test_a_taking_over_that_was_cut_off_is_recognised_and_gone_on_with(
    sweep: MlflowLedger, wider: MlflowLedger, asked: list[RunRequest], tmp_path: Path
) -> None:
    finish(sweep, asked[0], tmp_path, 0.5)
    (run_id, (found,)) = next(iter(same_runs(wider.uri, "known", asked, besides=wider.sweep_id).items()))
    wider.records.put(f"claim.{run_id}.a1", f"reused:{found.place}")
    status = wider.state().runs[run_id]
    assert (status.state, status.reused_from) == (RunState.RUNNING, found.place)
    assert take_over(wider, {run_id: found}) == 1
    assert wider.state().runs[run_id].state is RunState.FINISHED
