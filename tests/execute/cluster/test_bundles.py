"""A run with processes beside it reserves everything together, and gives everything back."""

from __future__ import annotations

import json

import psutil
import pytest

from maineffect.contracts import CompanionHost, RunState
from maineffect.errors import MaineffectError, PluginError
from maineffect.execute.attempt.context import AttemptContext
from maineffect.execute.cluster.needs import Needs

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_here")]


@pytest.mark.live
def test_bundles_are_reserved_with_their_run_and_given_back(bench, wait) -> None:
    import ray

    needs = Needs(cpus=0.5, bundles=({"CPU": 1.0},), timeout=120)
    runs = bench.run(bench.requests(3, way="steps 8 0.2"), needs)
    assert {status.state for status in runs.values()} == {RunState.FINISHED}
    assert max(len(moment.running) for moment in bench.progress) == 1, "two cores hold one run of 1.5"
    groups = ray.util.placement_group_table().values()
    ours = [group for group in groups if group["name"].startswith("me-misfits")]
    assert len(ours) == 3
    assert all(list(group["bundles"].values()) == [{"CPU": 0.5}, {"CPU": 1.0}] for group in ours)
    wait(lambda: ray.available_resources().get("CPU") == 2.0)
    states = {group["state"] for group in ray.util.placement_group_table().values()}
    assert states == {"REMOVED"}


def test_what_never_fits_is_said_before_anything_starts(bench) -> None:
    with pytest.raises(MaineffectError, match=r"one run needs 1 CPU, 1 engine; Ray has 2 CPU, 0 engine"):
        bench.run(bench.requests(1), Needs(bundles=({"engine": 1.0},)))
    assert bench.lines() == []


@pytest.mark.live
def test_a_run_has_processes_on_its_bundles(bench, wait) -> None:
    """Each in its own process, with errors as themselves, no more than were reserved, and gone with the run."""
    needs = Needs(cpus=0.5, bundles=({"CPU": 0.5}, {"CPU": 0.5}), timeout=120)
    runs = bench.run(bench.requests(1, way="companions"), needs)
    assert runs["r0"].state is RunState.FINISHED, runs["r0"].ends
    ((most,), companion, worker, kind, full, lost) = json.loads(bench.diary.read_text().splitlines()[-1])
    assert most == ["a", 2]
    assert companion != worker
    assert kind == "TypeError"
    assert full == "every bundle of the run has its process already"
    assert lost == "a process beside the run is gone"
    wait(lambda: not [p for p in psutil.process_iter(["name"]) if (p.info["name"] or "").startswith("ray::_Host")])


def test_without_bundles_there_is_nothing_to_start_a_process_on(bench) -> None:
    (request,) = bench.requests(1)
    context = AttemptContext(request, 1, bench.home, bench.ledger.start_attempt)
    assert isinstance(context, CompanionHost)
    with pytest.raises(PluginError, match="reserved nothing for a process beside it"):
        context.companion(dict)
