"""Time left, from measured runs."""

from __future__ import annotations

import pytest

from maineffect.execute.cluster.needs import Needs
from maineffect.execute.drive.progress import moment_of, seconds_left


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
