"""What a finished sweep leaves open: registered claims, surprises, aliases, interactions, curvature."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from maineffect.analyse.confirmatory.assurance import Belief
from maineffect.analyse.confirmatory.verdicts import Claim, claim_of
from maineffect.analyse.inference.shrinkage import shrink
from maineffect.analyse.record.proposals import OpenQuestion
from maineffect.analyse.record.result import AnalysisResult, Effect, HypothesisResult, ResponseResult
from maineffect.design.model.terms import term_factors
from maineffect.spec.responses import Direction, Hypothesis
from maineffect.spec.study import Correction, StudySpec

__all__ = ["Question", "active_factors", "open_questions"]

_MOST = 3
_HALF = 0.5
"""What the spread of interactions that nobody has seen is taken for, beside that of the effects that were estimated."""


@dataclass(frozen=True)
class Question:
    """An open question as a claim that new runs can decide.

    Attributes:
        record: As it is shown.
        hypothesis: As a follow-up registers it.
        claim: With the estimate so far; its standard error is the scale of what is believed.
        sigma: Standard deviation of a run.
        belief: Of the effect, where the estimate was picked because it is large, or there is none.
        rivals: Terms that it must be told from.
    """

    record: OpenQuestion
    hypothesis: Hypothesis
    claim: Claim
    sigma: float
    belief: Belief | None = None
    rivals: tuple[str, ...] = ()

    @property
    def registered(self) -> bool:
        """Whether it was registered before the sweep."""
        return self.record.kind == "registered"


def open_questions(study: StudySpec, result: AnalysisResult, sweep: str) -> list[Question]:
    """Questions of a finished sweep, the registered ones first.

    Args:
        study: Of the sweep.
        result: Its analysis.
        sweep: Its name: what it suggested is marked by it.
    """
    beliefs = {name: _beliefs(response) for name, response in result.responses.items()}
    found = [*_registered(study, result), *_aliased(result, beliefs, sweep), *_surprises(study, result, beliefs, sweep)]
    found += [*_interactions(study, result, beliefs, sweep), *_curvature(study, result, sweep)]
    seen: dict[tuple[str, str], Question] = {}
    for question in found:
        seen.setdefault((question.record.response, question.record.term), question)
    return list(seen.values())


def active_factors(result: AnalysisResult, response: str, alpha: float) -> list[str]:
    """Factors with a clear main effect on a response, adjusted for how many effects were looked at."""
    found = []
    for effect in result.responses[response].effects:
        p = effect.p_adjusted if effect.p_adjusted is not None else effect.p_value
        if effect.kind == "main" and "^" not in effect.term and p is not None and p <= alpha:
            found.append(effect.term)
    return list(dict.fromkeys(found))


def _error(response: ResponseResult, effect: Effect) -> tuple[float, float] | None:
    """Standard error and degrees of freedom of an effect; without replicates Lenth's, t on a third of the effects."""
    if effect.std_error and effect.df:
        return effect.std_error, effect.df
    if response.lenth is not None and response.lenth.pse > 0:
        return response.lenth.pse, max(1.0, len(response.effects) / 3)
    return None


def _beliefs(response: ResponseResult) -> Mapping[tuple[str, str], tuple[Belief, float]]:
    """(term, contrast) → what is believed of the effect after shrinkage, and the spread of the response's effects."""
    usable = [(e, error) for e in response.effects if (error := _error(response, e)) is not None]
    shrunk = shrink([e.estimate for e, _ in usable], [error for _, (error, _) in usable])
    return {
        (e.term, e.contrast): (Belief(float(shrunk.mean[i]), float(shrunk.sd[i])), shrunk.spread)
        for i, (e, _) in enumerate(usable)
    }


def _registered(study: StudySpec, result: AnalysisResult) -> Iterator[Question]:
    judged = {h.id: h for h in result.hypotheses if h.verdict == "inconclusive"}
    waiting = [h for h in study.hypotheses if h.id in judged]
    kept = study.analysis.follow_up is not None and study.follow_up is None
    family = len(study.hypotheses) if kept else len(waiting)
    own = 1 if study.analysis.correction is Correction.NONE else max(1, family)
    for hypothesis in waiting:
        verdict = judged[hypothesis.id]
        claim, belief, sigma = _claim(result, verdict)
        if claim is None:
            continue
        level = verdict.level if kept and verdict.level is not None else study.analysis.alpha / own
        shown = OpenQuestion(
            id=hypothesis.id, kind="registered", response=hypothesis.response, term=verdict.term,
            text=hypothesis.statement or f"{hypothesis.term} on {hypothesis.response}: {hypothesis.direction.value}",
            raw=verdict.estimate, shrunk=None if belief is None else belief.mean, std_error=claim.std_error,
            level=level,
        )  # fmt: skip
        yield Question(shown, hypothesis, claim, sigma, belief)


def _claim(result: AnalysisResult, verdict: HypothesisResult) -> tuple[Claim | None, Belief | None, float]:
    """A claim with an error; of a term that was not estimated what the response's other effects make likely."""
    response = result.responses.get(verdict.response)
    claim = claim_of(verdict)
    if response is None:  # a difference of two responses
        return claim, None, 0.0
    sigma = response.model.sigma or 0.0
    if claim is not None:
        return claim, None, sigma
    errors = [error for e in response.effects if (error := _error(response, e)) is not None]
    if not errors:
        return None, None, sigma
    std_error, df = min(errors)
    sigma = sigma or std_error * np.sqrt(result.n_runs) / 2
    common = (verdict.direction, verdict.beyond, verdict.sesoi)
    if verdict.estimate is not None:
        return Claim(*common, verdict.estimate, std_error, df, float("nan")), None, sigma
    spread = max((s for _, s in _beliefs(response).values()), default=0.0)
    scale = _HALF * spread if ":" in verdict.term else spread
    return Claim(*common, 0.0, std_error, df, float("nan")), Belief(0.0, max(scale, std_error)), sigma


def _suggested(
    result: AnalysisResult, sweep: str, kind: str, name: str, effect: Effect, error: tuple[float, float],
    belief: Belief, *, text: str, rivals: Sequence[str] = (), directed: bool = True,
) -> Question:  # fmt: skip
    """A claim that the data suggested: that the effect has the sign that it seems to have."""
    response = result.responses[name]
    direction = "different"
    if directed:
        direction = "increase" if effect.estimate > 0 else "decrease"
    label = f"S-{effect.term}-{name}"
    hypothesis = Hypothesis(
        id=label, term=effect.term, response=name, direction=Direction(direction), statement=text, suggested_by=sweep
    )
    shown = OpenQuestion(
        id=label, kind=kind, response=name, term=effect.term, text=text, raw=effect.estimate, shrunk=belief.mean,
        std_error=error[0], level=result.alpha,
    )  # fmt: skip
    margin = response.smallest_effect
    claim = Claim(direction, "zero", margin, effect.estimate, *error, float("nan"))
    sigma = response.model.sigma or error[0] * float(np.sqrt(result.n_runs)) / 2
    return Question(shown, hypothesis, claim, sigma, belief, tuple(rivals))


def _surprises(
    study: StudySpec, result: AnalysisResult, beliefs: Mapping[str, Mapping[tuple[str, str], tuple[Belief, float]]],
    sweep: str,
) -> Iterator[Question]:  # fmt: skip
    """Effects that nobody registered and that stand out (Benjamini–Hochberg), the clearest first."""
    found = []
    for name, response in result.responses.items():
        for effect in response.effects:
            error = _error(response, effect)
            two_levels = all(len(study.factors[f].levels) == 2 for f in term_factors(effect.term))
            if effect.registered or error is None or not two_levels or "^" in effect.term:
                continue
            if effect.p_adjusted is not None and effect.p_adjusted <= result.alpha:
                found.append((abs(effect.estimate) / error[0], name, effect, error))
    for _, name, effect, error in sorted(found, key=lambda one: -one[0])[:_MOST]:
        belief = beliefs[name][(effect.term, effect.contrast)][0]
        text = f"the effect of {effect.term} on {name}, which nobody expected, is real"
        yield _suggested(result, sweep, "surprise", name, effect, error, belief, text=text)


def _aliased(
    result: AnalysisResult, beliefs: Mapping[str, Mapping[tuple[str, str], tuple[Belief, float]]], sweep: str
) -> Iterator[Question]:
    """Effects of size that may be another term's, whose factors are active (strong heredity; Chipman (1996))."""
    found = []
    for name, response in result.responses.items():
        active = set(active_factors(result, name, result.alpha))
        for effect in response.effects:
            error = _error(response, effect)
            mine = set(term_factors(effect.term))
            rivals = [
                t for t in effect.aliased_with if set(term_factors(t)) <= active - (mine if len(mine) == 1 else set())
            ]
            if error is not None and rivals and (effect.p_value or 1.0) <= result.alpha:
                found.append((abs(effect.estimate) / error[0], name, effect, error, rivals))
    for _, name, effect, error, rivals in sorted(found, key=lambda one: -one[0])[:_MOST]:
        belief = beliefs[name][(effect.term, effect.contrast)][0]
        text = f"the effect on {name} is that of {effect.term}, and not of {' or '.join(rivals)}"
        yield _suggested(result, sweep, "alias", name, effect, error, belief, text=text, rivals=rivals)


def _interactions(
    study: StudySpec, result: AnalysisResult, beliefs: Mapping[str, Mapping[tuple[str, str], tuple[Belief, float]]],
    sweep: str,
) -> Iterator[Question]:  # fmt: skip
    """Two-factor interactions of active factors that the runs could not estimate, or not tell from a main effect."""
    for name, response in result.responses.items():
        active = active_factors(result, name, result.alpha)
        pairs = [f"{a}:{b}" for a, b in combinations([f for f in study.factors if f in active], 2)]
        # A chain of interactions has one estimate: if it is small so are they, and if not, it is a question of aliases.
        seen = {term for e in response.effects if e.kind == "interaction" for term in (e.term, *e.aliased_with)}
        errors = [error for e in response.effects if (error := _error(response, e)) is not None]
        spread = max((s for _, s in beliefs[name].values()), default=0.0)
        two_levels = all(len(study.factors[f].levels) == 2 for f in active)
        missing = [pair for pair in pairs if pair not in seen]
        if len(active) < 2 or not missing or not errors or not spread or not two_levels:
            continue
        for pair in missing[:_MOST]:
            blank = Effect(term=pair, contrast="high − low", kind="interaction", estimate=0.0)
            text = f"{pair.replace(':', ' and ')} change each other's effect on {name}"
            belief = Belief(0.0, _HALF * spread)
            yield _suggested(result, sweep, "interaction", name, blank, min(errors), belief, text=text, directed=False)


def _curvature(study: StudySpec, result: AnalysisResult, sweep: str) -> Iterator[Question]:
    """Centre runs that lie off the plane through the corners: which of the active factors bends?"""
    for name, response in result.responses.items():
        row = next((r for r in response.anova if r.term == "curvature"), None)
        sigma = response.model.sigma
        if (
            row is None
            or row.p_value is None
            or row.p_value > result.alpha
            or not sigma
            or not row.F
            or not row.df_error
        ):
            continue
        active = [
            f for f in active_factors(result, name, result.alpha)
            if study.factors[f].is_numeric and len(study.factors[f].levels) == 2
        ]  # fmt: skip
        centre = sum(_between(study, run.levels) for run in result.runs)
        if not active or not centre or centre == len(result.runs):
            continue
        error = sigma * float(np.sqrt(1 / centre + 1 / (len(result.runs) - centre)))
        size = float(np.sqrt(row.F)) * error
        for factor in active[:_MOST]:
            blank = Effect(term=f"{factor}^2", contrast=f"{factor} ends − centre", kind="main", estimate=0.0)
            text = f"{name} bends along {factor}"
            belief = Belief(0.0, size / float(np.sqrt(len(active))))
            yield _suggested(
                result, sweep, "curvature", name, blank, (error, row.df_error), belief, text=text, directed=False
            )


def _between(study: StudySpec, levels: Mapping[str, object]) -> bool:
    return any(levels[name] not in factor.levels for name, factor in study.factors.items())
