"""Saturated two-level designs: the search reaches the maximal determinants.

Reference case ``max_det``: Hadamard's bound n^(n/2) for n = 0 mod 4; Barba for odd n; Ehlich and Wojtas for n = 2 mod 4;
Galil and Kiefer (1980); OEIS A003433.
"""

from __future__ import annotations

import numpy as np
import pytest

from maineffect.design.search.candidates import candidates
from maineffect.design.search.exchange import Layout, exchange
from maineffect.spec.factors import Factor

MAXIMAL = {5: 48, 6: 160, 7: 576, 8: 4096, 9: 14336, 10: 73728, 11: 327680, 12: 2985984, 13: 14929920, 14: 77635584}


@pytest.mark.parametrize(("n", "determinant"), MAXIMAL.items())
def test_maximal_determinants(n: int, determinant: int) -> None:
    factors = [Factor(name=f"x{i}", levels=(-1, 1)) for i in range(n - 1)]
    cells = candidates(factors, [factor.name for factor in factors])
    layout = Layout(n, np.arange(n))
    found = exchange(cells, layout, starts=400, rng=np.random.default_rng(n))
    for seed in range(1, 5):
        if np.exp(found.value / 2) > determinant - 0.5:
            break
        found = found.merged(exchange(cells, layout, starts=400, rng=np.random.default_rng(1000 * seed + n)))
    assert round(float(np.exp(found.value / 2))) == determinant
    x = cells.features[found.index]
    assert round(abs(float(np.linalg.det(x)))) == determinant
