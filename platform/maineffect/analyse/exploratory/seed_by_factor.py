"""Seed × factor: does an effect differ between blocks (replicates, each with its own seeds)?

The term × block interaction is tested against what is left beside all such interactions, and its variance estimated by
Henderson's method 3: E(MS) = σ² + k·σ²_effect (Searle, Casella and McCulloch (1992), ch. 5). With blocks taken as drawn
from many seeds the effect's own error is term × block, as in the mixed analysis of variance; leaving it out can halve
the standard error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from maineffect.analyse.fit.anova import added_space
from maineffect.analyse.fit.respond import Fitted
from maineffect.analyse.fit.surface import Contrast
from maineffect.analyse.inference.multiplicity import adjust
from maineffect.analyse.record.further_records import SeedVariance

__all__ = ["between_blocks"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class _Crossed:
    """Factor × block for one contrast.

    Attributes:
        contrast: Whose variance between blocks is asked for.
        space: (n, df) orthonormal: what a change of the contrast from block to block adds to everything else.
        error: (n, r) orthonormal: everything that is not error.
        k: Of E(MS) = σ² + k·σ²_effect.
        weights: (n,) estimate of the contrast beside everything that is fixed: w'y, of variance w'w·E(MS).
    """

    contrast: Contrast
    space: Floats
    error: Floats
    k: float
    weights: Floats


def between_blocks(fits: Mapping[str, Fitted], warnings: list[str]) -> list[SeedVariance]:
    """Variance of every main effect between blocks, flagged where it is on the boundary 0.

    Args:
        fits: Response → fit; without two blocks or for an exact fit nothing can be said. In a split plot effects within
            whole plots are judged beside the whole plots; those between them are refused, in a warning.
        warnings: Effects that differ between blocks (after Holm over the response's) are added here, and refusals.
    """
    crossed_by_model: dict[int, list[_Crossed]] = {}
    variances = []
    for fitted in fits.values():
        blocks = fitted.strata.blocks
        if blocks is None or len(set(blocks)) < 2 or not fitted.fit.sse[fitted.column] > 0:
            continue
        if id(fitted.model) not in crossed_by_model:
            crossed_by_model[id(fitted.model)] = _crossed(fitted, np.array(blocks))
        if fitted.strata.split:
            warnings += _refused(fitted, crossed_by_model[id(fitted.model)])
        judged = [_judge(fitted, main, len(set(blocks))) for main in crossed_by_model[id(fitted.model)]]
        variances += judged
        adjusted = adjust([main.p_value for main in judged], "holm")
        warnings += [
            f"{fitted.name}: the effect of {main.term} ({main.contrast}) differs between blocks (standard deviation "
            f"{main.sd:.3g}, p = {p:.3g} after Holm): for seeds not yet run take its interval over blocks"
            for main, p in zip(judged, adjusted, strict=True)
            if p is not None and p <= fitted.alpha
        ]
    return variances


def _crossed(fitted: Fitted, labels: NDArray[np.str_]) -> list[_Crossed]:
    """Error is what all factor × block terms leave; where they leave nothing, what the one term leaves."""
    x = fitted.model.matrix
    dummies = (labels[:, None] == np.unique(labels)[None, :]).astype(float)
    base = np.hstack([x, dummies])
    if fitted.strata.split and fitted.strata.whole_plots is not None:
        plots = np.array(fitted.strata.whole_plots)
        base = np.hstack([base, (plots[:, None] == np.unique(plots)[None, :]).astype(float)])
    inverse = np.linalg.pinv(base)
    mains = [c for term in fitted.model.terms if ":" not in term for c in fitted.surface.contrasts(term)]
    # A column per block along which the contrast changes by one, and nothing else of its term.
    columns = [dummies * (x @ (c.row / float(c.row @ c.row)))[:, None] for c in mains]
    everything = _spanned(np.hstack([base, *columns]))
    crowded = everything.shape[1] >= len(x)
    crossed = []
    for i, (contrast, block_columns) in enumerate(zip(mains, columns, strict=True)):
        beside = base if crowded else np.hstack([base, *columns[:i], *columns[i + 1 :]])
        space = added_space(block_columns, beside)
        error = _spanned(np.hstack([base, block_columns])) if crowded else everything
        if space.shape[1] and error.shape[1] < len(x):
            k = float(np.sum((space.T @ block_columns) ** 2)) / space.shape[1]
            crossed.append(_Crossed(contrast, space, error, k, contrast.row @ inverse[: x.shape[1]]))
    return crossed


def _refused(fitted: Fitted, judged: Sequence[_Crossed]) -> list[str]:
    """Main effects whose variance between blocks a split plot cannot tell from its whole plots."""
    judged_terms = {effect.contrast.term for effect in judged}
    gone = [term for term in fitted.model.terms if ":" not in term and term not in judged_terms]
    return [
        f"{fitted.name}: whether the effect of {', '.join(gone)} differs between blocks cannot be told from the "
        "differences between whole plots; more than one whole plot per setting and block would tell"
    ] if gone else []  # fmt: skip


def _spanned(columns: Floats) -> Floats:
    u, s, _ = np.linalg.svd(columns / np.linalg.norm(columns, axis=0).clip(1e-300), full_matrices=False)
    return np.asarray(u[:, s > 1e-9 * s[0]])


def _judge(fitted: Fitted, effect: _Crossed, blocks: int) -> SeedVariance:
    y = fitted.y - fitted.y.mean()
    df, df_error = effect.space.shape[1], len(y) - effect.error.shape[1]
    ms = float(np.sum((effect.space.T @ y) ** 2)) / df
    ms_error = float(np.sum((y - effect.error @ (effect.error.T @ y)) ** 2)) / df_error
    variance = (ms - ms_error) / effect.k
    f = ms / ms_error if ms_error > 0 else None
    # The effect's information is the design's, in a split plot that within whole plots; its error is term × block.
    estimate = float(effect.weights @ fitted.y)
    std_error = float(np.sqrt(effect.weights @ effect.weights * ms))
    half = float(stats.t.isf(fitted.alpha / 2, df)) * std_error
    return SeedVariance(
        response=fitted.name,
        term=effect.contrast.term,
        contrast=effect.contrast.label,
        sd=float(np.sqrt(max(variance, 0.0))),
        on_boundary=variance <= 0,
        blocks=blocks,
        F=f,
        df=df,
        df_error=df_error,
        p_value=None if f is None else float(stats.f.sf(f, df, df_error)),
        estimate=estimate,
        std_error=std_error,
        ci_low=estimate - half,
        ci_high=estimate + half,
    )
