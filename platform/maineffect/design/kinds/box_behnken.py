"""Box–Behnken designs: three levels, all runs but the centre at one distance, none in a corner."""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import NDArray

from maineffect.design.kinds.second_order import (
    blocks_are_orthogonal,
    check_model,
    check_numeric,
    is_rotatable,
    levels_at,
    variance_at_centre,
)
from maineffect.design.model.treatments import Treatments
from maineffect.errors import DesignError
from maineffect.spec.requests import BoxBehnkenRequest
from maineffect.spec.study import StudySpec

__all__ = ["box_behnken"]

Coded = NDArray[np.float64]
_WHAT = "a Box–Behnken design"

# Factors → which of them run through their corners together, set by set; sets separated into blocks where Box and
# Behnken (1960), Technometrics 2:455–475, table 4, does so by sets. Factors are counted from 1.
_SETS: dict[int, tuple[tuple[tuple[int, ...], ...], ...]] = {
    3: (((1, 2), (1, 3), (2, 3)),),
    4: (((1, 2), (3, 4)), ((1, 4), (2, 3)), ((1, 3), (2, 4))),
    5: (((1, 2), (3, 4), (2, 5), (1, 3), (4, 5)), ((2, 3), (1, 4), (3, 5), (1, 5), (2, 4))),
    6: (((1, 2, 4), (2, 3, 5), (3, 4, 6), (1, 4, 5), (2, 5, 6), (1, 3, 6)),),
    7: (((4, 5, 6), (1, 6, 7), (2, 5, 7), (1, 2, 4), (3, 4, 7), (1, 3, 5), (2, 3, 6)),),
}
_BLOCKS = {3: 1, 4: 3, 5: 2, 6: 2, 7: 2}
_CENTRES = {3: 3, 4: 3, 5: 6, 6: 6, 7: 6}


def box_behnken(study: StudySpec) -> Treatments:
    """A Box–Behnken design for a second-order model of 3 to 7 factors.

    Sets of two or three factors run through all their corners while the others stay in the middle. Box and Behnken
    (1960), Technometrics 2:455–475. Four and five factors are cut into blocks by sets, six and seven by the sign of
    the product of a set's three factors, half of its corners to each block.

    Raises:
        DesignError: Not 3 to 7 factors of three even levels, or no such blocks.
    """
    request = study.design
    assert isinstance(request, BoxBehnkenRequest)
    factors = tuple(study.factors.values())
    check_numeric(factors, _WHAT)
    check_model(study, _WHAT)
    k = len(factors)
    if k not in _SETS:
        raise DesignError(
            f"{_WHAT} takes 3 to 7 factors, not {k}",
            "use kind: central_composite with alpha: face_centred, or kind: optimal",
        )
    if request.blocks not in (1, _BLOCKS[k]):
        raise DesignError(
            f"{_WHAT} of {k} factors has no {request.blocks} orthogonal blocks",
            "use blocks: 1" + (f" or {_BLOCKS[k]}" if _BLOCKS[k] > 1 else ", or kind: central_composite"),
        )
    centres = _CENTRES[k] if request.centre_points is None else request.centre_points
    if centres % request.blocks:
        raise DesignError(
            f"{centres} centre runs cannot be shared by {request.blocks} blocks",
            f"use centre_points: {-(-centres // request.blocks) * request.blocks}",
        )
    coded, blocks = _runs(k, request.blocks, centres)
    rows = levels_at(factors, coded, 1.0)
    notes = [f"{len(coded) - centres} runs in the middle of edges or faces, {centres} centre runs, none in a corner"]
    if is_rotatable(coded):
        notes.append("rotatable: the variance of a prediction depends on the distance from the centre alone")
    if blocks is not None:
        assert blocks_are_orthogonal(coded, blocks)
        notes.append("blocks are orthogonal: they leave every coefficient of the second-order model alone")
    notes.append(f"variance of a prediction at the centre: {variance_at_centre(coded):.4g} of a run's")
    return Treatments(rows, blocks=blocks, notes=tuple(notes))


def _runs(k: int, blocks: int, centres: int) -> tuple[Coded, tuple[int, ...] | None]:
    """(n, k) coded runs, block by block with their centre runs, and the blocks."""
    parts: list[list[list[float]]] = [[] for _ in range(blocks)]
    by_sets = len(_SETS[k]) == blocks > 1
    for part, sets in enumerate(_SETS[k]):
        for chosen in sets:
            for signs in product((-1.0, 1.0), repeat=len(chosen)):
                run = [0.0] * k
                for factor, sign in zip(chosen, signs, strict=True):
                    run[factor - 1] = sign
                half = int(np.prod(signs) > 0)
                parts[part if by_sets else half if blocks > 1 else 0].append(run)
    for part_runs in parts:
        part_runs += [[0.0] * k for _ in range(centres // blocks)]
    labels = tuple(i + 1 for i, part_runs in enumerate(parts) for _ in part_runs)
    return np.array([run for part_runs in parts for run in part_runs]), labels if blocks > 1 else None
