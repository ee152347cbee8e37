"""REML and Kenward–Roger: against exact results, the density of error contrasts, and derivatives taken numerically."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import linalg, optimize, stats

from maineffect.analyse.fit import mixed
from maineffect.analyse.fit.mixed import MixedInference, fit_mixed, grouping
from maineffect.errors import AnalysisError


def _unbalanced(seed: int = 3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Eight plots of one to five runs, a factor between plots and two columns within; far from zero."""
    rng = np.random.default_rng(seed)
    plot = np.repeat(np.arange(8), [5, 4, 3, 5, 4, 1, 2, 5])
    hard = np.where(plot % 2 == 0, 1.0, -1.0)
    x = np.column_stack([np.ones(len(plot)), hard, rng.normal(size=len(plot)), rng.normal(size=len(plot))])
    y = 1_000 + 3.0 * rng.normal(size=8)[plot] + 2.0 * rng.normal(size=len(plot)) + hard
    return x, y, plot


@pytest.fixture(scope="module")
def fitted() -> MixedInference:
    x, y, plot = _unbalanced()
    return fit_mixed(x, y, {"plot": grouping(plot.tolist())})


def _v(fitted: MixedInference, theta: np.ndarray) -> np.ndarray:
    return np.asarray(sum(t * g for t, g in zip(theta, fitted.matrices, strict=True)))


def _phi(fitted: MixedInference, theta: np.ndarray) -> np.ndarray:
    return np.linalg.inv(fitted.x.T @ np.linalg.solve(_v(fitted, theta), fitted.x))


def _slopes(f: Callable[[np.ndarray], np.ndarray], theta: np.ndarray) -> list[np.ndarray]:
    """∂f/∂θ by central differences."""
    steps = np.diag(1e-5 * np.abs(theta))
    return [(f(theta + step) - f(theta - step)) / (2 * step.sum()) for step in steps]


def _w(fitted: MixedInference) -> np.ndarray:
    """Covariance of θ̂: twice the inverse of tr(PG_iPG_j), P through error contrasts A: A(A'VA)⁻¹A'."""
    a = linalg.null_space(fitted.x.T)
    p = a @ np.linalg.inv(a.T @ _v(fitted, fitted.theta) @ a) @ a.T
    return 2 * np.linalg.inv([[np.trace(p @ g @ p @ h) for h in fitted.matrices] for g in fitted.matrices])


def test_the_likelihood_is_the_density_of_error_contrasts_at_its_maximum(fitted: MixedInference) -> None:
    """Harville (1974) Biometrika 61:383: A'y ~ N(0, A'VA), and ½ log |X'X| between the two conventions."""
    a = linalg.null_space(fitted.x.T)

    def density(theta: np.ndarray) -> float:
        return float(stats.multivariate_normal.logpdf(a.T @ fitted.y, cov=a.T @ _v(fitted, theta) @ a))

    jacobian = 0.5 * np.linalg.slogdet(fitted.x.T @ fitted.x)[1]
    assert fitted.loglik == pytest.approx(density(fitted.theta) - jacobian, abs=1e-8)
    best = optimize.minimize(lambda log: -density(np.exp(log)), np.zeros(2), tol=1e-10)
    assert fitted.theta == pytest.approx(np.exp(best.x), rel=1e-4)
    assert fitted.sigma2 == fitted.theta[1]
    assert fitted.components == {"plot": fitted.theta[0], "residual": fitted.theta[1]}
    assert fitted.on_boundary == ()


def test_coefficients_are_generalised_least_squares(fitted: MixedInference) -> None:
    root = linalg.cholesky(_v(fitted, fitted.theta), lower=True)
    whitened = [linalg.solve_triangular(root, part, lower=True) for part in (fitted.x, fitted.y)]
    assert fitted.beta == pytest.approx(np.linalg.lstsq(*whitened, rcond=None)[0], rel=1e-8)
    assert fitted.phi == pytest.approx(_phi(fitted, fitted.theta), rel=1e-8)


def test_degrees_of_freedom_and_adjusted_covariance_by_numerical_derivatives(fitted: MixedInference) -> None:
    """Satterthwaite: 2(c'Φc)²/Var(c'Φ̂c). Adjusted: Φ + 2 Σ W_ij ∂B/∂θ_i V ∂B'/∂θ_j, B = ΦX'V⁻¹ (Kackar, Harville 1984)."""
    w, v = _w(fitted), _v(fitted, fitted.theta)
    slopes = _slopes(lambda theta: _phi(fitted, theta), fitted.theta)
    rows = np.vstack([np.eye(4), [0.0, 1.0, -2.0, 0.5]])
    for row in rows:
        gradient = np.array([row @ slope @ row for slope in slopes])
        assert fitted.df_of(row) == pytest.approx(
            2 * (row @ fitted.phi @ row) ** 2 / (gradient @ w @ gradient), rel=1e-5
        )
    moved = _slopes(lambda t: _phi(fitted, t) @ fitted.x.T @ np.linalg.inv(_v(fitted, t)), fitted.theta)
    extra = sum(w[i, j] * moved[i] @ v @ moved[j].T for i in range(2) for j in range(2))
    assert fitted.adjusted == pytest.approx(fitted.phi + 2 * extra, rel=1e-4, abs=1e-8)
    assert fitted.df_error == pytest.approx(2 * fitted.sigma2**2 / w[1, 1], rel=1e-8)
    found = fitted.contrasts(rows)
    assert found.estimate == pytest.approx(rows @ fitted.beta)
    assert found.std_error == pytest.approx(np.sqrt(np.diag(rows @ fitted.adjusted @ rows.T)))
    assert fitted.covariance(rows) == pytest.approx(rows @ fitted.adjusted @ rows.T)


def test_satterthwaite_leaves_the_covariance_alone() -> None:
    x, y, plot = _unbalanced()
    plain = fit_mixed(x, y, {"plot": grouping(plot.tolist())}, method="satterthwaite")
    assert plain.adjusted is plain.phi
    one = plain.f_test(np.eye(4)[1:2])
    found = plain.contrasts(np.eye(4)[1:2])
    assert (one.df, one.df_error) == (1, found.df[0])
    assert pytest.approx((found.estimate[0] / found.std_error[0]) ** 2) == one.F
    assert one.p_value == pytest.approx(2 * stats.t.sf(np.sqrt(one.F), one.df_error))


@pytest.mark.parametrize("size", [2, 3])
def test_kenward_and_roger_are_exact_for_hotelling(size: int) -> None:
    """Their sec. 2.3: of N vectors of p variates T² becomes (N − p)/(p(N − 1))·T² on p and N − p degrees of freedom."""
    count = 8
    rng = np.random.default_rng(size)
    y = (rng.normal(size=(count, size)) @ (np.eye(size) + 0.3)).ravel()
    x = np.kron(np.ones((count, 1)), np.eye(size))
    pairs = [(i, j) for i in range(size) for j in range(i + 1)][:-1]  # the last variance is the residual's
    random = {}
    for i, j in pairs:
        entry = np.zeros((size, size))
        entry[i, j] = entry[j, i] = 1.0
        random[f"{i}{j}"] = np.kron(np.eye(count), entry)
    fitted = fit_mixed(x, y, random)
    vectors = y.reshape(count, size)
    assert fitted.phi == pytest.approx(np.cov(vectors.T) / count, rel=1e-8)
    df, scale = fitted._kenward_roger(np.eye(size))
    assert df == pytest.approx(count - size, rel=1e-8)
    assert scale == pytest.approx((count - size) / (count - 1), rel=1e-8)


@pytest.mark.parametrize("levels", [3, 4])
def test_kenward_and_roger_are_exact_in_one_stratum(levels: int) -> None:
    """Balanced plots: the F of the analysis of variance, on plots − levels degrees of freedom."""
    rng = np.random.default_rng(levels)
    plots = 4 * levels
    plot = np.repeat(np.arange(plots), 3)
    x = (np.arange(plots)[:, None] % levels == np.arange(levels)).astype(float)[plot]
    y = rng.normal(size=plots)[plot] * 2 + rng.normal(size=len(plot))
    fitted = fit_mixed(x, y, {"plot": grouping(plot.tolist())})
    rows = np.eye(levels)[1:] - np.eye(levels)[0]
    df, scale = fitted._kenward_roger(rows)
    assert (df, scale) == pytest.approx((plots - levels, 1.0), rel=1e-6)


@pytest.mark.parametrize("rows", [[1, 2], [1, 2, 3]])
def test_kenward_and_roger_match_mean_and_variance_of_the_f(fitted: MixedInference, rows: list[int]) -> None:
    """Their equations in sec. 2.3, with slopes of Φ taken numerically: ΦP_iΦ = −∂Φ/∂θ_i."""
    c, w, size = np.eye(4)[rows], _w(fitted), len(rows)
    theta = c.T @ np.linalg.inv(c @ fitted.phi @ c.T) @ c
    u = [-theta @ slope for slope in _slopes(lambda at: _phi(fitted, at), fitted.theta)]
    a1 = sum(w[i, j] * np.trace(u[i]) * np.trace(u[j]) for i in range(2) for j in range(2))
    a2 = sum(w[i, j] * np.trace(u[i] @ u[j]) for i in range(2) for j in range(2))
    g = ((size + 1) * a1 - (size + 4) * a2) / ((size + 2) * a2)
    below = 3 * size + 2 * (1 - g)
    b = (a1 + 6 * a2) / (2 * size)
    mean = 1 / (1 - a2 / size)
    upper, lower = 1 + g / below * b, (1 - (size - g) / below * b) ** 2 * (1 - (size + 2 - g) / below * b)
    df, scale = fitted._kenward_roger(c)
    assert abs(g - round(g)) > 0.05
    # An F on size and df degrees of freedom, over the scale, has that mean and that variance.
    assert df / (df - 2) / scale == pytest.approx(mean, rel=1e-5)
    variance = 2 * df**2 * (size + df - 2) / (size * (df - 2) ** 2 * (df - 4)) / scale**2
    assert variance == pytest.approx(2 / size * upper / lower, rel=1e-4)


def test_of_unequal_degrees_of_freedom_the_f_is_kenward_and_rogers(fitted: MixedInference) -> None:
    """One contrast between plots and one within: no stratum of their own, and more than four degrees of freedom."""
    rows = np.eye(4)[[1, 2]]
    assert min(fitted.df_of(row) for row in rows) > 4
    test = fitted.f_test(rows)
    df, scale = fitted._kenward_roger(rows)
    wald = rows @ fitted.beta @ np.linalg.solve(rows @ fitted.adjusted @ rows.T, rows @ fitted.beta) / 2
    assert (test.F, test.df, test.df_error, test.method) == (pytest.approx(scale * wald), 2, df, "")
    assert test.p_value == pytest.approx(stats.f.sf(scale * wald, 2, df))


def test_fai_and_cornelius_match_the_mean(fitted: MixedInference, monkeypatch: pytest.MonkeyPatch) -> None:
    """E of a sum of squared t with 6 and 10 df is 6/4 + 10/8 = 2.75, so that an F has 2·2.75/(2.75 − 2) = 22/3."""
    for separate, df in (([6.0, 10.0], 22 / 3), ([7.0, 7.0], 7.0), ([2.0, 9.0], 2.0), ([1.2, 9.0], 2.0)):
        monkeypatch.setattr(MixedInference, "_separate_df", lambda self, rows, each=separate: np.array(each))
        assert fitted._satterthwaite_df(np.eye(4)[[1, 2]]) == pytest.approx(df)
    monkeypatch.setattr(MixedInference, "_separate_df", lambda self, rows: np.array([2.1, 9.0]))
    mean = 2.1 / 0.1 + 9 / 7
    assert fitted._satterthwaite_df(np.eye(4)[[1, 2]]) == pytest.approx(2 * mean / (mean - 2))


def test_a_variance_below_zero_is_used_in_tests_reported_as_zero_and_held_when_bounded() -> None:
    """Plots whose means differ less than their runs let expect: the analysis of variance estimate is negative."""
    plot = np.repeat(np.arange(4), 4)
    y = np.tile([1.0, -1.0, 2.0, -2.0], 4) + 0.1 * np.arange(4)[plot]
    x = np.ones((16, 1))
    between = 4 * np.var([y[plot == p].mean() for p in range(4)], ddof=1)
    within = np.mean([np.var(y[plot == p], ddof=1) for p in range(4)])
    free = fit_mixed(x, y, {"plot": grouping(plot.tolist())})
    assert free.theta == pytest.approx([(between - within) / 4, within], rel=1e-8)
    assert free.components == {"plot": 0.0, "residual": pytest.approx(within)}
    assert free.on_boundary == ("plot",)
    held = fit_mixed(x, y, {"plot": grouping(plot.tolist())}, bounded=True)
    assert held.theta == pytest.approx([0.0, np.var(y, ddof=1)], abs=1e-10)
    assert held.on_boundary == ("plot",)


def test_a_bounded_component_that_is_positive_is_the_free_one(fitted: MixedInference) -> None:
    """Beside one that is held at zero, too."""
    x, y, plot = _unbalanced()
    other = np.arange(len(y)) % 3
    held = fit_mixed(x, y, {"plot": grouping(plot.tolist())}, bounded=True)
    assert held.theta == pytest.approx(fitted.theta, rel=1e-8)
    both = {"plot": grouping(plot.tolist()), "other": grouping(other.tolist())}
    free = fit_mixed(x, y, both)
    bounded = fit_mixed(x, y, both, bounded=True)
    assert (bounded.theta >= 0).all()
    if free.theta[1] < 0:
        assert bounded.theta == pytest.approx([fitted.theta[0], 0.0, fitted.theta[1]], rel=1e-6)
    assert bounded.loglik <= free.loglik + 1e-9


def test_what_cannot_be_fitted_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y, plot = _unbalanced()
    group = grouping(plot.tolist())
    with pytest.raises(AnalysisError, match="no runs are left"):
        fit_mixed(np.eye(3), np.arange(3.0), {"plot": np.eye(3)})
    with pytest.raises(AnalysisError, match="cannot be told apart"):
        fit_mixed(x, y, {"plot": np.eye(len(y))})
    monkeypatch.setattr(mixed, "_ITERATIONS", 1)
    with pytest.raises(AnalysisError, match="not converged after 1 steps"):
        fit_mixed(x, y, {"plot": group})
    monkeypatch.undo()
    monkeypatch.setattr(mixed, "_MOST_RUNS", len(y))
    fit_mixed(x, y, {"plot": group})
    monkeypatch.setattr(mixed, "_MOST_RUNS", len(y) - 1)
    with pytest.raises(AnalysisError, match=f"at most {len(y) - 1}"):
        fit_mixed(x, y, {"plot": group})


def test_variances_that_leave_no_positive_definite_matrix_have_no_projector() -> None:
    x, matrices = np.ones((4, 1)), (np.ones((4, 4)), np.eye(4))
    for variances in ([1.0, 0.0], [1.0, -1.0], [1.0, 1e-13], [-1.0, 1.0]):
        assert mixed._projector(x, matrices, np.array(variances)) is None
    projector = mixed._projector(x, matrices, np.array([1.0, 0.5]))
    assert projector == pytest.approx((np.eye(4) - 0.25) / 0.5)
    # On the boundary of what unbounded variances may be: 1 − 4·0.24 = .04 is still positive.
    assert mixed._projector(x, matrices, np.array([-0.24, 1.0])) is not None
