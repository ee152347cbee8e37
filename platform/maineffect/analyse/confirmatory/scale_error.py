"""A difference of two responses in standard deviations of a run carries the error of these standard deviations.

With e = a/s_a − b/s_b and s² on ν degrees of freedom, the delta method adds (e_a² + e_b² − 2ρ²·e_a·e_b)/(2ν), ρ the
correlation of the runs' residuals: corr(s_a², s_b²) = ρ² for normal runs (Anderson (2003) An Introduction to
Multivariate Statistical Analysis, sec. 3.4). Under correlated runs it is a large part of the error, which their
difference hardly has otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from maineffect.analyse.fit.respond import Answer, Fitted
from maineffect.analyse.table.made import run_sd
from maineffect.spec.responses import Hypothesis

__all__ = ["with_scale_error"]


def with_scale_error(
    answer: Answer, row: NDArray[np.float64], hypothesis: Hypothesis, fits: Mapping[str, Fitted]
) -> Answer:
    """The answer to a difference's contrast with the error of its scales; that of any other claim as it is.

    Args:
        answer: By the fit of the difference.
        row: (p,) the contrast.
        hypothesis: Whose claim it is.
        fits: Response → fit; those of both parts among them.
    """
    if hypothesis.pair is None or hypothesis.common_scale != "run_sd" or answer.std_error is None or answer.df is None:
        return answer
    parts = [fits.get(name) for name in hypothesis.pair]
    if parts[0] is None or parts[1] is None or len(parts[0].y) != len(parts[1].y):
        return answer
    effects, residuals, spare = [], [], []
    for part in parts:
        assert part is not None
        columns = [j for term in part.model.terms for j in range(*part.model.spans[term].indices(row.size))]
        cells = np.unique(np.round(part.model.matrix[:, columns], 9), axis=0, return_inverse=True)[1].ravel()
        scale, rest, df = run_sd(part.y, cells)
        if not scale > 0:
            return answer
        effects.append(float(row @ part.inference.beta) / scale)
        residuals.append(rest / scale)
        spare.append(df)
    r = float(np.corrcoef(residuals[0], residuals[1])[0, 1])
    first, second = effects
    added = max(0.0, (first**2 + second**2 - 2 * r**2 * first * second) / (2 * min(spare)))
    se = float(np.hypot(answer.std_error, np.sqrt(added)))
    wider = se / answer.std_error
    half = None if answer.half_width is None else answer.half_width * wider
    return Answer(answer.estimate, se, answer.df, half, float(2 * stats.t.sf(abs(answer.estimate) / se, answer.df)))
