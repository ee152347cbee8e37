"""Exit code or signal → the failure class that decides whether a run is tried again."""

from __future__ import annotations

import contextlib
import io
import sys

import pytest
from tqdm import tqdm

from maineffect.command.exit_codes import CommandError, failure_of
from maineffect.contracts import FailureClass, RunLost
from maineffect.execute.attempt.outcome import classify

TRACE = "Traceback (most recent call last):\n  File x\n"

CASES = {
    "an error": (1, TRACE + "ValueError: bad lr\n", False, FailureClass.USER_ERROR, "code 1: ValueError: bad lr"),
    "silence": (3, "", False, FailureClass.USER_ERROR, "wrote nothing to standard error"),
    "usage": (2, "usage: train\ntrain: error: no --lr\n", False, FailureClass.USER_ERROR, "error: no --lr"),
    "a crash": (-11, "Fatal", False, FailureClass.USER_ERROR, "SIGSEGV: Fatal"),
    "an abort in a shell": (134, "", False, FailureClass.USER_ERROR, "SIGABRT"),
    "the kernel's want of memory": (-9, "", True, FailureClass.OOM_HOST, "memory ran out"),
    "the same in a container": (137, "", True, FailureClass.OOM_HOST, "SIGKILL"),
    "killed by somebody": (-9, "", False, FailureClass.LOST, "from outside"),
    "preempted": (-15, "", False, FailureClass.LOST, "SIGTERM"),
    "preempted, through a shell": (143, "", False, FailureClass.LOST, "SIGTERM"),
    "Python's want of memory": (1, TRACE + "MemoryError\n", False, FailureClass.OOM_HOST, "MemoryError"),
    "NumPy's": (
        1,
        TRACE + "numpy._core._exceptions._ArrayMemoryError: Unable to allocate 1 TiB\n",
        False,
        FailureClass.OOM_HOST,
        "Unable to allocate",
    ),
    "CUDA's": (
        1,
        TRACE + "torch.OutOfMemoryError: CUDA out of memory. Tried 2 GiB\nclosing\n",
        False,
        FailureClass.OOM_GPU,
        "Tried 2 GiB",
    ),
    "a code of no signal": (255, "x", False, FailureClass.USER_ERROR, "code 255"),
    "a message that mentions memory": (1, "ValueError: MemoryError is no level\n", False, FailureClass.USER_ERROR, ""),
}


@pytest.mark.parametrize("case", CASES)
def test_the_ending_has_its_class(case: str) -> None:
    code, errors, oom, failure, message = CASES[case]
    found = failure_of("python train.py", code, errors, out_of_memory=oom)
    assert classify(found) is failure
    assert message in str(found)


@pytest.mark.parametrize("options", [{}, {"total": 40}, {"total": 40, "desc": "epoch 3", "ascii": True}])
def test_a_progress_bar_does_not_glue_itself_to_the_error(options: dict) -> None:
    """As tqdm itself draws it, in a loop that an error ends."""
    errors = io.StringIO()
    with contextlib.redirect_stderr(errors):
        for step in tqdm(iter(range(40)), mininterval=0, miniters=1, ncols=60, **options):
            if step == 20:
                print("reward.py has no score for arm 3", file=sys.stderr)
                break
    found = failure_of("python train.py", 1, errors.getvalue().partition("arm 3\n")[0] + "arm 3\n", out_of_memory=False)
    first, *before = str(found).splitlines()
    assert first == "python train.py ended with code 1: reward.py has no score for arm 3"
    assert len(before) == 1, "of a bar its last state is shown, not each"


def test_the_last_lines_are_shown_with_the_verdict_first() -> None:
    errors = "".join(f"line {n}\n" for n in range(50)) + "KeyError: 'x'\n\n"
    found = failure_of("python train.py", 1, errors, out_of_memory=False)
    assert isinstance(found, CommandError)
    lines = found.message.splitlines()
    assert lines[0] == "python train.py ended with code 1: KeyError: 'x'"
    assert lines[-1] == "  | line 49"
    assert len(lines) == 12


def test_lost_runs_are_tried_again() -> None:
    assert classify(RunLost("x")).transient
