"""Groups of processes under torchrun: what its report means, and that they are lost, cancelled and ended as one."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from maineffect.command.exit_codes import failure_of
from maineffect.command.ranks import group_end
from maineffect.contracts import FailureClass, RunCancelled, RunLost
from maineffect.execute.attempt.outcome import classify

TRACE = """\
[rank0]: Traceback (most recent call last):
[rank0]:   File "train.py", line 7, in <module>
[rank0]: {error}
W1129 10:11:53.178000 6511 torch/distributed/elastic/multiprocessing/api.py:1028] Sending process 6532 closing signal
E1129 10:11:53.210000 6511 torch/distributed/elastic/multiprocessing/api.py:1002] failed (exitcode: -9) local_rank: 1
Traceback (most recent call last):
torch.distributed.elastic.multiprocessing.errors.ChildFailedError:
"""
FAILURE = """\
  time      : 2026-11-29_10:11:{second}
  host      : localhost
  rank      : {rank} (local_rank: {rank})
  exitcode  : {code} (pid: 653{rank})  {name}
  error_file: <N/A>
  traceback : Signal 9 (SIGKILL) received by PID 6533
"""
NAMES = {-9: "(SIGKILL)", -15: "(SIGTERM)", -11: "(SIGSEGV)", 1: ""}


def report(first: tuple[int, int, int], other: tuple[int, int, int], error: str = "RuntimeError: reset by peer") -> str:
    """As torch 2.13 prints it; a failure is (rank, code, second)."""
    (cause, also) = (
        FAILURE.format(rank=rank, code=code, second=second, name=NAMES[code]) for rank, code, second in (first, other)
    )
    head = "=" * 54 + "\ntrain.py FAILED\n" + "-" * 54 + "\nFailures:\n[1]:\n"
    between = "-" * 54 + "\nRoot Cause (first observed failure):\n[0]:\n"
    return TRACE.format(error=error) + head + also + between + cause + "=" * 54 + "\n"


ENDS = {
    "a rank was killed": (
        (1, -9, 53),
        (0, -15, 53),
        False,
        FailureClass.LOST,
        "rank 1 of python train.py was ended by",
    ),
    "and memory had run out": ((1, -9, 53), (0, -15, 53), True, FailureClass.OOM_HOST, "rank 1"),
    "its neighbour is named first": ((0, 1, 53), (1, -9, 53), False, FailureClass.LOST, "rank 1"),
    "a rank that would not stop": ((0, 1, 20), (1, -9, 50), False, FailureClass.USER_ERROR, "rank 0"),
    "preempted": (
        (0, -15, 53),
        (1, -15, 53),
        False,
        FailureClass.LOST,
        "rank 0 of python train.py was ended by SIGTERM",
    ),
    "a crash": (
        (1, -11, 53),
        (0, 1, 53),
        False,
        FailureClass.USER_ERROR,
        "rank 1 of python train.py was ended by SIGSEGV",
    ),
    "an error": ((0, 1, 53), (1, -15, 53), False, FailureClass.USER_ERROR, "code 1: RuntimeError: reset by peer"),
}


@pytest.mark.parametrize("case", ENDS)
def test_the_rank_that_ended_first_decides(case: str) -> None:
    first, other, oom, failure, message = ENDS[case]
    found = failure_of("python train.py", 1, report(first, other), out_of_memory=oom)
    assert classify(found) is failure
    assert message in str(found).splitlines()[0]


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        ("torch.OutOfMemoryError: CUDA out of memory. Tried 2 GiB", FailureClass.OOM_GPU),
        ("MemoryError", FailureClass.OOM_HOST),
    ],
)
def test_want_of_memory_in_a_rank_is_seen_behind_its_prefix(error: str, failure: FailureClass) -> None:
    found = failure_of("python train.py", 1, report((0, 1, 53), (1, -15, 53), error), out_of_memory=False)
    assert classify(found) is failure


def test_a_launcher_that_was_asked_to_stop_is_lost() -> None:
    errors = "torch.distributed.elastic.multiprocessing.api.SignalException: Process 7482 got signal: 15\n"
    found = failure_of("python train.py", 1, errors, out_of_memory=False)
    assert isinstance(found, RunLost)
    assert "the launcher of python train.py was ended by SIGTERM" in str(found)


def test_other_errors_hold_no_report() -> None:
    assert group_end("ValueError: Root Cause is no level\n") is None
    assert group_end("") is None


# Each rank keeps the group busy and writes its id; torchrun starts ranks in sessions of their own.
GROUP = """
import os, time, torch, torch.distributed as dist
dist.init_process_group("gloo")
one = torch.ones(1)
dist.all_reduce(one)
with open(f"aside-{dist.get_rank()}", "w") as file:
    file.write(f"{os.getpid()} {os.getppid()}")
os.rename(f"aside-{dist.get_rank()}", f"rank-{dist.get_rank()}")
while True:
    dist.all_reduce(one)
    time.sleep(0.05)
"""
TORCHRUN = "{python} -m torch.distributed.run --standalone --nproc-per-node 2 train.py"


class Group:
    """Two ranks and their launcher, known once both have written their ids."""

    def __init__(self, folder: Path) -> None:
        self._files = [folder / f"rank-{rank}" for rank in (0, 1)]

    def pids(self) -> list[int]:
        """Ranks, then the launcher; empty before both are there."""
        if not all(file.exists() for file in self._files):
            return []
        told = [[int(word) for word in file.read_text().split()] for file in self._files]
        assert told[0][1] == told[1][1]
        return [told[0][0], told[1][0], told[0][1]]


@pytest.fixture
def group(bench, monkeypatch: pytest.MonkeyPatch) -> Group:
    if sys.platform != "linux":
        pytest.skip("processes in other sessions are found on Linux alone")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    bench.script(GROUP)
    return Group(bench.study)


@pytest.mark.parametrize(
    ("place", "message"), [(1, r"rank 1 of .* was ended by SIGKILL"), (2, "^(?!rank).* was ended by SIGKILL")]
)
def test_one_that_is_killed_ends_the_group_and_the_run_is_lost(
    bench, group: Group, running, place: int, message: str
) -> None:
    killed = []

    def kill_once() -> bool:
        if not killed and (pids := group.pids()):
            killed.extend(pids)
            os.kill(pids[place], signal.SIGKILL)
        return False

    bench.context.when = kill_once
    with pytest.raises(RunLost, match=message):
        bench.run(TORCHRUN)
    assert len(killed) == 3
    assert [pid for pid in killed if running(pid)] == []


def test_a_cancelled_group_leaves_no_rank(bench, group: Group, running) -> None:
    bench.context.when = lambda: bool(group.pids())
    with pytest.raises(RunCancelled):
        bench.run(TORCHRUN)
    assert len(group.pids()) == 3
    assert [pid for pid in group.pids() if running(pid)] == []
