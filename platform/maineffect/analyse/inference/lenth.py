"""Unreplicated designs: Lenth's pseudo standard error with simulated critical values.

Lenth (1989) Technometrics 31:469 proposed t(m/3) cut-offs; they are conservative (true individual error .029 at a
nominal .05 with 15 effects), so the null distribution is simulated: Ye and Hamada (2000) J. Qual. Technol. 32:57.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from maineffect.seeds import generator

__all__ = ["Lenth", "lenth", "pseudo_standard_error"]

Floats = NDArray[np.float64]
_DRAWS = 200_000
_CHUNK = 20_000
_GRID = 4_000
MINIMUM = 3
"""Fewest effects that Lenth's method needs."""


def pseudo_standard_error(effects: ArrayLike) -> Floats:
    """PSE = 1.5 × median of |effects| below 2.5·s₀, with s₀ = 1.5 × median|effects|.

    Args:
        effects: (…, m).

    Returns:
        (…,) in the effects' units.
    """
    size = np.abs(np.asarray(effects, dtype=float))
    ordered = np.sort(size, axis=-1)
    m = ordered.shape[-1]
    s0 = 1.5 * (ordered[..., (m - 1) // 2] + ordered[..., m // 2]) / 2
    kept = np.maximum(np.sum(ordered < 2.5 * s0[..., None], axis=-1), 1)
    low = np.take_along_axis(ordered, ((kept - 1) // 2)[..., None], axis=-1)[..., 0]
    high = np.take_along_axis(ordered, (kept // 2)[..., None], axis=-1)[..., 0]
    return np.asarray(1.5 * (low + high) / 2)


@dataclass(frozen=True)
class Lenth:
    """Lenth's method on one set of effects.

    Attributes:
        pse: Pseudo standard error, in the effects' units.
        margin_of_error: |effect| beyond which an effect is individually active at level α (simulated).
        simultaneous_margin: The same for the whole set.
        p_values: Individual, simulated.
        p_simultaneous: Adjusted for the whole set, simulated.
    """

    pse: float
    margin_of_error: float
    simultaneous_margin: float
    p_values: tuple[float, ...]
    p_simultaneous: tuple[float, ...]


@lru_cache(maxsize=64)
def _null(count: int) -> tuple[Floats, Floats]:
    """Quantiles of |effect|/PSE (individual) and of its maximum, under no effects, on a grid of probabilities."""
    rng = generator(0, "lenth", count)
    pooled: list[Floats] = []
    maxima: list[Floats] = []
    for _ in range(_DRAWS // _CHUNK):
        z = rng.standard_normal((_CHUNK, count))
        ratios = np.abs(z) / pseudo_standard_error(z)[:, None]
        # One effect a draw would waste the others: they are exchangeable, so up to eight serve.
        pooled.append(ratios[:, :8].ravel())
        maxima.append(ratios.max(axis=1))
    probabilities = _probabilities()
    return np.quantile(np.concatenate(pooled), probabilities), np.quantile(np.concatenate(maxima), probabilities)


def _probabilities() -> Floats:
    """Upper tails are finer: 1 − p runs down to the draws' resolution."""
    return np.asarray(1 - np.concatenate([np.linspace(1, 0.2, 200), np.geomspace(0.2, 2 / _DRAWS, _GRID)[1:]]))


def _tail(ratio: Floats, quantiles: Floats) -> Floats:
    return np.asarray(1 - np.interp(ratio, quantiles, _probabilities()))


def lenth(effects: ArrayLike, alpha: float = 0.05) -> Lenth | None:
    """Judge the effects of an unreplicated design against each other.

    Args:
        effects: m estimates of equal variance, uncorrelated, in the response's units.
        alpha: Error rate of both margins.

    Returns:
        None where there are fewer than three effects or their pseudo standard error is zero.
    """
    values = np.asarray(effects, dtype=float)
    if len(values) < MINIMUM:
        return None
    pse = float(pseudo_standard_error(values))
    if pse <= 1e-12 * float(np.abs(values).max(initial=0.0)) or pse == 0.0:
        return None
    single, family = _null(len(values))
    ratios = np.abs(values) / pse
    at = 1 - alpha
    return Lenth(
        pse,
        float(np.interp(at, _probabilities(), single)) * pse,
        float(np.interp(at, _probabilities(), family)) * pse,
        tuple(_tail(ratios, single).tolist()),
        tuple(_tail(ratios, family).tolist()),
    )
