"""A warm start is logged, hears a cancel, and is taken up where a run that died has left it."""

from __future__ import annotations

import fcntl
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from maineffect.contracts import RunCancelled
from maineffect.execute.phases.preparations import preparations_of
from maineffect.lab import train_search_agent
from maineffect.lab.settings import LabSettings
from maineffect.lab.train import cloning, warmstart
from maineffect.lab.train.warmstart import warm_start


def lock_of(cache: Path) -> Path:
    (lock,) = (cache / "warmstart").glob("*.lock")
    return lock


def test_a_clone_that_was_stopped_goes_on_and_ends_with_the_same_weights(
    small: dict[str, Any], make_context: Any, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def told() -> list[tuple[int, float]]:
        return [(int(a), float(b)) for a, b in re.findall(r"step (\d+) of 8, loss (\S+) per", capfd.readouterr().err)]

    monkeypatch.setattr(cloning, "_TELL_SECONDS", 0.0)
    settings = LabSettings.model_validate({**small, "warmstart": {**small["warmstart"], "steps": 8}})
    whole = make_context("whole")
    expected = warm_start(settings, 5, whole.cache_dir, context=whole).state_dict()
    losses = told()
    assert [step for step, _ in losses] == list(range(1, 9))
    assert losses[-1][1] < losses[0][1]
    assert whole.logged == [], "one run of many makes the clone: no curve of a run"

    monkeypatch.setattr(cloning, "_SAVE_SECONDS", 0.0)
    broken = make_context("broken", stop_at=5)
    with pytest.raises(RunCancelled):
        warm_start(settings, 5, broken.cache_dir, context=broken)
    assert told() == losses[:5]
    model = warm_start(settings, 5, broken.cache_dir, context=make_context("again"))
    assert told() == losses[5:], "nothing is cloned twice"
    assert all(torch.equal(value, expected[name]) for name, value in model.state_dict().items())
    assert not list((broken.cache_dir / "warmstart").glob("*.part"))


def test_a_run_that_waits_for_another_ones_clone_says_so_and_hears_a_cancel(
    small: dict[str, Any], make_context: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    settings = LabSettings.model_validate({**small, "warmstart": {**small["warmstart"], "steps": 1}})
    cache = make_context("shared").cache_dir
    warm_start(settings, 5, cache)
    waiting = make_context("waiting", stop_at=2)
    with lock_of(cache).open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(RunCancelled):
            warm_start(settings, 5, cache, context=waiting)
    assert capfd.readouterr().err.count("waits for the warm start, which another run of this machine is making") == 1
    assert waiting.logged == []


def test_a_clone_made_by_a_run_of_its_own_is_the_one_that_runs_make_themselves(
    small: dict[str, Any], make_context: Any, make_request: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = replace(make_request({**small, "warmstart": {**small["warmstart"], "steps": 6}}), base_seed=11)
    by_itself = make_context("by itself")
    expected = train_search_agent(request, by_itself)
    (planned,) = preparations_of(train_search_agent, [request, replace(request, run_id="c1-r2", seed=6)]).requests
    assert (planned.name, planned.serves) == ("warm start", 2)
    (made,) = (by_itself.cache_dir / "warmstart").glob("*.pt")
    assert planned.files == (f"warmstart/{made.name}",), "the driver names the file that a run looks for"

    monkeypatch.setattr(cloning, "_SAVE_SECONDS", 0.0)
    killed = make_context("shared", stop_at=4)
    with pytest.raises(RunCancelled):
        train_search_agent.prepare(planned, killed)
    assert [step for step, _ in killed.logged] == [0, 1, 2, 3]
    again = make_context("shared")
    train_search_agent.prepare(planned, again)
    assert [step for step, _ in again.logged] == [4, 5], "it goes on from its checkpoint"
    assert again.latest_checkpoint()[0] == 6
    assert torch.equal(*(torch.load(path)["embedding.weight"] for path in (made, again.cache_dir / planned.files[0])))

    monkeypatch.setattr(cloning, "clone", None)
    monkeypatch.setattr(warmstart, "clone", None)
    run = make_context("run")
    run.cache_dir = again.cache_dir
    prepared = train_search_agent(request, run)
    assert prepared.responses == expected.responses, "to the last digit"
    assert prepared.measures == expected.measures


@pytest.mark.parametrize("untrained", [{"steps": 0}, {"demonstrator": "none"}])
def test_runs_that_clone_nothing_need_no_preparation(small: dict[str, Any], make_request: Any, untrained: Any) -> None:
    request = make_request({**small, "warmstart": {**small["warmstart"], **untrained}})
    assert preparations_of(train_search_agent, [request]).requests == ()


def test_only_what_decides_a_clone_tells_two_apart(small: dict[str, Any], make_request: Any) -> None:
    def count(requests: list[Any]) -> int:
        named = [replace(request, run_id=f"r{number}") for number, request in enumerate(requests)]
        return len(preparations_of(train_search_agent, named).requests)

    base = make_request(small)
    shared = [
        base,
        make_request({**small, "world": {"distractors": 3}}),
        make_request({**small, "train": {**small["train"], "learning_rate": 1e-4}}),
    ]
    assert count(shared) == 1
    wider = make_request({**small, "policy": {**small["policy"], "width": 64}})
    longer = make_request({**small, "warmstart": {**small["warmstart"], "steps": 4}})
    other_seed = make_request(small, seed=6)
    assert count([*shared, wider, longer, other_seed]) == 4
    assert count([replace(base, base_seed=3), replace(other_seed, base_seed=3)]) == 1
