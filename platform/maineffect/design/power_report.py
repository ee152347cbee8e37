"""What a study can find: per response in its own units, per hypothesis with its correction, over replicates."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from maineffect.design.build import build_design
from maineffect.design.model.model import Design
from maineffect.design.model.terms import expand_terms
from maineffect.design.phases import judged_runs
from maineffect.design.power.analytic import equivalence_power, power_document, power_of
from maineffect.design.power.precision import Precision, precision_of
from maineffect.design.power.shared_seeds import SeedsTest, shared_seeds
from maineffect.errors import UsageError
from maineffect.spec.responses import Direction, Hypothesis
from maineffect.spec.study import Correction, StudySpec

__all__ = ["PlannedModel", "RunSpread", "beside_covariates", "claimed_size", "power_report", "spread_from_parts"]

_CAUTION = 0.9
_OVERFIT = "a difference of two gains has a spread of its own: give --pilot"
_AT_LEAST = "at least: several contrasts decide it, each with a variance of its own between seeds (Bonferroni)"
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
        tau: Standard deviation of an effect between seeds, in standard deviations of a run, where known.
    """

    sigma: float
    df: float | None = None
    ratio: float | None = None
    source: str = "stated"
    parts: Mapping[str, float] | None = None
    advice: str = ""
    tau: float | None = None

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


def beside_covariates(spread: RunSpread, r2: float) -> RunSpread:
    """What is left of a run's spread beside covariates that explain a share of it: σ²(1 − R²).

    Cochran and Cox (1957) Experimental Designs, 2nd ed., sec. 3.8; what fitting them costs is in the planned model.
    How much an effect differs between seeds stays what it is, and is more in standard deviations that have shrunk.

    Args:
        spread: Of a run within cells.
        r2: Share of its variance, in [0, 1).
    """
    source = f"{spread.source}; covariates explain {r2:.0%} of its variance"
    left = float(np.sqrt(1 - r2))
    tau = None if spread.tau is None else spread.tau / left
    return replace(spread, sigma=spread.sigma * left, source=source, tau=tau)


@dataclass(frozen=True)
class PlannedModel:
    """What the analysis will fit to the planned runs.

    Attributes:
        terms: Fitted terms.
        extra: (n, q) further columns (curvature), in run order.
        contrasts: Hypothesis id → coefficients on its term's columns, for claims that one contrast decides.
        claims: Term → (k, q) contrasts that decide an undirected claim about it, for terms with several.
    """

    terms: tuple[str, ...]
    extra: NDArray[np.float64] | None = None
    contrasts: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    claims: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)


def claimed_size(study: StudySpec, effect: float | None) -> float | None:
    """Size of a true effect in the directions that the hypotheses claim.

    Args:
        study: With its hypotheses.
        effect: High minus low, in the responses' units. Where claims go both ways it is the size in each one's own
            direction, and positive.

    Raises:
        UsageError: The sign contradicts a claim, or the effect is zero.
    """
    if effect is None:
        return None
    if effect == 0:
        raise UsageError("an effect of 0 is none: power is the chance to find one", "such as --effect 0.05")
    up = [h.id for h in study.hypotheses if h.direction is Direction.INCREASE]
    down = [h.id for h in study.hypotheses if h.direction is Direction.DECREASE]
    against = (up if effect < 0 else [] if up else down) if up or down else []
    if against:
        claims = f"{', '.join(against)} claim{'s' if len(against) == 1 else ''}"
        word = "an increase" if against is up else "a decrease"
        raise UsageError(
            f"an effect of {effect:g} has the wrong sign: {claims} {word}",
            f"give --effect {-effect:g}; the power to support a claim whose opposite is true is about 0",
        )
    return abs(effect)


def power_report(
    study: StudySpec,
    design: Design,
    spreads: Mapping[str, RunSpread],
    *,
    power: float = 0.8,
    replicates: Sequence[int] = (),
    effect: float | None = None,
    fitted: Callable[[Design], PlannedModel] | None = None,
) -> dict[str, Any]:
    """The document of ``power --json``.

    Args:
        spreads: Response → spread of a run; empty: effects are in units of σ only.
        power: Power wanted.
        replicates: Numbers of replicates of the curve; default: 1 to 8.
        effect: True effect of every hypothesis, in its response's units (see :func:`claimed_size`); default: its
            smallest effect of interest.
        fitted: What the analysis will fit to a design; default: the design's own terms.

    Raises:
        UsageError: The effect's sign contradicts a claim.
    """
    effect = claimed_size(study, effect)
    common = {spread.sigma for spread in spreads.values()}
    same = common.pop() if len(common) == 1 and set(spreads) == set(study.responses) else None
    asked = _Asked(study, spreads, power, effect, fitted or (lambda made: PlannedModel(made.terms)))
    model = asked.fitted(design)
    document = asked.terms(design, model, asked.tau, sigma=same)
    by_response = {name: asked.terms(design, model, spread.tau)["terms"] for name, spread in spreads.items()}
    for i, row in enumerate(document["terms"]):
        row["mde_by_response"] = {
            name: _in_units(by_response[name][i]["mde_sigma"], spread, _margin(study, name))
            for name, spread in spreads.items()
        }
    document["spread"] = {name: {**asdict(s), "cautious": s.cautious} for name, s in spreads.items()}
    document["hypotheses"] = [asked.hypothesis(design, model, h) for h in study.hypotheses]
    document["curve"] = asked.curve(replicates or range(1, 9))
    document["needed"] = {h.id: _needed(document["curve"], h.id, power) for h in study.hypotheses}
    return document


@dataclass(frozen=True)
class _Asked:
    """One question, answered for any design of the study."""

    study: StudySpec
    spreads: Mapping[str, RunSpread]
    power: float
    effect: float | None
    fitted: Callable[[Design], PlannedModel]

    @property
    def tau(self) -> float | None:
        """The largest that is known of a response."""
        return max((spread.tau for spread in self.spreads.values() if spread.tau is not None), default=None)

    def terms(
        self, design: Design, model: PlannedModel, tau: float | None, *, sigma: float | None = None
    ) -> dict[str, Any]:
        """Smallest detectable effects per term, where effects differ between seeds with τ run SDs."""
        more: dict[str, Any] = {"terms": model.terms, "extra": model.extra, "claims": model.claims}
        return power_document(self.study, design, sigma=sigma, power=self.power, tau=tau, **more)

    def hypothesis(self, design: Design, model: PlannedModel, hypothesis: Hypothesis) -> dict[str, Any]:
        """Power for the true effect: alone, and at the family's strictest level."""
        study, spread = self.study, self.spreads.get(hypothesis.response)
        (term,) = expand_terms(tuple(study.factors.values()), (hypothesis.term,))
        margin = hypothesis.smallest_effect or _margin(study, hypothesis.response)
        effect = margin if self.effect is None else self.effect
        entry: dict[str, Any] = {
            "id": hypothesis.id,
            "term": term,
            "response": hypothesis.response,
            "direction": str(hypothesis.direction),
            "effect": effect,
            "power_alone": None,
            "power_in_family": None,
        }
        if spread is None or effect is None or term not in model.terms:
            made = hypothesis.response in study.analysis.overfit or hypothesis.pair is not None
            entry["reason"] = _OVERFIT if made and spread is None else _unknown(spread, effect, term)
            return entry
        precision = precision_of(design, model.terms, spread.ratio, model.extra)
        contrast, seeds = model.contrasts.get(hypothesis.id), shared_seeds(study, design, spread.tau)
        over = None
        if seeds is not None:
            found = seeds.test(precision, term, model.claims.get(term) if contrast is None else contrast[None, :])
            if isinstance(found, str):
                entry["reason"] = found
                return entry
            over = found
            if over.contrasts > 1:
                entry["note"] = _AT_LEAST
        bar = margin or 0.0 if hypothesis.beyond == "smallest_effect" else 0.0
        if hypothesis.direction is Direction.NEGLIGIBLE:
            sizes = (margin or effect) / spread.sigma, 0.0
        else:
            sizes = effect / spread.sigma, bar / spread.sigma
        test = _Test(precision, term, contrast, hypothesis, over)
        entry["power_alone"] = test.power(*sizes, study.analysis.alpha)
        entry["power_in_family"] = test.power(*sizes, _family_alpha(study))
        entry["enough"] = entry["power_in_family"] is not None and entry["power_in_family"] >= self.power
        if bar and effect <= bar:
            entry["note"] = "the claim is an effect beyond the margin: plan for a larger true effect with --effect"
        return entry

    def curve(self, replicates: Sequence[int]) -> list[dict[str, Any]]:
        """The same over numbers of replicates."""
        points = []
        for count in replicates:
            if not 1 <= count <= _MOST_REPLICATES:
                what = f"{count} replicates are not between 1 and {_MOST_REPLICATES}"
                raise UsageError(what, "such as --replicates 2,4,8")
            request = self.study.design.model_copy(update={"replicates": count})
            asked = self.study.model_copy(update={"design": request})
            design = judged_runs(asked, build_design(asked))
            model = self.fitted(design)
            rows = self.terms(design, model, self.tau)["terms"]
            entries = [self.hypothesis(design, model, h) for h in self.study.hypotheses]
            points.append(
                {
                    "replicates": count,
                    "runs": len(design.runs),
                    "mde_sigma": {row["term"]: row["mde_sigma"] for row in rows},
                    "power": {entry["id"]: entry["power_in_family"] for entry in entries},
                }
            )
        return points


@dataclass(frozen=True)
class _Test:
    """The test that a hypothesis will get."""

    precision: Precision
    term: str
    contrast: NDArray[np.float64] | None
    hypothesis: Hypothesis
    over: SeedsTest | None = None
    """Where the claim is about new seeds and runs share theirs."""

    def power(self, effect: float, bar: float, alpha: float) -> float | None:
        """Power in units of σ; ``bar`` is what the interval must lie beyond."""
        term = self.precision.terms[self.term]
        unit, df, df_error, count = term.unit_noncentrality, term.df, term.df_error, 1
        if self.over is not None:
            unit, df, df_error = self.over.unit_noncentrality, 1, self.over.df_error
            count = self.over.contrasts
        elif self.contrast is not None:
            span = self.precision.model.spans[self.term]
            unit, df = 1 / float(self.contrast @ self.precision.covariance[span, span] @ self.contrast), 1
        if df_error is None:
            return None
        if self.hypothesis.direction is Direction.NEGLIGIBLE:
            # All contrasts must lie inside: at least one minus the chances of those that do not.
            probability = max(0.0, 1 - count * (1 - equivalence_power(effect, unit**-0.5, df_error, alpha)))
        elif bar > 0:
            # Beyond the margin: the test statistic is shifted by it (Hodges and Lehmann 1954).
            critical = stats.t.isf(alpha / (2 * count), df_error)
            probability = float(stats.nct.sf(critical, df_error, (effect - bar) * unit**0.5))
        else:
            probability = power_of(unit * effect**2, df, df_error, alpha / count)
        return float(probability) if np.isfinite(probability) else None


def _in_units(mde: float | None, spread: RunSpread, margin: float | None) -> dict[str, float | None] | None:
    """A smallest detectable effect in run SDs as one of a response."""
    if mde is None:
        return None
    return {"mde": mde * spread.sigma, "cautious": mde * spread.cautious, "smallest_effect": margin}


def _margin(study: StudySpec, response: str) -> float | None:
    return study.responses[response].smallest_effect if response in study.responses else None


def _unknown(spread: RunSpread | None, margin: float | None, term: str) -> str:
    if spread is None:
        return "the spread of a run is unknown: give --sigma, --pilot, or --seed-sd, --item-sd and --items"
    if margin is None:
        return "no smallest effect of interest is stated"
    return f"the runs cannot estimate {term}"


def _family_alpha(study: StudySpec) -> float:
    """Level of the strictest test of the family: Holm's first step is Bonferroni's."""
    count = max(1, len(study.hypotheses))
    return study.analysis.alpha / (count if study.analysis.correction is not Correction.NONE else 1)


def _needed(curve: Sequence[Mapping[str, Any]], hypothesis: str, power: float) -> int | None:
    """Fewest replicates on the curve that reach the power for a hypothesis, correction included."""
    enough = [point["replicates"] for point in curve if (point["power"][hypothesis] or 0.0) >= power]
    return min(enough) if enough else None
