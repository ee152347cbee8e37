"""Work orders: which seeds runs share, and what makes two of them the same run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from maineffect.contracts import RunRequest
from maineffect.journey.plan.check import check
from maineffect.journey.plan.requests import plan_requests

STUDY = """\
schema_version: 1
name: ordered
trainable: mine:train
factors:
  a: {{levels: [0, 1]}}
  b: {{levels: [0, 1]}}
design: {{kind: full, replicates: 3{more}}}
responses:
  y: {{goal: maximize}}
seed: {seed}
"""


def _requests(folder: Path, more: str = "", seed: int = 1) -> list[RunRequest]:
    (folder / "mine.py").write_text("def train(request, context):\n    raise NotImplementedError\n")
    path = folder / "study.yaml"
    path.write_text(STUDY.format(more=more, seed=seed))
    return plan_requests(check(path), "sweep")


def test_every_run_has_its_own_seed_and_the_sweep_one_base(tmp_path: Path) -> None:
    requests = _requests(tmp_path)
    assert len({request.seed for request in requests}) == 12
    (base,) = {request.base_seed for request in requests}
    assert base is not None
    assert {request.base_seed for request in _requests(tmp_path, seed=2)} != {base}


def test_shared_seeds_leave_the_base_to_each_of_them(tmp_path: Path) -> None:
    requests = _requests(tmp_path, ", common_random_numbers: true")
    assert len({request.seed for request in requests}) == 3
    assert {request.base_seed for request in requests} == {None}


def test_another_base_is_another_run(tmp_path: Path) -> None:
    request = _requests(tmp_path)[0]
    assert request.base_seed is not None
    contents = {replace(request, base_seed=base).content() for base in (None, request.base_seed, request.base_seed + 1)}
    assert len(contents) == 3


def test_runs_recorded_before_there_was_a_base_keep_their_content() -> None:
    """Computed with the contract as it was before ``base_seed``: sha256 of the JSON of its five parts."""
    request = RunRequest(
        "s", "s-1", "r", "c", 1, {"a": 1}, {"x": 2}, seed=3, evaluation_seed=4, responses=("y",), trainable="m:t"
    )
    assert request.content() == "63c101d233bbbdb9"


@pytest.mark.parametrize("more", ["", ", common_random_numbers: true"])
def test_work_orders_follow_the_plan(tmp_path: Path, more: str) -> None:
    """A sweep is resumed from its stored plan: it says the base seed, or that there is none."""
    requests = _requests(tmp_path, more)
    assert {request.base_seed for request in requests} == {check(tmp_path / "study.yaml").plan.get("base_seed")}
