"""Runs of a search are further runs of its sweep: on its items, from its warm start, with seeds of their own."""

from __future__ import annotations

from dataclasses import replace

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


def test_they_start_where_the_runs_of_the_sweep_started() -> None:
    search = plan(replace(TEMPLATE, base_seed=5)).standing({f"propose.{GROUP}.0": "x:tpe:7:[[0.25], [0.5]]"})
    trials = [trial for (trial,) in search[GROUP].requests]
    assert [trial.base_seed for trial in trials] == [5, 5]
    assert [trial.settings for trial in trials] == [{"world": {"a": a, "b": 1.0}} for a in (0.25, 0.5)]
    assert {trial.evaluation_seed for trial in trials} == {99}
    assert len({trial.seed for trial in trials} | {11}) == 3
