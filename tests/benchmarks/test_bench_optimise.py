"""A batch of eight proposals, and the recommendation. CPU seconds, which count where cores are crowded."""

from __future__ import annotations

import time

import numpy as np
import pytest

from maineffect.analyse.follow_up.recommend import Asked, Run, recommend
from maineffect.execute.phases.optuna_study import Coordinate, Seen, ask
from maineffect.spec.phases.optimise import Axis

pytestmark = pytest.mark.benchmark

NAMES = "abcd"
SPACE = tuple(Coordinate(name, -1.0, 1.0) for name in NAMES)


def _seen(count: int) -> list[Seen]:
    draw = np.random.default_rng(0)
    return [Seen(tuple(map(float, x)), (float(-x @ x + draw.normal(0, 0.5)),)) for x in draw.uniform(-1, 1, (count, 4))]


@pytest.mark.parametrize("sampler", ["tpe", "gp"])
def test_a_batch_of_eight(sampler: str, capsys: pytest.CaptureFixture[str]) -> None:
    ask(SPACE, _seen(8), 1, maximise=(True,), sampler=sampler, seed=1)  # what is imported once
    taken = {}
    for count in (32, 200):
        start = time.process_time()
        asked = ask(SPACE, _seen(count), 8, maximise=(True,), sampler=sampler, seed=1)
        taken[count] = time.process_time() - start
        assert len(set(asked)) == 8
    with capsys.disabled():
        print(f"\n{sampler}: 8 proposals in {taken[32]:.2f} s after 32 runs, {taken[200]:.2f} s after 200")
    if sampler == "tpe":
        assert max(taken.values()) < 1.0


def test_a_recommendation(capsys: pytest.CaptureFixture[str]) -> None:
    axes = {name: Axis(range=(-1.0, 1.0)) for name in NAMES}
    runs = [
        Run(dict(zip(NAMES, map(float, one.values), strict=True)), False, {"y": one.scores[0]}) for one in _seen(200)
    ]
    start = time.process_time()
    best = recommend(Asked(axes, {"y": True}, {}, {}), runs)
    taken = time.process_time() - start
    with capsys.disabled():
        print(f"\nrecommended after 200 runs of 4 factors in {taken:.2f} s, by the {best.predictions[0].by}")
    assert taken < 5.0
