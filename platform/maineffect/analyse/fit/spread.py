"""Whether the spread grows with the mean, so that effects are ratios rather than differences.

Scales are compared by what Box and Cox (1964) J. R. Stat. Soc. B 26:211 maximise: the likelihood of the same model on
each scale, in the units of the data, with the error degrees of freedom in place of the number of runs.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from maineffect.analyse.fit.least_squares import LeastSquares
from maineffect.spec.responses import Response, Scale

__all__ = ["better_scale", "spread_warning"]

Floats = NDArray[np.float64]
_GAIN = float(stats.chi2.isf(0.01, 1)) / 2
_LEAST_DF, _LEAST_DF_TREND = 4, 8
_TREND, _SEEN, _SPAN = 0.002, 0.05, 10.0


def spread_warning(name: str, y: Floats, fit: LeastSquares, column: int, response: Response) -> str | None:
    """What to say of a response whose spread follows its mean; None where nothing shows it.

    Args:
        name: Of the response.
        y: (n,) in its own units.
        fit: Of the model on those units.
        column: The response's.
        response: As declared.
    """
    if response.scale is not None or fit.df_error < _LEAST_DF or not float(fit.sse[column]) > 0:
        return None
    scale = better_scale(y, fit, response)
    trend = _trend(fit, column)
    if scale is Scale.LOGIT:
        return (
            f"{name}: the spread follows the mean, and the model fits the logits of these shares far better: "
            f"responses.{name}.scale: logit makes effects ratios of odds"
        )
    seen = trend is not None and trend[0] > 0 and trend[1] < _SEEN
    span = float(y.max() / y.min()) if scale is Scale.LOG else 1.0
    if scale is Scale.LOG and (seen or span >= _SPAN):
        return (
            f"{name}: the spread grows with the mean (values span a factor of {span:.3g}), and the model fits the "
            f"logarithms far better: responses.{name}.scale: log makes effects ratios"
        )
    rises = trend is not None and trend[0] > 0 and trend[1] < _TREND and fit.df_error >= _LEAST_DF_TREND
    if rises and not np.all(y > 0):
        return (
            f"{name}: the spread grows with the mean (p = {trend[1]:.2g}): intervals are too narrow where it is large; "  # type: ignore[index]
            "state analysis.robust: hc3, or a response on which effects add up"
        )
    return None


def better_scale(y: Floats, fit: LeastSquares, response: Response) -> Scale | None:
    """The scale on which the same model is far more likely than on the response's own units."""
    ratio = fit.df_error / len(y)
    own = _likelihood(y, np.zeros(len(y)), fit, ratio)
    found: dict[Scale, float] = {}
    if np.all(y > 0):
        found[Scale.LOG] = _likelihood(np.log(y), -np.log(y), fit, ratio)
    if response.limits is not None:
        low, high = response.limits
        share = (y - low) / (high - low)
        if np.all((share > 0) & (share < 1)):
            jacobian = -np.log(share * (1 - share) * (high - low))
            found[Scale.LOGIT] = _likelihood(np.log(share / (1 - share)), jacobian, fit, ratio)
    if not found:
        return None
    best = max(found, key=lambda scale: found[scale])
    return best if found[best] - own > _GAIN else None


def _likelihood(z: Floats, log_jacobian: Floats, fit: LeastSquares, ratio: float) -> float:
    """Log-likelihood up to a constant, σ maximised out."""
    centred = z - z.mean()
    sse = float(np.sum((centred - fit.basis @ (fit.basis.T @ centred)) ** 2))
    return ratio * float(log_jacobian.sum()) - fit.df_error / 2 * float(np.log(max(sse, 1e-300)))


def _trend(fit: LeastSquares, column: int) -> tuple[float, float] | None:
    """Correlation of the absolute residuals with the fitted values, and its one-sided p-value.

    Residuals have as many free values as error degrees of freedom: two runs of a cell have one.
    """
    leverage = np.sum(fit.basis**2, axis=1)
    free = leverage < 1 - 1e-6
    size = np.abs(fit.residuals[free, column]) / np.sqrt(1 - leverage[free])
    mean = fit.fitted[free, column]
    if free.sum() < 4 or not np.ptp(mean) > 0 or not np.ptp(size) > 0:
        return None
    r = float(np.corrcoef(size, mean)[0, 1])
    df = max(1, fit.df_error - 1)
    return r, float(stats.t.sf(r * np.sqrt(df / max(1e-12, 1 - r * r)), df))
