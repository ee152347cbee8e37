"""Proposals are a function of the trials: any process proposes the same, and what is asked for is in the range."""

from __future__ import annotations

import subprocess
import sys

import pytest

from maineffect.execute.phases.proposals import Dimension, Trial, propose, scores, sobol_points, startup_trials

SPACE = (Dimension("rate", 1e-4, 1e-2, True, 1e-3), Dimension("beta", -1.0, 1.0, False, 0.25))
SEEN = [Trial(p, -(SPACE[0].coded(p[0]) ** 2) - p[1] ** 2) for p in sobol_points(SPACE, 12, 3)]


def test_sobol_begins_with_the_default_and_is_the_same_for_every_group_and_however_it_is_asked() -> None:
    points = sobol_points(SPACE, 16, 3)
    assert points[0] == (1e-3, 0.25)
    assert len(set(points)) == 16
    assert all(1e-4 <= rate <= 1e-2 and -1 <= beta <= 1 for rate, beta in points)
    for group in ("a", "b"):
        seen = [Trial(point, None) for point in points[:8]]
        assert propose(SPACE, seen, 8, sampler="sobol", seed=3, group=group) == points[8:]
    below = sum(SPACE[0].coded(rate) < 0 for rate, _ in points[1:])
    assert 6 <= below <= 9, "spread evenly on the logarithmic scale"


@pytest.mark.parametrize("sampler", ["tpe", pytest.param("gp", marks=pytest.mark.slow)])
def test_another_process_proposes_the_same_from_the_same_trials(sampler: str) -> None:
    mine = propose(SPACE, SEEN, 4, sampler=sampler, seed=5, group="g")
    code = (
        "import sys\nfrom maineffect.execute.phases.proposals import *\n"
        f"space, seen = {SPACE!r}, {SEEN!r}\n"
        f"print(propose(space, seen, 4, sampler={sampler!r}, seed=5, group='g'))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.strip() == str(mine)
    assert all(1e-4 <= rate <= 1e-2 and -1 <= beta <= 1 for rate, beta in mine)
    assert propose(SPACE, SEEN, 4, sampler=sampler, seed=5, group="h") != mine, "a group has a stream of its own"
    assert propose(SPACE, SEEN[:-1], 4, sampler=sampler, seed=5, group="g") != mine


def test_a_sampler_begins_with_the_points_of_sobol_and_is_then_more_than_random_search() -> None:
    first = startup_trials(SPACE)
    assert propose(SPACE, [], 4, sampler="tpe", seed=3, group="g") == sobol_points(SPACE, 4, 3)
    across = propose(SPACE, SEEN[: first - 2], 4, sampler="tpe", seed=3, group="g")
    assert across[:2] == sobol_points(SPACE, first, 3)[-2:]
    one, seen = SPACE[1:], [Trial(p, -((p[0] - 0.5) ** 2)) for p in sobol_points(SPACE[1:], 16, 3)]
    asked = [propose(one, seen, 4, sampler="tpe", seed=5, group=f"g{k}") for k in range(6)]
    away = sum(abs(beta - 0.5) for points in asked for (beta,) in points) / 24
    assert away < 0.4, "a value drawn from [-1, 1] is .625 away from the optimum on average"


def test_a_diverged_trial_is_worse_than_the_worst() -> None:
    trials = [Trial((0.0,), 1.0), Trial((0.1,), None), Trial((0.2,), 3.0)]
    assert scores(trials) == pytest.approx([1.0, 1.0 - 2**0.5, 3.0])
    assert scores([Trial((0.0,), None)]) == [-1.0]
