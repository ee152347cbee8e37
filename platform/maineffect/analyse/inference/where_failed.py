"""Where do the failures lie? The level, or pair of levels, that holds more of them than chance puts there.

With N ended runs of which F failed, a place of n runs holds k failures or more with the probability of the
hypergeometric distribution (Fisher's exact test, one-sided: R. A. Fisher (1935) The Design of Experiments, sec. 11;
Agresti (2013) Categorical Data Analysis, 3rd ed., sec. 3.5.1), times the number of places looked at (Bonferroni).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb

from maineffect.contracts import Level

__all__ = ["FailurePlace", "where_failed"]

_ALPHA = 0.05
_FEWEST = 2


@dataclass(frozen=True)
class FailurePlace:
    """Where failures gather.

    Attributes:
        levels: Factor → level: one factor, or two.
        failures: Failed runs there.
        runs: Ended runs there.
        all_failures: Failed runs of the sweep.
        p_adjusted: How likely as many there are by chance, times the places looked at.
    """

    levels: Mapping[str, Level]
    failures: int
    runs: int
    all_failures: int
    p_adjusted: float

    @property
    def sentence(self) -> str:
        """``6 of 6 failures at lr = 0.8 and noise = 0.2: 6 of the 6 runs there failed (by chance alone p = 0.001)``."""
        where = " and ".join(f"{name} = {level}" for name, level in self.levels.items())
        return (
            f"{self.failures} of {self.all_failures} failures at {where}: {self.failures} of the {self.runs} runs "
            f"there failed (by chance alone p = {self.p_adjusted:.2g})"
        )


def where_failed(runs: Sequence[tuple[Mapping[str, Level], bool]]) -> FailurePlace | None:
    """The place that stands out most; None where chance alone would put as many failures somewhere.

    Args:
        runs: Levels of each run that has ended, and whether it failed.
    """
    total, failed = len(runs), sum(broke for _, broke in runs)
    if not _FEWEST <= failed < total:
        return None
    places: dict[tuple[tuple[str, tuple[bool, Level]], ...], list[int]] = {}
    for levels, broke in runs:
        pairs = tuple(sorted(levels.items(), key=lambda pair: pair[0]))
        every: list[tuple[tuple[str, Level], ...]] = [*((pair,) for pair in pairs), *combinations(pairs, 2)]
        for place in every:
            counts = places.setdefault(_typed(place), [0, 0])
            counts[0] += 1
            counts[1] += broke
    found = [
        (min(1.0, len(places) * _tail(total, failed, count, inside)), len(key), key)
        for key, (count, inside) in places.items()
        if inside >= _FEWEST
    ]
    if not found:
        return None
    p_adjusted, _, best = min(found, key=lambda one: one[:2])
    if p_adjusted > _ALPHA:
        return None
    count, inside = places[best]
    return FailurePlace({name: level for name, (_, level) in best}, inside, count, failed, p_adjusted)


def _typed(place: tuple[tuple[str, Level], ...]) -> tuple[tuple[str, tuple[bool, Level]], ...]:
    """A key that tells true from 1."""
    return tuple((name, (isinstance(level, bool), level)) for name, level in place)


def _tail(total: int, failed: int, count: int, inside: int) -> float:
    """P(at least ``inside`` of ``failed`` among ``count`` of ``total``)."""
    most = min(failed, count)
    ways = sum(comb(failed, k) * comb(total - failed, count - k) for k in range(inside, most + 1))
    return ways / comb(total, count)
