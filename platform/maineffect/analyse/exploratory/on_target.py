"""Verdicts beside the effect on the registered target: the same rule, at the same level."""

from __future__ import annotations

from collections.abc import Sequence

from maineffect.analyse.confirmatory.findings import evidence_of, finding
from maineffect.analyse.confirmatory.verdicts import Claim, decide
from maineffect.analyse.record.further_records import Transported
from maineffect.analyse.record.result import HypothesisResult

__all__ = ["beside_verdicts"]


def beside_verdicts(
    hypotheses: Sequence[HypothesisResult], transported: Sequence[Transported]
) -> tuple[list[HypothesisResult], list[str]]:
    """Results with their effect on the target, and warnings where its sign or its verdict is another one.

    Args:
        hypotheses: As judged on the designed cells.
        transported: Effects of factors, last minus first level.
    """
    effects = {(moved.response, moved.factor): moved for moved in transported if moved.target}
    judged, warnings = [], []
    for result in hypotheses:
        moved = effects.get((result.response, result.term))
        if moved is None or result.estimate is None:
            judged.append(result)
            continue
        verdict = _verdict(result, moved)
        sentences = []
        if moved.designed is not None and moved.designed * moved.estimate < 0:
            sentences.append(f"on the registered target the effect has the other sign: {_shown(moved)}")
        elif verdict is not None and verdict != result.verdict:
            sentences.append(f"on the registered target it would be {verdict}: {_shown(moved)}")
        warnings += [f"{result.id}: {sentence}" for sentence in sentences]
        update = {"transported": moved, "transported_verdict": verdict, "caveats": [*result.caveats, *sentences]}
        judged.append(result.model_copy(update=update))
    return judged, warnings


def _verdict(result: HypothesisResult, moved: Transported) -> str | None:
    if moved.std_error is None or moved.df is None or result.level is None:
        return None
    claim = Claim(
        result.direction, result.beyond, result.sesoi, moved.estimate, moved.std_error, moved.df, float("nan")
    )
    found = finding(evidence_of(moved.estimate, moved.std_error, moved.df, result.sesoi), result.level)
    return decide(claim, found)[0]


def _shown(moved: Transported) -> str:
    designed = "" if moved.designed is None else f", {moved.designed:+.3g} on the designed cells"
    ends = "" if moved.ci_low is None or moved.ci_high is None else f" ({moved.ci_low:+.3g} to {moved.ci_high:+.3g})"
    return f"{moved.estimate:+.3g}{ends}{designed}"
