"""What is recommended: surrogates against other packages, planted surfaces, and what the best run promises."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import product

import numpy as np
import pytest
import statsmodels.api as sm
from numpy.typing import NDArray
from scipy import stats
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import Matern

from maineffect.analyse.follow_up.box import Box, Points
from maineffect.analyse.follow_up.completed import completing_points
from maineffect.analyse.follow_up.gaussian_process import fit_gaussian_process
from maineffect.analyse.follow_up.recommend import Asked, Run, recommend
from maineffect.analyse.follow_up.second_order import fit_second_order
from maineffect.analyse.inference.paired import paired
from maineffect.errors import AnalysisError
from maineffect.execute.phases.optuna_study import Coordinate, Seen, ask
from maineffect.spec.phases.optimise import Axis, Bound
from maineffect.spec.responses import Response, Scale

Floats = NDArray[np.float64]


def axes(k: int) -> dict[str, Axis]:
    return {name: Axis(range=(-1.0, 1.0)) for name in "abcdef"[:k]}


def at(values: Mapping[str, object]) -> Floats:
    return np.array([float(v) for v in values.values()])  # type: ignore[arg-type]


def runs_of(points: Floats, y: Floats, sweep: int = 0) -> list[Run]:
    names = "abcdef"[: points.shape[1]]
    return [
        Run(dict(zip(names, map(float, x), strict=True)), i < sweep, {"y": float(v)})
        for i, (x, v) in enumerate(zip(points, y, strict=True))
    ]


def planted(seed: int, k: int) -> tuple[Callable[[Floats], Floats], Floats]:
    """A concave quadratic with its optimum, of height 0, inside the box."""
    draw = np.random.default_rng(seed)
    centre, a = draw.uniform(-0.7, 0.7, k), draw.normal(size=(k, k))
    form = a @ a.T / k + 0.5 * np.eye(k)
    return lambda x: -np.einsum("ni,ij,nj->n", x - centre, form, x - centre), centre


def factorial(k: int, reach: float = 0.5, times: int = 2) -> Floats:
    return np.array(list(product([-reach, reach], repeat=k)) * times)


def test_the_quadratic_is_that_of_least_squares() -> None:
    """Predictions, their errors and the lack of fit as statsmodels has them."""
    draw, box = np.random.default_rng(3), Box(axes(2))
    x = np.vstack([np.repeat(draw.uniform(-1, 1, size=(9, 2)), 2, axis=0), factorial(2)])
    sweep = np.arange(len(x)) >= 18
    y = x[:, 0] - x[:, 1] ** 2 + 0.4 * sweep + draw.normal(0, 0.3, len(x))
    points = Points(x, np.zeros((len(x), 0), dtype=np.int64))
    fitted = fit_second_order(box, points, y, sweep)
    assert fitted is not None
    a, b = x.T
    columns = np.column_stack([np.ones(len(x)), a, b, a * a, b * b, a * b, sweep])
    whole = sm.OLS(y, columns).fit()
    new = Points(np.array([[0.2, -0.9], [1.0, 1.0]]), np.zeros((2, 0), dtype=np.int64))
    (p, q), (r, s) = new.x.T
    rows = np.column_stack([np.ones(2), [p, q], [r, s], [p * p, q * q], [r * r, s * s], [p * r, q * s], [0, 0]])
    known = whole.get_prediction(rows)
    mean, error = fitted.predict(new)
    assert mean == pytest.approx(known.predicted_mean)
    assert error == pytest.approx(known.se_mean)
    cells = np.unique(np.column_stack([x, sweep]), axis=0, return_inverse=True)[1].ravel()
    full = sm.OLS(y, np.eye(cells.max() + 1)[cells]).fit()
    assert fitted.lack_of_fit_p == pytest.approx(full.compare_f_test(whole)[1])


def test_limits_over_the_box_lie_between_one_place_and_scheffe() -> None:
    box = Box(axes(2))
    x = np.vstack([factorial(2, 1.0), np.zeros((3, 2)), [[1, 0], [-1, 0], [0, 1], [0, -1]]])
    y = np.random.default_rng(0).normal(size=len(x))
    fitted = fit_second_order(box, Points(x, np.zeros((len(x), 0), dtype=np.int64)), y, np.zeros(len(x), dtype=bool))
    assert fitted is not None
    critical = fitted.critical(0.05)
    assert stats.t.isf(0.025, fitted.df) < critical < np.sqrt(6 * stats.f.isf(0.05, 6, fitted.df))


def test_the_process_is_scikit_learns_at_its_own_lengths() -> None:
    draw, box = np.random.default_rng(5), Box(axes(2))
    x = draw.uniform(-1, 1, size=(25, 2))
    y = np.sin(3 * x[:, 0]) + (x[:, 1] > 0.2) + draw.normal(0, 0.1, 25)
    fitted = fit_gaussian_process(box, Points(x, np.zeros((25, 0), dtype=np.int64)), y, np.zeros(25, dtype=bool))
    noise = float((fitted.factor @ fitted.factor.T)[0, 0] - 1.0)
    other = GaussianProcessRegressor(Matern(fitted.length, nu=2.5), alpha=noise, optimizer=None)
    other.fit(x, y - fitted.mean[0])
    new = draw.uniform(-1, 1, size=(40, 2))
    mean, error = fitted.predict(Points(new, np.zeros((40, 0), dtype=np.int64)))
    theirs, spread = other.predict(new, return_std=True)
    assert mean == pytest.approx(theirs + fitted.mean[0], abs=1e-6)
    assert (error >= np.sqrt(fitted.scale2) * spread - 1e-9).all(), "the mean is estimated too"
    assert error == pytest.approx(np.sqrt(fitted.scale2) * spread, abs=0.1)


def test_the_optimum_of_a_surface_without_noise_is_found() -> None:
    for k in (1, 2, 3):
        height, centre = planted(k, k)
        x = np.random.default_rng(k).uniform(-1, 1, size=(30, k))
        noise = np.random.default_rng(9).normal(0, 1e-4, 30)
        best = recommend(Asked(axes(k), {"y": True}, {}, {}), runs_of(x, height(x) + noise))
        assert at(best.values) == pytest.approx(centre, abs=0.02)
        least = recommend(Asked(axes(k), {"y": False}, {}, {}), runs_of(x, noise - height(x)))
        assert at(least.values) == pytest.approx(centre, abs=0.02)
        assert best.on_edge == []


def test_ends_logs_whole_numbers_scales_and_categories() -> None:
    box = {
        "rate": Axis(range=(1e-4, 1e-2), scale="log"),
        "size": Axis(range=(1.0, 9.0), integer=True),
        "kind": Axis(levels=("p", "q", "r")),
    }
    draw = np.random.default_rng(2)

    def share(run: Mapping[str, float | str]) -> float:
        logit = -((np.log10(float(run["rate"])) + 3) ** 2) - (float(run["size"]) - 11) ** 2 / 40 + (run["kind"] == "q")
        return float(1 / (1 + np.exp(-logit - draw.normal(0, 0.05))))

    settings = [
        {
            "rate": float(10 ** draw.uniform(-4, -2)),
            "size": int(draw.integers(1, 10)),
            "kind": str(draw.choice(["p", "q", "r"])),
        }
        for _ in range(60)
    ]
    runs = [Run(one, False, {"y": share(one)}) for one in settings]
    response = Response(name="y", scale=Scale.LOGIT)
    best = recommend(Asked(box, {"y": True}, {}, {"y": response}), runs)
    assert best.values["rate"] == pytest.approx(1e-3, rel=0.2)
    assert (best.values["size"], best.values["kind"], best.on_edge) == (9, "q", ["size"])
    assert isinstance(best.values["size"], int)
    (predicted,) = best.predictions
    # At rate 1e-3, size 9 and q the logit is 1 − 4/40.
    assert predicted.low < 1 / (1 + np.exp(-0.9)) < predicted.high  # type: ignore[operator]
    assert 0 < predicted.low < predicted.high < 1  # type: ignore[operator]


def test_a_limit_is_kept_by_the_interval_and_nothing_shown_is_said() -> None:
    x = np.random.default_rng(1).uniform(-1, 1, size=(40, 2))
    noise = np.random.default_rng(2).normal(0, 0.1, size=(40, 2))
    runs = [
        Run(run.values, False, {"y": 2 * p[0] + n[0], "z": 1 - p[0] + n[1]})
        for run, p, n in zip(runs_of(x, x[:, 0]), x, noise, strict=True)
    ]
    limit = {"z": Bound(least=True, value=0.6)}
    best = recommend(Asked(axes(2), {"y": True}, limit, {}), runs)
    kept = best.predictions[1]
    assert best.feasible
    assert kept.low is not None
    assert kept.low >= 0.6
    assert kept.low == pytest.approx(0.6, abs=0.02), "the limit binds"
    assert float(best.values["a"]) < 0.4, "the mean would permit .4"
    none = recommend(Asked(axes(2), {"y": True}, {"z": Bound(least=True, value=2.5)}, {}), runs)
    assert not none.feasible
    assert "no setting within the box is shown to keep the limits" in none.notes
    assert float(none.values["a"]) < -0.8, "it comes nearest to it"


def test_a_cliff_is_no_quadratic_and_divergence_is_kept_away_from() -> None:
    x = np.repeat(np.random.default_rng(4).uniform(-1, 1, size=(24, 2)), 2, axis=0)
    height = -(x[:, 0] ** 2) - x[:, 1] ** 2 + 3.0 * (x[:, 0] > 0.3)
    runs = runs_of(x, height + np.random.default_rng(5).normal(0, 0.1, len(x)))
    best = recommend(Asked(axes(2), {"y": True}, {}, {}), runs)
    assert best.predictions[0].by == "gaussian process"
    assert "a quadratic does not fit" in best.notes[0]
    assert float(best.values["a"]) > 0.3
    lost = [Run(run.values, False, {}) if float(run.values["a"]) > 0.3 else run for run in runs]
    away = recommend(Asked(axes(2), {"y": True}, {}, {}), lost)
    assert float(away.values["a"]) < 0.3


def test_a_drift_of_the_code_is_no_curvature() -> None:
    """The sweep's corners came 3 lower from other code; without a level of their own that would be curvature."""
    height, centre = planted(3, 2)
    known, new = factorial(2, 1.0, 4), np.random.default_rng(1).uniform(-1, 1, size=(24, 2))
    x = np.vstack([known, new])
    y = height(x) + np.random.default_rng(2).normal(0, 0.05, len(x)) + 3.0 * (np.arange(len(x)) < len(known))
    asked = Asked(axes(2), {"y": True}, {}, {}, drift=True)
    assert at(recommend(asked, runs_of(x, y, len(known))).values) == pytest.approx(centre, abs=0.1)
    assert recommend(asked, runs_of(x, y, len(known))).predictions[0].estimate == pytest.approx(0.0, abs=0.2)


def test_too_little_is_refused() -> None:
    with pytest.raises(AnalysisError, match=r"3 run\(s\) within the box have values"):
        recommend(Asked(axes(2), {"y": True}, {}, {}), runs_of(factorial(2)[:3], np.arange(3.0)))
    with pytest.raises(AnalysisError, match="the same value, 1, in all 8 runs"):
        recommend(Asked(axes(2), {"y": True}, {}, {}), runs_of(factorial(2), np.ones(8)))


def test_completing_runs_make_predictions_precise() -> None:
    """I-optimal beside a factorial: the mean variance over the box is far below that of random runs (Box–Lucas's aim)."""
    box, known = Box(axes(2)), factorial(2)
    new = completing_points(box, [dict(zip("ab", map(float, x), strict=True)) for x in known], 8, seed=1)
    assert new == completing_points(box, [dict(zip("ab", map(float, x), strict=True)) for x in known], 8, seed=1)

    def variance(x: Floats) -> float:
        rows = box.second_order(Points(x, np.zeros((len(x), 0), dtype=np.int64)))
        places = box.second_order(box.filled)
        return float(np.einsum("ij,jk,ik->i", places, np.linalg.inv(rows.T @ rows), places).mean())

    draw = np.random.default_rng(0)
    random = [variance(np.vstack([known, draw.uniform(-1, 1, size=(8, 2))])) for _ in range(200)]
    assert variance(np.vstack([known, np.array(new)])) < min(random)


def _search(seed: int, k: int, count: int, sampler: str, sd: float = 0.5) -> tuple[float, float]:
    """A search after a 2^k × 2 factorial: by how much the recommended point falls short, and the best run's excess."""
    height, _ = planted(seed, k)
    draw = np.random.default_rng([seed, 7])
    known = factorial(k)
    x, y = known, height(known) + draw.normal(0, sd, len(known))
    space = [Coordinate(name, -1.0, 1.0) for name in "abcdef"[:k]]
    while len(x) < len(known) + count:
        if sampler == "random":
            new = draw.uniform(-1, 1, size=(8, k))
        elif sampler == "augment":
            settings = [dict(zip("abcdef", map(float, p), strict=False)) for p in known]
            new = np.array(completing_points(Box(axes(k)), settings, count, seed), dtype=float)
        else:
            seen = [Seen(tuple(map(float, p)), (float(v),)) for p, v in zip(x, y, strict=True)]
            new = np.array(ask(space, seen, 8, maximise=(True,), sampler=sampler, seed=seed), dtype=float)
        x, y = np.vstack([x, new]), np.append(y, height(new) + draw.normal(0, sd, len(new)))
    best = recommend(Asked(axes(k), {"y": True}, {}, {}), runs_of(x, y, len(known)))
    top = int(np.argmax(y))
    return -float(height(at(best.values)[None])[0]), float(y[top] - height(x[top : top + 1])[0])


def test_the_best_run_promises_too_much_and_the_confirmation_does_not() -> None:
    """The best of 24 noisy runs overstates its own setting by over one standard deviation; pairs do not, on average."""
    draw, gaps, excess = np.random.default_rng(8), [], []
    for seed in range(25):
        shortfall, over = _search(seed, 2, 16, "random")
        excess.append(over / 0.5)
        arms = draw.normal(0, 0.5, size=(2, 5))
        gaps.append(float(paired(arms[0] - shortfall, arms[1] - 1.0, 0.05).difference or 0.0) - (1.0 - shortfall))
    assert np.mean(excess) > 1.0
    assert abs(np.mean(gaps)) < 3 * 0.5 * np.sqrt(2 / 5 / 25)


def test_a_process_searches_better_than_random_runs() -> None:
    """Small: three surfaces, one batch of eight after the factorial; the whole comparison is in the slow test."""
    process = [_search(seed, 2, 8, "gp")[0] for seed in range(3)]
    random = [_search(seed, 2, 8, "random")[0] for seed in range(3)]
    assert np.mean(process) < 0.5 * np.mean(random)


@pytest.mark.slow
def test_a_process_beats_random_and_tpe_on_twenty_surfaces() -> None:
    """2^4 × 2, then 24 runs in batches of 8, SD .5: mean shortfall of the recommended point (paired over surfaces)."""
    found = {
        s: np.array([_search(seed, 4, 24, s)[0] for seed in range(20)]) for s in ("gp", "tpe", "random", "augment")
    }
    for name, values in found.items():
        print(f"{name}: shortfall {values.mean():.3f} ± {values.std(ddof=1) / np.sqrt(20):.3f}")
    for other in ("tpe", "random"):
        gap = found[other] - found["gp"]
        assert gap.mean() > 2 * gap.std(ddof=1) / np.sqrt(20), other


@pytest.mark.slow
@pytest.mark.parametrize("sampler", ["random", "augment", "tpe"])
def test_intervals_of_the_recommended_point_cover(sampler: str) -> None:
    """At the point that the data chose: at least 95 % ± 3 Monte Carlo errors; pointwise limits would not."""
    hits, narrow, count = 0, 0, 400
    for seed in range(count):
        height, _ = planted(seed, 2)
        draw = np.random.default_rng([seed, 7])
        known = factorial(2)
        x, y = known, height(known) + draw.normal(0, 0.5, len(known))
        if sampler == "tpe":
            space = [Coordinate(name, -1.0, 1.0) for name in "ab"]
            seen = [Seen(tuple(map(float, p)), (float(v),)) for p, v in zip(x, y, strict=True)]
            new = np.array(ask(space, seen, 12, maximise=(True,), sampler="tpe", seed=seed), dtype=float)
        elif sampler == "augment":
            settings = [dict(zip("ab", map(float, p), strict=True)) for p in known]
            new = np.array(completing_points(Box(axes(2)), settings, 12, seed), dtype=float)
        else:
            new = draw.uniform(-1, 1, size=(12, 2))
        x, y = np.vstack([x, new]), np.append(y, height(new) + draw.normal(0, 0.5, 12))
        best = recommend(Asked(axes(2), {"y": True}, {}, {}), runs_of(x, y, len(known)))
        (p,) = best.predictions
        truth = float(height(at(best.values)[None])[0])
        assert p.low is not None
        assert p.high is not None
        hits += p.low <= truth <= p.high
        narrow += abs(p.estimate - truth) <= (p.high - p.low) / 4
    print(f"{sampler}: coverage {hits / count:.3f}, of half the width {narrow / count:.3f}")
    assert hits / count >= 0.95 - 3 * np.sqrt(0.05 * 0.95 / count)
