"""Equivalence: two one-sided tests (Schuirmann (1987) J. Pharmacokinet. Biopharm. 15:657)."""

from __future__ import annotations

from dataclasses import dataclass

from scipy import special

from maineffect.errors import AnalysisError

__all__ = ["Equivalence", "tost"]


@dataclass(frozen=True)
class Equivalence:
    """Result of two one-sided tests.

    Attributes:
        t_lower: (estimate + δ)/se against the lower bound.
        p_lower: Of the lower test.
        t_upper: (estimate − δ)/se against the upper bound.
        p_upper: Of the upper test.
        p_value: The larger of both: effects are equivalent at level α when it is at most α.
        ci_low: Lower end of the 1 − 2α interval; the decision is whether it lies inside ±δ.
        ci_high: Upper end.
    """

    t_lower: float
    p_lower: float
    t_upper: float
    p_upper: float
    p_value: float
    ci_low: float
    ci_high: float


def tost(estimate: float, std_error: float, df: float, margin: float, alpha: float = 0.05) -> Equivalence:
    """Test whether an effect lies inside ±margin.

    Args:
        estimate: Effect in the response's units.
        std_error: Its standard error, positive.
        df: Degrees of freedom (may be infinite).
        margin: Smallest effect of interest δ > 0, in the same units.
        alpha: Level of each one-sided test.

    Raises:
        AnalysisError: The margin or the standard error is not positive.
    """
    if not margin > 0 or not std_error > 0:
        raise AnalysisError(
            f"equivalence needs a positive margin and standard error, got {margin} and {std_error}",
            "set smallest_effect, and analyse runs that leave an error estimate",
        )
    t_lower, t_upper = (estimate + margin) / std_error, (estimate - margin) / std_error
    # The special functions: SciPy's distributions cost more than all of the analysis around them.
    p_lower, p_upper = float(special.stdtr(df, -t_lower)), float(special.stdtr(df, t_upper))
    half = -float(special.stdtrit(df, alpha)) * std_error
    return Equivalence(
        t_lower=t_lower,
        p_lower=p_lower,
        t_upper=t_upper,
        p_upper=p_upper,
        p_value=max(p_lower, p_upper),
        ci_low=estimate - half,
        ci_high=estimate + half,
    )
