"""The one node of our own Ray dies while its driver lives: a new one takes its place, and the sweep ends."""

from __future__ import annotations

import psutil
import pytest

from maineffect.contracts import FailureClass, RunState
from maineffect.execute.cluster.needs import Needs

pytestmark = [pytest.mark.ray, pytest.mark.slow]


def test_the_node_of_an_embedded_ray_is_killed(bench, wait) -> None:
    requests = bench.requests(3, ways={"r0": "steps 40 0.1"})
    driver = bench.start(requests, Needs(timeout=120, retries=2), workers=1)
    wait(lambda: len(bench.steps()) >= 5)
    (node,) = [c for c in psutil.Process(driver.pid).children(recursive=True) if c.name() == "raylet"]
    node.kill()
    assert driver.wait(timeout=120) == 0, bench.log_of(driver)
    runs = bench.ledger.state().runs
    assert {run_id: status.state for run_id, status in runs.items()} == dict.fromkeys(
        ("r0", "r1", "r2"), RunState.FINISHED
    )
    # Its worker may have come to its end before Ray noticed that the node was dead.
    assert [end.failure for end in runs["r0"].ends] in ([], [FailureClass.LOST])
    assert sum(count - 1 for count in bench.steps().values()) <= 1, "it went on from its checkpoint"
