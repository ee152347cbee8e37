"""Runs of a search are further runs of its sweep: on its items, from its warm start, with seeds of their own."""

from __future__ import annotations

from dataclasses import replace

import pytest

from maineffect.contracts import RunRequest
from maineffect.execute.phases.optuna_study import Coordinate
from maineffect.execute.phases.searching import GROUP, SearchPlan

TEMPLATE = RunRequest(
    "study", "sweep", "c1-r1", "c1", 1, {"a": 0.0, "b": 1.0}, {"world": {"a": 0.0, "b": 1.0}}, 11, 99, ("y",), "m:train"
)


def plan(template: RunRequest) -> SearchPlan:
    return SearchPlan(
        space=(Coordinate("a", 0.0, 1.0),), settings={"a": "world.a"}, fixed={"b": 1.0}, known=(),
        maximise={"y": True}, limits={}, runs=2, batch=2, sampler="tpe", seed=7, template=template, registered=(),
        cost=lambda _: {}, augmented=list,
    )  # fmt: skip


@pytest.mark.parametrize(("base_seed", "start"), [(None, 11), (5, 5)])
def test_they_start_where_a_run_of_the_sweep_started(base_seed: int | None, start: int) -> None:
    """Where the runs of a seed share a warm start, that seed is the template's: nothing is cloned anew."""
    search = plan(replace(TEMPLATE, base_seed=base_seed)).standing({f"propose.{GROUP}.0": "x:tpe:7:[[0.25], [0.5]]"})
    trials = [trial for (trial,) in search[GROUP].requests]
    assert [trial.base_seed for trial in trials] == [start, start]
    assert [trial.settings for trial in trials] == [{"world": {"a": a, "b": 1.0}} for a in (0.25, 0.5)]
    assert {trial.evaluation_seed for trial in trials} == {99}
    assert len({trial.seed for trial in trials} | {11}) == 3
