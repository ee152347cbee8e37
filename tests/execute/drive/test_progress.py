"""Time left, from measured runs."""

from __future__ import annotations

import pytest

from maineffect.cli.watch import line
from maineffect.contracts import AttemptEnd, FailureClass, RunRequest, RunState, RunStatus
from maineffect.execute.cluster.needs import Needs
from maineffect.execute.drive.progress import moment_of, seconds_left
from maineffect.preparation import trial_id


@pytest.mark.parametrize(
    ("finished", "running", "waiting", "slots", "left"),
    [
        ([], [5.0], 3, 2, None),
        ([10.0], [], 0, 2, 0.0),
        ([10.0], [], 4, 2, 20.0),
        ([8.0, 12.0], [4.0], 0, 2, 6.0),
        ([10.0], [0.0, 5.0], 3, 2, 22.5),
        ([10.0], [30.0], 0, 1, 0.0),
        ([10.0], [0.0], 0, 8, 10.0),
        ([10.0], [], 1, 8, 10.0),
    ],
)
def test_seconds_left(finished, running, waiting, slots, left) -> None:
    assert seconds_left(finished, [(0, 0, seconds) for seconds in running], waiting, slots) == left


def test_what_has_not_begun_is_pending_and_not_running() -> None:
    sent = {"r0": (3, 10, 4.0), "r1": (0, 0, 0.0)}
    moment = moment_of("s", [], {}, sent, Needs(), slots=2, elapsed=5.0, notices=[])
    assert (list(moment.running), moment.pending) == (["r0"], 1)


def test_trials_that_are_not_proposed_yet_count_in_the_time_left() -> None:
    """16 trials of 10 s and 4 runs at two a time: 3 trials have ended, so 13 and 4 are left: 85 s."""
    requests = [RunRequest("study", "s", f"r{i}", "c", i, {}, {}, 1, 2, ("y",), "m:f") for i in range(4)]
    ids = [trial_id("g", number, "c") for number in range(5)]
    diverged = AttemptEnd(1, FailureClass.DIVERGED, "not finite", 10.0)
    broken = AttemptEnd(1, FailureClass.USER_ERROR, "a bug", 10.0)
    runs = {run_id: RunStatus(run_id, RunState.FINISHED, seconds=10.0) for run_id in ids[:2]}
    runs[ids[2]] = RunStatus(ids[2], RunState.FAILED, ends=(diverged,))
    runs[ids[3]] = RunStatus(ids[3], RunState.FAILED, ends=(broken,))
    sent = {ids[4]: (0, 0, 5.0)}
    moment = moment_of("s", requests, runs, sent, Needs(), slots=2, elapsed=5.0, notices=[], held=4, trials=16)
    assert (moment.trials, moment.trials_ended) == (16, 3), "a bug is no result"
    assert moment.seconds_left == (12 * 10 + 5 + 4 * 10) / 2
    assert "; 3 of 16 trials, 1 tuning trial running, 4 runs wait" in line(moment)
