"""Where is the optimum of a fitted second-order model: the stationary point, the best point within the runs, contours.

All of it is exploration: the point is chosen by the data, and its predicted height is optimistic until new runs confirm
it. Factors without a fitted quadratic are averaged over their levels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

from maineffect.analyse.exploratory.stationary import Quadratic, Stationary, stationary_point
from maineffect.analyse.fit.respond import Fitted
from maineffect.analyse.record.further_records import Contour, Optimum
from maineffect.analyse.table.scales import back_transformed
from maineffect.contracts import Level
from maineffect.seeds import generator
from maineffect.spec.factors import Factor
from maineffect.spec.responses import Goal, Response
from maineffect.spec.study import StudySpec

__all__ = ["best_within", "lack_of_fit", "optima"]

Floats = NDArray[np.float64]
_GRID = 29
_CONTOURED = 3
_TRIED, _REFINED = 512, 6
_EDGE = 1e-4


def optima(
    study: StudySpec, fits: Mapping[str, Fitted], levels: Sequence[Mapping[str, Level]], warnings: list[str]
) -> list[Optimum]:
    """What the second-order model of each response says of its optimum.

    Args:
        study: For goals and scales.
        fits: Response → fit.
        levels: Levels of every run of the table.
        warnings: Why a response that has quadratics has no optimum is added here.
    """
    found = []
    for name, fitted in fits.items():
        curved = [f for f in fitted.model.factors if f"{f.name}^2" in fitted.model.terms]
        if not curved or name not in study.responses:
            continue
        reason = _unfit(fitted, curved)
        if reason:
            warnings.append(f"{name}: no optimum is read from its model: {reason}")
            continue
        runs = [{f.name: levels[i][f.name] for f in fitted.model.factors} for i in fitted.rows]
        optimum = _optimum(fitted, study.responses[name], curved, runs)
        if optimum is None:
            warnings.append(f"{name}: no optimum is read from its model: the runs give no error of its coefficients")
        else:
            found.append(optimum)
    return found


def _unfit(fitted: Fitted, curved: Sequence[Factor]) -> str:
    """Why the model is not of second order in its curved factors; empty if it is."""
    names = {f.name for f in curved}
    for term in fitted.model.terms:
        order = sum(1 + part.endswith("^2") for part in term.split(":") if part.removesuffix("^2") in names)
        if order > 2:
            return f"{term} is beyond the second order"
    missing = [f.name for f in curved if f.name not in fitted.model.terms]
    partial = sorted(set(fitted.model.partial) & {t for t in fitted.model.terms if set(t.split(":")) & names})
    if missing or partial:
        return f"{', '.join([*missing, *partial])} is not estimated as a whole"
    return ""


class _Coded:
    """Coded points of the curved factors (−1 and 1 at their outermost levels) as rows on the model's columns."""

    def __init__(self, fitted: Fitted, curved: Sequence[Factor]) -> None:
        self.fitted, self.curved = fitted, tuple(curved)
        self.low = np.array([float(f.levels[0]) for f in curved])
        self.high = np.array([float(f.levels[-1]) for f in curved])

    def natural(self, x: Floats) -> Floats:
        return np.asarray((self.low + self.high) / 2 + x * (self.high - self.low) / 2)

    def coded(self, x: Floats) -> Floats:
        return np.asarray((2 * x - self.low - self.high) / (self.high - self.low))

    def row(self, x: Floats) -> Floats:
        """(p,) row of the prediction at a coded point."""
        weights = {f.name: self._weights(f, float(v)) for f, v in zip(self.curved, x, strict=True)}
        return self.fitted.surface.weighted(weights)

    def _weights(self, factor: Factor, x: float) -> Floats:
        """Weights on three levels that give 1, x and x² of any quadratic: Lagrange's."""
        levels = np.array([float(v) for v in factor.levels])
        codes = (2 * levels - levels[0] - levels[-1]) / (levels[-1] - levels[0])
        three = [0, int(np.abs(codes[1:-1]).argmin()) + 1, len(codes) - 1]
        weights = np.zeros(len(codes))
        weights[three] = np.linalg.solve(np.vander(codes[three], increasing=True).T, [1.0, x, x * x])
        return weights

    def rows_of_coefficients(self) -> Floats:
        """(1 + m, p): β₀, then the linear and the second-order coefficients, as exact differences of predictions."""
        k = len(self.curved)
        unit = np.eye(k)
        centre = self.row(np.zeros(k))
        plus, minus = [self.row(e) for e in unit], [self.row(-e) for e in unit]
        linear = [(p - m) / 2 for p, m in zip(plus, minus, strict=True)]
        second = []
        for i in range(k):
            second.append((plus[i] + minus[i]) / 2 - centre)
            for j in range(i + 1, k):
                corners = [a * b * self.row(a * unit[i] + b * unit[j]) for a in (-1, 1) for b in (-1, 1)]
                second.append(np.sum(corners, axis=0) / 4)
        return np.array([centre, *linear, *second])


def _optimum(
    fitted: Fitted, response: Response, curved: Sequence[Factor], runs: Sequence[Mapping[str, Level]]
) -> Optimum | None:
    coded = _Coded(fitted, curved)
    k = len(curved)
    rows = coded.rows_of_coefficients()
    known = fitted.inference.contrasts(rows)
    covariance = fitted.inference.covariance(rows[1:])
    usable = fitted.fit.estimable(rows).all() and np.isfinite(covariance).all() and np.isfinite(known.df).all()
    if not usable or not np.all(known.std_error[1:] > 0):
        return None
    beta, df = known.estimate, float(known.df.min())
    surface = Quadratic(float(beta[0]), beta[1 : k + 1], beta[k + 1 :], covariance, df)
    at = coded.coded(np.array([[float(run[f.name]) for f in curved] for run in runs]))
    radius = float(np.linalg.norm(at, axis=1).max())
    found = stationary_point(surface, fitted.alpha)
    best = None if response.goal is Goal.NONE else best_within(surface, radius, response.goal is Goal.MAXIMIZE)
    inside = found is not None and _inside(found.point, radius)
    held = best if best is not None else found.point if found is not None and inside else np.zeros(k)
    predicted = _predicted(fitted, response, None if best is None else coded.row(best))
    return Optimum(
        response=fitted.name,
        goal=response.goal.value,
        factors=[f.name for f in curved],
        averaged=[f.name for f in fitted.model.factors if f not in curved],
        limits=[(float(f.levels[0]), float(f.levels[-1])) for f in curved],
        lack_of_fit_p=lack_of_fit(fitted, runs),
        best=None if best is None else coded.natural(best).tolist(),
        best_on_edge=None if best is None else not _inside(best, radius, -_EDGE),
        best_predicted=predicted[0],
        best_low=predicted[1],
        best_high=predicted[2],
        contours=_contours(surface, coded, response, held, radius, found),
        **_described(found, coded, response, inside),
    )


def _described(found: Stationary | None, coded: _Coded, response: Response, inside: bool) -> dict[str, object]:
    if found is None:
        return {}
    half = (coded.high - coded.low) / 2
    bounds = found.low is not None and found.high is not None
    return {
        "stationary": coded.natural(found.point).tolist(),
        "stationary_low": coded.natural(found.low).tolist() if bounds and found.low is not None else None,
        "stationary_high": coded.natural(found.high).tolist() if bounds and found.high is not None else None,
        "stationary_value": back_transformed(found.value, response),
        "inside": inside,
        "nature": found.nature,
        "established": found.bounded,
        "eigenvalues": found.eigenvalues.tolist(),
        "eigenvalue_errors": found.errors.tolist(),
        "axes": (found.axes.T * half).tolist(),
        "weakest": (found.weakest * half).tolist(),
    }


def _inside(x: Floats, radius: float, slack: float = 1e-9) -> bool:
    return bool(np.abs(x).max() <= 1 + slack and np.linalg.norm(x) <= radius * (1 + slack))


def _predicted(
    fitted: Fitted, response: Response, row: Floats | None
) -> tuple[float | None, float | None, float | None]:
    """The prediction with its pointwise interval, in the response's units."""
    if row is None:
        return None, None, None
    known = fitted.inference.contrasts(row[None])
    estimate, half = float(known.estimate[0]), float(stats.t.isf(fitted.alpha / 2, known.df[0]) * known.std_error[0])
    low, high = (None, None) if not np.isfinite(half) else (estimate - half, estimate + half)
    return back_transformed(estimate, response), back_transformed(low, response), back_transformed(high, response)


def best_within(surface: Quadratic, radius: float, maximise: bool) -> Floats:
    """(k,) the best point of a surface within the factors' levels, and no further from their middle than any run.

    Args:
        surface: In coded factors.
        radius: Distance of the run furthest from the middle, in coded units.
        maximise: Which way is better.
    """
    k, sign = surface.k, -1.0 if maximise else 1.0
    drawn = generator(0, "best point", k).uniform(-1, 1, size=(_TRIED, k))
    drawn *= np.minimum(1.0, radius / np.linalg.norm(drawn, axis=1))[:, None]
    starts = drawn[np.argsort(sign * surface.value(drawn))[:_REFINED]]
    best, height = starts[0], float(sign * surface.value(starts[:1])[0])
    for start in starts:
        solved = optimize.minimize(  # type: ignore[call-overload]
            lambda x: sign * float(surface.value(x[None])[0]),
            start,
            jac=lambda x: sign * (surface.linear + 2 * surface.matrix @ x),
            bounds=[(-1.0, 1.0)] * k,
            constraints={"type": "ineq", "fun": lambda x: radius**2 - x @ x, "jac": lambda x: -2 * x},
            method="SLSQP",
            options={"ftol": 1e-12, "maxiter": 200},
        )
        x = np.clip(solved.x, -1, 1)
        x *= min(1.0, radius / max(float(np.linalg.norm(x)), 1e-300))
        value = float(sign * surface.value(x[None])[0])
        if value < height:
            best, height = x, value
    return np.asarray(best)


def lack_of_fit(fitted: Fitted, runs: Sequence[Mapping[str, Level]]) -> float | None:
    """p-value of what the model leaves of the cells' means, against the runs' spread within cells.

    Montgomery, Design and Analysis of Experiments (8th ed.), sec. 10.8 and 11.3. None without repeated cells, without
    cells beyond the model, or where runs are not one stratum.
    """
    if fitted.strata.mixed:
        return None
    cells = {key: i for i, key in enumerate(dict.fromkeys(tuple(run.items()) for run in runs))}
    indicator = np.zeros((len(runs), len(cells)))
    indicator[np.arange(len(runs)), [cells[tuple(run.items())] for run in runs]] = 1
    whole = np.hstack([fitted.model.basis, indicator])
    u, s, _ = np.linalg.svd(whole, full_matrices=False)
    u = u[:, s > 1e-9 * s[0]]
    y = fitted.y - fitted.y.mean()
    pure, df_pure = float(np.sum((y - u @ (u.T @ y)) ** 2)), len(y) - u.shape[1]
    df = u.shape[1] - fitted.fit.rank
    if df < 1 or df_pure < 1 or not pure > 1e-12 * float(y @ y):
        return None
    extra = max(float(fitted.fit.sse[fitted.column]) - pure, 0.0)
    return float(stats.f.sf(extra / df / (pure / df_pure), df, df_pure))


def _contours(
    surface: Quadratic, coded: _Coded, response: Response, held: Floats, radius: float, found: Stationary | None
) -> list[Contour]:
    """Predictions over two factors at a time, the others at one point; of many factors those that matter most."""
    reach = np.abs(surface.linear) + np.abs(surface.matrix).sum(axis=1)
    chosen = sorted(np.argsort(-reach)[:_CONTOURED].tolist())
    steps = np.linspace(-1, 1, _GRID)
    contours = []
    for i, j in combinations(chosen, 2):
        points = np.tile(held, (_GRID * _GRID, 1))
        points[:, i], points[:, j] = np.repeat(steps, _GRID), np.tile(steps, _GRID)
        height = surface.value(points)
        known = np.linalg.norm(points, axis=1) <= radius * (1 + 1e-9)
        region = None if found is None or surface.k != 2 else np.sqrt(surface.distance(points) / found.critical)
        names = [f.name for f in coded.curved]
        natural = coded.natural(held).tolist()
        contours.append(
            Contour(
                across=names[i],
                up=names[j],
                held={name: v for n, (name, v) in enumerate(zip(names, natural, strict=True)) if n not in (i, j)},
                x=coded.natural(np.outer(steps, np.ones(surface.k)))[:, i].tolist(),
                y=coded.natural(np.outer(steps, np.ones(surface.k)))[:, j].tolist(),
                height=[
                    _short(back_transformed(float(v), response)) if ok else None
                    for v, ok in zip(height, known, strict=True)
                ],
                region=None if region is None else [_short(float(v)) for v in region],
            )
        )
    return contours


def _short(value: float | None) -> float | None:
    """Seven digits: enough to draw."""
    return None if value is None else float(f"{value:.7g}")
