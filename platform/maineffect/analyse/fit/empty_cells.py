"""Which combinations of levels have no run: the reason why an effect or a mean cannot be estimated, by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from math import prod

from maineffect.contracts import Level
from maineffect.spec.crosscheck import same_level
from maineffect.spec.factors import Factor, level_key

__all__ = ["Cells", "empty_cells", "named", "needs"]

Cells = tuple[Mapping[str, Level], ...]
_MOST, _SHOWN = 20_000, 4


def empty_cells(factors: Sequence[Factor], rows: Mapping[str, Sequence[Level]], names: Sequence[str]) -> Cells:
    """Combinations of some factors' levels that no run has.

    Args:
        factors: In the study's order.
        rows: Factor → level of every run.
        names: Whose levels are combined.

    Returns:
        In standard order; empty where there are too many combinations to name one.
    """
    chosen = [factor for factor in factors if factor.name in names]
    if prod(len(factor.levels) for factor in chosen) > _MOST:
        return ()
    have = set(zip(*([level_key(level) for level in rows[factor.name]] for factor in chosen), strict=True))
    every = product(*(factor.levels for factor in chosen))
    return tuple(
        {factor.name: level for factor, level in zip(chosen, levels, strict=True)}
        for levels in every
        if tuple(map(level_key, levels)) not in have
    )


def named(cells: Sequence[Mapping[str, Level]]) -> str:
    """``A = a2, B = b1; A = a3, B = b1 and 2 more``."""
    shown = "; ".join(", ".join(f"{name} = {level}" for name, level in cell.items()) for cell in cells[:_SHOWN])
    return shown + (f" and {len(cells) - _SHOWN} more" if len(cells) > _SHOWN else "")


def needs(empty: Mapping[str, Cells], names: Sequence[str], levels: Mapping[str, Level] | None = None) -> str:
    """Why an effect or a mean of some factors is not defined.

    Args:
        empty: Term → its cells without a run (:attr:`maineffect.analyse.fit.model.AnalysisModel.empty`).
        names: Factors of the effect or the mean.
        levels: Of the mean: only cells that agree with them matter.
    """
    found: dict[str, Mapping[str, Level]] = {}
    for cells in empty.values():
        for cell in cells:
            agrees = all(same_level(cell[name], level) for name, level in (levels or {}).items() if name in cell)
            if agrees and any(name in cell for name in names):
                found.setdefault(repr(cell), cell)
    reason = "needs cells that have no runs"
    return f"{reason}: {named([*found.values()])}" if found else reason
