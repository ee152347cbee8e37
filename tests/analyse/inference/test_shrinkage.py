"""Normal empirical Bayes over the effects of one response."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize, stats

from maineffect.analyse.inference.shrinkage import shrink


def test_with_equal_errors_it_has_the_closed_form() -> None:
    """τ² = max(0, mean(b²) − s²): Morris (1983), equation 1.16 with a mean of zero."""
    b = np.array([4.0, -1.0, 2.0, 0.5])
    found = shrink(b.tolist(), [1.0] * 4)
    spread = np.mean(b**2) - 1
    assert found.spread**2 == pytest.approx(spread)
    assert found.mean == pytest.approx(b * spread / (spread + 1))
    assert found.sd == pytest.approx(np.sqrt(spread / (spread + 1)))


def test_with_unequal_errors_it_maximises_the_marginal_likelihood() -> None:
    b, s = np.array([3.0, -0.2, 1.5, 0.1, -2.2]), np.array([0.5, 1.0, 0.7, 0.4, 1.5])
    best = optimize.minimize_scalar(
        lambda v: -float(np.sum(stats.norm.logpdf(b, 0, np.sqrt(v + s**2)))), bounds=(0, 20), method="bounded"
    )
    assert shrink(b.tolist(), s.tolist()).spread ** 2 == pytest.approx(best.x, rel=1e-3)


def test_effects_as_small_as_their_errors_are_believed_to_be_zero() -> None:
    found = shrink([0.3, -0.4, 0.2], [1.0, 1.0, 1.0])
    assert found.spread == 0
    assert not found.mean.any()
    assert not found.sd.any()
    assert shrink([], []).mean.size == 0


def test_a_picked_effect_is_believed_as_large_as_it_is() -> None:
    """Of the largest of 15 effects the raw estimate exceeds the truth; the shrunk one does not, on average."""
    rng = np.random.default_rng(5)
    raw, kept = [], []
    for _ in range(600):
        truth = rng.normal(0, 1.0, 15)
        b = truth + rng.normal(0, 1.0, 15)
        top = int(np.argmax(np.abs(b)))
        side = np.sign(b[top])
        raw.append(side * (b[top] - truth[top]))
        kept.append(side * (shrink(b.tolist(), [1.0] * 15).mean[top] - truth[top]))
    error = np.std(kept) / np.sqrt(len(kept))
    assert np.mean(raw) > 1.0
    # τ² is estimated from fifteen effects, which leaves a little: a tenth of what the raw one overstates.
    assert abs(np.mean(kept)) < 0.1 * np.mean(raw) + 3 * error
