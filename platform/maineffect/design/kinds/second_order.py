"""What designs for a second-order model share: levels from coded runs, rotatability, blocks that leave the model alone.

Coded, the corners of a design lie at −1 and +1 and its axial runs at −α and +α. The conditions are those of Box and
Hunter (1957), Ann. Math. Statist. 28:195–241.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from maineffect.contracts import Level
from maineffect.errors import DesignError
from maineffect.spec.factors import Factor
from maineffect.spec.study import StudySpec

__all__ = ["blocks_are_orthogonal", "check_model", "check_numeric", "is_rotatable", "levels_at", "variance_at_centre"]

Floats = NDArray[np.float64]
Coded = NDArray[np.float64]

# How far a written level may lie from its place, in half ranges: settings are often whole or rounded numbers.
_NEAR = 0.01
_ROTATABLE = 0.005


def check_model(study: StudySpec, what: str) -> None:
    """Refuse a model that fits polynomials of higher degree than the design was made for.

    Args:
        study: Whose ``analysis.terms`` are looked at; a list is taken as it stands.
        what: Name of the design, for the message.

    Raises:
        DesignError: The model is ``main``, ``two_way`` or ``full``.
    """
    if isinstance(study.analysis.terms, str) and study.analysis.terms != "second_order":
        raise DesignError(
            f"{what} is made for a second-order model, and analysis.terms is {study.analysis.terms}",
            "set analysis.terms: second_order (main effects, two-factor interactions, quadratics)",
        )


def check_numeric(factors: Sequence[Factor], what: str) -> None:
    """Refuse factors without a distance between their levels.

    Raises:
        DesignError: A factor is categorical or ordinal.
    """
    words = [factor.name for factor in factors if not factor.is_numeric]
    if words:
        raise DesignError(
            f"{what} needs numeric factors; {', '.join(words)} is not",
            "use kind: optimal with analysis.terms: second_order, which takes both",
        )


def levels_at(factors: Sequence[Factor], coded: Coded, alpha: float) -> tuple[dict[str, Level], ...]:
    """The factors' own levels at coded runs.

    Args:
        factors: k, each with three levels if α is 1, else with five: −α, −1, 0, 1, α.
        coded: (n, k) of these codes.
        alpha: At least 1.

    Raises:
        DesignError: A factor has no level at one of the codes; the hint names levels that do.
    """
    codes = np.array([-1.0, 0.0, 1.0] if alpha == 1 else [-alpha, -1.0, 0.0, 1.0, alpha])
    wrong = [factor for factor in factors if not _fits(factor, codes)]
    if wrong:
        number = "three" if len(codes) == 3 else "five"
        raise DesignError(
            f"{', '.join(f.name for f in wrong)}: the runs of this design need {number} levels, at "
            f"{', '.join(f'{code:.5g}' for code in codes)} times the half distance of the corners from their middle",
            "; ".join(_way_out(factor, codes) for factor in wrong),
        )
    place = np.abs(coded[:, :, None] - codes).argmin(axis=2)
    return tuple(
        {factor.name: factor.levels[i] for factor, i in zip(factors, row, strict=True)} for row in place.tolist()
    )


def _fits(factor: Factor, codes: Floats) -> bool:
    if len(factor.levels) != len(codes):
        return False
    levels = np.array([float(level) for level in factor.levels])
    scaled = (2 * levels - levels[0] - levels[-1]) / (levels[-1] - levels[0])
    return bool(np.all(np.abs(scaled - codes / codes[-1]) <= _NEAR))


def _way_out(factor: Factor, codes: Floats) -> str:
    low, high = float(factor.levels[0]), float(factor.levels[-1])
    middle, half = (low + high) / 2, (high - low) / 2
    inside = f"write {factor.name}: levels: {_written(middle + half * codes / codes[-1])}"
    outside = middle + half * codes
    allowed = factor.range is None or (factor.range[0] <= outside[0] and outside[-1] <= factor.range[1])
    if len(codes) == 3 or not allowed:
        return inside
    return f"{inside} (axial runs at {low:g} and {high:g}), or {_written(outside)} (corners there)"


def _written(levels: Floats) -> str:
    return f"[{', '.join(f'{level:.6g}' for level in levels)}]"


def is_rotatable(coded: Coded) -> bool:
    """Whether the variance of a prediction depends on the distance from the centre alone.

    Box and Hunter (1957), sec. 5: all odd moments up to order four are zero, and [iiii] = 3·[iijj], the same for all
    factors.
    """
    squares = coded**2
    mixed = squares.T @ squares
    k = coded.shape[1]
    off = mixed[~np.eye(k, dtype=bool)]
    odd = [coded.sum(axis=0), (coded.T @ coded)[~np.eye(k, dtype=bool)], (squares.T @ coded).ravel()]
    triples = np.einsum("ni,nj,nl->ijl", coded, coded, coded)
    scale = float(off.mean())
    if any(np.any(np.abs(values) > 1e-9) for values in odd) or np.any(np.abs(triples) > 1e-9):
        return False
    near = np.abs(np.diag(mixed) - 3 * scale) <= _ROTATABLE * 3 * scale
    return bool(near.all() and np.all(np.abs(off - scale) <= _ROTATABLE * scale))


def blocks_are_orthogonal(coded: Coded, blocks: Sequence[int]) -> bool:
    """Whether block effects leave every coefficient of a second-order model alone.

    Box and Hunter (1957), sec. 8: within each block the sums of x_i and of x_i·x_j are zero, and the block's part of
    Σx_i² is its part of the runs.
    """
    label = np.asarray(blocks)
    whole = (coded**2).mean(axis=0)
    for block in np.unique(label):
        part = coded[label == block]
        products = part.T @ part
        off = products[~np.eye(coded.shape[1], dtype=bool)]
        if np.any(np.abs(part.sum(axis=0)) > 1e-9) or np.any(np.abs(off) > 1e-9):
            return False
        if np.any(np.abs(np.diag(products) / len(part) - whole) > 1e-6 * np.maximum(whole, 1e-12)):
            return False
    return True


def variance_at_centre(coded: Coded) -> float:
    """Variance of the second-order prediction at the centre, in units of σ² of a run.

    The centre's element of (X'X)⁻¹: Myers, Montgomery and Anderson-Cook, Response Surface Methodology, ch. 8.
    """
    k = coded.shape[1]
    upper = np.triu_indices(k)
    x = np.hstack([np.ones((len(coded), 1)), coded, (coded[:, :, None] * coded[:, None, :])[:, upper[0], upper[1]]])
    return float(np.linalg.pinv(x.T @ x)[0, 0])
