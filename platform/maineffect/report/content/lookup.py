"""Finding things in an AnalysisResult: order of responses, levels of factors, runs of a cell. Nothing is estimated."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from maineffect.analyse.record.result import AnalysisResult, Effect, Mean, ResponseResult, RunRow

__all__ = [
    "Level",
    "active",
    "by_strength",
    "dots",
    "factor_fact",
    "factor_levels",
    "finished",
    "level_key",
    "means_of",
    "ordered_responses",
    "registered_terms",
]

Level = str | int | float | bool


def level_key(value: Level) -> str:
    """Identity of a level: numbers that are equal are the same level, booleans are not numbers."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"n{float(value)!r}"
    return f"{type(value).__name__[0]}{value}"


def ordered_responses(result: AnalysisResult) -> list[str]:
    """Responses with a registered hypothesis first, then the others as the study lists them."""
    first = dict.fromkeys(h.response for h in result.hypotheses if h.response in result.responses)
    return list(dict.fromkeys([*first, *result.responses]))


def factor_levels(result: AnalysisResult) -> dict[str, list[Level]]:
    """Levels of every factor, low to high: as declared, or as met in the runs."""
    declared = {str(f["name"]): list(f["levels"]) for f in result.facts.factors if f.get("name") and f.get("levels")}
    if declared:
        return declared
    met: dict[str, dict[str, Level]] = {}
    for levels in [run.levels for run in result.runs] or [m.levels for r in result.responses.values() for m in r.means]:
        for factor, value in levels.items():
            met.setdefault(factor, {}).setdefault(level_key(value), value)
    return {factor: _sorted_levels(values.values()) for factor, values in met.items()}


def _sorted_levels(values: Iterable[Level]) -> list[Level]:
    listed = list(values)
    if all(isinstance(v, int | float) and not isinstance(v, bool) for v in listed):
        return sorted(listed, key=lambda v: float(v))
    return sorted(listed, key=str)


def factor_fact(result: AnalysisResult, factor: str, key: str) -> Any:
    """One declared property of a factor, such as its unit or description."""
    return next((f.get(key) for f in result.facts.factors if f.get("name") == factor), None)


def finished(result: AnalysisResult) -> list[RunRow]:
    """Runs that have a result."""
    return [run for run in result.runs if run.status == "finished"]


def dots(result: AnalysisResult, response: str) -> list[tuple[RunRow, float]]:
    """Single runs with a value of the response: what is drawn as dots."""
    return [(run, value) for run in result.runs if (value := run.responses.get(response)) is not None]


def means_of(response: ResponseResult, term: str) -> list[Mean]:
    """Marginal means of one term."""
    return [mean for mean in response.means if mean.term == term]


def by_strength(effects: Iterable[Effect]) -> list[Effect]:
    """Effects, strongest evidence first: by absolute t, or by absolute estimate where there is no error estimate."""
    listed = list(effects)
    if all(effect.t is not None for effect in listed):
        return sorted(listed, key=lambda e: (-abs(e.t or 0.0), e.term, e.contrast))
    return sorted(listed, key=lambda e: (-abs(e.estimate), e.term, e.contrast))


def registered_terms(result: AnalysisResult, response: str) -> set[str]:
    """Terms with a registered hypothesis on the response."""
    return {h.term for h in result.hypotheses if h.response == response}


def active(effect: Effect, smallest_effect: float | None) -> str:
    """What the effect's own intervals say: ``active``, ``negligible``, ``inconclusive`` or ``no interval``.

    The simultaneous interval is used where there is one: this looks at many effects at once.
    """
    low = effect.simultaneous_low if effect.simultaneous_low is not None else effect.ci_low
    high = effect.simultaneous_high if effect.simultaneous_high is not None else effect.ci_high
    if low is None or high is None:
        return "no interval"
    if low > 0 or high < 0:
        return "active"
    if smallest_effect is not None and low > -smallest_effect and high < smallest_effect:
        return "negligible"
    return "inconclusive"
