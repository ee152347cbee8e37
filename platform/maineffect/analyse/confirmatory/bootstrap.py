"""Wild cluster bootstrap: intervals that trust neither equal variances nor independence within clusters.

Cameron, Gelbach and Miller (2008) Rev. Econ. Stat. 90:414. A draw multiplies each cluster's residuals by ±1 (Webb's six
points when clusters are few; Webb (2014)). Only cluster scores X_g'e_g enter, so that all responses and draws are one
matrix product and no model is fitted twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray

from maineffect.analyse.fit.least_squares import least_squares
from maineffect.seeds import generator

__all__ = ["wild_cluster_test"]

Floats = NDArray[np.float64]
_FEW = 12
_WEBB = np.array([-np.sqrt(1.5), -1.0, -np.sqrt(0.5), np.sqrt(0.5), 1.0, np.sqrt(1.5)])
_CHUNK = 256


def _codes(clusters: Sequence[object] | None, n: int) -> NDArray[np.int64]:
    if clusters is None:
        return np.arange(n)
    return np.unique(np.array([str(label) for label in clusters]), return_inverse=True)[1].astype(np.int64)


def _weights(rng: np.random.Generator, draws: int, clusters: int) -> Floats:
    if clusters < _FEW:
        return np.asarray(rng.choice(_WEBB, size=(draws, clusters)))
    return np.asarray(rng.integers(0, 2, size=(draws, clusters), dtype=np.int8) * 2.0 - 1.0)


def wild_cluster_test(
    x: Floats,
    y: Floats,
    row: Floats,
    *,
    clusters: Sequence[object] | None = None,
    draws: int = 9_999,
    seed: int = 0,
) -> float:
    """P-value of c'β = 0 by the studentised wild cluster bootstrap with the null imposed.

    Args:
        x: (n, p), full column rank, first column ones.
        y: (n,).
        row: (p,) contrast c.
        clusters: n labels; None: every row by itself.
        draws: Random draws, unless all sign patterns are fewer.
        seed: Root of the draws.
    """
    codes = _codes(clusters, len(x))
    groups = int(codes.max()) + 1
    fit = least_squares(x, y[:, None])
    lever = x @ (fit.unscaled @ row)
    scale = float(row @ fit.unscaled @ row)
    estimate = float(row @ fit.beta[:, 0])
    # Restricted fit: move β̂ along (X'X)⁻¹c until c'β = 0.
    residual = fit.residuals[:, 0] + x @ (fit.unscaled @ row) * (estimate / scale)
    u = np.bincount(codes, weights=lever * residual, minlength=groups)
    full = np.zeros((groups, x.shape[1]))
    np.add.at(full, codes, x * residual[:, None])
    v = np.zeros((groups, x.shape[1]))
    np.add.at(v, codes, x * lever[:, None])
    observed = np.bincount(codes, weights=lever * fit.residuals[:, 0], minlength=groups)
    bar = abs(estimate) / float(np.sqrt(np.sum(observed**2))) * (1 - 1e-9)
    if groups >= _FEW or 2**groups > draws:
        w = _weights(generator(seed, "wild-test", groups, draws), draws, groups)
        extra = 1
    else:
        w, extra = np.array(list(product([-1.0, 1.0], repeat=groups))), 0
    moved = (w @ full) @ fit.unscaled
    hits = 0
    for start in range(0, len(w), _CHUNK):
        part = slice(start, start + _CHUNK)
        deviation = w[part] * u - moved[part] @ v.T
        t = np.abs(moved[part] @ row) / np.sqrt(np.maximum(np.sum(deviation**2, axis=1), 1e-300))
        hits += int(np.sum(t >= bar))
    return (extra + hits) / (extra + len(w))
