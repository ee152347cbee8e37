"""Full factorials in standard (Yates) order: the first factor changes fastest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product

from maineffect.contracts import Level
from maineffect.errors import DesignError
from maineffect.spec.crosscheck import same_level
from maineffect.spec.factors import Factor

__all__ = ["MOST_CELLS", "full_factorial", "without_forbidden"]

MOST_CELLS = 200_000


def full_factorial(factors: Sequence[Factor]) -> list[dict[str, Level]]:
    """Every combination of levels.

    Raises:
        DesignError: More than :data:`MOST_CELLS` cells.
    """
    count = 1
    for factor in factors:
        count *= len(factor.levels)
    if count > MOST_CELLS:
        raise DesignError(
            f"the full factorial of {len(factors)} factors has {count:,} cells",
            "use a fraction (`kind: fractional`) or fewer factors",
        )
    names = [factor.name for factor in factors]
    rows = product(*(factor.levels for factor in reversed(factors)))
    return [dict(zip(names, reversed(row), strict=True)) for row in rows]


def without_forbidden(
    cells: Sequence[Mapping[str, Level]], forbid: Sequence[Mapping[str, Level]]
) -> list[Mapping[str, Level]]:
    """Cells that contain no forbidden combination.

    Raises:
        DesignError: Nothing is left.
    """
    kept = [
        cell
        for cell in cells
        if not any(all(same_level(cell[name], level) for name, level in entry.items()) for entry in forbid)
    ]
    if not kept:
        raise DesignError("the forbidden combinations leave no cell", "remove one of design.forbid")
    return kept
