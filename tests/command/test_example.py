"""The worked example is a valid study, and its script resumes to the same numbers."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from maineffect import study as journey
from maineffect.command import CommandTrainable
from maineffect.conformance import RecordingContext
from maineffect.contracts import RunRequest

EXAMPLE = Path(__file__).resolve().parents[2] / "experiments" / "03_plain_command"


def test_the_example_is_checked_resumed_and_the_same(tmp_path: Path) -> None:
    study = journey.check(EXAMPLE / "study.yaml").study
    levels = {"search_cost": 0.02, "wrong_cost": 1.0}
    settings = {**study.settings, **levels, "steps": 1100}
    request = RunRequest("s", "s-1", "r", "c", 1, levels, settings, 3, 4, tuple(study.responses), "command")

    def run(home: Path) -> RecordingContext:
        context = RecordingContext(home, 3)
        results.append(CommandTrainable(EXAMPLE)(request, context))
        return context

    results = []
    whole = run(tmp_path / "whole")
    assert [step for step, _ in whole.logged] == list(range(0, 1100, 10))
    assert whole.latest_checkpoint()[0] == 1000
    resumed_home = tmp_path / "resumed"
    saved = resumed_home / "checkpoints" / "000000000500"
    shutil.copytree(whole.run_dir / "checkpoint-500", saved)
    resumed = run(resumed_home)
    assert resumed.logged[0][0] == 500
    assert results[0].responses == results[1].responses
    assert results[0].responses["precision"] == pytest.approx(0.88, abs=0.03)
