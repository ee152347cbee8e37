"""A run with processes beside it reserves everything together, and gives everything back."""

from __future__ import annotations

import pytest

from maineffect.contracts import RunState
from maineffect.errors import MaineffectError
from maineffect.execute.needs import Needs

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_here")]


def test_bundles_are_reserved_with_their_run_and_given_back(bench, wait) -> None:
    import ray

    needs = Needs(cpus=0.5, bundles=({"CPU": 1.0},), timeout=120)
    runs = bench.run(bench.requests(3, way="steps 2 0.1"), needs)
    assert {status.state for status in runs.values()} == {RunState.FINISHED}
    assert max(len(moment.running) for moment in bench.progress) == 1, "two cores hold one run of 1.5"
    groups = ray.util.placement_group_table().values()
    ours = [group for group in groups if group["name"].startswith("me-misfits")]
    assert len(ours) == 3
    assert all(list(group["bundles"].values()) == [{"CPU": 0.5}, {"CPU": 1.0}] for group in ours)
    wait(lambda: ray.available_resources().get("CPU") == 2.0, seconds=30)
    states = {group["state"] for group in ray.util.placement_group_table().values()}
    assert states == {"REMOVED"}


def test_what_never_fits_is_said_before_anything_starts(bench) -> None:
    with pytest.raises(MaineffectError, match=r"one run needs 1 CPU, 1 engine; Ray has 2 CPU, 0 engine"):
        bench.run(bench.requests(1), Needs(bundles=({"engine": 1.0},)))
    assert bench.lines() == []
