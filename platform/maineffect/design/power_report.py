"""What a study can find: per response in its own units, per hypothesis with its correction, over replicates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy import stats

from maineffect.design.build import build_design
from maineffect.design.model import Design
from maineffect.design.power import equivalence_power, power_document, power_of
from maineffect.design.precision import TermPrecision, precision_of
from maineffect.design.terms import expand_terms
from maineffect.errors import UsageError
from maineffect.spec.responses import Direction, Hypothesis
from maineffect.spec.study import Correction, StudySpec

__all__ = ["RunSpread", "power_report", "spread_from_parts"]

_CAUTION = 0.9
_MOST_REPLICATES = 64


@dataclass(frozen=True)
class RunSpread:
    """Standard deviation of a run on one response.

    Attributes:
        sigma: Best guess.
        df: Degrees of freedom behind it; None if it was stated.
        ratio: Whole-plot variance over run variance, if a pilot knows it.
        source: Where it comes from, in words.
        parts: Such as ``seed`` and ``items`` standard deviations, where known.
        advice: What the parts say about spending the next hour.
    """

    sigma: float
    df: float | None = None
    ratio: float | None = None
    source: str = "stated"
    parts: Mapping[str, float] | None = None
    advice: str = ""

    @property
    def cautious(self) -> float:
        """Upper 90 % confidence bound of sigma: a pilot of few runs often underrates it (χ²)."""
        if self.df is None:
            return self.sigma
        return float(self.sigma * np.sqrt(self.df / stats.chi2.ppf(1 - _CAUTION, self.df)))


def spread_from_parts(seed_sd: float, item_sd: float, items: int) -> RunSpread:
    """σ² = σ²_seed + σ²_item/n: what a run's mean over n items scatters.

    Args:
        seed_sd: Between runs of one cell, beyond what their items explain.
        item_sd: Of one item's score within a run.
        items: Items per run.

    Raises:
        UsageError: A negative spread, or no items.
    """
    if seed_sd < 0 or item_sd < 0 or items < 1 or seed_sd + item_sd == 0:
        raise UsageError("the spread of a run needs standard deviations that are not negative and one item at least")
    by_items = item_sd / np.sqrt(items)
    more = "more seeds" if seed_sd >= by_items else "more items"
    return RunSpread(
        float(np.hypot(seed_sd, by_items)),
        source=f"seed SD {seed_sd:g} and item SD {item_sd:g} over {items} items",
        parts={"seed": seed_sd, "items": float(by_items)},
        advice=f"{more} narrow the intervals most: seeds give {seed_sd:.3g} and items {by_items:.3g} of the spread",
    )


def power_report(
    study: StudySpec,
    design: Design,
    spreads: Mapping[str, RunSpread],
    *,
    power: float = 0.8,
    replicates: Sequence[int] = (),
) -> dict[str, Any]:
    """The document of ``power --json``.

    Args:
        spreads: Response → spread of a run; empty: effects are in units of σ only.
        power: Power wanted.
        replicates: Numbers of replicates of the curve; default: 1 to 8.
    """
    common = {spread.sigma for spread in spreads.values()}
    same = common.pop() if len(common) == 1 and set(spreads) == set(study.responses) else None
    document = power_document(study, design, sigma=same, power=power)
    for row in document["terms"]:
        mde = row["mde_sigma"]
        row["mde_by_response"] = {
            name: None
            if mde is None
            else {"mde": mde * spread.sigma, "cautious": mde * spread.cautious, "smallest_effect": _margin(study, name)}
            for name, spread in spreads.items()
        }
    document["spread"] = {name: {**asdict(s), "cautious": s.cautious} for name, s in spreads.items()}
    document["hypotheses"] = [_hypothesis(study, design, h, spreads.get(h.response), power) for h in study.hypotheses]
    document["curve"] = _curve(study, spreads, power, replicates or range(1, 9))
    document["needed"] = {h.id: _needed(document["curve"], h.id, power) for h in study.hypotheses}
    return document


def _margin(study: StudySpec, response: str) -> float | None:
    return study.responses[response].smallest_effect


def _hypothesis(
    study: StudySpec, design: Design, hypothesis: Hypothesis, spread: RunSpread | None, power: float
) -> dict[str, Any]:
    """Power for a true effect of the smallest size of interest: alone, and at the family's strictest level."""
    (term,) = expand_terms(tuple(study.factors.values()), (hypothesis.term,))
    margin = hypothesis.smallest_effect or _margin(study, hypothesis.response)
    entry: dict[str, Any] = {
        "id": hypothesis.id,
        "term": term,
        "response": hypothesis.response,
        "direction": str(hypothesis.direction),
        "effect": margin,
        "power_alone": None,
        "power_in_family": None,
    }
    if spread is None or margin is None or term not in design.terms:
        entry["reason"] = _unknown(spread, margin, term)
        return entry
    precision = precision_of(design, ratio=spread.ratio).terms[term]
    alpha, family = study.analysis.alpha, _family_alpha(study)
    entry["power_alone"] = _power(hypothesis, precision, margin / spread.sigma, alpha)
    entry["power_in_family"] = _power(hypothesis, precision, margin / spread.sigma, family)
    entry["enough"] = entry["power_in_family"] is not None and entry["power_in_family"] >= power
    return entry


def _unknown(spread: RunSpread | None, margin: float | None, term: str) -> str:
    if spread is None:
        return "the spread of a run is unknown: give --sigma, --pilot, or --seed-sd, --item-sd and --items"
    if margin is None:
        return "no smallest effect of interest is stated"
    return f"the design cannot estimate {term}"


def _family_alpha(study: StudySpec) -> float:
    """Level of the strictest test of the family: Holm's first step is Bonferroni's."""
    count = max(1, len(study.hypotheses))
    return study.analysis.alpha / (count if study.analysis.correction is not Correction.NONE else 1)


def _power(hypothesis: Hypothesis, precision: TermPrecision, effect: float, alpha: float) -> float | None:
    if hypothesis.direction is Direction.NEGLIGIBLE:
        found = equivalence_power(effect, precision.unit_noncentrality**-0.5, precision.df_error, alpha)
    else:
        # A claim with a direction, or of last against first level, is one contrast.
        df = 1 if hypothesis.direction in (Direction.INCREASE, Direction.DECREASE) else precision.df
        found = power_of(precision.unit_noncentrality * effect**2, df, precision.df_error, alpha)
    return float(found) if np.isfinite(found) else None


def _curve(
    study: StudySpec, spreads: Mapping[str, RunSpread], power: float, replicates: Sequence[int]
) -> list[dict[str, Any]]:
    points = []
    for count in replicates:
        if not 1 <= count <= _MOST_REPLICATES:
            raise UsageError(
                f"{count} replicates are not between 1 and {_MOST_REPLICATES}", "such as --replicates 2,4,8"
            )
        request = study.design.model_copy(update={"replicates": count})
        design = build_design(study.model_copy(update={"design": request}))
        rows = power_document(study, design, power=power)["terms"]
        hypotheses = [_hypothesis(study, design, h, spreads.get(h.response), power) for h in study.hypotheses]
        points.append(
            {
                "replicates": count,
                "runs": len(design.runs),
                "mde_sigma": {row["term"]: row["mde_sigma"] for row in rows},
                "power": {entry["id"]: entry["power_in_family"] for entry in hypotheses},
            }
        )
    return points


def _needed(curve: Sequence[Mapping[str, Any]], hypothesis: str, power: float) -> int | None:
    """Fewest replicates on the curve that reach the power for a hypothesis, correction included."""
    enough = [point["replicates"] for point in curve if (point["power"][hypothesis] or 0.0) >= power]
    return min(enough) if enough else None
