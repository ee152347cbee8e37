"""A warm start is logged, hears a cancel, and is taken up where a run that died has left it."""

from __future__ import annotations

import fcntl
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from maineffect.contracts import RunCancelled
from maineffect.lab.settings import LabSettings
from maineffect.lab.train import cloning
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
