"""Screening designs: Plackett–Burman and definitive screening."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from maineffect.contracts import Level
from maineffect.design.hadamard import conference_matrix, hadamard_matrix
from maineffect.design.treatments import Treatments
from maineffect.errors import DesignError
from maineffect.spec.factors import Factor
from maineffect.spec.requests import DefinitiveScreeningRequest, PlackettBurmanRequest
from maineffect.spec.study import StudySpec

__all__ = ["definitive_screening", "plackett_burman"]


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
    smallest = 4 * (len(factors) // 4 + 1)
    runs = request.runs or smallest
    if runs % 4 or runs < smallest:
        raise DesignError(
            f"{len(factors)} factors need a multiple of four runs, {smallest} at least, not {runs}",
            f"use runs: {smallest}",
        )
    matrix = hadamard_matrix(runs)[:, 1 : len(factors) + 1]
    if request.foldover:
        matrix = np.vstack([matrix, -matrix])
    notes = ("main effects are partly aliased with two-factor interactions: see the alias matrix",)
    return Treatments(_two_level_rows(factors, matrix), notes=() if request.foldover else notes, model=_main(study))


def _two_level_rows(factors: tuple[Factor, ...], matrix: NDArray[np.int64]) -> tuple[dict[str, Level], ...]:
    return tuple(
        {f.name: f.levels[(int(sign) + 1) // 2] for f, sign in zip(factors, row, strict=True)} for row in matrix
    )


def _main(study: StudySpec) -> tuple[str, ...] | None:
    return tuple(study.factors) if study.analysis.terms == "two_way" else None


def definitive_screening(study: StudySpec) -> Treatments:
    """A definitive screening design: 2m + 1 runs for m factors (m + 1 columns for odd m).

    Jones and Nachtsheim (2011), J. Qual. Technol. 43:1–15, from conference matrices (Xiao, Lin and Bai 2012); two-level
    factors get ±1 where the matrix has zeros, in opposite directions in each foldover pair, and two centre runs
    (Jones and Nachtsheim 2013, J. Qual. Technol. 45:121–129, in their DSD-augment form).

    Raises:
        DesignError: A factor has levels that the design cannot use.
    """
    request = study.design
    assert isinstance(request, DefinitiveScreeningRequest)
    factors = tuple(study.factors.values())
    wrong = [f.name for f in factors if len(f.levels) not in (2, 3) or (len(f.levels) == 3 and not f.is_numeric)]
    if wrong:
        raise DesignError(
            f"definitive screening needs three numeric levels, or two levels; {', '.join(wrong)} has others",
            "give low, middle and high",
        )
    count = len(factors) + request.extra_factors
    order = count + count % 2
    matrix = conference_matrix(order)[:, : len(factors)]
    upper, lower = matrix.copy(), -matrix
    two_level = np.array([len(f.levels) == 2 for f in factors])
    upper[:, two_level] = np.where(matrix[:, two_level] == 0, 1, matrix[:, two_level])
    lower[:, two_level] = np.where(matrix[:, two_level] == 0, -1, -matrix[:, two_level])
    centres = np.zeros((max(request.centre_points, 2 if two_level.any() else 0), len(factors)), dtype=np.int64)
    for i in range(len(centres)):
        centres[i, two_level] = 1 if i % 2 == 0 else -1
    rows = np.vstack([upper, lower, centres])
    return Treatments(
        tuple({f.name: _coded(f, int(code)) for f, code in zip(factors, row, strict=True)} for row in rows),
        notes=("main effects are clear of two-factor interactions and quadratics; interactions are partly aliased",),
        model=_main(study),
    )


def _coded(factor: Factor, code: int) -> Level:
    if len(factor.levels) == 2:
        return factor.levels[(code + 1) // 2]
    return factor.levels[code + 1]
