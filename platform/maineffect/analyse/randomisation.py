"""The randomisation test: what the effect would look like had the runs been assigned otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations, product
from math import factorial, prod

import numpy as np
from numpy.typing import NDArray

from maineffect.analyse.fit import Fit
from maineffect.seeds import generator

__all__ = ["randomisation_p"]

_EXACT = 20_000
_DRAWS = 9_999
Indices = NDArray[np.intp]


def randomisation_p(fit: Fit, term: str, blocks: Sequence[object]) -> float | None:
    """P-value of a term by permuting reduced-model residuals within blocks.

    Freedman and Lane (1983), J. Bus. Econ. Stat. 1:292–298: the term's own contribution is taken out, what is left is
    permuted within blocks (as the design randomised), and F is computed anew. All arrangements are enumerated when
    there are at most 20,000, otherwise 9,999 seeded draws and the observed one count (Phipson and Smyth 2010).

    Returns:
        The p-value, or None when the model is saturated.
    """
    if fit.df_error < 1:
        return None
    x, span = fit.model.matrix, fit.model.spans[term]
    reduced = np.delete(x, np.arange(span.start, span.stop), axis=1)
    y = x @ fit.coefficients + fit.residuals
    q, _ = np.linalg.qr(reduced)
    fitted = q @ (q.T @ y)
    arrangements, exact = _arrangements(blocks, len(y))
    drawn = fitted[:, None] + (y - fitted)[arrangements.T]
    observed = _f(x, q, y[:, None])[0]
    values = _f(x, q, drawn)
    as_large = int(np.sum(values >= observed * (1 - 1e-9)))
    return as_large / len(values) if exact else (as_large + 1) / (len(values) + 1)


def _f(x: NDArray[np.float64], q_reduced: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """F up to a constant, for every column of y."""
    q, _ = np.linalg.qr(x)
    small = (y**2).sum(axis=0) - ((q_reduced.T @ y) ** 2).sum(axis=0)
    full = (y**2).sum(axis=0) - ((q.T @ y) ** 2).sum(axis=0)
    return np.asarray((small - full) / np.maximum(full, 1e-300))


def _arrangements(blocks: Sequence[object], n: int) -> tuple[Indices, bool]:
    """(count, n) permutations within blocks, and whether they are all of them."""
    members = [np.array([i for i, b in enumerate(blocks) if b == block]) for block in dict.fromkeys(blocks)]
    if prod(factorial(len(rows)) for rows in members) <= _EXACT:
        rows = []
        for choice in product(*(permutations(m.tolist()) for m in members)):
            order = np.empty(n, dtype=np.intp)
            for source, target in zip(members, choice, strict=True):
                order[source] = target
            rows.append(order)
        return np.array(rows), True
    rng = generator(0, "randomisation", n)
    order = np.empty((_DRAWS, n), dtype=np.intp)
    for member in members:
        order[:, member] = member[np.argsort(rng.random((_DRAWS, len(member))), axis=1)]
    return order, False
