"""Contours of a search's surface between its numbers, for the report."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from maineffect.analyse.follow_up.box import Box, Points
from maineffect.analyse.record.further_records import Contour

__all__ = ["contours_of"]

_GRID = 21
_MOST = 3


def contours_of(box: Box, height: Callable[[Points], NDArray[np.float64]], best: Points) -> list[Contour]:
    """Heights over two numbers at a time, everything else as at the best place.

    Args:
        box: Where was looked.
        height: Of a surface, at places.
        best: One place.
    """
    steps = np.linspace(-1, 1, _GRID)
    found = []
    for i, j in list(combinations(range(box.k), 2))[:_MOST]:
        x = np.tile(best.x[0], (_GRID * _GRID, 1))
        x[:, i], x[:, j] = np.repeat(steps, _GRID), np.tile(steps, _GRID)
        places = Points(x, np.tile(best.kinds, (_GRID * _GRID, 1)))
        settings = box.settings(places)
        across, up = box.numbers[i], box.numbers[j]
        held = {n: float(settings[0][n]) for n in box.numbers if n not in (across, up)}
        found.append(
            Contour(
                across=across,
                up=up,
                held=held,
                x=[float(settings[a * _GRID][across]) for a in range(_GRID)],
                y=[float(settings[b][up]) for b in range(_GRID)],
                height=[float(f"{v:.7g}") for v in height(places)],
            )
        )
    return found
