"""Contagious bovine pleuropneumonia (Lesnoff et al. (2004)), the binomial example of lme4.

Data: lme4, data/cbpp.rda. Expected: lme4, tests/testthat/test-glmer.R (fixed effects, variance, −2 log-likelihood) and
tests/glmer-1.R (glmmML), commit 32b5bfd; standard errors from the printed summary of the same fit.
Herds are the items here, periods the rows; herd 8 was seen in one period only, and there is no variance between rows.
"""

from __future__ import annotations

import numpy as np
import pytest

from maineffect.analyse.fit.crossed import fit_crossed

NONE = np.nan
# Herds 1 to 15; one row per period.
CASES = np.array(
    [
        [2, 3, 8, 2, 5, 3, 8, 12, 2, 1, 0, 2, 1, 11, 1],
        [3, 1, 2, 0, 0, 0, 1, NONE, 0, 1, 5, 1, 2, 0, 1],
        [4, 1, 0, 2, 0, 0, 3, NONE, 0, 0, 3, 0, 0, 0, 1],
        [0, NONE, 2, 0, 1, 1, 0, NONE, 0, 2, 1, 0, 0, 0, 0],
    ]
)
SIZES = np.array(
    [
        [14, 22, 22, 10, 18, 17, 16, 34, 9, 22, 25, 10, 21, 19, 19],
        [12, 18, 16, 10, 25, 17, 10, NONE, 6, 22, 27, 8, 24, 2, 15],
        [9, 21, 16, 9, 24, 18, 9, NONE, 8, 18, 22, 6, 19, 3, 15],
        [5, NONE, 20, 6, 4, 20, 5, NONE, 6, 22, 22, 5, 23, 2, 15],
    ]
)


def test_laplace_fit_equals_lme4() -> None:
    x = np.eye(4)
    x[:, 0] = 1.0
    fit = fit_crossed(CASES, x, {}, trials_RI=SIZES, reml=False)
    assert fit.beta == pytest.approx(
        [-1.39854982537216, -0.992335519118859, -1.12867532780426, -1.58030423764517], abs=5e-4
    )
    # glmmML, which integrates the same way and maximises more finely.
    assert fit.beta == pytest.approx(
        [-1.39853234657711, -0.992336901732793, -1.12867036466201, -1.58030977686564], abs=2e-5
    )
    assert fit.sd["item"] == pytest.approx(0.642226809144453, rel=6e-4)
    assert fit.sd["item"] ** 2 == pytest.approx(0.41245527438386, rel=6e-4)
    assert -2 * fit.loglik == pytest.approx(184.05267459802, rel=1e-5)
    # lme4 prints standard errors from the Hessian in all parameters; these are at the estimated variance.
    assert np.sqrt(np.diag(fit.covariance)) == pytest.approx([0.2312, 0.3032, 0.3228, 0.4220], rel=0.02)
    assert fit.on_boundary == ()


def test_restricted_fit_finds_more_variance() -> None:
    """With four fixed effects and 15 herds the maximum likelihood estimate is too small."""
    x = np.eye(4)
    restricted = fit_crossed(CASES, x, {}, trials_RI=SIZES)
    assert restricted.reml
    assert 0.6423 < restricted.sd["item"] < 0.75
    plain = fit_crossed(CASES, x, {}, trials_RI=SIZES, reml=False)
    # Another coding of the same periods: the same model.
    assert plain.beta[1] == pytest.approx(-1.39853 - 0.99234, abs=2e-4)
