"""What a verdict is about: new seeds, or these; and inference on new seeds where runs share them.

Runs with seeds of their own carry what seeds do to an effect in their noise. Where the runs of a replicate share their
seed, a claim about new seeds has the effect × replicate variance as its error: each contrast is estimated within every
replicate, and the r estimates are r independent draws (t on r − 1 degrees of freedom; Montgomery, Design and Analysis
of Experiments, ch. 13: the two-factor mixed model; Scheffé (1959) The Analysis of Variance, ch. 8). Each contrast has
its own variance, so that several are held together by Bonferroni's inequality.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from maineffect.analyse.confirmatory.randomisation import ENUMERATE, Randomised
from maineffect.analyse.fit.least_squares import Estimates, Inference, LeastSquares, least_squares
from maineffect.analyse.fit.model import BLOCK, AnalysisModel
from maineffect.analyse.fit.respond import Fitted
from maineffect.analyse.record.result import AnovaRow, Effect, ResponseResult
from maineffect.analyse.table.runs import Runs
from maineffect.errors import AnalysisError
from maineffect.seeds import generator
from maineffect.spec.study import FEWEST_SEEDS, SEEDS_TO_FLIP, StudySpec

__all__ = ["OverSeeds", "Scope", "over_seeds", "scope_of", "sign_flip", "with_tests_over_seeds"]

Floats = NDArray[np.float64]
_LAB = "maineffect.lab:train_search_agent"
_TIE = 1 - 1e-10


@dataclass(frozen=True)
class Scope:
    """What verdicts are about.

    Attributes:
        inference: ``seeds``: new ones; ``these_seeds``: those that were run.
        condition: What all runs share besides, in words; empty where nothing is known to be shared.
    """

    inference: Literal["seeds", "these_seeds"]
    condition: str = ""


def scope_of(study: StudySpec, *, shared: bool) -> Scope:
    """What a study's verdicts are about.

    Args:
        study: With its design, settings and registered inference.
        shared: Whether the runs of a replicate share their seed.
    """
    new = not shared or study.analysis.over_seeds
    return Scope("seeds" if new else "these_seeds", _condition(study, shared=shared))


def _condition(study: StudySpec, *, shared: bool) -> str:
    """The built-in trainable says what it starts from; of others nothing is known."""
    if study.trainable != _LAB:
        return ""
    bound = {factor.setting for factor in study.factors.values()}
    if "policy.model" in bound:
        return "for these base models"
    policy, clone = (study.settings.get(name) or {} for name in ("policy", "warmstart"))
    cloned = clone.get("steps") != 0 and clone.get("demonstrator") != "none"
    return "for this base model" if policy.get("model") is not None or (cloned and not shared) else ""


@dataclass(frozen=True)
class OverSeeds:
    """Inference on new seeds from replicates that share theirs; implements :class:`Inference`.

    Attributes:
        base: Inference within these seeds, for what is about runs (residual variance, coefficients).
        model: That was fitted.
        fits: One a replicate, on the model's columns without blocks and then on blocks within the replicate.
        pool: Whether contrasts of terms with equally many factors share one variance.
    """

    base: Inference
    model: AnalysisModel
    fits: tuple[LeastSquares, ...]
    pool: bool = False

    @property
    def beta(self) -> Floats:
        """(p,) coefficients of all runs."""
        return self.base.beta

    @property
    def sigma2(self) -> float:
        """Variance of a run within these seeds."""
        return self.base.sigma2

    @property
    def df_error(self) -> float:
        """Degrees of freedom behind it."""
        return self.base.df_error

    @cached_property
    def _kept(self) -> list[int]:
        return _without_blocks(self.model)

    def by_replicate(self, c: Floats) -> Floats:
        """(r, k) estimates of (k, p) contrasts within each replicate; NaN where its runs do not determine one."""
        rows = []
        for fit in self.fits:
            padded = np.zeros((len(c), fit.x.shape[1]))
            padded[:, : len(self._kept)] = c[:, self._kept]
            rows.append(np.where(fit.estimable(padded), padded @ fit.beta[:, 0], np.nan))
        return np.array(rows)

    def contrasts(self, c: Floats) -> Estimates:
        """Mean over replicates, its own variance between them, and r − 1 degrees of freedom.

        A contrast that fewer than four replicates determine has no error.
        """
        each = self.by_replicate(c)
        known = np.isfinite(each)
        count = known.sum(axis=0)
        estimate = np.divide(
            np.where(known, each, 0.0).sum(axis=0), count, out=self.base.contrasts(c).estimate.copy(), where=count > 0
        )
        rest = np.where(known, each - estimate, 0.0)
        enough = count >= FEWEST_SEEDS
        df = np.where(enough, count - 1.0, np.nan)
        variance = np.sum(rest**2, axis=0) / df / np.where(count > 0, count, 1)
        for i, row in enumerate(c) if self.pool else ():
            if enough[i] and (shared := self._pooled(row)) is not None:
                variance[i], df[i] = shared[0] / count[i], shared[1]
        return Estimates(estimate, np.sqrt(np.where(variance > 0, variance, np.nan)), df)

    def covariance(self, c: Floats) -> Floats:
        """(k, k) diagonal: each contrast has its own variance, and what is not known of two counts as nothing."""
        return np.diag(self.contrasts(c).std_error ** 2)

    def _pooled(self, row: Floats) -> tuple[float, float] | None:
        """Variance of one contrast between replicates and its df, from all terms with as many factors as its own.

        Coefficients are first made independent of equal variance within a replicate; where a replicate lacks some of
        them, or the contrast mixes terms, there is nothing to pool.
        """
        orders = {term.count(":") for term in self.model.terms if np.any(row[self.model.spans[term]])}
        if len(orders) != 1 or row[0] != 0:
            return None
        (order,) = orders
        alike = [term for term in self.model.terms if term.count(":") == order]
        columns = [j for term in alike for j in range(self.model.spans[term].start, self.model.spans[term].stop)]
        units = np.eye(len(row))[columns]
        each = self.by_replicate(units)
        if not np.isfinite(each).all():
            return None
        at = [self._kept.index(j) for j in columns]
        unscaled = np.mean([fit.unscaled[np.ix_(at, at)] for fit in self.fits], axis=0)
        rest = np.linalg.solve(np.linalg.cholesky(unscaled), (each - each.mean(axis=0)).T)
        df = float(len(columns) * (len(self.fits) - 1))
        part = row[columns]
        return float(part @ unscaled @ part * np.sum(rest**2) / df), df


def _without_blocks(model: AnalysisModel) -> list[int]:
    gone = model.spans.get(BLOCK, slice(0, 0))
    return [j for j in range(model.matrix.shape[1]) if not gone.start <= j < gone.stop]


def over_seeds(study: StudySpec, runs: Runs) -> Callable[[Fitted], Fitted] | None:
    """What turns a fit into one whose every answer is about new seeds; None where runs share none, or none are asked.

    Raises:
        AnalysisError: The table does not say which runs share a seed.
    """
    if not study.analysis.over_seeds or not runs.shared:
        return None
    if runs.replicates is None:
        raise AnalysisError(
            "analysis.inference: seeds needs to know which runs share a seed, and no column says so",
            "give the table a replicate column, or the run ids of the plan",
        )
    replicates = runs.replicates

    def turned(fitted: Fitted) -> Fitted:
        if not fitted.fit.total[fitted.column] > 0:
            return fitted
        labels = [replicates[i] for i in fitted.rows]
        fits = tuple(_within(fitted, [i for i, label in enumerate(labels) if label == one]) for one in _unique(labels))
        inference = OverSeeds(fitted.inference, fitted.model, fits, study.analysis.pool_seeds)
        shown = "one variance for terms with equally many factors" if study.analysis.pool_seeds else "its own variance"
        note = f"errors are for new seeds: each contrast has {shown} between the {len(fits)} replicates"
        return replace(fitted, inference=inference, lenth=None, notes=(note,))

    return turned


def _unique(labels: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(labels))


def _within(fitted: Fitted, rows: Sequence[int]) -> LeastSquares:
    """One replicate's own fit; the design's own blocks in it, if any, beside the terms."""
    x = fitted.model.matrix[np.ix_(rows, _without_blocks(fitted.model))]
    blocks = fitted.strata.blocks
    own = _unique([blocks[i] for i in rows]) if blocks is not None else []
    if len(own) > 1 and blocks is not None:
        codes = np.vstack([np.eye(len(own) - 1), -np.ones(len(own) - 1)])
        x = np.hstack([x, codes[[own.index(blocks[i]) for i in rows]]])
    return least_squares(x, fitted.y[list(rows), None])


def sign_flip(each: Floats, seed: int, draws: int) -> Randomised | None:
    """Randomisation test of contrasts over replicates: without an effect each replicate's estimates may change sign.

    The statistic is the largest |sum| over the root of the sum of squares, in the ranks of max-|t|. Fisher (1935) The
    Design of Experiments, sec. 21.

    Args:
        each: (r, k) estimates within replicates.
        seed: Root of the draws.
        draws: Random arrangements where there are too many to enumerate.

    Returns:
        None below six replicates, where no p-value could be small, or where a replicate has no estimate.
    """
    r = len(each)
    size = np.sqrt(np.sum(each**2, axis=0))
    if r < SEEDS_TO_FLIP or not np.isfinite(each).all() or not np.all(size > 0):
        return None
    enumerated = 2**r <= ENUMERATE
    if enumerated:
        signs = 1.0 - 2.0 * ((np.arange(2**r)[:, None] >> np.arange(r)) & 1)
    else:
        signs = 1.0 - 2.0 * generator(seed, "sign flip", r, draws).integers(0, 2, (draws, r))
    extreme = np.abs(signs @ (each / size)).max(axis=1)
    hits = int(np.sum(extreme >= np.abs((each / size).sum(axis=0)).max() * _TIE))
    if enumerated:
        return Randomised(hits / 2**r, 2 / 2**r)
    return Randomised((1 + hits) / (1 + draws), 1 / (1 + draws))


def with_tests_over_seeds(result: ResponseResult, fitted: Fitted) -> ResponseResult:
    """A response whose ANOVA and simultaneous intervals are about new seeds too.

    A term of one degree of freedom has F = t² on r − 1; others have no F, because their contrasts differ in variance.
    """
    inference = fitted.inference
    if not isinstance(inference, OverSeeds):
        return result
    tested = [effect for effect in result.effects if effect.std_error is not None and effect.df is not None]
    effects = [_together(effect, fitted.alpha / max(1, len(tested))) for effect in result.effects]
    return result.model_copy(update={"effects": effects, "anova": [_row(row, fitted) for row in result.anova]})


def _together(effect: Effect, level: float) -> Effect:
    if effect.std_error is None or effect.df is None:
        return effect
    half = float(stats.t.isf(level / 2, effect.df)) * effect.std_error
    ends = {"simultaneous_low": effect.estimate - half, "simultaneous_high": effect.estimate + half}
    return effect.model_copy(update=ends)


def _row(row: AnovaRow, fitted: Fitted) -> AnovaRow:
    f = p = df = None
    if row.term in fitted.model.terms and row.df == 1:
        found = fitted.inference.contrasts(fitted.surface.contrasts(row.term)[0].row[None, :])
        t = float(found.estimate[0] / found.std_error[0])
        if np.isfinite(t):
            f, df = t**2, float(found.df[0])
            p = float(2 * stats.t.sf(abs(t), df))
    update = {"F": f, "df_error": df, "p_value": p, "method": "between seeds"}
    shares = ("omega_sq", "omega_low", "omega_high", "partial_eta_low", "partial_eta_high")
    return row.model_copy(update={**update, **dict.fromkeys(shares)})
