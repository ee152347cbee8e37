"""Power and smallest detectable effects from the noncentral F and t distributions.

λ of a two-level effect δ over n runs is n·δ²/(4σ²) (Montgomery, Design and Analysis of Experiments, 8th ed., sec. 3.7
and 6.2): δ is high minus low, twice the coefficient. Terms with more degrees of freedom are computed for their least
favourable alternative: two levels δ apart and the rest as unhelpful as possible.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

from maineffect.design.model.model import Design
from maineffect.design.power.precision import Precision, precision_of
from maineffect.design.power.shared_seeds import SharedSeeds, shared_seeds
from maineffect.spec.study import StudySpec

__all__ = ["equivalence_power", "power_document", "power_of", "smallest_detectable", "term_rows"]

_QUADRATURE = 400
_UNSAID_LIMIT = 1800.0
"""Seconds that a run is reckoned at when the study sets no time limit and nothing is known yet."""


def power_of(noncentrality: float, df: float, df_error: float | None, alpha: float) -> float:
    """Power of an F test.

    Args:
        noncentrality: λ = δ'Cov(δ̂)⁻¹δ.
        df: Degrees of freedom of the term.
        df_error: Degrees of freedom of the error; with less than one there is no test.
        alpha: Two-sided error rate.
    """
    if df_error is None or df_error < 1:
        return float("nan")
    critical = stats.f.isf(alpha, df, df_error)
    return float(stats.ncf.sf(critical, df, df_error, noncentrality))


def equivalence_power(margin: float, std_error: float, df_error: float | None, alpha: float) -> float:
    """Power of two one-sided tests when the effect is truly zero.

    P(|δ̂| < margin − t·ŝ) over δ̂ normal and ŝ² scaled χ² (Schuirmann 1987, J. Pharmacokinet. Biopharm. 15:657–680).

    Args:
        margin: Smallest effect of interest.
        std_error: True standard error of the estimate, in the margin's unit.
    """
    if df_error is None or df_error < 1:
        return float("nan")
    shares = (np.arange(_QUADRATURE) + 0.5) / _QUADRATURE
    scale = np.sqrt(stats.chi2.ppf(shares, df_error) / df_error)
    room = margin / std_error - stats.t.isf(alpha, df_error) * scale
    return float(np.mean(np.clip(2 * stats.norm.cdf(room) - 1, 0, None)))


@lru_cache(maxsize=1024)
def smallest_detectable(
    unit_noncentrality: float, df: float, df_error: float | None, alpha: float, power: float = 0.8
) -> float:
    """Smallest effect, in units of σ, that is found with the stated power.

    Args:
        unit_noncentrality: λ of an effect of one σ; λ grows with its square.
    """
    if df_error is None or df_error < 1 or unit_noncentrality <= 0:
        return float("nan")

    def gap(effect: float) -> float:
        return power_of(unit_noncentrality * effect**2, df, df_error, alpha) - power

    high = 1.0 / np.sqrt(unit_noncentrality)
    while gap(high) < 0:
        high *= 2
    return float(optimize.brentq(gap, 0.0, high, xtol=1e-12))


def term_rows(
    design: Design,
    alpha: float,
    power: float,
    *,
    ratio: float | None = None,
    terms: Sequence[str] | None = None,
    extra: NDArray[np.float64] | None = None,
    seeds: SharedSeeds | None = None,
    claims: Mapping[str, NDArray[np.float64]] | None = None,
) -> list[dict[str, Any]]:
    """One row per term of the design, or of those that the analysis will fit.

    Stratum, degrees of freedom, smallest detectable effect in units of σ; ``mde_sigma`` is None where no error term
    exists, and ``reason`` says why. Over new seeds a term's degrees of freedom are tested one by one.

    Args:
        alpha: Two-sided error rate of each term.
        power: Power wanted.
        ratio: Whole-plot variance over run variance; default: the design's.
        seeds: If claims are about new seeds and runs share theirs.
        claims: Term → (k, q) contrasts that decide a claim about it, where there are several.
    """
    rows = []
    whole = precision_of(design, terms, ratio, extra)
    for term, precision in whole.terms.items():
        if seeds is not None:
            rows.append(_over_seeds(whole, term, seeds, (claims or {}).get(term), alpha, power))
            continue
        mde = smallest_detectable(precision.unit_noncentrality, precision.df, precision.df_error, alpha, power)
        testable = bool(np.isfinite(mde))
        rows.append(
            {
                "term": term,
                "stratum": precision.stratum,
                "df": precision.df,
                "df_error": precision.df_error,
                "mde_sigma": mde if testable else None,
                "unit_noncentrality": precision.unit_noncentrality,
                "reason": None if testable else _no_error(precision.stratum),
            }
        )
    return rows


def _over_seeds(
    whole: Precision, term: str, seeds: SharedSeeds, claims: NDArray[np.float64] | None, alpha: float, power: float
) -> dict[str, Any]:
    row = {"term": term, "stratum": "seeds", "df": whole.terms[term].df}
    test = seeds.test(whole, term, claims)
    if isinstance(test, str):
        return {**row, "df_error": None, "mde_sigma": None, "unit_noncentrality": 0.0, "reason": test}
    mde = smallest_detectable(test.unit_noncentrality, 1, test.df_error, alpha / test.contrasts, power)
    found = {"df_error": test.df_error, "mde_sigma": mde, "unit_noncentrality": test.unit_noncentrality}
    return {**row, **found, "reason": None, "contrasts": test.contrasts}


def _no_error(stratum: str) -> str:
    if stratum == "whole plots":
        return "no error term between whole plots: replicate them"
    return "no error degrees of freedom: add replicates or fit fewer terms"


def power_document(
    study: StudySpec,
    design: Design,
    *,
    sigma: float | None = None,
    power: float = 0.8,
    terms: Sequence[str] | None = None,
    extra: NDArray[np.float64] | None = None,
    claims: Mapping[str, NDArray[np.float64]] | None = None,
    tau: float | None = None,
) -> dict[str, Any]:
    """The document of ``power --json`` for one standard deviation; see :mod:`maineffect.design.power_report` for more.

    Args:
        sigma: Standard deviation of a run, from a pilot; effects are in units of σ when it is unknown.
        power: Power wanted.
        terms: Terms that the analysis will fit; default: the design's.
        extra: Further columns that it will fit.
        claims: Term → (k, q) contrasts that decide a claim about it, where there are several.
        tau: Standard deviation of an effect between seeds, in standard deviations of a run: asked for where claims are
            about new seeds and runs share theirs.
    """
    alpha = study.analysis.alpha
    entries = []
    seeds = shared_seeds(study, design, tau)
    for row in term_rows(design, alpha, power, terms=terms, extra=extra, seeds=seeds, claims=claims):
        entry: dict[str, Any] = {**row, "mde": None}
        unit = entry.pop("unit_noncentrality")
        if sigma is not None:
            entry["mde"] = None if row["mde_sigma"] is None else row["mde_sigma"] * sigma
            entry["power"] = {
                name: _power(unit * (response.smallest_effect / sigma) ** 2, row, alpha)
                for name, response in study.responses.items()
                if response.smallest_effect is not None
            }
        entries.append(entry)
    n, resources = len(design.runs), study.resources
    hours = n * resources.gpus * (resources.timeout_seconds or _UNSAID_LIMIT) / 3600
    return {
        "schema_version": 1,
        "study": study.name,
        "n_runs": n,
        "alpha": alpha,
        "power": power,
        "sigma": sigma,
        "terms": entries,
        "cost": {"runs": n, "gpu_hours_at_most": hours, "price_at_most": hours * resources.gpu_hour_price},
    }


def _power(noncentrality: float, row: dict[str, Any], alpha: float) -> float | None:
    count = row.get("contrasts")  # tested one by one over seeds
    value = power_of(noncentrality, 1 if count else row["df"], row["df_error"], alpha / (count or 1))
    return value if np.isfinite(value) else None
