"""The checks of sweeps see what is wrong: faults are written into what runs leave, or into what is asked."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from maineffect.gpu_check.bench import Bench
from maineffect.gpu_check.outcome import Judged
from maineffect.gpu_check.sweeps import form_without_gpu, judge_devices, judge_killed


def lines(steps: list[int], pid: int = 1, reward: float = 0.5, peak: float = 100.0) -> list[dict[str, Any]]:
    return [
        *({"pid": pid, "step": step, "reward": reward} for step in steps),
        {"pid": pid, "done": True, "peak_mib": peak},
    ]


def killed(first: list[int], then: list[int], pids: tuple[int, int] = (2, 3), **how: float) -> list[dict[str, Any]]:
    before = lines(first, pids[0])[:-1]
    return [*before, {"pid": pids[0], "killed": "run"}, *lines(then, pids[1], **how)]


def test_a_run_that_was_taken_up_passes() -> None:
    found = judge_killed([killed([0, 1, 2, 3], [3, 4, 5]), lines(list(range(6)))], 6, "cpu")
    assert found.status == "pass", found.said
    assert found.numbers["steps_again"] == 1
    assert found.numbers["peak_of_undisturbed"] == 1


@pytest.mark.parametrize(
    ("disturbed", "said"),
    [
        (killed([0, 1, 2, 3], [0, 1, 2, 3, 4, 5]), "4 steps were done again"),
        (killed([0, 1, 2, 3], [5]), "the curve has a hole"),
        (killed([0, 1, 2, 3], [4, 5], reward=0.6), "the curves of equal runs are 0.1 apart"),
        (killed([0, 1, 2, 3], [4, 5], peak=120.0), "is 1.20 times that of the other"),
        (killed([0, 1, 2, 3], [4, 5], pids=(2, 2)), "1 process(es) worked on the run"),
        (killed([0, 1, 2, 3], [])[:-1], "the memory of the run that was taken up is 0.00 times"),
        (lines(list(range(6))), "0 run(s) were killed and 2 were not"),
    ],
)
def test_what_is_wrong_with_a_run_that_was_killed(disturbed: list[dict[str, Any]], said: str) -> None:
    found = judge_killed([disturbed, lines(list(range(6)))], 6, "cpu")
    assert found.status == "fail"
    assert said in found.said


def test_devices_are_told_by_their_uuid() -> None:
    def saw(uuids: list[str], started: float) -> dict[str, Any]:
        return {"uuids": uuids, "started": started, "ended": started + 4}

    def judged(gpus: float, *seen: dict[str, Any]) -> str:
        found = Judged()
        judge_devices(found, seen, "some", gpus)
        return found.outcome().said

    assert judged(0.5, saw(["a"], 0), saw(["a"], 1)) == ""
    assert judged(1.0, saw(["a"], 0), saw(["a"], 5)) == ""
    assert judged(1.0, saw(["a"], 0), saw(["b"], 1)) == ""
    assert "two runs held one GPU at once" in judged(1.0, saw(["a"], 0), saw(["a"], 1))
    assert "sees another number than one" in judged(0.5, saw(["a", "b"], 0), saw(["a"], 1))
    assert "sees another number than one" in judged(0.5, saw([], 0), saw(["a"], 1))
    assert "1 of two runs" in judged(0.5, saw(["a"], 0))


def test_a_study_for_gpus_is_held_to_its_form_here(tmp_path: Path) -> None:
    found = form_without_gpu(Bench("", tmp_path, "cpu"))
    assert (found.status, found.numbers) == ("pass", {"reserved_exit": 0.0, "unreserved_exit": 3.0}), found.said


def test_a_check_that_lets_everything_pass_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lenient = tmp_path / "python"
    lenient.write_text("#!/bin/sh\necho all is well\n")
    os.chmod(lenient, 0o755)
    monkeypatch.setattr(sys, "executable", str(lenient))
    found = form_without_gpu(Bench("", tmp_path, "cpu"))
    assert found.status == "fail"
    assert "check of a study with GPUs unreserved: exit 0" in found.said
    assert "that no GPU is here is not said" in found.said
