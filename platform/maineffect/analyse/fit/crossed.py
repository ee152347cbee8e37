"""Binomial mixed model of item scores: runs and items crossed, logit link, Laplace approximation.

logit P(run r is right on item i) = x_r'β + Σ_k σ_k u_k[r] + σ_item v_i, u and v standard normal: u are seeds (and whole
plots), v are items. The mode comes from penalised iteratively reweighted least squares (Bates, Mächler, Bolker and
Walker (2015) J. Stat. Softw. 67:1, and the lme4 code for generalised models); every run meets every item, so that one
Newton step costs runs² × items. ``reml`` integrates over β as well (flat prior, Laplace), which takes most of the
small-sample bias out of the variance between runs; without it the estimates are those of lme4's glmer (nAGQ = 1).

Shapes: R runs, I items, p fixed columns, q columns of run-side random effects.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, optimize, special

from maineffect.errors import AnalysisError

__all__ = ["ITEM", "CrossedFit", "clustered_two_way", "fit_crossed"]

Floats = NDArray[np.float64]
ITEM = "item"
_NEWTON = 100
_LARGEST_SD = 8.0
_NEAR, _BETTER = 0.02, 1e-3
"""At a maximum no standard deviation that is this much different may be better by more than this in log-likelihood."""
_SEPARATED = 12.0
"""Log-odds beyond which a fitted probability is 0 or 1 for every purpose: the scores are separated."""


@dataclass(frozen=True)
class CrossedFit:
    """A fitted model.

    Attributes:
        beta: (p,) log-odds.
        covariance: (p, p) of β̂ at the estimated variances.
        sd: Random effect → standard deviation on the log-odds scale; 0 on the boundary.
        loglik: Laplace log-likelihood (restricted if ``reml``).
        reml: Whether β was integrated out.
        on_boundary: Random effects whose variance is estimated as 0.
    """

    beta: Floats
    covariance: Floats
    sd: Mapping[str, float]
    loglik: float
    reml: bool
    on_boundary: tuple[str, ...]


@dataclass(frozen=True)
class _Mode:
    """Where the penalised likelihood is largest, with what Laplace needs."""

    a: Floats
    z: Floats
    value: float
    schur: Floats
    d: Floats

    @property
    def laplace(self) -> float:
        """Log of the integral over everything that was optimised, up to the flat directions' 2π."""
        return self.value - 0.5 * (float(np.linalg.slogdet(self.schur)[1]) + float(np.log(self.d).sum()))


class _Problem:
    """The scores, and the penalised likelihood at given standard deviations."""

    def __init__(self, successes_RI: Floats, trials_RI: Floats, x: Floats, groups: Mapping[str, Sequence[object]]):
        self.y, self.n, self.x = successes_RI, trials_RI, x
        self.names = (*groups, ITEM)
        parts, self.owner = [np.empty((len(x), 0))], np.empty(0, dtype=int)
        for k, labels in enumerate(groups.values()):
            _, codes = np.unique(np.array([str(label) for label in labels]), return_inverse=True)
            parts.append(np.eye(int(codes.max()) + 1)[codes])
            self.owner = np.concatenate([self.owner, np.full(parts[-1].shape[1], k)])
        self.left = np.hstack(parts)
        logs = special.gammaln(self.n + 1) - special.gammaln(self.y + 1) - special.gammaln(self.n - self.y + 1)
        self.constant = float(logs.sum())
        self.start: dict[int, tuple[Floats, Floats]] = {}

    def mode(self, sd: Floats, beta: Floats | None = None) -> _Mode:
        """Joint mode of random effects, and of β unless it is given.

        Raises:
            AnalysisError: The likelihood has no maximum (separated scores).
        """
        random = self.left * sd[self.owner]
        columns = random if beta is not None else np.hstack([self.x, random])
        offset = np.zeros(len(self.x)) if beta is None else self.x @ beta
        ridge = np.ones(columns.shape[1])
        ridge[: columns.shape[1] - random.shape[1]] = 0.0
        a, z = self.start.get(columns.shape[1], (np.zeros(columns.shape[1]), np.zeros(self.y.shape[1])))
        joint_mode = self._newton(columns, offset, ridge, float(sd[-1]), a, z)
        self.start[columns.shape[1]] = (joint_mode.a, joint_mode.z)
        return joint_mode

    def _value(self, eta: Floats, a: Floats, z: Floats, ridge: Floats) -> float:
        loglik = float(np.sum(self.y * eta - self.n * np.logaddexp(0.0, eta)))
        return self.constant + loglik - 0.5 * float(ridge @ a**2 + z @ z)

    def _newton(self, columns: Floats, offset: Floats, ridge: Floats, scale: float, a: Floats, z: Floats) -> _Mode:
        def eta_of(a: Floats, z: Floats) -> Floats:
            return np.asarray((offset + columns @ a)[:, None] + scale * z[None, :])

        value = self._value(eta_of(a, z), a, z, ridge)
        for _ in range(_NEWTON):
            mu = special.expit(eta_of(a, z))
            rest, w = self.y - self.n * mu, self.n * mu * (1 - mu)
            d = 1 + scale**2 * w.sum(axis=0)
            cross = scale * (columns.T @ w)
            schur = columns.T @ (w.sum(axis=1)[:, None] * columns) + np.diag(ridge) - (cross / d) @ cross.T
            to_a, to_z = columns.T @ rest.sum(axis=1) - ridge * a, scale * rest.sum(axis=0) - z
            try:
                step_a = linalg.cho_solve(linalg.cho_factor(schur), to_a - cross @ (to_z / d))
            except (linalg.LinAlgError, ValueError):
                raise _separated() from None
            step_z = (to_z - cross.T @ step_a) / d
            decrement = float(to_a @ step_a + to_z @ step_z)
            if decrement < 1e-11:
                return _Mode(a, z, value, schur, d)
            size = 1.0
            while True:
                moved = a + size * step_a, z + size * step_z
                new = self._value(eta_of(*moved), *moved, ridge)
                if new >= value - 1e-12 * abs(value) or size < 1e-6:
                    break
                size /= 2
            (a, z), value = moved, new
        raise _separated()


def _separated() -> AnalysisError:
    return AnalysisError(
        "at some levels every score is the same: log-odds have no finite estimate",
        "read the effect on the run's share, or score more items",
    )


def fit_crossed(
    successes_RI: Floats,
    x: Floats,
    groups: Mapping[str, Sequence[object]],
    *,
    trials_RI: Floats | None = None,
    reml: bool = True,
) -> CrossedFit:
    """Fit the model.

    Args:
        successes_RI: (R, I) successes; NaN where a run did not meet an item.
        x: (R, p), full column rank.
        groups: Random effect → label of each run; the item effect is added.
        trials_RI: (R, I) trials of each score; default 1.
        reml: Whether β is integrated out when variances are estimated.

    Raises:
        AnalysisError: Scores outside 0..trials, or separated by the design, or no maximum was found.
    """
    scored = np.isfinite(successes_RI)
    trials = scored.astype(float) if trials_RI is None else np.where(scored, trials_RI, 0.0)
    successes = np.where(scored, successes_RI, 0.0)
    if np.any(successes < 0) or np.any(successes > trials):
        raise AnalysisError("item scores must lie between 0 and the number of trials", "score items 0 or 1")
    problem = _Problem(successes, trials, x, groups)
    p, count = x.shape[1], len(problem.names)

    def restricted(sd: Floats) -> float:
        return float(-problem.mode(sd).laplace - 0.5 * p * np.log(2 * np.pi))

    sd, cost = _search(restricted, np.full(count, 0.5), [(0.0, _LARGEST_SD)] * count)
    beta = problem.mode(sd).a[:p]

    def full(both: Floats) -> float:
        return -problem.mode(both[:count], both[count:]).laplace

    if not reml:
        bounds = [(0.0, _LARGEST_SD)] * count + [(-2 * _SEPARATED, 2 * _SEPARATED)] * p
        both, cost = _search(full, np.concatenate([sd, beta]), bounds, zeros=count)
        sd, beta = both[:count], both[count:]
    _check_converged(restricted if reml else lambda moved: full(np.concatenate([moved, beta])), sd, cost, problem.names)
    joint_mode = problem.mode(sd)
    if reml:
        beta = joint_mode.a[:p]
    if np.abs(x @ beta).max() > _SEPARATED:
        raise _separated()
    covariance: Floats = np.asarray(np.linalg.inv(joint_mode.schur)[:p, :p], dtype=np.float64)
    named = dict(zip(problem.names, sd.tolist(), strict=True))
    return CrossedFit(
        beta=beta,
        covariance=covariance,
        sd=named,
        loglik=-cost,
        reml=reml,
        on_boundary=tuple(k for k, v in named.items() if v == 0.0),
    )


def _search(
    cost: Callable[[Floats], float], start: Floats, bounds: list[tuple[float, float]], zeros: int | None = None
) -> tuple[Floats, float]:
    """Smallest cost; a standard deviation that buys nothing is put on the boundary 0."""
    optimum = optimize.minimize(
        cost, start, method="L-BFGS-B", jac="3-point", bounds=bounds, options={"ftol": 1e-13, "gtol": 1e-6}
    )
    best, value = np.asarray(optimum.x, dtype=float), float(optimum.fun)
    for k in range(len(start) if zeros is None else zeros):
        without = best.copy()
        without[k] = 0.0
        at_zero = float(cost(without))
        if best[k] < 0.2 and at_zero <= value + 1e-7:
            best, value = without, at_zero
    return best, value


def _check_converged(cost: Callable[[Floats], float], sd: Floats, value: float, names: Sequence[str]) -> None:
    """Refuse an estimate that is no maximum: one at the end of the search, or with something better beside it.

    Raises:
        AnalysisError: Which standard deviation has not converged.
    """
    for k, name in enumerate(names):
        what = f"the standard deviation between {name.replace('_', ' ')}s"
        if sd[k] >= _LARGEST_SD - _NEAR:
            raise AnalysisError(
                f"the mixed model of item scores has not converged: {what} grows past {_LARGEST_SD:g} log-odds",
                "read the effect on the run's share; runs whose scores are all alike do this",
            )
        for near in (sd[k] - _NEAR, sd[k] + _NEAR):
            moved = sd.copy()
            moved[k] = max(near, 0.0)
            if float(cost(moved)) < value - _BETTER:
                raise AnalysisError(
                    f"the mixed model of item scores has not converged: {what} is not at a maximum",
                    "read the effect on the run's share, or score more items",
                )


def clustered_two_way(scores_RI: Floats, x: Floats) -> tuple[Floats, Floats]:
    """Linear model of item scores with two-way clustered covariance: the design-based answer at any scale.

    V = B(M_run + M_item − M_both)B, each M with its G/(G − 1) (Cameron, Gelbach and Miller (2011) J. Bus. Econ. Stat.
    29:238); where that is not positive, runs alone count.

    Args:
        scores_RI: (R, I), NaN where a run did not meet an item.
        x: (R, p), full column rank.

    Returns:
        (p,) coefficients on the score's own scale, and their (p, p) covariance.
    """
    scored = np.isfinite(scores_RI)
    y, count = np.where(scored, scores_RI, 0.0), scored.sum(axis=1).astype(float)
    bread = np.linalg.inv(x.T @ (count[:, None] * x))
    beta = bread @ (x.T @ y.sum(axis=1))
    rest = np.where(scored, y - (x @ beta)[:, None], 0.0)
    runs, items = x.T * rest.sum(axis=1), x.T @ rest
    by_run = runs @ runs.T * len(x) / (len(x) - x.shape[1])
    by_item = items @ items.T * rest.shape[1] / max(1, rest.shape[1] - 1)
    both = x.T @ (np.sum(rest**2, axis=1)[:, None] * x)
    meat = by_run + by_item - both
    if np.linalg.eigvalsh(bread @ meat @ bread).min() <= 0:
        meat = by_run
    return np.asarray(beta), np.asarray(bread @ meat @ bread)
