"""Analysis of variance: Type III and Type II sums of squares, η² and ω².

A term's sum of squares is the squared length of the response on what its columns add to the other terms (III: all
others, with sum-to-zero coding; II: those that do not contain it; Yates (1934), Searle (1987) Linear Models for
Unbalanced Data, ch. 9). With an empty cell a Type III row of a term inside the incomplete interaction depends on
arbitrary choices, so it is refused, not printed.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from maineffect.analyse.fit.least_squares import LeastSquares
from maineffect.analyse.fit.model import BLOCK, CURVATURE, AnalysisModel, covariate_span
from maineffect.analyse.inference.shares import Stratum, shares_in_one_stratum
from maineffect.analyse.record.result import AnovaRow, NotEstimable

__all__ = [
    "added_space",
    "anova_table",
    "contains",
    "row_name",
    "share_interval",
    "term_space",
    "tested_rows",
    "with_shares",
]

Floats = NDArray[np.float64]


def contains(outer: str, inner: str) -> bool:
    """Whether a term contains another (``A:B`` contains ``A``; ``A^2`` contains ``A``)."""
    if outer == inner:
        return False
    have = [part for word in outer.split(":") for part in _powers(word)]
    for part in (part for word in inner.split(":") for part in _powers(word)):
        if part not in have:
            return False
        have.remove(part)
    return True


def _powers(part: str) -> list[str]:
    return [part.removesuffix("^2")] * 2 if part.endswith("^2") else [part]


def added_space(columns: Floats, others: Floats) -> Floats:
    """Orthonormal (n, r) basis of what columns add to the span of others."""
    lengths = np.linalg.norm(others, axis=0)
    u, s, _ = np.linalg.svd(others / np.where(lengths > 0, lengths, 1.0), full_matrices=False)
    basis = u[:, s > 1e-9 * s[0]]
    scaled = columns / np.where((size := np.linalg.norm(columns, axis=0)) > 0, size, 1.0)
    rest = scaled - basis @ (basis.T @ scaled)
    rest = rest - basis @ (basis.T @ rest)
    v, t, _ = np.linalg.svd(rest, full_matrices=False)
    return np.asarray(v[:, t > 1e-8])


def term_space(model: AnalysisModel, term: str, kind: str) -> Floats:
    """Basis of a term's hypothesis: (n, df)."""
    if (term, kind) not in model.spaces:
        names = [
            other
            for other in model.spans
            if other != term and not (kind == "II" and _term_contains(model, other, term))
        ]
        term_columns = model.coordinates[:, model.spans[term]]
        others = np.hstack([model.coordinates[:, model.spans[name]] for name in names])
        model.spaces[term, kind] = model.basis @ added_space(term_columns, others)
    return model.spaces[term, kind]


def _term_contains(model: AnalysisModel, outer: str, inner: str) -> bool:
    return outer in model.terms and inner in model.terms and contains(outer, inner)


def anova_table(
    model: AnalysisModel, fit: LeastSquares, y: Floats, column: int, kind: str, alpha: float = 0.05
) -> tuple[list[AnovaRow], list[NotEstimable]]:
    """ANOVA of one response in one stratum.

    Args:
        model: What was fitted.
        fit: Its least-squares fit.
        y: (n,) response.
        column: The response's column in ``fit``.
        kind: ``II`` or ``III``.
        alpha: 1 − coverage of the shares' intervals.

    Returns:
        Rows in the model's order, blocks first, and the terms refused with the reason.
    """
    df_error = fit.df_error
    sse, total = float(fit.sse[column]), float(fit.total[column])
    mse = sse / df_error if df_error > 0 else float("nan")
    centred = y - y.mean()
    rows, refused = [], []
    for term in tested_rows(model):
        broken = [name for name in model.partial if contains(name, term)] if kind == "III" else []
        if broken:
            refused.append(
                NotEstimable(
                    term=term,
                    reason=f"its Type III sum of squares is not defined: {broken[0]} has empty cells "
                    "(use Type II, drop the interaction, or run the missing cells)",
                )
            )
            continue
        space = term_space(model, term, kind)
        df = space.shape[1]
        if df == 0:
            continue
        ss = float(np.sum((space.T @ centred) ** 2))
        rows.append(_row(term, df, ss, df_error, mse, total, alpha, runs=len(y), exact=sse == 0))
    return rows, refused


def with_shares(rows: Sequence[AnovaRow], fit: LeastSquares, column: int, alpha: float) -> list[AnovaRow]:
    """Rows with limits of ω², where there is an error.

    Args:
        rows: Of :func:`anova_table`.
        fit: The least-squares fit.
        column: The response's column in ``fit``.
        alpha: 1 − coverage.
    """
    if not any(row.omega_sq is not None for row in rows):
        return list(rows)
    mse = float(fit.sse[column]) / fit.df_error
    model = float(fit.total[column]) - mse * fit.df_error, fit.rank - 1.0
    squares = [(row.sum_sq, row.df) for row in rows]
    found = shares_in_one_stratum(squares, model, Stratum(mse, fit.df_error), len(fit.x), alpha)
    return [
        row.model_copy(update={"omega_low": low, "omega_high": high})
        for row, (low, high) in zip(rows, found, strict=True)
    ]


def tested_rows(model: AnalysisModel) -> Sequence[str]:
    """What the table has rows for: blocks, curvature, covariates, terms."""
    beside = [BLOCK, CURVATURE, *(covariate_span(name) for name in model.covariates)]
    return [name for name in beside if name in model.spans] + list(model.terms)


def row_name(term: str) -> str:
    """A row's name as it is read."""
    return term.removeprefix(":covariate:").removeprefix(":")


def share_interval(f: float, df: float, df_error: float, alpha: float, runs: int) -> tuple[float, float]:
    """Interval of a term's share of the variance that it and the error explain (partial η²), in one stratum.

    By inverting the noncentral F: λ/(λ + N), N the number of all runs (Steiger (2004) Psychol. Methods 9:164, eq. 15).
    """
    size = runs

    def bound(target: float) -> float:
        if special.fdtr(df, df_error, f) <= target:
            return 0.0
        return float(special.ncfdtrinc(df, df_error, target, f))

    low, high = bound(1 - alpha / 2), bound(alpha / 2)
    return low / (low + size), high / (high + size)


def _row(
    term: str, df: int, ss: float, df_error: float, mse: float, total: float, alpha: float, *, runs: int, exact: bool
) -> AnovaRow:
    has_error = df_error > 0 and not exact and mse > 0
    f = ss / df / mse if has_error else None
    low, high = (None, None) if f is None else share_interval(f, df, df_error, alpha, runs)
    return AnovaRow(
        term=row_name(term),
        df=df,
        df_error=df_error if df_error > 0 else None,
        sum_sq=ss,
        mean_sq=ss / df,
        F=f,
        p_value=None if f is None else float(stats.f.sf(f, df, df_error)),
        eta_sq=ss / total if total > 0 else None,
        omega_sq=(ss - df * mse) / (total + mse) if has_error and total > 0 else None,
        partial_eta_low=low,
        partial_eta_high=high,
    )
