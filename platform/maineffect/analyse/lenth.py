"""Unreplicated designs: Lenth's pseudo standard error with simulated critical values."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from maineffect.analyse.result import LenthResult
from maineffect.seeds import generator

__all__ = ["critical_values", "lenth", "pseudo_standard_error"]

_DRAWS = 50_000


def pseudo_standard_error(effects: NDArray[np.float64]) -> NDArray[np.float64]:
    """PSE over the last axis: 1.5 × median of |effects| below 2.5·s₀, s₀ = 1.5 × median |effect|.

    Lenth (1989), Technometrics 31:469–473, eq. 2–3.
    """
    size = np.abs(effects)
    s0 = 1.5 * np.median(size, axis=-1, keepdims=True)
    return np.asarray(1.5 * np.nanmedian(np.where(size < 2.5 * s0, size, np.nan), axis=-1))


@lru_cache(maxsize=64)
def critical_values(count: int, alpha: float) -> tuple[float, float]:
    """Individual and simultaneous critical |effect|/PSE under no effects, by seeded simulation.

    The t(m/3) values of the paper are conservative (true error .029 at nominal .05 for m = 15); Ye and Hamada (2000),
    J. Qual. Technol. 32:57–66, tabulate simulated ones, as here.
    """
    draws = generator(0, "lenth", count).standard_normal((_DRAWS, count))
    ratio = np.abs(draws) / pseudo_standard_error(draws)[:, None]
    return float(np.quantile(ratio, 1 - alpha)), float(np.quantile(ratio.max(axis=1), 1 - alpha))


def lenth(effects: Sequence[float], alpha: float) -> LenthResult | None:
    """Margins for the effects of an unreplicated design; None with fewer than three effects or no spread."""
    values = np.asarray(effects, dtype=float)
    if len(values) < 3:
        return None
    with np.errstate(invalid="ignore"):
        pse = float(pseudo_standard_error(values[None])[0])
    if not np.isfinite(pse) or pse <= 0:
        return None
    single, all_at_once = critical_values(len(values), alpha)
    return LenthResult(pse=pse, margin_of_error=single * pse, simultaneous_margin=all_at_once * pse)
