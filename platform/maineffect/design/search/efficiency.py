"""How much information a design holds, in percent of an orthogonal design of the same size."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from maineffect.contracts import Level
from maineffect.design.model.reduced import PlotSums, chunks, reduced_model
from maineffect.design.model.terms import ModelMatrix, model_matrix, term_factors
from maineffect.design.model.treatments import Treatments
from maineffect.design.search.bound import log_determinant_bound, split_plot_bound
from maineffect.design.search.candidates import candidates
from maineffect.spec.crosscheck import same_level
from maineffect.spec.factors import Factor
from maineffect.spec.study import StudySpec

__all__ = ["between_columns", "d_bound", "d_efficiency"]

Floats = NDArray[np.float64]

_QUICK = 20_000


def d_efficiency(
    factors: Sequence[Factor],
    rows: Mapping[str, Sequence[Level]],
    terms: Sequence[str],
    *,
    blocks: Sequence[object] | None = None,
    whole_plots: Sequence[object] | None = None,
    variance_ratio: float = 1.0,
) -> float:
    """100·|X'V⁻¹X|^(1/p)/n with orthonormal contrasts; 0 when singular.

    Atkinson, Donev and Tobias (2007), Optimum Experimental Designs, ch. 11; with whole plots V = I + ηZZ' (Goos 2002,
    The Optimal Design of Blocked and Split-Plot Experiments, ch. 6). With fixed blocks the model's columns are first
    adjusted for them, the intercept counting as n: blocks orthogonal to the model cost nothing.
    """
    blocked = blocks is not None and len(set(blocks)) > 1 and whole_plots is None
    model = reduced_model(factors, rows, tuple(terms), blocks=blocks if blocked else None, coding="orthonormal")
    n = len(next(iter(rows.values())))
    p = len(model.columns)
    if blocked:
        # Below the rows of R that intercept and blocks take stands what is left of the columns within blocks.
        first = model.spans["block"].stop
        inner = model.matrix[first:, first:]
        p -= first - 1
        sign, logdet = np.linalg.slogdet(inner.T @ inner)
        logdet += np.log(n)
    else:
        information = model.matrix.T @ model.matrix
        if whole_plots is not None:
            information -= _shrunken(
                chunks(factors, rows, tuple(terms), coding="orthonormal"), whole_plots, variance_ratio
            )
        sign, logdet = np.linalg.slogdet(information)
    return float(100 * np.exp(logdet / p) / n) if sign > 0 else 0.0


def _shrunken(parts: Iterator[ModelMatrix], whole_plots: Sequence[object], ratio: float) -> Floats:
    """X'(I − V⁻¹)X: η/(1 + mη) times the squared sums over whole plots of m runs."""
    plots = PlotSums.of(whole_plots, (part.matrix for part in parts))
    return np.asarray((plots.sums.T * (ratio / (1 + plots.sizes * ratio))) @ plots.sums)


def d_bound(study: StudySpec, treatments: Treatments, terms: Sequence[str]) -> float | None:
    """Certified upper bound of the D-efficiency in percent of any design with as many runs (and whole plots).

    Returns:
        None where the allowed cells are too many to list at once, or a run lies outside them.
    """
    if treatments.d_bound is not None:
        return treatments.d_bound
    factors = tuple(study.factors.values())
    if np.prod([len(factor.levels) for factor in factors], dtype=float) > _QUICK:
        return None
    if not _inside(factors, treatments):
        return None
    cells = candidates(factors, terms, forbid=getattr(study.design, "forbid", ()))
    region = cells.features[cells.allowed]
    n = len(treatments.rows)
    if treatments.whole_plots is None:
        log_bound = log_determinant_bound(region, n)
    else:
        sizes = list(Counter(treatments.whole_plots).values())
        between = between_columns(factors, terms, treatments.hard_to_change)
        log_bound = split_plot_bound(region, between, sizes, treatments.variance_ratio)
    return float(100 * np.exp(log_bound / region.shape[1]) / n)


def between_columns(factors: Sequence[Factor], terms: Sequence[str], hard: Sequence[str]) -> list[bool]:
    """Which columns of the model hold hard-to-change factors only; the intercept does."""
    model = model_matrix(factors, {f.name: [f.levels[0]] for f in factors}, tuple(terms))
    constant = [True] * len(model.columns)
    for term in model.terms:
        if not set(term_factors(term)) <= set(hard):
            span = model.spans[term]
            constant[span] = [False] * (span.stop - span.start)
    return constant


def _inside(factors: Sequence[Factor], treatments: Treatments) -> bool:
    """Whether every run is a cell; a value between two levels is an average of them and only loses information."""
    return all(
        len(factor.levels) == 2 or any(same_level(row[factor.name], level) for level in factor.levels)
        for factor in factors
        for row in treatments.rows
    )
