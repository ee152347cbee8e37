"""Levels that no permitted cell has: what ``design.forbid`` leaves of each factor."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from math import prod

from maineffect.contracts import Level
from maineffect.spec.factors import Factor
from maineffect.spec.problems import Finding

__all__ = ["left_by_forbid"]

_MOST = 200_000


def left_by_forbid(forbid: Sequence[Mapping[str, Level]], factors: Mapping[str, Factor | None]) -> Iterator[Finding]:
    """Factors of which the forbidden combinations leave one level or none, and levels that can never occur.

    Only the factors that are forbidden something are combined: the others are free. Nothing is said where one of them
    is not valid, or where they have more combinations than a design could.
    """
    named = [name for name in factors if any(name in entry for entry in forbid)]
    chosen = [factor for name in named if (factor := factors[name]) is not None]
    if len(chosen) < len(named) or not named or prod(len(factor.levels) for factor in chosen) > _MOST:
        return
    entries = [{name: _key(level) for name, level in entry.items() if name in named} for entry in forbid if entry]
    left: dict[str, dict[tuple[bool, Level], Level]] = {name: {} for name in named}
    for levels in product(*(factor.levels for factor in chosen)):
        cell = dict(zip(named, levels, strict=True))
        if not any(all(_key(cell[name]) == key for name, key in entry.items()) for entry in entries):
            for name, level in cell.items():
                left[name].setdefault(_key(level), level)
    for factor in chosen:
        kept = left[factor.name]
        if len(kept) == len(factor.levels):
            continue
        gone = ", ".join(repr(level) for level in factor.levels if _key(level) not in kept)
        if not kept:
            yield Finding(("design", "forbid"), "the forbidden combinations leave no cell", "remove one of them")
            return
        if len(kept) == 1:
            only = next(iter(kept.values()))
            message = f"the forbidden combinations leave {factor.name!r} one level, {only!r}: it has no effect to see"
            yield Finding(("design", "forbid"), message, f"drop the factor, or permit {gone}")
        else:
            message = f"the forbidden combinations leave no cell with {factor.name} = {gone}"
            yield Finding(("design", "forbid"), message, "drop the level, or permit a cell that has it")


def _key(level: Level) -> tuple[bool, Level]:
    return (isinstance(level, bool), level)
