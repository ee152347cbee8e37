"""A run that is tried again in another home: its checkpoints are used where they can be read, and named where not."""

from __future__ import annotations

import os
import shutil
import socket
import sys
import types
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from maineffect.contracts import RunResult, RunState
from maineffect.execute.attempt.context import AttemptContext, attempt_folder
from maineffect.execute.attempt.earlier import earlier_attempts
from maineffect.execute.attempt.one_run import WorkOrder, run_attempt
from maineffect.execute.cluster.processes import this_process
from maineffect.execute.drive.foreign import ForeignAttempts

HERE = socket.gethostname()


@pytest.fixture
def tried(bench: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """One attempt in a home that saves a checkpoint and fails; returns where it began, and what it told its log."""

    def attempt(number: int, home: str, saves: int | None = None) -> tuple[Any, str]:
        began = []

        def train(request: Any, context: AttemptContext) -> None:
            began.append(context.latest_checkpoint())
            if saves is not None:
                context.save_checkpoint(saves, lambda folder: (folder / "state").write_text(str(saves)))
            raise ValueError("a bug")

        module = types.ModuleType("tried")
        module.train = train  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "tried", module)
        (request,) = bench.requests(1)
        request = replace(request, trainable="tried:train")
        run_attempt(WorkOrder(request, number, "me", bench.ledger, bench.folder / home, bench.folder))
        return began[0], capsys.readouterr().err

    return attempt


def folder(bench: Any, home: str, attempt: int = 1) -> Path:
    return attempt_folder(bench.folder / home, "misfits-12345678", "r0", attempt)


def test_a_checkpoint_in_another_home_is_used(bench: Any, tried: Any) -> None:
    assert tried(1, "a", saves=3) == (None, "")
    saved = folder(bench, "a") / "checkpoints" / f"{3:012}"
    told = f"maineffect: r0 goes on from step 3, which its attempt 1 saved in {saved}\n"
    assert tried(2, "b", saves=5) == ((3, saved), told)
    own = folder(bench, "b", 2) / "checkpoints" / f"{5:012}"
    assert tried(3, "b") == ((5, own), ""), "its own is newer, and nothing is to be said of it"


def test_a_checkpoint_that_is_gone_is_named(bench: Any, tried: Any) -> None:
    tried(1, "a", saves=3)
    shutil.move(folder(bench, "a"), bench.folder / "away")
    told = (
        f"maineffect: r0 starts from its beginning: what its attempt 1 may have saved is in {folder(bench, 'a')} on "
        f"{HERE}, and that folder is not there on {HERE}\n"
    )
    assert tried(2, "b", saves=1) == (None, told)
    began, told = tried(3, "b")
    assert began[0] == 1
    assert told.startswith("maineffect: r0 goes on from step 1: what its attempt 1 may have saved is in ")


def test_only_the_attempts_own_folder_is_read(bench: Any, tried: Any) -> None:
    """The same path on another machine may hold something else, or somebody else's."""
    tried(1, "a", saves=3)
    (request,) = bench.requests(1)

    def unread() -> str:
        return earlier_attempts(bench.ledger, bench.folder / "b", request, 2).unread[1].unread

    identity = folder(bench, "a") / "attempt.json"
    kept = identity.read_text()
    identity.write_text(kept.replace('"tracking_run_id": "', '"tracking_run_id": "0'))
    assert unread() == f"holds no files of this attempt on {HERE}"
    identity.write_text(kept)
    if os.getuid() == 0:
        os.chown(folder(bench, "a"), 12345, -1)
        assert unread() == f"belongs to another user on {HERE}"


def test_an_attempt_that_never_began_left_nothing(bench: Any) -> None:
    (request,) = bench.requests(1)
    bench.ledger.claim("r0", 1, "somebody")
    found = earlier_attempts(bench.ledger, bench.folder / "b", request, 2)
    assert (found.readable, found.unread) == ({}, {})


def test_a_result_that_waits_in_another_home_is_recorded_and_not_trained_again(bench: Any) -> None:
    """Its driver and its store were gone when it ended: the next driver, in another home, finds it."""
    (request,) = bench.requests(1)
    bench.ledger.claim("r0", 1, str(replace(this_process(), started=1)))  # a process of this machine that is gone
    record = bench.ledger.start_attempt(request, 1, folder(bench, "a"))
    away = replace(bench.ledger, entry=replace(bench.ledger.entry, ledger_run="0" * 32))
    record._entry = away.entry  # the store does not take the commit
    with pytest.raises(Exception, match="0000"):
        record.commit(RunResult({"skill": 4.0}), seconds=1.0)
    ForeignAttempts(bench.ledger, bench.folder / "b").look(request, bench.ledger.state().runs["r0"])
    assert bench.ledger.state().runs["r0"].state is RunState.FINISHED
    assert bench.skills() == {"r0": 4.0}
