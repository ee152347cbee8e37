"""The registered family: p-values and levels under which all of its findings hold together.

``holm``      steps down over the claims; a claim leaves the family once nothing more can be found of it (Holm (1979)
              Scand. J. Statist. 6:65; with statements that exclude each other: Shaffer (1986) JASA 81:826). Without
              smallest effects of interest it is Holm's method.
``max_t``     in one step, by the largest |t| of the family; correlations that are not known count as zero, which errs
              on the safe side (Šidák (1967) JASA 62:626).
``bh``        a false discovery rate, each kind of test by itself: exploratory.
``none``      each claim alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from maineffect.analyse.confirmatory.findings import Evidence
from maineffect.analyse.inference.multiplicity import adjust, max_t_critical, max_t_p_values

__all__ = ["Family", "adjusted_evidence", "claim_levels", "family_of"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Family:
    """Claims that are judged together.

    Attributes:
        members: m entries; None where there is no test, which does not count.
        method: ``holm``, ``max_t``, ``bh`` or ``none``.
        df: Smallest degrees of freedom of any claim.
        correlation: (m, m) of the estimates.
    """

    members: tuple[Evidence | None, ...]
    method: str
    df: float
    correlation: Floats

    @property
    def tested(self) -> list[Evidence]:
        """The members with a test."""
        return [evidence for evidence in self.members if evidence is not None]

    @property
    def between(self) -> Floats:
        """Correlation of the members with a test."""
        tested = [i for i, evidence in enumerate(self.members) if evidence is not None]
        return self.correlation[np.ix_(tested, tested)]


def family_of(
    members: Sequence[Evidence | None], method: str, *, df: float = np.inf, correlation: Floats | None = None
) -> Family:
    """A family; without correlations they count as zero."""
    between = np.eye(len(members)) if correlation is None else correlation
    return Family(tuple(members), method, round(df, 6), between)


def adjusted_evidence(family: Family) -> list[Evidence | None]:
    """Evidence whose p-values are to be compared with the family's α.

    Raises:
        AnalysisError: Unknown method, or a p-value outside [0, 1].
    """
    adjusted = iter({"holm": _by_holm, "max_t": _by_max_t}.get(family.method, _each_kind)(family))
    return [None if evidence is None else next(adjusted) for evidence in family.members]


def claim_levels(family: Family, alpha: float) -> list[float | None]:
    """The two-sided level that each claim is held to, were it to be decided next."""
    tested = family.tested
    m = len(tested)
    if family.method == "holm":
        levels = [alpha / (m - int(np.sum(_leave(tested, i)[1:] <= alpha))) for i in range(m)]
    elif family.method == "max_t" and m > 1:
        critical = max_t_critical(family.between, family.df, alpha)
        levels = [float(min(alpha, 2 * stats.t.sf(critical, family.df)))] * m
    elif family.method == "bh":
        rejected = sum((p or 0.0) <= alpha for p in adjust([evidence.settled for evidence in tested], "bh"))
        levels = [alpha * max(1, min(m, rejected + 1)) / m] * m
    else:
        levels = [alpha] * m
    following = iter(levels)
    return [None if evidence is None else next(following) for evidence in family.members]


def _leave(tested: Sequence[Evidence], i: int) -> Floats:
    """(m,) family levels at which 0, 1, … m − 1 of the other claims have left: max over k ≤ s of p₍ₖ₎(m − k + 1)."""
    m = len(tested)
    others = np.sort([other.settled for j, other in enumerate(tested) if j != i])
    return np.concatenate([[0.0], np.maximum.accumulate(others * np.arange(m, 1, -1))])


def _by_holm(family: Family) -> list[Evidence]:
    m = len(family.tested)
    adjusted = []
    for i, evidence in enumerate(family.tested):
        left = _leave(family.tested, i)

        def hold(p: float, left: Floats = left) -> float:
            # Once s others have left, the claim is held to α/(m − s).
            return float(min(1.0, np.min(np.maximum(left, p * np.arange(m, 0, -1)))))

        adjusted.append(_with(evidence, hold))
    return adjusted


def _by_max_t(family: Family) -> list[Evidence]:
    def hold(p: float) -> float:
        if p >= 1 or len(family.tested) == 1:
            return p
        t = -special.stdtrit(family.df, p / 2) if np.isfinite(family.df) else -special.ndtri(p / 2)
        return float(max(p, max_t_p_values(family.between, [t], family.df)[0]))

    return [_with(evidence, hold) for evidence in family.tested]


def _each_kind(family: Family) -> list[Evidence]:
    tested = family.tested
    zero, beyond, equivalence = (
        adjust([getattr(evidence, kind) for evidence in tested], family.method)
        for kind in ("zero", "beyond", "equivalence")
    )
    return [
        Evidence(evidence.sign, against or 0.0, bar, inside)
        for evidence, against, bar, inside in zip(tested, zero, beyond, equivalence, strict=True)
    ]


def _with(evidence: Evidence, hold: Callable[[float], float]) -> Evidence:
    return replace(
        evidence,
        zero=hold(evidence.zero),
        beyond=None if evidence.beyond is None else hold(evidence.beyond),
        equivalence=None if evidence.equivalence is None else hold(evidence.equivalence),
    )
