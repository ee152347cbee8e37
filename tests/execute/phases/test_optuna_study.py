"""What Optuna asks for next, given everything that has ended: the same whoever asks, and no random search."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from maineffect.execute.phases.optuna_study import Coordinate, Seen, ask, with_scores

SPACE = (Coordinate("a", -1.0, 1.0), Coordinate("b", -1.0, 1.0))
MIXED = (
    Coordinate("rate", 1e-4, 1e-2, log=True),
    Coordinate("size", 1, 9, integer=True),
    Coordinate("kind", choices=("p", "q")),
)


def known(count: int = 16, seed: int = 1) -> list[Seen]:
    points = np.random.default_rng(seed).uniform(-1, 1, size=(count, 2))
    return [Seen((float(a), float(b)), (float(-((a - 0.5) ** 2) - (b + 0.5) ** 2),)) for a, b in points]


def test_known_runs_make_it_a_model_from_the_first_proposal() -> None:
    """Near the best of them, not anywhere: and another seed or order is another batch."""
    seen = known(40)
    asked = ask(SPACE, seen, 8, maximise=(True,), sampler="tpe", seed=3)
    assert len(set(asked)) == 8
    distance = np.hypot(*(np.array(asked) - [0.5, -0.5]).T)
    anywhere = np.hypot(*(np.random.default_rng(0).uniform(-1, 1, size=(4000, 2)) - [0.5, -0.5]).T)
    assert distance.mean() < 0.6 * anywhere.mean()
    assert ask(SPACE, seen, 8, maximise=(True,), sampler="tpe", seed=3) == asked
    assert ask(SPACE, seen, 8, maximise=(True,), sampler="tpe", seed=4) != asked
    assert ask(SPACE, known(40, 2), 8, maximise=(True,), sampler="tpe", seed=3) != asked


def test_a_process_model_proposes_around_the_optimum_and_not_one_point() -> None:
    asked = np.array(ask(SPACE, known(16), 3, maximise=(True,), sampler="gp", seed=3), dtype=float)
    assert np.hypot(*(asked - [0.5, -0.5]).T).min() < 0.25
    assert len(np.unique(asked.round(9), axis=0)) == 3


def test_another_process_asks_for_the_same() -> None:
    code = (
        "from tests.execute.phases.test_optuna_study import SPACE, known\n"
        "from maineffect.execute.phases.optuna_study import ask\n"
        "print(ask(SPACE, known(), 4, maximise=(True,), sampler='tpe', seed=9))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert said.stdout.strip() == str(ask(SPACE, known(), 4, maximise=(True,), sampler="tpe", seed=9))


def test_numbers_logs_and_categories_keep_their_kind() -> None:
    draw = np.random.default_rng(3)
    seen = [
        Seen((float(10 ** draw.uniform(-4, -2)), int(draw.integers(1, 10)), str(draw.choice(["p", "q"]))), (float(i),))
        for i in range(12)
    ]
    for rate, size, kind in ask(MIXED, seen, 16, maximise=(True,), sampler="tpe", seed=1):
        assert 1e-4 <= float(rate) <= 1e-2
        assert isinstance(size, int)
        assert 1 <= size <= 9
        assert kind in ("p", "q")


def test_limits_and_several_objectives_are_heard() -> None:
    """Only b ≤ 0 keeps the limit: proposals go there; with two objectives both ends are asked for."""
    points = np.random.default_rng(5).uniform(-1, 1, size=(60, 2))
    limited = [Seen((float(a), float(b)), (float(a + b),), (float(b),)) for a, b in points]
    asked = np.array(ask(SPACE, limited, 24, maximise=(True,), limits=("z",), sampler="tpe", seed=2), dtype=float)
    assert (asked[:, 1] <= 0).mean() > 0.7
    free = [Seen(one.values, one.scores) for one in limited]
    without = np.array(ask(SPACE, free, 24, maximise=(True,), sampler="tpe", seed=2), dtype=float)
    assert (without[:, 1] <= 0).mean() < 0.4
    both = [Seen(one.values, (float(one.values[0]), float(one.values[0]))) for one in limited]  # type: ignore[arg-type]
    asked = np.array(ask(SPACE, both, 24, maximise=(True, False), sampler="tpe", seed=2), dtype=float)
    assert asked[:, 0].min() < -0.4
    assert asked[:, 0].max() > 0.4


def test_a_diverging_corner_is_left() -> None:
    """The best region by the others' scores lies where every training diverges: it is hardly asked for again."""
    points = np.random.default_rng(6).uniform(-1, 1, size=(60, 2))
    seen = [Seen((float(a), float(b)), () if a > 0.3 else (float(a),)) for a, b in points]
    asked = np.array(ask(SPACE, seen, 24, maximise=(True,), sampler="tpe", seed=2), dtype=float)
    assert (asked[:, 0] > 0.3).mean() < 0.25
    worst = with_scores(seen, (True,), 0)
    (told,) = {one.scores[0] for one, was in zip(worst, seen, strict=True) if not was.scores}
    scores = np.array([one.scores[0] for one in seen if one.scores])
    assert told == pytest.approx(scores.min() - scores.std(ddof=1))
    least = with_scores([Seen(one.values, tuple(-s for s in one.scores)) for one in seen], (False,), 0)
    assert {one.scores[0] for one, was in zip(least, seen, strict=True) if not was.scores} == {-told}
