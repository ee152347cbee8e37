"""The binomial mixed model of crossed runs and items, against a dense computation, simulation and other software."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize, special, stats

from maineffect.analyse.fit.crossed import clustered_two_way, fit_crossed
from maineffect.errors import AnalysisError


def _scores(seed: int, runs: int = 16, items: int = 40, run_sd: float = 0.5, item_sd: float = 1.0, effect: float = 0.8):
    rng = np.random.default_rng(seed)
    a = np.tile([-1.0, 1.0], runs // 2)
    x = np.column_stack([np.ones(runs), a, np.repeat([-1.0, 1.0], runs // 2)])
    eta = (0.2 + effect / 2 * a + run_sd * rng.normal(size=runs))[:, None] + item_sd * rng.normal(size=items)
    return (rng.random((runs, items)) < special.expit(eta)).astype(float), x


def _dense_laplace(y: np.ndarray, x: np.ndarray, sd: np.ndarray, beta: np.ndarray | None) -> float:
    """The textbook way: one design matrix of all random effects, the mode by a general optimiser, |H| as it stands."""
    runs, items = y.shape
    z = np.hstack(
        [np.kron(np.eye(runs), np.ones((items, 1))) * sd[0], np.kron(np.ones((runs, 1)), np.eye(items)) * sd[1]]
    )
    known = np.isfinite(y).ravel()
    fixed = np.repeat(x, items, axis=0)
    free = z if beta is not None else np.hstack([fixed, z])
    free, offset = free[known], (np.zeros(known.sum()) if beta is None else (fixed @ beta)[known])
    score = y.ravel()[known]
    ridge = np.ones(free.shape[1])
    ridge[: free.shape[1] - z.shape[1]] = 0.0

    def cost(u: np.ndarray) -> tuple[float, np.ndarray]:
        eta = offset + free @ u
        value = -np.sum(score * eta - np.logaddexp(0, eta)) + 0.5 * np.sum(ridge * u**2)
        return float(value), -(free.T @ (score - special.expit(eta))) + ridge * u

    found = optimize.minimize(cost, np.zeros(free.shape[1]), jac=True, method="BFGS", options={"gtol": 1e-9})
    p = special.expit(offset + free @ found.x)
    hessian = free.T @ ((p * (1 - p))[:, None] * free) + np.diag(ridge)
    return float(
        -found.fun - 0.5 * np.linalg.slogdet(hessian)[1] + 0.5 * (beta is None) * x.shape[1] * np.log(2 * np.pi)
    )


@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize("lost", [False, True])
def test_the_likelihood_is_that_of_a_dense_computation_and_at_its_top(reml: bool, lost: bool) -> None:
    y, x = _scores(3, runs=8, items=12)
    if lost:
        y[0, :5] = np.nan
        y[3, 7] = np.nan
    fit = fit_crossed(y, x, {"run": range(8)}, reml=reml)
    sd = np.array([fit.sd["run"], fit.sd["item"]])
    beta = None if reml else fit.beta
    assert fit.loglik == pytest.approx(_dense_laplace(y, x, sd, beta), abs=1e-6)
    for step in ([0.1, 0.0], [0.0, 0.1], [0.0, -0.1]):
        assert _dense_laplace(y, x, np.abs(sd + step), beta) < fit.loglik
    if not reml:
        for j in range(3):
            moved = fit.beta + 0.1 * np.eye(3)[j]
            assert _dense_laplace(y, x, sd, moved) < fit.loglik


def test_no_variance_between_runs_is_on_the_boundary_and_equals_logistic_regression() -> None:
    import statsmodels.api as sm

    _, x = _scores(0)
    # Every run has exactly its expected share, every item nearly: less than chance between either.
    share = np.where(x[:, 1] > 0, 24, 12)
    y = np.array([(np.arange(40) * 7 + 5 * r) % 40 < share[r] for r in range(16)]).astype(float)
    fit = fit_crossed(y, x, {"run": range(16)})
    assert fit.on_boundary == ("run", "item")
    assert fit.sd == {"run": 0.0, "item": 0.0}
    plain = sm.GLM(y.ravel(), np.repeat(x, 40, axis=0), family=sm.families.Binomial()).fit()
    assert fit.beta == pytest.approx(plain.params, abs=1e-6)
    assert np.sqrt(np.diag(fit.covariance)) == pytest.approx(plain.bse, rel=1e-5)


def test_variances_and_effects_are_recovered() -> None:
    fits = [fit_crossed(*_scores(seed, runs=48, items=120), {"run": range(48)}) for seed in range(12)]
    assert np.mean([f.beta[1] for f in fits]) == pytest.approx(0.4, abs=3 * 0.085 / np.sqrt(12))
    assert np.mean([f.sd["run"] for f in fits]) == pytest.approx(0.5, abs=0.06)
    assert np.mean([f.sd["item"] for f in fits]) == pytest.approx(1.0, abs=0.09)


def test_agrees_roughly_with_the_variational_fit_of_statsmodels() -> None:
    """BinomialBayesMixedGLM approximates another way and shrinks a little: near, not equal."""
    from statsmodels.genmod.bayes_mixed_glm import BinomialBayesMixedGLM

    y, x = _scores(5, runs=24, items=60)
    fit = fit_crossed(y, x, {"run": range(24)})
    dummies = np.hstack([np.kron(np.eye(24), np.ones((60, 1))), np.kron(np.ones((24, 1)), np.eye(60))])
    ident = np.array([0] * 24 + [1] * 60)
    other = BinomialBayesMixedGLM(y.ravel(), np.repeat(x, 60, axis=0), dummies, ident, vcp_p=2.0, fe_p=10.0).fit_vb()
    assert fit.beta == pytest.approx(other.fe_mean, abs=0.06)
    assert [fit.sd["run"], fit.sd["item"]] == pytest.approx(np.exp(other.vcp_mean).tolist(), rel=0.25)


@pytest.mark.parametrize(("studies", "runs"), [(60, 16), pytest.param(400, 16, marks=pytest.mark.slow)])
def test_intervals_of_log_odds_cover_with_few_runs(studies: int, runs: int, capsys: pytest.CaptureFixture[str]) -> None:
    """t with the runs' degrees of freedom; z on item rows would cover far less."""
    covered, naive = [], []
    for seed in range(studies):
        y, x = _scores(1_000 + seed, runs=runs, items=60)
        fit = fit_crossed(y, x, {"run": range(runs)})
        se = np.sqrt(fit.covariance[1, 1])
        covered.append(abs(fit.beta[1] - 0.4) <= stats.t.isf(0.025, runs - 3) * se)
        share = y.mean(axis=1)
        p = share.mean()
        naive.append(abs(fit.beta[1] - 0.4) <= 1.96 / np.sqrt(y.size * p * (1 - p)))
    error = np.sqrt(0.95 * 0.05 / studies)
    if studies > 100:
        with capsys.disabled():
            print(
                f"\nitem-level log-odds, {runs} runs × 60 items, {studies} studies: coverage {np.mean(covered):.4f} "
                f"± {error:.4f}; as if items were replicates {np.mean(naive):.4f}"
            )
    assert np.mean(covered) == pytest.approx(0.95, abs=3 * error)
    assert np.mean(naive) < 0.8


def test_intervals_clustered_both_ways_cover_over_runs_and_items() -> None:
    """Of the share's difference for other runs and other items: the population's value by quadrature."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    spread = np.sqrt(0.5**2 + 1.0**2)
    truth = [float(weights @ special.expit(0.2 + a + spread * nodes)) / np.sqrt(2 * np.pi) for a in (-0.4, 0.4)]
    covered = []
    for seed in range(300):
        y, x = _scores(5_000 + seed, runs=24, items=60)
        beta, covariance = clustered_two_way(y, x)
        half = stats.t.isf(0.025, 24 - 3) * 2 * np.sqrt(covariance[1, 1])
        covered.append(abs(2 * beta[1] - (truth[1] - truth[0])) <= half)
    assert np.mean(covered) == pytest.approx(0.95, abs=3 * np.sqrt(0.95 * 0.05 / 300))


def test_separated_scores_are_refused() -> None:
    y, x = _scores(0)
    y[x[:, 1] > 0] = 1.0
    with pytest.raises(AnalysisError, match="every score is the same"):
        fit_crossed(y, x, {"run": range(16)})
    with pytest.raises(AnalysisError, match="between 0 and"):
        fit_crossed(y + 1, x, {"run": range(16)})


def test_two_way_clusters_equal_statsmodels() -> None:
    """cov_cluster_2groups, up to the small-sample factors that each of us applies to each part."""
    import statsmodels.api as sm
    from statsmodels.stats.sandwich_covariance import cov_cluster

    y, x = _scores(2, runs=20, items=50)
    y[4, 10:30] = np.nan
    known = np.isfinite(y)
    beta, covariance = clustered_two_way(y, x)
    fit = sm.OLS(y[known], np.repeat(x, 50, axis=0)[known.ravel()]).fit()
    runs, items = np.repeat(np.arange(20), 50)[known.ravel()], np.tile(np.arange(50), 20)[known.ravel()]
    assert beta == pytest.approx(fit.params)
    by_run, by_item = (cov_cluster(fit, g, use_correction=False) for g in (runs, items))
    both = cov_cluster(fit, np.arange(len(runs)), use_correction=False)
    assert covariance == pytest.approx(by_run * 20 / 17 + by_item * 50 / 49 - both, rel=1e-8)


def test_runs_whose_scores_are_all_alike_have_no_variance_between_runs_that_fits() -> None:
    """Collapsed runs in every cell: the likelihood grows with the variance between runs, and has no maximum."""
    x = np.column_stack([np.ones(16), np.tile([-1.0, 1.0], 8)])
    right = np.array([0, 1, 0, 1, 1, 1, 0, 0, 1, 0, 1, 1, 0, 0, 0, 1.0])
    y = np.tile(right[:, None], (1, 30))
    y[3, 4], y[5, :2] = 0.0, 0.0
    for reml in (True, False):
        with pytest.raises(AnalysisError, match="not converged: the standard deviation between runs grows past 8"):
            fit_crossed(y, x, {"run": range(16)}, reml=reml)


def test_a_search_that_stops_early_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    y, x = _scores(4)
    start = optimize.minimize

    def short(*args: object, **more: object) -> object:
        return start(*args, **{**more, "options": {"maxiter": 1}})

    fit_crossed(y, x, {"run": range(16)})
    monkeypatch.setattr(optimize, "minimize", short)
    with pytest.raises(AnalysisError, match="not at a maximum"):
        fit_crossed(y, x, {"run": range(16)})
