"""What tuning trials say of the factors, and what the tuned groups do to the error of an effect.

None of it enters a verdict: trials have seeds and items of their own, and the stratum of the groups is in the analysis
already.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from maineffect.analyse.fit.least_squares import OrdinaryInference
from maineffect.analyse.fit.respond import Fitted
from maineffect.analyse.inference.multiplicity import adjust
from maineffect.analyse.record.tuning import GroupError, NuisanceCurve, NuisanceInteraction, TrialScore
from maineffect.contracts import Level
from maineffect.design.model.terms import term_factors
from maineffect.spec.study import StudySpec

__all__ = ["errors_of_groups", "nuisance_curves", "nuisance_interactions"]

Floats = NDArray[np.float64]
_STEPS = 25
_FEWEST = 4


def errors_of_groups(study: StudySpec, fits: Mapping[str, Fitted]) -> list[GroupError]:
    """Standard errors of the main effects between tuned groups, with their stratum and without it.

    Args:
        study: Its tuning says which factors differ between groups.
        fits: Response → fit, as analysed.
    """
    found = []
    for response, fitted in fits.items():
        if not study.tuned_by or not fitted.strata.split or response not in study.responses:
            continue
        mains = [
            term for term in fitted.model.terms if ":" not in term and set(term_factors(term)) <= {*study.tuned_by}
        ]
        contrasts = [contrast for term in mains for contrast in fitted.surface.contrasts(term)]
        if not contrasts:
            continue
        rows = np.array([contrast.row for contrast in contrasts])
        decides = fitted.inference.contrasts(rows)
        runs = OrdinaryInference(fitted.fit, fitted.column).contrasts(rows)
        found += [
            GroupError(
                response=response,
                term=contrast.term,
                contrast=contrast.label,
                std_error=float(decides.std_error[i]),
                df=float(decides.df[i]),
                std_error_runs=float(runs.std_error[i]),
                df_runs=float(runs.df[i]),
            )
            for i, contrast in enumerate(contrasts)
            if np.all(np.isfinite([decides.std_error[i], decides.df[i], runs.std_error[i], runs.df[i]]))
        ]
    return found


def nuisance_interactions(
    scores: Sequence[TrialScore], factors: Sequence[str], shared: Sequence[str], alpha: float = 0.05
) -> list[NuisanceInteraction]:
    """Whether the best value of a nuisance differs between the levels of a factor.

    A best value that moves with a level is, to second order, a slope that does: −k(x − s)² has the slope 2ks at the
    middle. Each factor × slope is tested with all others in the model, beside the cells and the points (a quadratic
    where groups have points of their own), by an F test of the trial runs, which all have seeds of their own.

    Args:
        scores: Of the trial runs that came to one.
        factors: To be tested.
        shared: Those of them whose levels share one value.
        alpha: Level by which the result is sorted: what is significant after Holm's correction comes first.

    Returns:
        One for each pair, smallest p-value first; none where the trials leave no degrees of freedom for error.
    """
    names = [name for name in factors if len({_key(score.levels[name]) for score in scores}) > 1]
    if not names:
        return []
    y = np.array([score.score for score in scores])
    slopes = {
        (factor, nuisance): _levels(scores, factor) * np.array([[score.coded[nuisance]] for score in scores])
        for factor in names
        for nuisance in scores[0].coded
    }
    base = np.hstack([_cells(scores), _points(scores)])
    whole = np.hstack([base, *slopes.values()])
    rank, rest = _fit(whole, y)
    spare = len(y) - rank
    if spare < 1 or not rest > 0:
        return []
    tests = []
    for pair in slopes:
        less, more = _fit(np.hstack([base, *(part for other, part in slopes.items() if other != pair)]), y)
        df = rank - less
        if df > 0:
            f = (more - rest) / df / (rest / spare)
            tests.append((pair, df, f, float(stats.f.sf(f, df, spare))))
    adjusted = adjust([p for *_, p in tests], "holm")
    return sorted(
        (
            NuisanceInteraction(
                factor=pair[0],
                nuisance=pair[1],
                F=f,
                df=df,
                df_error=float(spare),
                p_value=p,
                p_adjusted=min(1.0, holm or 0.0),
                compromise=pair[0] in shared,
            )
            for (pair, df, f, p), holm in zip(tests, adjusted, strict=True)
        ),
        key=lambda one: (one.p_adjusted > alpha, one.p_value),
    )


def nuisance_curves(scores: Sequence[TrialScore], factor: str, nuisance: str, *, log: bool) -> list[NuisanceCurve]:
    """The response over a nuisance at each level of a factor: means at each value, and the quadratic through them.

    Args:
        scores: Of the trial runs that came to one.
        factor: Whose levels are compared.
        nuisance: What was tuned.
        log: Whether its values were spread on a logarithmic scale.
    """
    curves = []
    values = {_key(score.levels[factor]): score.levels[factor] for score in scores}
    for key, value in values.items():
        mine = [score for score in scores if _key(score.levels[factor]) == key]
        at: dict[float, list[TrialScore]] = {}
        for score in mine:
            at.setdefault(score.values[nuisance], []).append(score)
        points = sorted((x, float(np.mean([one.score for one in those]))) for x, those in at.items())
        x, fitted = _quadratic(mine, nuisance, log) if len(at) >= _FEWEST else ([], [])
        curves.append(NuisanceCurve(factor=factor, level=value, nuisance=nuisance, points=points, x=x, fitted=fitted))
    return curves


def _quadratic(scores: Sequence[TrialScore], nuisance: str, log: bool) -> tuple[list[float], list[float]]:
    """Values between the smallest and the largest tried, and the quadratic there."""
    coded = np.array([score.coded[nuisance] for score in scores])
    raw = [score.values[nuisance] for score in scores]
    beta = np.polynomial.polynomial.polyfit(coded, [score.score for score in scores], 2)
    grid = np.linspace(coded.min(), coded.max(), _STEPS)
    between = np.geomspace if log else np.linspace
    x = between(min(raw), max(raw), _STEPS)
    return x.tolist(), np.polynomial.polynomial.polyval(grid, beta).tolist()


def _key(level: Level) -> str:
    return f"{type(level).__name__}:{level}"


def _cells(scores: Sequence[TrialScore]) -> Floats:
    """(n, cells) one column for each cell."""
    return _indicators([tuple((name, _key(level)) for name, level in score.levels.items()) for score in scores])


def _levels(scores: Sequence[TrialScore], factor: str) -> Floats:
    """(n, L − 1) centred columns of a factor's levels."""
    columns = _indicators([_key(score.levels[factor]) for score in scores])
    return np.asarray((columns - columns.mean(axis=0))[:, 1:])


def _points(scores: Sequence[TrialScore]) -> Floats:
    """(n, q) the surface that all cells have in common: one column a point where cells share them, else quadratic."""
    keys = [tuple(score.values.values()) for score in scores]
    if 2 * len(set(keys)) <= len(keys):
        return _indicators(keys)
    coded = np.array([list(score.coded.values()) for score in scores])
    products = [coded[:, i] * coded[:, j] for i in range(coded.shape[1]) for j in range(i, coded.shape[1])]
    return np.column_stack([coded, *products])


def _indicators(labels: Sequence[object]) -> Floats:
    names = list(dict.fromkeys(labels))
    return np.array([[float(label == name) for name in names] for label in labels])


def _fit(x: Floats, y: Floats) -> tuple[int, float]:
    """Rank and residual sum of squares."""
    u, s, _ = np.linalg.svd(x, full_matrices=False)
    basis = u[:, s > 1e-9 * s[0]]
    rest = y - basis @ (basis.T @ y)
    return basis.shape[1], float(rest @ rest)
