"""A wait for a node that never comes has an end, and says what it waited for."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from maineffect.contracts import RunState
from maineffect.execute.cluster.needs import Needs
from maineffect.execute.drive.actors import Flight
from maineffect.execute.drive.notices import Notices
from maineffect.execute.drive.waiting import Patience

SMALL = {"CPU": 2.0, "memory": 4e9}


class Nodes:
    """Nodes as Ray tells them; a test adds to them."""

    def __init__(self, *nodes: Mapping[str, float]) -> None:
        self.there = list(nodes)

    def room(self) -> str:
        return "it waits"

    def nodes(self) -> list[Mapping[str, float]]:
        return self.there


def look(patience: Patience, cluster: Nodes, now: float, began: float | None = None) -> str | None:
    return patience.look(cluster, [Flight(None, 1, None, None, launched=now, began=began)], now, Notices())


@pytest.mark.parametrize(
    ("needs", "asked"),
    [
        (Needs(cpus=3, wait=100), "take 3 CPU"),
        (Needs(gpus=1, wait=100), "take 1 CPU and 1 GPU"),
        (Needs(memory_gb=5, wait=100), "take 1 CPU and 5 GB of memory"),
        (Needs(bundles=({"GPU": 2.0},), wait=100), "take 2 GPU"),
        (Needs(custom={"licence": 1.0}, wait=100), "take 1 CPU and 1 licence"),
    ],
)
def test_what_fits_into_no_node_is_given_up_after_its_time(needs: Needs, asked: str) -> None:
    patience, cluster = Patience(needs), Nodes(SMALL, SMALL)
    assert [look(patience, cluster, now) for now in (0, 50, 100)] == [None, None, None]
    why = look(patience, cluster, 101)
    assert why is not None
    assert "for 100 s none of the cluster's 2 node(s) could ever" in why
    assert asked in why


def test_what_fits_waits_as_long_as_it_takes() -> None:
    """Two bundles may lie on two nodes; a full node becomes free."""
    patience = Patience(Needs(cpus=2, bundles=({"CPU": 2.0},), wait=100))
    assert not any(look(patience, Nodes(SMALL, SMALL), now) for now in range(0, 10_000, 50))


def test_a_cluster_that_changes_is_given_the_time_again() -> None:
    patience, cluster = Patience(Needs(gpus=1, wait=100)), Nodes(SMALL)
    assert look(patience, cluster, 0) is None
    cluster.there.append(SMALL)
    assert look(patience, cluster, 90) is None
    assert look(patience, cluster, 180) is None
    assert look(patience, cluster, 191) is not None
    cluster.there.append({**SMALL, "GPU": 1.0})
    assert look(patience, cluster, 200) is None


def test_what_runs_shows_that_runs_fit() -> None:
    patience, cluster = Patience(Needs(gpus=1, wait=100)), Nodes(SMALL)
    assert [look(patience, cluster, now, began=1.0) for now in (0, 200, 400)] == [None, None, None]


@pytest.mark.ray
def test_a_sweep_that_no_node_can_take_ends_and_leaves_its_runs_planned(bench, ray_here) -> None:
    runs = bench.run(bench.requests(2), Needs(custom={"licence": 1.0}, wait=2.0), address="auto")
    assert {status.state for status in runs.values()} <= {RunState.PLANNED}
    assert "none of the cluster's 1 node(s) could ever take 1 CPU and 1 licence" in bench.notices()
    assert bench.lines() == []
