"""Checkpoints count when they are complete, and never before."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from maineffect.command.checkpoints import SavedFolders


class Saves:
    """Keeps what was published."""

    def __init__(self, base: Path, pattern: str | None = "checkpoint-*", settle: float = 0.2) -> None:
        self.run = base / "run"
        self.run.mkdir(exist_ok=True)
        self.base, self.made = base, dict[int, dict[str, str]]()
        self.folders = SavedFolders(self.run, pattern, settle, self.save)

    def save(self, step: int, write: Callable[[Path], None]) -> None:
        folder = self.base / f"published-{step}"
        folder.mkdir()
        write(folder)
        self.made[step] = {p.relative_to(folder).as_posix(): p.read_text() for p in folder.rglob("*") if p.is_file()}

    def write(self, name: str, text: str = "x", file: str = "model.pt") -> None:
        (self.run / name / file).parent.mkdir(parents=True, exist_ok=True)
        (self.run / name / file).write_text(text)


def settle(saves: Saves, seconds: float = 0.35) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        saves.folders.look()
        time.sleep(0.01)


def test_a_folder_that_still_grows_waits(tmp_path: Path) -> None:
    saves = Saves(tmp_path)
    for part in range(8):
        saves.write("checkpoint-4", "x" * part, f"deep/part-{part}")
        settle(saves, 0.06)
        assert saves.made == {}
    settle(saves)
    assert sorted(saves.made) == [4]
    assert len(saves.made[4]) == 8


def test_the_newest_complete_one_counts_once(tmp_path: Path) -> None:
    saves = Saves(tmp_path)
    saves.write("checkpoint-2"), saves.write("checkpoint-10", "ten")
    settle(saves)
    settle(saves)
    assert saves.made == {10: {"model.pt": "ten"}}
    saves.write("checkpoint-12", "twelve")
    saves.folders.look(last=True)
    assert saves.made[12] == {"model.pt": "twelve"}


def test_no_disk_is_spent_twice(tmp_path: Path) -> None:
    saves = Saves(tmp_path)
    saves.write("checkpoint-1")
    saves.folders.look(last=True)
    assert (tmp_path / "published-1" / "model.pt").stat().st_ino == (
        saves.run / "checkpoint-1" / "model.pt"
    ).stat().st_ino


@pytest.mark.parametrize("name", ["checkpoint-last", "other-3", "checkpoints/000000000007"])
def test_what_is_no_numbered_checkpoint_of_the_script_is_left_alone(tmp_path: Path, name: str) -> None:
    saves = Saves(tmp_path, "**/checkpoint*" if "/" not in name else "*/*")
    saves.write(name)
    saves.folders.look(last=True)
    assert saves.made == {}


def test_what_was_there_before_and_what_is_empty_is_left_alone(tmp_path: Path) -> None:
    Saves(tmp_path).write("checkpoint-5")
    saves = Saves(tmp_path)
    (saves.run / "checkpoint-6").mkdir()
    saves.folders.look(last=True)
    assert saves.made == {}


def test_no_pattern_no_checkpoints(tmp_path: Path) -> None:
    saves = Saves(tmp_path, None)
    saves.write("checkpoint-1")
    saves.folders.look(last=True)
    assert saves.made == {}
