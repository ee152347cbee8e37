"""Effects against size: at each size that was run, their trend, and what the straight line says beyond.

With E the (K, p) rows of an effect at the K sizes x (on the scale where it is taken to be a straight line), the line's
value at x₀ is the contrast Σ (1/K + (x₀ − x̄)(x_k − x̄)/Sxx)·E_k of the *same* fit that gives the effects, so that
blocks, whole plots, shared seeds and robust errors count as they do there: its standard error is √(c′Vc) on the degrees
of freedom that the design gives to c (Montgomery, Design and Analysis of Experiments, 8th ed., sec. 10.3–10.4 for the
line, 3.5 for contrasts; Draper and Smith (1998) Applied Regression Analysis, 3rd ed., sec. 3.1–3.2). Each size counts
equally. What the K effects have beside the line is tested on K − 2 degrees of freedom (lack of fit, Draper and Smith,
sec. 2.1): beyond the sizes nothing else speaks for a line.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from maineffect.analyse.confirmatory.on_seeds import OverSeeds
from maineffect.analyse.fit.respond import Answer, Fitted, answer_all
from maineffect.analyse.fit.strata import f_test
from maineffect.analyse.fit.surface import Surface
from maineffect.analyse.inference.multiplicity import adjust
from maineffect.analyse.record.scaling import EffectOverSizes, Linearity, SizePoint
from maineffect.contracts import Level
from maineffect.design.model.terms import expand_terms, term_factors
from maineffect.spec.factors import Factor, FactorKind
from maineffect.spec.questions.scaling import sizes_of
from maineffect.spec.study import StudySpec

__all__ = ["Sizes", "asked_sizes", "effects_over_sizes", "far_beyond"]

Floats = NDArray[np.float64]
_GRID = 25
_TWO = "two sizes lie on every straight line: nothing here can say whether the effect follows one"


@dataclass(frozen=True)
class Sizes:
    """One contrast of one factor over the sizes of one covariate, before there is a fit.

    Attributes:
        factor: Whose effect.
        ends: Its two levels: the effect is the second minus the first.
        covariate: Whose levels are sizes.
        levels: The covariate's levels, smallest size first.
        sizes: (K,) their sizes.
        beyond: Sizes that were not run.
        scale: Where the effect is taken to be a straight line.
        unit: Of the sizes.
    """

    factor: str
    ends: tuple[Level, Level]
    covariate: str
    levels: tuple[Level, ...]
    sizes: tuple[float, ...]
    beyond: tuple[float, ...]
    scale: Literal["log2", "log10", "linear"]
    unit: str

    @property
    def contrast(self) -> str:
        """What the effect is between."""
        return f"{self.ends[1]} − {self.ends[0]}"

    def place(self, sizes: Sequence[float] | Floats) -> Floats:
        """Sizes on the scale of the line."""
        x = np.asarray(sizes, dtype=float)
        return x if self.scale == "linear" else np.log2(x) if self.scale == "log2" else np.log10(x)

    def rows(self, surface: Surface) -> Floats:
        """(K, p) rows of the effect at each size, the other factors averaged."""
        first, last = self.ends
        return np.array(
            [
                surface.at({self.covariate: level, self.factor: last})
                - surface.at({self.covariate: level, self.factor: first})
                for level in self.levels
            ]
        )

    def on_line(self, sizes: Sequence[float] | Floats) -> Floats:
        """(m, K) weights of the K effects that give the line at m sizes."""
        x = self.place(self.sizes)
        return np.asarray(1 / len(x) + np.outer(self.place(sizes) - x.mean(), self.slope))

    @property
    def slope(self) -> Floats:
        """(K,) weights of the least-squares slope."""
        x = self.place(self.sizes)
        return np.asarray((x - x.mean()) / np.sum((x - x.mean()) ** 2))

    @property
    def bends(self) -> Floats:
        """(K − 2, K) orthonormal weights of what a line cannot follow."""
        x = self.place(self.sizes)
        q, _ = np.linalg.qr(np.column_stack([np.ones_like(x), x - x.mean()]), mode="complete")
        return np.asarray(q[:, 2:].T)


def asked_sizes(study: StudySpec) -> list[Sizes]:
    """Every effect that the study reads against size; empty where it asks for none."""
    if study.scaling is None:
        return []
    asked = []
    for name, covariate in study.scaling.covariates.items():
        over = study.factors[name]
        ordered = sorted(zip(sizes_of(covariate, over), range(len(over.levels)), strict=True))
        for effect in study.scaling.effects_of(tuple(study.factors)):
            asked += [
                Sizes(
                    factor=effect,
                    ends=ends,
                    covariate=name,
                    levels=tuple(over.levels[i] for _, i in ordered),
                    sizes=tuple(size for size, _ in ordered),
                    beyond=tuple(sorted(covariate.extrapolate)),
                    scale=covariate.scale,
                    unit=covariate.unit or over.unit,
                )
                for ends in (_ends(study.factors[effect]) if effect != name else ())
            ]
    return asked


def _ends(factor: Factor) -> list[tuple[Level, Level]]:
    """Last against first level; of categories each against the first."""
    if factor.kind is not FactorKind.CATEGORICAL:
        return [(factor.levels[0], factor.levels[-1])]
    return [(factor.levels[0], level) for level in factor.levels[1:]]


def far_beyond(asked: Sizes) -> list[float]:
    """Sizes that are farther from those that are run than these are from each other."""
    x = asked.place(asked.sizes)
    away = {size: max(x[0] - at, at - x[-1]) for size, at in zip(asked.beyond, asked.place(asked.beyond), strict=True)}
    return [size for size, distance in away.items() if distance > np.ptp(x)]


def effects_over_sizes(
    study: StudySpec,
    fits: Mapping[str, Fitted],
    warnings: list[str],
    inference: Literal["seeds", "these_seeds"] | None = None,
) -> list[EffectOverSizes]:
    """Every effect that the study reads against size, on every response that it names.

    Args:
        study: With ``scaling``, or without.
        fits: Response → fit.
        warnings: Gets where the line does not hold, or leads where no effect can be.
        inference: What the intervals are about.
    """
    asked = asked_sizes(study)
    if not asked or study.scaling is None:
        return []
    names = [name for name in study.scaling.responses or study.responses if name in fits]
    found = [_read(study, fits[name], one) for name in names for one in asked]
    adjusted = adjust([effect.p_value for effect in found], "bh")
    found = [
        effect.model_copy(update={"p_adjusted": p, "inference": inference})
        for effect, p in zip(found, adjusted, strict=True)
    ]
    warnings += [sentence for effect in found for sentence in _warned(study, effect)]
    return found


def _read(study: StudySpec, fitted: Fitted, asked: Sizes) -> EffectOverSizes:
    model = fitted.model
    (term,) = expand_terms(model.factors, (f"{asked.factor}:{asked.covariate}",))
    effect = EffectOverSizes(
        response=fitted.name,
        factor=asked.factor,
        contrast=asked.contrast,
        covariate=asked.covariate,
        scale=asked.scale,
        unit=asked.unit,
        aliased_with=list(dict.fromkeys(o for t in (asked.factor, term) for o in model.aliased_with.get(t, ()))),
        hypotheses=[
            h.id for h in study.hypotheses
            if h.response == fitted.name and set(term_factors(h.term)) == {asked.factor, asked.covariate}
        ],
    )  # fmt: skip
    if term not in model.terms:
        why = next((gone.reason for gone in model.not_estimable if gone.term == term), "the model does not hold it")
        return effect.model_copy(update={"reason": f"{term} is not estimated: {why}"})
    rows = asked.rows(fitted.surface)
    if not fitted.fit.estimable(rows).all():
        lost = [f"{size:g}" for size, ok in zip(asked.sizes, fitted.fit.estimable(rows), strict=True) if not ok]
        return effect.model_copy(update={"reason": f"cells without runs leave no effect at {', '.join(lost)}"})
    return effect.model_copy(update=_numbers(fitted, asked, rows))


def _numbers(fitted: Fitted, asked: Sizes, rows: Floats) -> dict[str, object]:
    """All that the fit says: one set of contrasts, answered together."""
    low, high = (end(asked.sizes + asked.beyond) for end in (min, max))
    grid = np.unique(np.concatenate([_between(asked, low, high), asked.sizes, asked.beyond]))
    weights = [np.eye(len(rows)), asked.slope[None, :], asked.on_line(asked.beyond), asked.on_line(grid)]
    answers = iter(answer_all(fitted, np.vstack(weights) @ rows))
    at = [_point(size, next(answers), level=level) for size, level in zip(asked.sizes, asked.levels, strict=True)]
    slope = next(answers)
    beyond = [_point(size, next(answers), extrapolated=True) for size in asked.beyond]
    inside = (asked.sizes[0], asked.sizes[-1])
    line = [_point(float(size), next(answers), extrapolated=not inside[0] <= size <= inside[1]) for size in grid]
    half = slope.half_width
    far = [
        f"{size:g} is farther from the sizes that were run than these are from each other" for size in far_beyond(asked)
    ]
    return {
        "at": at,
        "beyond": beyond,
        "line": line,
        "slope": slope.estimate,
        "slope_std_error": slope.std_error,
        "slope_df": slope.df,
        "slope_low": None if half is None else slope.estimate - half,
        "slope_high": None if half is None else slope.estimate + half,
        "p_value": slope.p_value,
        "linearity": _linearity(fitted, asked, rows),
        "notes": far,
    }


def _between(asked: Sizes, low: float, high: float) -> Floats:
    return np.asarray(np.linspace(low, high, _GRID) if asked.scale == "linear" else np.geomspace(low, high, _GRID))


def _point(size: float, answer: Answer, *, level: Level | None = None, extrapolated: bool = False) -> SizePoint:
    half = answer.half_width
    return SizePoint(
        size=size,
        level=level,
        estimate=answer.estimate,
        std_error=answer.std_error,
        df=answer.df,
        ci_low=None if half is None else answer.estimate - half,
        ci_high=None if half is None else answer.estimate + half,
        extrapolated=extrapolated,
    )


def _linearity(fitted: Fitted, asked: Sizes, rows: Floats) -> Linearity:
    """Lack of fit of the line; where each contrast has an error of its own, Bonferroni's over orthogonal ones."""
    bends = asked.bends @ rows
    count = len(bends)
    if count == 0:
        return Linearity(reason=_TWO)
    if count == 1 or isinstance(fitted.inference, OverSeeds):
        answers = answer_all(fitted, bends)
        known = [a for a in answers if a.p_value is not None and a.t is not None]
        if len(known) < count:
            return Linearity(df=count, reason="the runs leave no error to test it with")
        first = min(known, key=lambda a: a.p_value or 0.0)
        return Linearity(
            F=None if first.t is None or count > 1 else first.t**2,
            df=count,
            df_error=first.df,
            p_value=min(1.0, count * (first.p_value or 0.0)),
            method="Bonferroni" if count > 1 else None,
        )
    tested = f_test(fitted.inference, fitted.mixed, bends)
    if tested is None or fitted.lenth is not None:
        return Linearity(df=count, reason="the runs leave no error to test it with")
    f, df_error, p, method = tested
    return Linearity(F=f, df=count, df_error=df_error, p_value=p, method=method or None)


def _warned(study: StudySpec, effect: EffectOverSizes) -> list[str]:
    what = f"scaling: {effect.response}: the effect of {effect.factor} ({effect.contrast}) over {effect.covariate}"
    if effect.reason is not None:
        return [f"{what} could not be read: {effect.reason}"]
    sentences = []
    bent = effect.linearity
    if bent is not None and bent.p_value is not None and bent.p_value <= study.analysis.alpha:
        after = f", and what it says at {_listed(effect.beyond)} rests on one" if effect.beyond else ""
        sentences.append(f"{what} is no straight line in {_scale_name(effect)} (p = {bent.p_value:.3g}){after}")
    response = study.responses.get(effect.response)
    if response is not None and response.limits is not None and response.scale is None:
        most = response.limits[1] - response.limits[0]
        gone = [point for point in effect.beyond if abs(point.estimate) > most]
        if gone:
            sentences.append(f"{what} would be larger than its limits permit ({most:g}) at {_listed(gone)}")
    return sentences


def _listed(points: Sequence[SizePoint]) -> str:
    return ", ".join(f"{point.size:g}" for point in points)


def _scale_name(effect: EffectOverSizes) -> str:
    return effect.covariate if effect.scale == "linear" else f"{effect.scale} {effect.covariate}"
