"""What must stand beside a verdict: another test that would change it, and what an average hides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from maineffect.analyse.record.result import HypothesisResult, ResponseResult, SimpleEffect

__all__ = ["MEAN_OVER", "other_tests", "with_caveats"]

MEAN_OVER = "this is the mean over"
"""How a caveat about an average begins."""

_TWOFOLD = 2.0
_FLOOR = 1e-3
"""Below one in a thousand all tests say the same."""


def other_tests(
    p: float, level: float, tests: Mapping[str, tuple[float | None, float]], *, decided: bool
) -> tuple[str, ...]:
    """Sentences about tests that would decide otherwise, where their p-value differs more than twofold.

    Args:
        p: Two-sided p-value of the registered test, against no effect.
        level: What the claim is held to.
        tests: Name → p-value, if there is one, and the smallest that it can give.
        decided: Whether the verdict rests on this test.
    """
    sentences = []
    for name, (other, smallest) in tests.items():
        if other is None or (p <= level) == (other <= level) or (p <= level) != decided:
            continue
        floor = max(_FLOOR, smallest)
        if max(p, other, floor) <= _TWOFOLD * max(min(p, other), floor) * (1 + 1e-9):
            continue
        would = "would not find an effect" if other > level else "would find an effect"
        sentences.append(f"{name} {would} (p = {other:.3g}, here p = {p:.3g})")
    return tuple(sentences)


def with_caveats(
    hypotheses: Sequence[HypothesisResult], responses: Mapping[str, ResponseResult]
) -> list[HypothesisResult]:
    """Results with what their averages hide: simple effects beyond the smallest effect of interest."""
    return [_averaged(result, responses.get(result.response)) for result in hypotheses]


def _averaged(result: HypothesisResult, response: ResponseResult | None) -> HypothesisResult:
    if result.sesoi is None or response is None or result.verdict != "negligible" or ":" in result.term:
        return result
    margin = result.sesoi
    found: dict[str, list[SimpleEffect]] = {}
    for simple in response.simple_effects:
        if simple.factor == result.term:
            found.setdefault(next(iter(simple.given)), []).append(simple)
    sentences = [
        f"{MEAN_OVER} {other}: {', '.join(map(_at, simple))}"
        for other, simple in found.items()
        if any(abs(one.estimate) > margin for one in simple)
    ]
    return result.model_copy(update={"caveats": [*result.caveats, *sentences]}) if sentences else result


def _at(simple: SimpleEffect) -> str:
    ((other, level),) = simple.given.items()
    ends = (
        "" if simple.ci_low is None or simple.ci_high is None else f" ({simple.ci_low:+.3g} to {simple.ci_high:+.3g})"
    )
    return f"{simple.estimate:+.3g}{ends} at {other} = {level}"
