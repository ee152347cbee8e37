"""What a trainable uses while it runs."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from maineffect.contracts import RunCancelled, RunContext, RunRequest
from maineffect.execute.attempt.context import AttemptContext
from maineffect.seeds import derive_seed

REQUEST = RunRequest("s", "s-1", "r0", "c", 1, {}, {}, 42, 1, ("skill",), "m:t")


class Record:
    """An attempt's record in memory."""

    def __init__(self) -> None:
        self.logged: list[tuple[int, dict[str, float]]] = []
        self.stop_reason: str | None = None

    def log(self, step: int, metrics) -> None:
        self.logged.append((step, dict(metrics)))


def context(home: Path, attempt: int = 1, **options) -> AttemptContext:
    made = AttemptContext(REQUEST, attempt, home, Record(), **options)
    made.run_dir.mkdir(parents=True, exist_ok=True)
    return made


def write(text: str):
    return lambda folder: (folder / "state").write_text(text)


def test_it_is_what_the_contract_asks_for(tmp_path: Path) -> None:
    made: RunContext = context(tmp_path)
    assert made.run_dir == tmp_path / "runs" / "s-1" / "r0" / "a1"
    assert made.cache_dir == tmp_path / "cache"
    assert made.cache_dir.is_dir()
    assert made.seed("world") == derive_seed(42, "world")
    assert made.seed("world") != made.seed("sampling")


def test_metrics_and_progress_are_passed_on(tmp_path: Path) -> None:
    heard: list[tuple[int, int]] = []
    made = context(tmp_path, on_progress=lambda done, total: heard.append((done, total)))
    made.log(3, {"reward": 0.5})
    made.progress(3, 10)
    assert made._record.logged == [(3, {"reward": 0.5})]
    assert heard == [(3, 10)]


def test_the_newest_checkpoint_of_any_attempt_is_found_and_two_are_kept(tmp_path: Path) -> None:
    first, second = context(tmp_path), context(tmp_path, 2)
    assert first.latest_checkpoint() is None
    for step in (1, 2, 10):
        first.save_checkpoint(step, write(f"step {step}"))
    found = second.latest_checkpoint()
    assert found is not None
    assert (found[0], (found[1] / "state").read_text()) == (10, "step 10")
    assert sorted(p.name for p in (first.run_dir / "checkpoints").iterdir()) == [f"{2:012}", f"{10:012}"]
    second.save_checkpoint(11, write("step 11"))
    assert first.latest_checkpoint() == second.latest_checkpoint() == (11, second.run_dir / "checkpoints" / f"{11:012}")


def test_a_checkpoint_that_was_not_completed_does_not_exist(tmp_path: Path) -> None:
    made = context(tmp_path)
    made.save_checkpoint(1, write("whole"))

    def broken(folder: Path) -> None:
        (folder / "state").write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        made.save_checkpoint(2, broken)
    assert made.latest_checkpoint() == (1, made.run_dir / "checkpoints" / f"{1:012}")
    made.save_checkpoint(2, write("whole again"))
    assert made.latest_checkpoint()[0] == 2


def test_writing_a_step_again_replaces_it(tmp_path: Path) -> None:
    made = context(tmp_path)
    made.save_checkpoint(1, write("old"))
    made.save_checkpoint(1, write("new"))
    assert (made.latest_checkpoint()[1] / "state").read_text() == "new"


def test_a_cancel_or_a_fence_stops_the_run_at_its_next_step(tmp_path: Path) -> None:
    made = context(tmp_path)
    made.check_cancelled()
    made.cancelled.set()
    with pytest.raises(RunCancelled, match="cancelled"):
        made.check_cancelled()
    other = context(tmp_path, 2)
    other._record.stop_reason = "another driver took this run for lost"
    with pytest.raises(RunCancelled, match="another driver"):
        other.check_cancelled()


def test_checkpoints_are_private(tmp_path: Path) -> None:
    made = context(tmp_path)
    made.save_checkpoint(1, write("secret"))
    folder = made.latest_checkpoint()[1]
    assert stat.S_IMODE(os.stat(folder).st_mode) & 0o077 == 0
