"""What is lost is said: which effects went with lost runs, and whether losing depends on a factor."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from scipy import stats

from maineffect.analyse.response import FittedResponse
from maineffect.design.aliasing import alias_chains
from maineffect.design.terms import expand_terms
from maineffect.spec.study import StudySpec

__all__ = ["loss_warnings"]


def loss_warnings(study: StudySpec, frame: pd.DataFrame, fitted: Mapping[str, FittedResponse]) -> list[str]:
    """Sentences about missing values; none when nothing is missing."""
    warnings: list[str] = []
    factors = tuple(study.factors.values())
    planned = alias_chains(factors, {name: frame[name].tolist() for name in study.factors})
    for name, fit in fitted.items():
        lost = len(frame) - len(fit.rows)
        if lost:
            new = [chain for chain in fit.chains if chain not in planned]
            said = f"{name}: {lost} of {len(frame)} runs have no value"
            warnings.append(said + (f"; newly aliased: {'; '.join(' = '.join(chain) for chain in new)}" if new else ""))
    failed = ~frame["status"].isin(["finished"])
    if bool(failed.any()) and not bool(failed.all()):
        warnings += _dependence(study, frame, failed)
    return warnings


def _dependence(study: StudySpec, frame: pd.DataFrame, failed: pd.Series[bool]) -> list[str]:
    """Fisher's exact test of failure against each factor; with few runs only strong dependence can show."""
    found = []
    for term in expand_terms(tuple(study.factors.values()), "main"):
        counts = pd.crosstab(frame[term].astype(str), failed)
        if counts.shape[0] == 2 and counts.shape[1] == 2:
            p = float(stats.fisher_exact(counts.to_numpy())[1])
            if p < 0.1:
                shares = failed.groupby(frame[term].astype(str)).mean()
                parts = ", ".join(f"{level}: {share:.0%}" for level, share in shares.items())
                found.append(f"failing depends on {term} ({parts} failed, Fisher p {p:.3f}): effects may be biased")
    return found
