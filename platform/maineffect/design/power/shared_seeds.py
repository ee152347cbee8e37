"""Power of claims about new seeds where the runs of a replicate share theirs.

Each replicate estimates a contrast once, with its own runs' variance and τ², the variance of the effect between seeds;
the test is that of the mean of r estimates, t on r − 1 degrees of freedom (Scheffé (1959) The Analysis of Variance,
ch. 8). Several contrasts of one term have variances of their own and are held together by Bonferroni's inequality, so
that what is given for them is a lower bound.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from maineffect.design.model.model import Design
from maineffect.design.power.precision import Precision
from maineffect.spec.study import FEWEST_SEEDS, StudySpec

__all__ = ["SeedsTest", "SharedSeeds", "shared_seeds"]

_TAU = "how much the effect differs between seeds is unknown: give --tau, or a pilot with seeds shared in replicates"
_SEVERAL = "it is judged by several contrasts with variances of their own, and which ones is not known here"


@dataclass(frozen=True)
class SeedsTest:
    """The test of a term on new seeds.

    Attributes:
        unit_noncentrality: λ of an effect of one σ in the contrast that is known worst.
        df_error: Degrees of freedom of its error.
        contrasts: How many are held together.
    """

    unit_noncentrality: float
    df_error: float
    contrasts: int


@dataclass(frozen=True)
class SharedSeeds:
    """Replicates that share seeds, in a study whose claims are about new ones.

    Attributes:
        replicates: How many.
        tau: Standard deviation of an effect between seeds, in standard deviations of a run; None if unknown.
        pooled: Whether terms with equally many factors share one variance, as registered.
    """

    replicates: int
    tau: float | None
    pooled: bool

    @property
    def reason(self) -> str | None:
        """Why nothing can be promised; None if something can."""
        if self.replicates < FEWEST_SEEDS:
            return f"a claim about new seeds needs {FEWEST_SEEDS} replicates"
        return _TAU if self.tau is None else None

    def test(self, precision: Precision, term: str, rows: NDArray[np.float64] | None) -> SeedsTest | str:
        """The test of a term, or why there is none.

        Args:
            precision: Of the design within these seeds.
            term: Of the model.
            rows: (k, q) contrasts on the term's columns that decide a claim; None: the term's only column.
        """
        if self.reason is not None or self.tau is None:
            return self.reason or _TAU
        span, known = precision.model.spans[term], precision.terms[term]
        if rows is None and known.df > 1:
            return _SEVERAL
        within, count = 1 / known.unit_noncentrality, 1
        if rows is not None:
            variances = np.einsum("ij,jk,ik->i", rows, precision.covariance[span, span], rows)
            within, count = float(variances.max()), len(rows)
        df = self.replicates - 1
        if self.pooled:
            alike = [other.df for name, other in precision.terms.items() if name.count(":") == term.count(":")]
            df *= sum(alike)
        return SeedsTest(1 / (within + self.tau**2 / self.replicates), float(df), count)


def shared_seeds(study: StudySpec, design: Design, tau: float | None) -> SharedSeeds | None:
    """What a design's shared seeds mean for claims about new ones; None where seeds or claims are of another kind."""
    seeds = [run.seed for run in design.runs]
    if not study.analysis.over_seeds or len(set(seeds)) == len(seeds):
        return None
    return SharedSeeds(len({run.replicate for run in design.runs}), tau, study.analysis.pool_seeds)
