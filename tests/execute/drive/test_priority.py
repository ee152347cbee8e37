"""Sweeps on one cluster share it by weight, and the last one has it for itself."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from maineffect.contracts import RunState
from maineffect.execute.cluster.needs import Needs
from maineffect.execute.drive.priority import share
from maineffect.ledger.sweep.ledger import open_sweep


@pytest.mark.parametrize(
    ("slots", "mine", "others", "expected"),
    [
        (8, 1, [], 8),
        (8, 1, [1], 4),
        (8, 3, [1], 6),
        (8, 1, [3], 2),
        (2, 1, [1, 1, 1], 1),
        (1, 1, [9], 1),
        (9, 1, [1], 4),
    ],
)
def test_shares_follow_weights(slots: int, mine: int, others: list[int], expected: int) -> None:
    assert share(slots, mine, others) == expected


@pytest.mark.slow  # half a minute: two drivers on one Ray; the shares themselves are tested above
@pytest.mark.ray
@pytest.mark.usefixtures("ray_here")
def test_two_sweeps_have_one_slot_each_and_the_longer_one_gets_both_in_the_end(bench, wait) -> None:
    other_id = "others-12345678"
    uri = bench.ledger.uri
    other = type(bench)(
        bench.folder, open_sweep(uri, other_id, study_name="others", study_text="{}", plan={"runs": {}})
    )
    long = bench.requests(14, way="steps 2 1.2")  # so long that enough is left to do, however slow the machine
    short = [replace(request, sweep_id=other_id) for request in bench.requests(4, way="steps 2 1.2")]
    needs = Needs(timeout=120)
    first = threading.Thread(target=bench.run, args=(long, needs), kwargs={"address": "auto"})
    first.start()
    wait(lambda: bench.progress and bench.progress[-1].running)
    runs = other.run(short, needs, address="auto")
    ended = len(bench.progress)
    first.join()
    assert {status.state for status in runs.values()} == {RunState.FINISHED}
    assert sum(status.state is RunState.FINISHED for status in bench.ledger.state().runs.values()) == 14
    assert max(len(moment.running) for moment in other.progress) == 1, "its share from its start"
    assert 0 < bench.progress[ended - 1].finished < 14, "both ran at the same time"
    assert max(len(moment.running) for moment in bench.progress[ended:]) == 2
