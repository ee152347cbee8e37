"""Effects of the design on item scores of 0 and 1, runs and items crossed, where every run kept its item table.

The run stays the experimental unit: degrees of freedom are those of the runs' own strata, and items only sharpen the
measurement. Effects hold for these items; ``two_way_clustered`` answers where a mixed model would be too large.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from maineffect.analyse.fit.crossed import clustered_two_way, fit_crossed
from maineffect.analyse.fit.respond import Fitted
from maineffect.analyse.fit.responses import fit_responses
from maineffect.analyse.fit.surface import Contrast
from maineffect.analyse.record.further_records import ItemEffect, ItemModel
from maineffect.design.model.model import Design
from maineffect.errors import AnalysisError
from maineffect.spec.responses import Response
from maineffect.spec.study import StudySpec

__all__ = ["ITEM_KEYS", "item_models", "score_tables"]

Floats = NDArray[np.float64]
ITEM_KEYS = ("item", "item_id", "id")
"""Columns that may name an item, the first that is there."""
_PARTS = ("probe", "capability", "group")
"""Columns that split items into parts, the first that is there; only the main score is shown by part."""
_MAIN = ("score", "correct")
_MOST_SCORES = 120_000
"""About five seconds of a mixed model; beyond, both ways of clustering give the same answer in milliseconds."""
_MOST_RUNS = 400
_FEWEST_ITEMS = 5


def score_tables(items: Mapping[str, pd.DataFrame], warnings: list[str]) -> Iterator[tuple[str, pd.DataFrame]]:
    """(score, items × runs) for every numeric score, missing where a run did not meet an item."""
    if len(items) < 2:
        return
    first = next(iter(items.values()))
    key = next((name for name in ITEM_KEYS if name in first), None)
    if key is None:
        warnings.append("item tables have no item column: variances between and within runs are not told apart")
        return
    if any(key not in run_items or run_items[key].duplicated().any() for run_items in items.values()):
        warnings.append(f"item tables repeat or lack an {key}: variances between and within runs are not told apart")
        return
    for score in [str(name) for name in first if name != key and first[name].dtype.kind in "bif"]:
        wide = pd.DataFrame(
            {run: run_items.set_index(key)[score] for run, run_items in items.items() if score in run_items}
        )
        yield score, wide.astype(float)


def item_models(
    study: StudySpec,
    table: pd.DataFrame,
    items: Mapping[str, pd.DataFrame],
    *,
    design: Design | None,
    warnings: list[str],
) -> list[ItemModel]:
    """A model of every score of 0 and 1, over all items, and the main one over each part of the battery.

    Args:
        study: With its factors and terms.
        table: One row per run, with ``run_id``.
        items: Run id → item table.
        design: As planned.
        warnings: What could not be answered is added here.
    """
    if "run_id" not in table:
        return []
    models: list[ItemModel] = []
    binary = {
        score: wide for score, wide in score_tables(items, []) if set(np.unique(wide.to_numpy())) - {np.nan} >= {0, 1}
    }
    binary = {score: wide for score, wide in binary.items() if wide.isin([0.0, 1.0]).to_numpy()[wide.notna()].all()}
    parts = _parts(next(iter(items.values()))) if items else {}
    for score, wide in binary.items():
        slices = {"": wide}
        if score == next((name for name in _MAIN if name in binary), None) and len(parts) > 1:
            slices |= {name: wide.loc[wide.index.intersection(part_items)] for name, part_items in parts.items()}
        fits = _run_level(study, table, {name: part.mean() for name, part in slices.items()}, design)
        for name, part in slices.items():
            if name in fits and len(part) >= _FEWEST_ITEMS and float(np.ptp(part.mean())) > 0:
                models += _answered(score, name, part, fits[name], table, warnings)
    return models


def _parts(first: pd.DataFrame) -> dict[str, list[object]]:
    key = next((name for name in ITEM_KEYS if name in first), None)
    column = next((name for name in _PARTS if name in first), None)
    if key is None or column is None:
        return {}
    return {str(name): part_rows[key].tolist() for name, part_rows in first.groupby(column, sort=False)}


def _run_level(
    study: StudySpec, table: pd.DataFrame, means: Mapping[str, pd.Series], design: Design | None
) -> dict[str, Fitted]:
    """The registered model on each run's share: strata, estimable contrasts and degrees of freedom come from it."""
    names = {f"share {i}": name for i, name in enumerate(means)}
    plain = study.analysis.model_copy(update={"sequential": None, "covariates": (), "overfit": {}})
    responses = {name: Response(name=name) for name in names}
    asked = study.model_copy(update={"responses": responses, "hypotheses": (), "analysis": plain})
    values = table.drop(columns=[name for name in study.responses if name in table])
    shares = {name: table["run_id"].astype(str).map(means[part]).astype(float) for name, part in names.items()}
    try:
        fits = fit_responses(asked, values.assign(**shares), design=design)
    except AnalysisError:
        return {}
    return {names[name]: fitted for name, fitted in fits.items()}


def _answered(
    score: str, part: str, wide: pd.DataFrame, fitted: Fitted, table: pd.DataFrame, warnings: list[str]
) -> list[ItemModel]:
    where = f"items, {score}{f' of {part}' if part else ''}"
    ids = [str(run) for run in table["run_id"]]
    scores = wide[[ids[i] for i in fitted.rows]].to_numpy().T
    contrasts = [c for term in fitted.model.terms for c in fitted.surface.contrasts(term)]
    rows = np.array([c.row for c in contrasts]).reshape(len(contrasts), fitted.model.matrix.shape[1])
    keep = fitted.fit.estimable(rows) if len(rows) else np.empty(0, dtype=bool)
    if not keep.any():
        return []
    rows, kept = rows[keep], [c for c, ok in zip(contrasts, keep, strict=True) if ok]
    basis = fitted.fit.basis
    reduced = rows @ np.linalg.pinv(fitted.model.matrix) @ basis
    share = fitted.inference.contrasts(rows)
    common = {"score": score, "part": part, "runs": len(scores), "items": len(wide), "share": float(np.nanmean(scores))}
    blank = [(None, None, None)] * len(rows)
    if scores.size > _MOST_SCORES or len(scores) > _MOST_RUNS:
        _, covariance = clustered_two_way(scores, basis)
        spread = np.sqrt(np.einsum("kp,pq,kq->k", reduced, covariance, reduced))
        effects = _effects(kept, blank, share.estimate, spread, share.df, fitted.alpha)
        return [ItemModel(**common, method="two_way_clustered", effects=effects)]
    groups: dict[str, Sequence[object]] = {"run": range(len(scores))} if fitted.fit.df_error > 0 else {}
    if fitted.strata.split and fitted.strata.whole_plots is not None:
        groups["whole_plot"] = fitted.strata.whole_plots
    if not groups:
        warnings.append(f"{where}: no degrees of freedom between runs, so that a seed cannot be told from an effect")
        return []
    try:
        crossed_fit = fit_crossed(scores, basis, groups)
    except AnalysisError as error:
        warnings.append(f"{where}: {error.message}")
        return []
    log_odds = reduced @ crossed_fit.beta
    spread = np.sqrt(np.einsum("kp,pq,kq->k", reduced, crossed_fit.covariance, reduced))
    estimates = [
        (float(b), float(se), float(df)) if np.isfinite(df) and df > 0 else (float(b), None, None)
        for b, se, df in zip(log_odds, spread, share.df, strict=True)
    ]
    effects = _effects(kept, estimates, share.estimate, share.std_error, share.df, fitted.alpha)
    boundary = list(crossed_fit.on_boundary)
    warnings += [
        f"{where}: the variance between {name.replace('_', ' ')}s is estimated as 0 (boundary)" for name in boundary
    ]
    return [ItemModel(**common, method="laplace", sd=dict(crossed_fit.sd), on_boundary=boundary, effects=effects)]


def _effects(
    contrasts: Sequence[Contrast],
    log_odds: Sequence[tuple[float | None, float | None, float | None]],
    shares: Floats,
    errors: Floats,
    df: Floats,
    alpha: float,
) -> list[ItemEffect]:
    effects = []
    for contrast, (b, se, log_odds_df), share, error, free in zip(contrasts, log_odds, shares, errors, df, strict=True):
        half = _half(error, free, alpha)
        wide = None if se is None or log_odds_df is None else _half(se, log_odds_df, alpha)
        effects.append(
            ItemEffect(
                term=contrast.term,
                contrast=contrast.label,
                log_odds=b,
                std_error=se,
                df=log_odds_df if log_odds_df is not None else (float(free) if np.isfinite(free) else None),
                ci_low=None if b is None or wide is None else b - wide,
                ci_high=None if b is None or wide is None else b + wide,
                p_value=None
                if b is None or not se or log_odds_df is None
                else float(2 * stats.t.sf(abs(b) / se, log_odds_df)),
                difference=float(share),
                difference_low=None if half is None else float(share) - half,
                difference_high=None if half is None else float(share) + half,
            )
        )
    return effects


def _half(error: float, df: float, alpha: float) -> float | None:
    if not np.isfinite(error) or not error > 0 or not df > 0:
        return None
    return float(stats.t.isf(alpha / 2, df) * error)
