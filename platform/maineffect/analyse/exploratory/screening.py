"""Exploration of small designs: AICc with strong heredity, and the two-stage analysis of definitive screening designs.

What is found here is exploratory: its p-values are not valid after the search, and none are given. AICc: Hurvich and
Tsai (1989) Biometrika 76:297 (BIC overfits small fractions: it picks 12 terms from 16 runs). Two stages: Jones and
Nachtsheim (2017) Technometrics 59:319.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from maineffect.contracts import Level
from maineffect.design.model.terms import expand_terms, model_matrix
from maineffect.errors import AnalysisError
from maineffect.spec.factors import Factor

__all__ = ["Screened", "TwoStage", "aicc", "definitive_screening", "screen"]

Floats = NDArray[np.float64]


def aicc(sse: float, n: int, parameters: int) -> float:
    """n·ln(SSE/n) + 2k + 2k(k + 1)/(n − k − 1), k = parameters + 1 for the variance; infinite without spare runs."""
    k = parameters + 1
    if n - k - 1 <= 0:
        return float("inf")
    return float(n * np.log(max(sse, 1e-300) / n) + 2 * k + 2 * k * (k + 1) / (n - k - 1))


@dataclass(frozen=True)
class Screened:
    """The model that AICc prefers.

    Attributes:
        terms: Canonical.
        aicc: Of that model.
        path: Terms and AICc after each step of the search.
        exploratory: Always true: the data chose the model.
    """

    terms: tuple[str, ...]
    aicc: float
    path: tuple[tuple[tuple[str, ...], float], ...]
    exploratory: bool = True


def _parents(term: str) -> set[str]:
    return {part.removesuffix("^2") for part in term.split(":")} if (":" in term or "^" in term) else set()


class _Search:
    def __init__(
        self, factors: Sequence[Factor], rows: Mapping[str, Sequence[Level]], y: Floats, blocks: Sequence[object] | None
    ) -> None:
        self.factors, self.rows, self.y, self.blocks = tuple(factors), rows, y - y.mean(), blocks
        self.known: dict[tuple[str, ...], float] = {}

    def score(self, terms: tuple[str, ...]) -> float:
        """AICc of a model; infinite where it is not of full rank."""
        if terms not in self.known:
            x = model_matrix(self.factors, self.rows, terms, blocks=self.blocks).matrix
            norms = np.linalg.norm(x, axis=0)
            rank_ok = bool(np.all(norms > 0)) and np.linalg.matrix_rank(x / norms, tol=1e-8) == x.shape[1]
            if not rank_ok:
                self.known[terms] = float("inf")
            else:
                beta, *_ = np.linalg.lstsq(x, self.y, rcond=None)
                self.known[terms] = aicc(float(np.sum((self.y - x @ beta) ** 2)), len(self.y), x.shape[1])
        return self.known[terms]

    def canonical(self, terms: set[str]) -> tuple[str, ...]:
        return expand_terms(self.factors, tuple(terms)) if terms else ()


def screen(
    factors: Sequence[Factor],
    rows: Mapping[str, Sequence[Level]],
    y: Floats,
    *,
    blocks: Sequence[object] | None = None,
    quadratic: bool = False,
) -> Screened:
    """Search models of main effects and two-factor interactions by AICc under strong heredity.

    A step adds a term together with the main effects that it needs, or drops one that no other term needs; the search
    ends when no step lowers AICc.

    Args:
        factors: In the study's order.
        rows: Factor → n levels.
        y: (n,).
        blocks: n labels, always in the model.
        quadratic: Whether to offer quadratics of numeric factors with three levels or more.

    Raises:
        AnalysisError: Fewer than five runs, or a constant response.
    """
    values = np.asarray(y, dtype=float)
    if len(values) < 5 or np.ptp(values) == 0:
        raise AnalysisError("screening needs five runs and a response that varies", "add runs")
    # With quadratics of their own, factors are linear in all other terms: two levels have no other contrast.
    linear = {f.name for f in factors if quadratic and f.is_numeric and len(f.levels) > 2}
    ends = [f.model_copy(update={"levels": (f.levels[0], f.levels[-1])}) if f.name in linear else f for f in factors]
    search = _Search(ends, rows, values, blocks)
    offered = list(expand_terms(factors, "two_way"))
    offered += [f"{f.name}^2" for f in factors if f.name in linear]
    current: set[str] = set()
    path = [((), search.score(()))]
    while True:
        steps = [current | {term} | _parents(term) for term in offered if term not in current]
        steps += [current - {term} for term in current if not any(term in _parents(other) for other in current)]
        best = min((search.canonical(step) for step in steps), key=search.score)
        if search.score(best) >= path[-1][1] - 1e-9:
            break
        current = set(best)
        path.append((best, search.score(best)))  # type: ignore[arg-type]
    return Screened(search.canonical(current), path[-1][1], tuple(path))


@dataclass(frozen=True)
class TwoStage:
    """Two-stage analysis of a definitive screening design.

    Attributes:
        main: Active main effects.
        second: Active second-order terms among them.
        sigma: Error standard deviation, from fake factors and repeated centre runs.
        df: Its degrees of freedom.
        p_values: Main effect → p-value of stage 1.
        exploratory: Always true for the second stage.
    """

    main: tuple[str, ...]
    second: tuple[str, ...]
    sigma: float
    df: int
    p_values: Mapping[str, float]
    exploratory: bool = True


def _pairs(x: Floats) -> tuple[list[tuple[int, int]], list[int]]:
    """Mirror-image pairs of runs, and centre runs."""
    left = [i for i in range(len(x)) if np.any(np.abs(x[i]) > 1e-9)]
    centre = [i for i in range(len(x)) if i not in left]
    pairs = []
    while left:
        i = left.pop(0)
        mirror = next((j for j in left if np.allclose(x[j], -x[i])), None)
        if mirror is None:
            raise AnalysisError(
                "the runs are no mirror images of each other: no definitive screening design, or a run was lost",
                "analyse it with `screen`, or repeat the lost run",
            )
        left.remove(mirror)
        pairs.append((i, mirror))
    return pairs, centre


def definitive_screening(
    names: Sequence[str], x: Floats, y: Floats, *, alpha: float = 0.05, alpha_second: float = 0.2
) -> TwoStage:
    """Main effects from the odd part of the response, second-order terms from its even part.

    Args:
        names: k factors.
        x: (n, k) coded −1, 0, +1: mirror-image pairs and centre runs.
        y: (n,).
        alpha: Level of the main effects' t tests.
        alpha_second: The second stage adds terms until what is left is no larger than the error at this level.

    Raises:
        AnalysisError: No mirror images, or nothing to estimate the error from.
    """
    pairs, centre = _pairs(x)
    half = np.array([x[i] for i, _ in pairs])
    odd = np.array([(y[i] - y[j]) / 2 for i, j in pairs])
    even = np.array([(y[i] + y[j]) / 2 for i, j in pairs])
    beta, *_ = np.linalg.lstsq(half, odd, rcond=None)
    # A half-difference has variance σ²/2; repeated centre runs have σ².
    ss, df = 2 * float(np.sum((odd - half @ beta) ** 2)), len(odd) - half.shape[1]
    if len(centre) > 1:
        ss, df = ss + float(np.sum((y[centre] - y[centre].mean()) ** 2)), df + len(centre) - 1
    if df < 1:
        raise AnalysisError(
            "no fake factor and no repeated centre run: the error cannot be estimated", "add two fake factors"
        )
    sigma2 = ss / df
    se = np.sqrt(sigma2 / 2 * np.diag(np.linalg.inv(half.T @ half)))
    p = 2 * stats.t.sf(np.abs(beta) / se, df) if sigma2 > 0 else np.where(np.abs(beta) > 0, 0.0, 1.0)
    p_values = {name: float(value) for name, value in zip(names, p, strict=True)}
    active = [i for i, value in enumerate(p) if value <= alpha]
    second = _second_stage(half, even, y[centre], active, sigma2, df, alpha_second)
    labels = tuple(names[a] + "^2" if a == b else f"{names[a]}:{names[b]}" for a, b in second)
    return TwoStage(tuple(names[i] for i in active), labels, float(np.sqrt(sigma2)), df, p_values)


def _second_stage(
    half: Floats, even: Floats, centre: Floats, active: list[int], sigma2: float, df: int, alpha: float
) -> list[tuple[int, int]]:
    """Forward selection among squares and products of active factors (strong heredity)."""
    candidates = [(i, i) for i in active] + list(combinations(active, 2))
    weight = np.concatenate([np.full(len(even), np.sqrt(2.0)), np.ones(len(centre))])
    z = np.concatenate([even, centre])
    columns = {
        pair: np.concatenate([half[:, pair[0]] * half[:, pair[1]], np.zeros(len(centre))]) for pair in candidates
    }
    chosen: list[tuple[int, int]] = []

    def left(pairs: list[tuple[int, int]]) -> tuple[float, int]:
        design = np.column_stack([np.ones(len(z)), *(columns[pair] for pair in pairs)]) * weight[:, None]
        fitted, _, rank, _ = np.linalg.lstsq(design, z * weight, rcond=None)
        return float(np.sum((z * weight - design @ fitted) ** 2)), len(z) - int(rank)

    while candidates:
        ss, spare = left(chosen)
        if spare < 1 or (sigma2 > 0 and stats.f.sf(ss / spare / sigma2, spare, df) > alpha):
            break
        best = min(candidates, key=lambda pair: left([*chosen, pair])[0])
        if left([*chosen, best])[1] < 1:
            break
        chosen.append(best)
        candidates.remove(best)
    return sorted(chosen)
