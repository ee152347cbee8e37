"""One plain clause that answers a hypothesis' statement, and the words of its badge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from maineffect.analyse.confirmatory.caveats import MEAN_OVER
from maineffect.analyse.record.result import HypothesisResult
from maineffect.design.model.aliasing import chain_of

__all__ = ["further_replicates", "with_answers", "with_registrations"]


def with_answers(hypotheses: Sequence[HypothesisResult], units: Mapping[str, str]) -> list[HypothesisResult]:
    """Results with their answers.

    Args:
        hypotheses: As judged, looks heeded.
        units: Response → unit, or an empty text.
    """
    return [
        result.model_copy(update={"answer": _scoped(result, units.get(result.response, "")), "label": _label(result)})
        for result in hypotheses
    ]


def with_registrations(hypotheses: Sequence[HypothesisResult], reasons: Mapping[str, str]) -> list[HypothesisResult]:
    """Results of which some are called post hoc: hypothesis id → why."""
    held = [result.model_copy(update={"post_hoc": reasons.get(result.id)}) for result in hypotheses]
    return [result.model_copy(update={"label": _label(result)}) for result in held]


def _label(result: HypothesisResult) -> str:
    """The badge: the verdict, and what qualifies it."""
    qualified: list[str] = [result.verdict]
    if result.aliased_with and result.verdict in ("supported", "refuted"):
        qualified.append("confounded")
    if result.post_hoc is not None:
        qualified.append("post hoc")
    return ", ".join(qualified)


def further_replicates(result: HypothesisResult) -> str:
    """What would decide an inconclusive verdict, with a chance of 80 %."""
    count = result.replicates_needed
    if result.phases:
        return "`maineffect next` says what would decide it"
    if count is None:
        return "no number of further replicates would decide it with a chance of 80 %"
    return f"about {count} more replicate{'s' if count > 1 else ''} would decide it with a chance of 80 %"


def _scoped(result: HypothesisResult, unit: str) -> str:
    """The answer, with what it is confined to."""
    confined = ["for these seeds only"] if result.inference == "these_seeds" else []
    confined += [result.condition] if result.condition else []
    answer = _answer(result, unit)
    if result.estimate is None or not confined:
        return answer
    return f"{answer.removesuffix('.')}, {' and '.join(confined)}."


def _answer(result: HypothesisResult, unit: str) -> str:
    if result.estimate is None or result.ci_low is None or result.ci_high is None:
        return f"Not answered: {result.reason or 'there is no estimate'}."
    spaced = f" {unit}" if unit else ""
    margin = "zero" if result.sesoi is None else f"±{result.sesoi:.3g}{spaced}"
    average = " on average" if any(text.startswith(MEAN_OVER) for text in result.caveats) else ""
    if result.verdict == "inconclusive":
        return f"Open: the effect may be anything from {result.ci_low:+.3g} to {result.ci_high:+.3g}{spaced}."
    if result.verdict == "negligible":
        yes = "Yes" if result.direction == "negligible" else "No"
        return f"{yes}: the effect is within {margin}{average}."
    yes = "Yes" if result.verdict == "supported" else "No"
    ends = f"({result.ci_low:+.3g} to {result.ci_high:+.3g})"
    chain = f"; or it is {chain_of(result.aliased_with)}, which the design cannot tell" if result.aliased_with else ""
    if result.direction == "negligible":
        return f"{yes}: the effect is larger than {margin}: {result.estimate:+.3g}{spaced} {ends}{chain}."
    if ":" in result.term:
        return f"{yes}: the interaction is {result.estimate:+.3g}{spaced} {ends}{chain}."
    verb = "raises" if result.estimate > 0 else "lowers"
    return f"{yes}: it {verb} {result.response} by {abs(result.estimate):.3g}{spaced} {ends}{chain}."
