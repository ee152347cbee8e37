"""Other tests beside a hypothesis' own: unequal variances, the wild bootstrap, and re-randomisation."""

from __future__ import annotations

import numpy as np
from scipy import stats

from maineffect.analyse.confirmatory.bootstrap import wild_cluster_test
from maineffect.analyse.confirmatory.randomisation import Randomised, randomisation_test
from maineffect.analyse.fit.respond import Fitted
from maineffect.analyse.fit.robust import RobustInference
from maineffect.analyse.fit.surface import Contrast
from maineffect.spec.responses import Direction, Hypothesis

__all__ = ["denies_zero", "randomised_p", "robust_p", "wild_p"]

_FEWEST_CLUSTERS, _MOST_RUNS = 8, 2_000
"""With fewer clusters it rejects too often (.16 for .05 with few whole plots); from so many runs on it says what the t
test says, late."""


def robust_p(fitted: Fitted, contrast: Contrast) -> float | None:
    """HC2 with Bell–McCaffrey degrees of freedom, where runs were lost or cells are unequal (one stratum)."""
    if fitted.strata.mixed or fitted.fit.df_error == 0 or not fitted.fit.sse[fitted.column] > 0 or _balanced(fitted):
        return None
    estimates = RobustInference(fitted.fit, fitted.column, "hc2").contrasts(contrast.row[None, :])
    se, df = float(estimates.std_error[0]), float(estimates.df[0])
    if not np.isfinite(se) or not df > 0:
        return None
    return float(2 * stats.t.sf(abs(float(estimates.estimate[0])) / se, df))


def denies_zero(hypothesis: Hypothesis) -> bool:
    """Whether the claim is against no effect at all, which is what resampling under the null imposes."""
    return hypothesis.direction is not Direction.NEGLIGIBLE and hypothesis.beyond == "zero"


def wild_p(fitted: Fitted, contrast: Contrast, hypothesis: Hypothesis, seed: int, draws: int) -> float | None:
    """The wild cluster bootstrap: no trust in equal variances, nor in independence within whole plots or blocks."""
    if not denies_zero(hypothesis):
        return None
    x, strata = fitted.fit.x, fitted.strata
    clusters = strata.whole_plots if strata.split else strata.blocks if strata.scattered else None
    groups = len(x) if clusters is None else len(set(clusters))
    short = fitted.fit.rank < x.shape[1] or fitted.fit.df_error == 0 or not fitted.fit.sse[fitted.column] > 0
    if short or groups < _FEWEST_CLUSTERS or len(x) > _MOST_RUNS:
        return None
    return wild_cluster_test(x, fitted.y, contrast.row, clusters=clusters, draws=draws, seed=seed)


def _balanced(fitted: Fitted) -> bool:
    leverage = np.sum(fitted.fit.basis**2, axis=1)
    return bool(np.ptp(leverage) < 1e-8)


def randomised_p(fitted: Fitted, term: str, hypothesis: Hypothesis, seed: int, draws: int) -> Randomised | None:
    """The randomisation test beside a hypothesis, in the stratum in which its factors were randomised."""
    if not denies_zero(hypothesis):
        return None
    x, span = fitted.model.matrix, fitted.model.spans[term]
    tested, others = x[:, span], np.delete(x, np.arange(span.start, span.stop), axis=1)
    return randomisation_test(fitted.y, tested, others, fitted.strata, seed=seed, draws=draws)
