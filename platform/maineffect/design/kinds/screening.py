"""Screening designs: Plackett–Burman and definitive screening."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from maineffect.contracts import Level
from maineffect.design.algebra.hadamard import (
    conference_matrix,
    hadamard_matrix,
    next_conference_order,
    next_hadamard_order,
)
from maineffect.design.model.treatments import Treatments
from maineffect.errors import DesignError
from maineffect.seeds import generator
from maineffect.spec.factors import Factor
from maineffect.spec.requests import DefinitiveScreeningRequest, PlackettBurmanRequest
from maineffect.spec.study import StudySpec

__all__ = ["definitive_screening", "plackett_burman"]

Ints = NDArray[np.int64]

_STARTS = 10


def plackett_burman(study: StudySpec) -> Treatments:
    """A Plackett–Burman design: n runs for up to n − 1 two-level factors.

    Raises:
        DesignError: A factor has more than two levels, or the runs do not suffice.
    """
    request = study.design
    assert isinstance(request, PlackettBurmanRequest)
    factors = tuple(study.factors.values())
    many = [factor.name for factor in factors if len(factor.levels) != 2]
    if many:
        raise DesignError(
            f"a Plackett–Burman design needs two levels of every factor; {', '.join(many)} has more",
            "use two levels, or kind: definitive_screening",
        )
    smallest = next_hadamard_order(max(4, len(factors) + 1))
    runs = request.runs or smallest
    if runs % 4 or runs < smallest:
        raise DesignError(
            f"{len(factors)} factors need a multiple of four runs, {smallest} at least, not {runs}",
            f"use runs: {next_hadamard_order(max(runs, smallest))}",
        )
    matrix = hadamard_matrix(runs)[:, 1 : len(factors) + 1]
    note = "main effects are partly aliased with two-factor interactions: see the alias matrix"
    if request.foldover:
        matrix = np.vstack([matrix, -matrix])
        note = (
            "folded over: main effects are clear of two-factor interactions, which are partly aliased with each other"
        )
    return Treatments(_two_level_rows(factors, matrix), notes=(note,), model=_main(study))


def _two_level_rows(factors: tuple[Factor, ...], matrix: NDArray[np.int64]) -> tuple[dict[str, Level], ...]:
    return tuple(
        {f.name: f.levels[(int(sign) + 1) // 2] for f, sign in zip(factors, row, strict=True)} for row in matrix
    )


def _main(study: StudySpec) -> tuple[str, ...] | None:
    return tuple(study.factors) if study.analysis.terms == "two_way" else None


def definitive_screening(study: StudySpec) -> Treatments:
    """A definitive screening design: 2m + 1 runs for m factors (m + 1 columns for odd m).

    Jones and Nachtsheim (2011), J. Qual. Technol. 43:1–15, from conference matrices (Xiao, Lin and Bai 2012). Two-level
    factors as in the DSD-augment designs of Jones and Nachtsheim (2013), J. Qual. Technol. 45:121–129: they get ±1
    where the matrix has zeros, in opposite directions in each foldover pair, and the centre runs come in pairs as well,
    so that the design stays its own mirror image; the signs are those of greatest determinant for the main effects.

    Raises:
        DesignError: A factor has levels that the design cannot use, or no design of this size can be built.
    """
    request = study.design
    assert isinstance(request, DefinitiveScreeningRequest)
    factors = tuple(study.factors.values())
    _check_levels(factors)
    count = len(factors) + request.extra_factors
    order = next_conference_order(count)
    if order > count + count % 2:
        raise DesignError(
            f"no definitive screening design of {count} factors can be built: there is no conference matrix of order "
            f"{count + count % 2}",
            f"use extra_factors: {order - len(factors)}",
        )
    matrix = conference_matrix(order)[:, : len(factors)]
    two_level = np.array([len(f.levels) == 2 for f in factors])
    centres = request.centre_points
    notes = ["main effects are clear of two-factor interactions and quadratics; interactions are partly aliased"]
    if two_level.any() and (centres < 2 or centres % 2):
        centres = max(2, centres + centres % 2)
        notes.append(f"{centres} centre runs, in pairs: two-level factors have no middle level")
    uneven = [f.name for f in factors if len(f.levels) == 3 and not _evenly_spaced(f)]
    if uneven:
        notes.append(f"the middle level of {', '.join(uneven)} is not half way, so main effects are not quite clear")
    half = _half(matrix, two_level, centres // 2)
    single = np.zeros((centres % 2, len(factors)), dtype=np.int64)
    rows = np.vstack([half, -half, single])
    return Treatments(
        tuple({f.name: _coded(f, int(code)) for f, code in zip(factors, row, strict=True)} for row in rows),
        notes=tuple(notes),
        model=_main(study),
    )


def _check_levels(factors: tuple[Factor, ...]) -> None:
    wrong = [f.name for f in factors if len(f.levels) not in (2, 3) or (len(f.levels) == 3 and not f.is_numeric)]
    if wrong:
        raise DesignError(
            f"definitive screening needs three numeric levels, or two levels; {', '.join(wrong)} has others",
            "give low, middle and high",
        )
    if all(len(f.levels) == 2 for f in factors):
        raise DesignError(
            "definitive screening needs factors of three levels; all of these have two",
            "use kind: plackett_burman with foldover: true, which clears main effects of interactions too",
        )


def _evenly_spaced(factor: Factor) -> bool:
    low, middle, high = (float(level) for level in factor.levels)
    return abs(middle - (low + high) / 2) <= 1e-9 * abs(high - low)


def _half(matrix: Ints, two_level: NDArray[np.bool_], pairs: int) -> Ints:
    """(rows + pairs, k) one run of every foldover pair; signs of two-level factors by coordinate exchange on |X'X|."""
    half = np.vstack([matrix, np.zeros((pairs, matrix.shape[1]), dtype=np.int64)])
    free = np.argwhere((half == 0) & two_level)
    if not len(free):
        return half
    rng = generator(0, "definitive screening", *matrix.shape, pairs)
    best, most = half, -np.inf
    for _ in range(_STARTS):
        trial = half.copy()
        trial[tuple(free.T)] = rng.choice([-1, 1], len(free))
        value, improved = _log_determinant(trial), True
        while improved:
            improved = False
            for i, j in free:
                trial[i, j] *= -1
                changed = _log_determinant(trial)
                if changed > value + 1e-9:
                    value, improved = changed, True
                else:
                    trial[i, j] *= -1
        if value > most + 1e-9:
            best, most = trial, value
    return best


def _log_determinant(half: Ints) -> float:
    return float(np.linalg.slogdet(half.T @ half)[1])


def _coded(factor: Factor, code: int) -> Level:
    if len(factor.levels) == 2:
        return factor.levels[(code + 1) // 2]
    return factor.levels[code + 1]
