"""Central composite designs: corners of a cube (or a fraction of them), axial runs, and centre runs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from maineffect.design.algebra.regular import RegularFraction, minimum_aberration, smallest_with_resolution
from maineffect.design.kinds.additions import block_labels, given_up_to_blocks
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
from maineffect.spec.requests import CentralCompositeRequest
from maineffect.spec.study import StudySpec

__all__ = ["central_composite"]

Coded = NDArray[np.float64]
_WHAT = "a central composite design"
_MOST_FACTORS = 10
_CENTRES, _FACE_CENTRES = 5, 2

# Factors, factorial runs, blocks of them → centre runs in each of these blocks, and in the axial block: the blocked
# designs of Box and Hunter (1957), Ann. Math. Statist. 28:195, whose α for orthogonal blocks is near the rotatable one.
_PUBLISHED = {
    (2, 4, 1): (3, 3),
    (3, 8, 2): (2, 2),
    (4, 16, 2): (2, 2),
    (5, 32, 4): (2, 4),
    (5, 16, 1): (6, 1),
    (6, 64, 8): (1, 6),
    (6, 32, 2): (4, 2),
    (7, 128, 16): (1, 11),
    (7, 64, 8): (1, 4),
}


@dataclass(frozen=True)
class _Parts:
    """Coded corners, their blocks, and centre runs: in each factorial block (or in all), and with the axial runs."""

    corners: Coded
    blocks: tuple[int, ...] | None
    centres: int
    axial_centres: int


def central_composite(study: StudySpec) -> Treatments:
    """A central composite design for a second-order model.

    Box and Wilson (1951), J. R. Statist. Soc. B 13:1–45; α and blocks as in Box and Hunter (1957), Ann. Math. Statist.
    28:195–241: rotatable is F^(1/4) for F corners, spherical √k, face-centred 1; orthogonal blocks need
    α² = F·(2k + s)/(2·(F + c)) with c centre runs among the corners' blocks and s among the axial runs.

    Raises:
        DesignError: A factor has no levels at the runs, or there are no such corners or blocks.
    """
    request = study.design
    assert isinstance(request, CentralCompositeRequest)
    factors = tuple(study.factors.values())
    check_numeric(factors, _WHAT)
    check_model(study, _WHAT)
    k = len(factors)
    if not 2 <= k <= _MOST_FACTORS:
        raise DesignError(f"{_WHAT} takes 2 to {_MOST_FACTORS} factors, not {k}", "use kind: optimal")
    fraction = _corners(request, k)
    parts = _parts(request, fraction, tuple(study.factors))
    alpha = _alpha(request, parts)
    star = alpha * np.vstack([sign * np.eye(k)[i] for i in range(k) for sign in (-1, 1)])
    coded, blocks = _assembled(parts, star)
    rows = levels_at(factors, coded, alpha)
    if blocks is not None and not blocks_are_orthogonal(coded, blocks):
        raise DesignError(
            f"with axial runs at {alpha:.5g} these blocks would be mixed up with the quadratics",
            f"set alpha: orthogonal_blocks, which puts them at {_orthogonal(parts):.5g}",
        )
    names = tuple(study.factors)
    notes = [f"{len(fraction.signs())} corners, {2 * k} axial runs at {alpha:.5g}, {_count(parts)} centre runs"]
    if is_rotatable(coded):
        notes.append("rotatable: the variance of a prediction depends on the distance from the centre alone")
    if blocks is not None:
        notes.append("blocks are orthogonal: they leave every coefficient of the second-order model alone")
    notes.append(f"variance of a prediction at the centre: {variance_at_centre(coded):.4g} of a run's")
    return Treatments(rows, blocks=blocks, generators=fraction.generators(names) or None, notes=tuple(notes))


def _corners(request: CentralCompositeRequest, k: int) -> RegularFraction:
    smallest = smallest_with_resolution(k, 5) if k > 4 else minimum_aberration(k, k)
    asked = request.factorial_runs
    if asked is None:
        return smallest
    q = asked.bit_length() - 1
    if asked != 1 << q or not smallest.q <= q <= k:
        raise DesignError(
            f"{asked} corners do not tell the two-factor interactions of {k} factors apart",
            f"use factorial_runs: {' or '.join(str(1 << i) for i in range(smallest.q, k + 1))}",
        )
    return minimum_aberration(k, q)


def _parts(request: CentralCompositeRequest, fraction: RegularFraction, names: tuple[str, ...]) -> _Parts:
    """Corners in their blocks, and how many centre runs there are."""
    corners = fraction.signs().astype(float)
    if request.blocks == 1:
        if request.axial_centre_points is not None:
            raise DesignError(
                "axial_centre_points is about blocks, and there is one", "set centre_points, or blocks: 2"
            )
        face = request.alpha in ("face_centred", 1.0)
        centres = request.centre_points
        return _Parts(corners, None, (_FACE_CENTRES if face else _CENTRES) if centres is None else centres, 0)
    cube = request.blocks - 1
    feasible = [n + 1 for n in _feasible(fraction, names)]
    if request.blocks not in feasible:
        raise DesignError(
            f"{len(corners)} corners and the axial runs cannot be cut into {request.blocks} blocks without losing an "
            "interaction",
            f"use blocks: {' or '.join(map(str, feasible))}",
        )
    published = _PUBLISHED.get((len(names), len(corners), cube), (2, 2))
    return _Parts(
        corners,
        block_labels(fraction, cube) or (1,) * len(corners),
        published[0] if request.centre_points is None else request.centre_points,
        published[1] if request.axial_centre_points is None else request.axial_centre_points,
    )


def _feasible(fraction: RegularFraction, names: tuple[str, ...]) -> list[int]:
    """Into how many blocks the corners can be cut without giving up a main effect or two-factor interaction."""
    found = [1]
    while 2 * found[-1] < 2**fraction.q:
        try:
            if given_up_to_blocks(fraction, 2 * found[-1], names):
                break
        except DesignError:
            break
        found.append(2 * found[-1])
    return found


def _alpha(request: CentralCompositeRequest, parts: _Parts) -> float:
    asked = request.alpha or ("rotatable" if parts.blocks is None else "orthogonal_blocks")
    runs, k = parts.corners.shape
    if asked == "orthogonal_blocks":
        if parts.blocks is None:
            raise DesignError("alpha: orthogonal_blocks is about blocks, and there is one", "set blocks: 2 or more")
        alpha = _orthogonal(parts)
        if alpha < 1:
            raise DesignError(
                f"orthogonal blocks would need axial runs at {alpha:.4g}, inside the corners",
                "use fewer centre_points, or more axial_centre_points",
            )
        return alpha
    if isinstance(asked, float):
        if asked < 1:
            raise DesignError(
                f"alpha: {asked:g} would put the axial runs inside the corners",
                "use a number of 1 or more, or alpha: rotatable, spherical, face_centred",
            )
        return asked
    distances: dict[str, float] = {"rotatable": runs**0.25, "spherical": k**0.5, "face_centred": 1.0}
    return distances[asked]


def _orthogonal(parts: _Parts) -> float:
    runs, k = parts.corners.shape
    centres = parts.centres * len(set(parts.blocks or (1,)))
    return float(np.sqrt(runs * (2 * k + parts.axial_centres) / (2 * (runs + centres))))


def _count(parts: _Parts) -> int:
    return parts.centres * len(set(parts.blocks or (1,))) + parts.axial_centres


def _assembled(parts: _Parts, star: Coded) -> tuple[Coded, tuple[int, ...] | None]:
    """All coded runs and their blocks: factorial blocks with their centre runs, then the axial runs with theirs."""
    k = star.shape[1]
    middle = np.zeros((parts.centres, k))
    if parts.blocks is None:
        return np.vstack([parts.corners, star, middle]), None
    label = np.array(parts.blocks)
    pieces: list[Coded] = []
    blocks: list[int] = []
    for block in sorted(set(parts.blocks)):
        piece = np.vstack([parts.corners[label == block], middle])
        pieces.append(piece)
        blocks += [block] * len(piece)
    pieces.append(np.vstack([star, np.zeros((parts.axial_centres, k))]))
    blocks += [max(parts.blocks) + 1] * len(pieces[-1])
    return np.vstack(pieces), tuple(blocks)
