"""The value that a group's trials speak for: the best point of a quadratic through all, not the luckiest trial."""

from __future__ import annotations

import numpy as np
import pytest

from maineffect.execute.phases.choosing import choose
from maineffect.execute.phases.proposals import Dimension, Trial, sobol_points

RATE = Dimension("rate", 1e-4, 1e-2, True, 1e-3)
PLAIN = Dimension("beta", -1.0, 1.0, False, 0.0)


def test_a_quadratic_is_found_again() -> None:
    """On a true quadratic without noise the ridge moves the optimum by little, and on a log scale by as little."""
    trials = [Trial(p, 3.0 - 2 * (RATE.coded(p[0]) - 0.3) ** 2) for p in sobol_points([RATE], 16, 1)]
    choice = choose([RATE], trials, "smooth")
    assert RATE.coded(choice.values[0]) == pytest.approx(0.3, abs=0.03)
    assert choice.predicted == pytest.approx(3.0, abs=0.05)
    assert (choice.on_edge, choice.rule) == ((), "smooth")


def test_the_best_trial_is_the_best_trial_and_the_earlier_of_two() -> None:
    trials = [Trial((0.5,), 1.0), Trial((0.2,), 2.0), Trial((-0.2,), 2.0)]
    choice = choose([PLAIN], trials, "best")
    assert (choice.values, choice.predicted, choice.std_error) == ((0.2,), 2.0, None)


def test_an_optimum_beyond_the_range_is_said_to_be_on_the_edge() -> None:
    trials = [Trial(p, p[0]) for p in sobol_points([PLAIN], 8, 1)]
    choice = choose([PLAIN], trials, "smooth")
    assert choice.values == (1.0,)
    assert choice.on_edge == ("beta",)


def test_a_corner_that_diverges_is_left_and_bends_nothing() -> None:
    """The optimum lies at −.4 or in the diverging part, and the surface is as it would be without that part."""

    def chosen(optimum: float, rule: str) -> float:
        points = sobol_points([PLAIN], 16, 1)
        trials = [Trial(p, None if p[0] > 0.3 else 1.0 - (p[0] - optimum) ** 2) for p in points]
        return choose([PLAIN], trials, rule).values[0]

    assert chosen(-0.4, "smooth") == pytest.approx(-0.4, abs=0.15)
    assert 0.0 < chosen(0.8, "smooth") < 0.4, "no further than halfway to the nearest trial that diverged"
    assert max(chosen(-0.4, "best"), chosen(0.8, "best")) <= 0.3


def test_where_everything_diverges_the_default_is_left() -> None:
    choice = choose([PLAIN], [Trial(p, None) for p in sobol_points([PLAIN], 8, 1)], "smooth")
    assert (choice.values, choice.predicted) == ((0.0,), None)


def test_of_too_few_scores_the_best_trial_is_taken() -> None:
    trials = [
        Trial((0.5,), None),
        Trial((0.2,), 2.0),
        Trial((-0.2,), 1.0),
        *[Trial((0.6 + k / 10,), None) for k in range(4)],
    ]
    assert (choose([PLAIN], trials, "smooth").rule, choose([PLAIN], trials, "smooth").values) == ("best", (0.2,))


@pytest.mark.parametrize(("dimensions", "trials"), [(1, 8), (2, 16)])
def test_smooth_loses_less_than_half_of_what_the_best_trial_loses(dimensions: int, trials: int) -> None:
    """Mean shortfall over 80 random quadratic surfaces with the noise of a run, both rules on the same trials."""
    space = [Dimension(f"x{i}", -1.0, 1.0, False, 0.0) for i in range(dimensions)]
    rng = np.random.default_rng(7)
    lost: dict[str, list[float]] = {"smooth": [], "best": []}
    for surface in range(80):
        optimum, curvature = rng.uniform(-0.6, 0.6, dimensions), rng.uniform(0.5, 2.0)

        def shortfall(point: tuple[float, ...], optimum=optimum, curvature=curvature) -> float:
            return float(curvature * np.sum((np.asarray(point) - optimum) ** 2))

        seen = [Trial(p, -shortfall(p) + rng.normal(0.0, 0.3)) for p in sobol_points(space, trials, surface)]
        for rule, losses in lost.items():
            losses.append(shortfall(choose(space, seen, rule).values))
    assert np.mean(lost["smooth"]) < 0.5 * np.mean(lost["best"])


def test_nothing_is_chosen_from_nothing() -> None:
    with pytest.raises(ValueError, match="nothing to choose from"):
        choose([PLAIN], [], "smooth")
