"""Item response theory: published fits of the LSAT data, direct maximisation, recovery, and linking."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import optimize, special

from maineffect.errors import AnalysisError
from maineffect.lab.evaluate.irt import fit_irt, item_information, response_probability
from maineffect.lab.evaluate.linking import link

Floats = NDArray[np.float64]

# Law School Admission Test, section 6, 1,000 persons: Bock and Lieberman (1970), Psychometrika 35:179–197.
LSAT = {
    "00000": 3, "00001": 6, "00010": 2, "00011": 11, "00100": 1, "00101": 1, "00110": 3, "00111": 4,
    "01000": 1, "01001": 8, "01011": 16, "01101": 3, "01110": 2, "01111": 15,
    "10000": 10, "10001": 29, "10010": 14, "10011": 81, "10100": 3, "10101": 28, "10110": 15, "10111": 80,
    "11000": 16, "11001": 56, "11010": 21, "11011": 173, "11100": 11, "11101": 61, "11110": 28, "11111": 298,
}  # fmt: skip


@pytest.fixture(scope="module")
def lsat() -> Floats:
    table = np.array([[int(c) for c in pattern] for pattern in LSAT], dtype=float)
    return np.repeat(table, list(LSAT.values()), axis=0)


def simulate(runs: int, items: int, seed: int, *, spread: float = 1.0, slopes: bool = True) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    theta = spread * rng.normal(size=runs)
    theta = spread * (theta - theta.mean()) / theta.std()  # The sample's scale is then the model's.
    a = rng.uniform(0.6, 2.0, items) if slopes else np.ones(items)
    b = rng.normal(0, 1.2, items)
    right = rng.random((runs, items)) < response_probability(theta[:, None], a, b)
    return {"scores": right.astype(float), "theta": theta, "a": a, "b": b}


def test_lsat_matches_the_published_two_parameter_fit(lsat: Floats) -> None:
    """R's ltm(LSAT ~ z1): log-likelihood −2466.653 (Rizopoulos, 2006, J. Stat. Software 17(5); 21 points, BFGS)."""
    fit = fit_irt(lsat, model="2pl", shrinkage=None, tolerance=1e-5)
    assert fit.converged
    assert fit.log_likelihood == pytest.approx(-2466.653, abs=6e-4)
    assert fit.a_N == pytest.approx([0.8254, 0.7229, 0.8905, 0.6886, 0.6575], abs=1e-3)
    assert fit.b_N == pytest.approx([-3.3597, -1.3696, -0.2799, -1.8659, -3.1236], abs=3e-3)


def test_lsat_matches_the_published_rasch_fit(lsat: Floats) -> None:
    """R's rasch(LSAT), common slope .7551, log-likelihood −2466.938 (ltm's own scale θ/σ; recalled from its manual)."""
    fit = fit_irt(lsat, model="rasch", tolerance=1e-5)
    assert fit.log_likelihood == pytest.approx(-2466.938, abs=6e-4)
    assert fit.spread == pytest.approx(0.7551, abs=5e-4)
    assert fit.b_N / fit.spread == pytest.approx([-3.6153, -1.3224, -0.3176, -1.7301, -2.7802], abs=2e-3)
    assert fit.a_N.tolist() == [1.0] * 5


def _negative_log_likelihood(free: Floats, scores: Floats, common: bool) -> tuple[float, Floats]:
    """Marginal likelihood by plain, fixed Gauss–Hermite quadrature with 61 points; no EM, nothing adaptive."""
    nodes, weights = special.roots_hermitenorm(61)
    items = scores.shape[1]
    a, d = (np.full(items, free[0]), free[1:]) if common else (free[:items], free[items:])
    eta = nodes[:, None] * a + d
    p = special.expit(eta)
    log_joint = scores @ special.log_expit(eta).T + (1 - scores) @ special.log_expit(-eta).T
    log_joint += np.log(weights / weights.sum())
    total = special.logsumexp(log_joint, axis=1)
    posterior = np.exp(log_joint - total[:, None])
    residual = scores.T @ posterior - (posterior.sum(axis=0) * p.T)
    grad_a, grad_d = residual @ nodes, residual.sum(axis=1)
    return -float(total.sum()), -np.concatenate([[grad_a.sum()] if common else grad_a, grad_d])


@pytest.mark.parametrize("common", [True, False])
def test_em_finds_what_direct_maximisation_finds(common: bool) -> None:
    """BFGS on the same marginal likelihood by another quadrature: same maximum, same parameters."""
    scores = simulate(150, 10, 21)["scores"]
    start = np.concatenate([[1.0] if common else np.ones(10), np.zeros(10)])
    best = optimize.minimize(_negative_log_likelihood, start, (scores, common), jac=True, options={"gtol": 1e-5})
    fit = fit_irt(scores, model="rasch" if common else "2pl", shrinkage=None, tolerance=1e-6)
    assert fit.log_likelihood == pytest.approx(-best.fun, abs=1e-4)
    if common:
        assert fit.spread == pytest.approx(best.x[0], abs=1e-3)
        assert -fit.b_N == pytest.approx(best.x[1:], abs=2e-3)
    else:
        assert fit.a_N == pytest.approx(best.x[:10], abs=3e-3)
        assert -fit.a_N * fit.b_N == pytest.approx(best.x[10:], abs=3e-3)


def test_recovery_of_items_and_abilities() -> None:
    true = simulate(1000, 40, 5)
    fit = fit_irt(true["scores"])
    assert fit.model == "2pl"
    usual = np.abs(true["b"]) < 2
    assert np.sqrt(np.mean((fit.a_N - true["a"])[usual] ** 2)) < 0.15
    assert np.sqrt(np.mean((fit.b_N - true["b"])[usual] ** 2)) < 0.12
    assert abs(np.mean(fit.a_N - true["a"])) < 0.06
    assert np.corrcoef(fit.theta_R, true["theta"])[0, 1] > 0.94


def test_standard_errors_tell_the_true_error() -> None:
    """Standardised by its own standard error, an ability's error has mean square 1 (over 500 test takers ± .15)."""
    true = simulate(500, 60, 6)
    fit = fit_irt(true["scores"])
    assert np.mean(((fit.theta_R - true["theta"]) / fit.std_error_R) ** 2) == pytest.approx(1, abs=0.15)


def test_rasch_below_thirty_test_takers() -> None:
    """The scale comes out stretched by about R/(R − 1), as the module says: 1.56 on average for 1.5 at R = 24."""
    true = simulate(24, 400, 9, spread=1.5, slopes=False)
    fit = fit_irt(true["scores"])
    assert fit.model == "rasch"
    assert fit.spread == pytest.approx(1.5 * 24 / 23, abs=0.12)
    assert np.corrcoef(fit.theta_R, true["theta"])[0, 1] > 0.99
    assert np.mean(((fit.theta_R - true["theta"]) / fit.std_error_R) ** 2) == pytest.approx(1, abs=0.6)


def test_fixed_nodes_miss_narrow_posteriors_and_adaptive_ones_do_not() -> None:
    """Why the quadrature is adaptive: with 1,500 items five adaptive points agree with 21 to four digits."""
    scores = simulate(40, 1500, 12)["scores"]
    few, many = fit_irt(scores, nodes=5), fit_irt(scores, nodes=21)
    assert few.std_error_R.max() < 0.15
    assert few.theta_R == pytest.approx(many.theta_R, abs=1e-3)
    assert few.log_likelihood == pytest.approx(many.log_likelihood, abs=0.02)
    nodes, weights = special.roots_hermitenorm(41)
    p = few.probability(nodes).clip(1e-300, 1 - 1e-16)
    log_p = scores @ np.log(p).T + (1 - scores) @ np.log1p(-p).T + np.log(weights)
    posterior = np.exp(log_p - special.logsumexp(log_p, axis=1)[:, None])
    assert np.abs(posterior @ nodes - few.theta_R).max() > 0.1


def test_a_faulty_item_has_a_negative_slope() -> None:
    true = simulate(60, 100, 14)
    true["scores"][:, 7] = 1 - true["scores"][:, np.argmin(np.abs(true["b"]))]
    fit = fit_irt(true["scores"])
    assert fit.a_N[7] < 0
    assert np.sum(fit.a_N < 0) == 1


def test_items_that_tell_nothing_are_set_apart() -> None:
    true = simulate(50, 30, 15)
    padded = np.column_stack([np.ones(50), true["scores"], np.zeros(50)])
    fit, bare = fit_irt(padded), fit_irt(true["scores"])
    assert (fit.b_N[0], fit.b_N[-1]) == (-np.inf, np.inf)
    assert np.isnan(fit.a_N[[0, -1]]).all()
    assert fit.theta_R == pytest.approx(bare.theta_R, abs=1e-9)
    assert fit.probability(0.0)[0, [0, -1]].tolist() == [1.0, 0.0]
    assert fit.information(0.0)[0, [0, -1]].tolist() == [0.0, 0.0]


def test_missing_answers_carry_no_weight() -> None:
    """A third of the items was never given to half of the runs; abilities stay on one scale."""
    true = simulate(300, 60, 16)
    scores = true["scores"].copy()
    scores[::2, :20] = np.nan
    fit = fit_irt(scores)
    error = fit.theta_R - true["theta"]
    assert abs(error[::2].mean() - error[1::2].mean()) < 0.08
    assert fit.std_error_R[::2].mean() > fit.std_error_R[1::2].mean()


def test_missing_answers_and_few_nodes() -> None:
    """Narrow posteriors again, with half of the answers missing: the nodes must lie where the met items put them."""
    scores = simulate(40, 1500, 12)["scores"]
    scores[np.random.default_rng(1).random(scores.shape) < 0.5] = np.nan
    few, many = fit_irt(scores, nodes=5), fit_irt(scores, nodes=31)
    assert few.log_likelihood == pytest.approx(many.log_likelihood, abs=0.05)
    assert few.theta_R == pytest.approx(many.theta_R, abs=2e-3)


def test_information_reference() -> None:
    """Reference case IRT-1: identities of Birnbaum and Lord, checked there by numerical differentiation."""
    theta = np.arange(-3.0, 4.0)
    two = item_information(theta, 1.5, 1.0)
    assert two == pytest.approx([0.0055, 0.0244, 0.1016, 0.3356, 0.5625, 0.3356, 0.1016], abs=1e-4)
    three = item_information(theta, 1.5, 1.0, 0.2)
    assert three == pytest.approx([0.0001, 0.001, 0.0162, 0.1416, 0.375, 0.257, 0.0805], abs=1e-4)
    assert three[4] / two[4] == pytest.approx(2 / 3, abs=1e-6)
    grid = np.linspace(0, 2, 200_001)
    peak = grid[np.argmax(item_information(grid, 1.5, 1.0, 0.2))]
    assert peak == pytest.approx(1.1781, abs=1e-4)
    assert 1 / np.sqrt(20 * float(item_information(0.0, 1.0, 0.0))) == pytest.approx(0.4472, abs=1e-4)


@given(st.floats(-4, 4), st.floats(0.2, 3), st.floats(-3, 3))
def test_information_is_the_squared_slope_over_the_variance(theta: float, a: float, b: float) -> None:
    p = float(response_probability(theta, a, b))
    step = 1e-5
    slope = float(response_probability(theta + step, a, b) - response_probability(theta - step, a, b)) / (2 * step)
    assert float(item_information(theta, a, b)) == pytest.approx(slope**2 / (p * (1 - p)), rel=1e-4, abs=1e-8)
    assert float(item_information(theta, a, b)) == pytest.approx(a**2 * p * (1 - p), rel=1e-9)


def _camps(runs: int, learned: int, items: int) -> Floats:
    """Most runs solve nothing, the others half of the items: a sweep in which most cells collapsed."""
    rest = np.random.default_rng(3).integers(0, 2, (learned, items))
    return np.concatenate([np.zeros((runs - learned, items)), rest]).astype(float)


@pytest.mark.parametrize("model", ["2pl", "rasch"])
@pytest.mark.parametrize(
    "scores",
    [
        pytest.param((np.arange(40)[:, None] > np.arange(39)).astype(float), id="perfect scale"),
        pytest.param(np.repeat((np.arange(40) < 20)[:, None], 50, axis=1).astype(float), id="two camps"),
        pytest.param(_camps(60, 10, 200), id="collapsed"),
        pytest.param(
            np.array([[(i + (j < 60)) % 2 for j in range(100)] for i in range(40)], dtype=float),
            id="two opposed halves",
        ),
        pytest.param(np.array([[0.0, 1.0], [1.0, 0.0]]), id="smallest"),
        pytest.param(np.where(np.eye(40, 60) > 0, 0.0, 1.0), id="one miss each"),
    ],
)
def test_no_sweep_makes_it_diverge(scores: Floats, model: Any) -> None:
    fit = fit_irt(scores, model=model)
    assert fit.converged
    assert np.isfinite(fit.theta_R).all()
    assert (fit.std_error_R > 0).all()
    assert np.nanmax(np.abs(fit.a_N)) <= 10
    if model == "rasch":  # The sum score is sufficient: abilities follow it, and equal scores get equal abilities.
        totals = scores.sum(axis=1)
        for more, fewer in itertools.pairwise(sorted(set(totals), reverse=True)):
            assert fit.theta_R[totals == more].min() >= fit.theta_R[totals == fewer].max() - 1e-9
        assert all(np.ptp(fit.theta_R[totals == total]) < 1e-9 for total in set(totals))


@given(st.integers(2, 40), st.integers(1, 30), st.integers(0, 10_000), st.floats(0.02, 0.98))
def test_any_table_of_right_and_wrong_can_be_fitted(runs: int, items: int, seed: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    scores = (rng.random((runs, items)) < share).astype(float)
    if not ((scores.mean(axis=0) > 0) & (scores.mean(axis=0) < 1)).any():
        return
    fit = fit_irt(scores)
    assert np.isfinite(fit.theta_R).all()
    assert np.isfinite(fit.log_likelihood)
    assert np.isfinite(fit.test_information(fit.theta_R)).all()
    extreme = np.isin(scores.mean(axis=0), (0.0, 1.0))
    assert np.isinf(fit.b_N).tolist() == extreme.tolist()


@given(st.integers(0, 10_000))
def test_neither_the_order_of_runs_nor_of_items_matters(seed: int) -> None:
    scores = simulate(35, 20, seed)["scores"]
    rng = np.random.default_rng(seed)
    rows, columns = rng.permutation(35), rng.permutation(20)
    one, other = fit_irt(scores, tolerance=1e-5), fit_irt(scores[rows][:, columns], tolerance=1e-5)
    assert other.theta_R == pytest.approx(one.theta_R[rows], abs=1e-4)
    assert other.b_N == pytest.approx(one.b_N[columns], abs=1e-2, nan_ok=True)


def test_linking_recovers_an_exact_line() -> None:
    base = fit_irt(simulate(200, 40, 18)["scores"])
    moved = replace(base, a_N=base.a_N * 1.3, b_N=(base.b_N - 0.4) / 1.3, theta_R=(base.theta_R - 0.4) / 1.3)
    for method in ("stocking_lord", "mean_sigma"):
        found = link(base, moved, method)  # type: ignore[arg-type]
        assert (found.slope, found.shift) == (pytest.approx(1.3, abs=1e-6), pytest.approx(0.4, abs=1e-6))
        back = found.apply(moved)
        assert back.theta_R == pytest.approx(base.theta_R, abs=1e-5)
        assert back.a_N == pytest.approx(base.a_N, abs=1e-5)
        assert back.probability(back.theta_R) == pytest.approx(moved.probability(moved.theta_R), abs=1e-9)


@pytest.mark.parametrize(("method", "tolerance"), [("stocking_lord", 0.1), ("mean_sigma", 0.15)])
def test_two_battery_versions_through_their_anchors(method: Any, tolerance: float) -> None:
    """The new version is taken by better runs (mean .8, sd .7); its own scale hides that, the linked one shows it."""
    rng = np.random.default_rng(20)
    a, b = rng.uniform(0.8, 1.8, 90), rng.normal(0.3, 1.0, 90)
    names = [f"item-{i}" for i in range(90)]
    old_theta, new_theta = rng.normal(size=400), 0.8 + 0.7 * rng.normal(size=400)

    def take(theta: Floats, which: slice) -> Any:
        right = rng.random((len(theta), 60)) < response_probability(theta[:, None], a[which], b[which])
        return fit_irt(right.astype(float), names[which])

    base, new = take(old_theta, slice(0, 60)), take(new_theta, slice(30, 90))
    found = link(base, new, method)
    assert len(found.anchors) == 30
    assert found.slope == pytest.approx(0.7, abs=tolerance)
    assert found.shift == pytest.approx(0.8, abs=tolerance)
    assert found.apply(new).theta_R.mean() == pytest.approx(new_theta.mean(), abs=tolerance)
    assert abs(new.theta_R.mean()) < 0.02


def test_rasch_versions_are_linked_by_a_shift() -> None:
    first, second = simulate(20, 80, 22, slopes=False), simulate(20, 80, 23, slopes=False)
    right = np.random.default_rng(1).random((20, 80)) < response_probability(
        second["theta"][:, None] + 1, 1, first["b"]
    )
    base, new = fit_irt(first["scores"]), fit_irt(right.astype(float))
    for method in ("stocking_lord", "mean_sigma"):
        found = link(base, new, method)  # type: ignore[arg-type]
        assert found.slope == 1.0
        assert found.shift == pytest.approx(1, abs=0.35)


@pytest.mark.parametrize(
    ("scores", "words"),
    [
        (np.ones((5, 4)), "scored alike"),
        (np.array([[1.0, 0.0]]), "at least two test takers"),
        (np.array([[0.5, 1.0], [0.0, 1.0]]), "right or wrong"),
        (np.array([[np.nan, np.nan], [0.0, 1.0]]), "drop it"),
    ],
)
def test_bad_tables_say_the_way_out(scores: Floats, words: str) -> None:
    with pytest.raises(AnalysisError, match=words):
        fit_irt(scores)


def test_linking_needs_anchors() -> None:
    one = fit_irt(simulate(40, 10, 25)["scores"], [f"a{i}" for i in range(10)])
    other = fit_irt(simulate(40, 10, 26)["scores"], [f"b{i}" for i in range(10)])
    with pytest.raises(AnalysisError, match="anchor"):
        link(one, other)
