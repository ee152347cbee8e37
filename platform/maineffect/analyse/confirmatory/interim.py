"""Interim looks at the registered hypotheses after complete waves, and what they do to the verdicts.

A wave is one replicate of every cell; look k uses the runs of the complete waves 1..k only. The family's error is
divided evenly (Bonferroni) among its hypotheses before it is spent over the looks, unless no correction was asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from maineffect.analyse.confirmatory.sequential import interim_look
from maineffect.analyse.record.result import HypothesisResult, Look
from maineffect.design.model.model import Design
from maineffect.spec.study import Correction, Sequential, StudySpec

__all__ = ["complete_waves", "hold_verdicts", "interim_looks", "look_at", "stopping"]

Judge = Callable[[pd.DataFrame], list[HypothesisResult]]


def complete_waves(replicates: Sequence[int], design: Design | None) -> int:
    """How many waves from the first on have all their runs.

    Args:
        replicates: 1-based replicate of every run that ended.
        design: As planned; without it the first wave's size is that of all.
    """
    seen = np.bincount(np.asarray(replicates, dtype=int), minlength=2)
    planned = None if design is None else np.bincount([run.replicate for run in design.runs], minlength=len(seen))
    count = 0
    for wave in range(1, len(seen)):
        wanted = seen[1] if planned is None else planned[wave]
        if seen[wave] < max(1, wanted):
            break
        count = wave
    return count


def interim_looks(
    study: StudySpec,
    table: pd.DataFrame,
    replicates: Sequence[int],
    judge: Judge,
    *,
    design: Design | None = None,
    made: Sequence[Look] = (),
    last: int | None = None,
) -> list[Look]:
    """Every look up to the last complete wave.

    Args:
        study: With its hypotheses; without `analysis.sequential` the defaults apply and the looks are unregistered.
        table: Ended runs.
        replicates: 1-based replicate of each row.
        judge: Analyses some of the rows.
        design: As planned.
        made: Looks that were made while the runs went on: they stand, whatever came in since.
        last: The look that ended the study, if one did: none is made after it.
    """
    waves = max(study.design.replicates, *replicates, 1)
    all_looks = list(made)
    first = 1 + max((look.look for look in made), default=0)
    for look in range(first, min(complete_waves(replicates, design), last or waves) + 1):
        rows = [i for i, wave in enumerate(replicates) if wave <= look]
        all_looks += look_at(study, table.iloc[rows], look, waves, judge)
    return all_looks


def look_at(study: StudySpec, table: pd.DataFrame, look: int, looks: int, judge: Judge) -> list[Look]:
    """One look at every hypothesis that can be decided early.

    Args:
        study: With its hypotheses.
        table: The runs of the waves 1..look, and no others.
        look: 1-based.
        looks: Planned number.
        judge: Analyses these runs.
    """
    rule = study.analysis.sequential or Sequential()
    return [_look(result, study, rule, look, looks) for result in judge(table) if _tested(result)]


def stopping(study: StudySpec, looks: Sequence[Look], look: int) -> str | None:
    """Why no further wave is needed after a look: every hypothesis is decided. None while one is open.

    Efficacy stands once its bound was crossed; futility is not binding, so that it counts at the latest look only. A
    claim that an effect is negligible is open until the last look.

    Args:
        study: With its hypotheses.
        looks: The looks so far.
        look: The latest.
    """
    decided = []
    for hypothesis in study.hypotheses:
        hypothesis_looks = [
            past_look for past_look in looks if past_look.hypothesis == hypothesis.id and past_look.look <= look
        ]
        crossed = next((past_look for past_look in hypothesis_looks if past_look.decision == "efficacy"), None)
        if crossed is not None:
            decided.append(f"{hypothesis.id} efficacy" + (f" (look {crossed.look})" if crossed.look < look else ""))
        elif hypothesis_looks and hypothesis_looks[-1].look == look and hypothesis_looks[-1].decision == "futility":
            decided.append(f"{hypothesis.id} futility")
        else:
            return None
    return f"interim look {look} of {looks[-1].looks}: {', '.join(decided)}" if decided else None


def _tested(result: HypothesisResult) -> bool:
    """Equivalence has no efficacy bound: it is decided at the end."""
    return result.direction != "negligible"


def _share(study: StudySpec) -> float:
    family = sum(str(h.direction) != "negligible" for h in study.hypotheses)
    return study.analysis.alpha / (1 if study.analysis.correction is Correction.NONE else max(1, family))


def _look(result: HypothesisResult, study: StudySpec, rule: Sequential, look: int, looks: int) -> Look:
    common = {
        "hypothesis": result.id,
        "look": look,
        "looks": looks,
        "spending": rule.spending,
        "registered": study.analysis.sequential is not None,
        "alpha": _share(study),
        "estimate": result.estimate,
    }
    if result.estimate is None or not result.std_error or not result.df:
        last = look == looks
        return Look(
            **common, decision="end" if last else "continue", reason=result.reason or "there is no error estimate"
        )
    shift = _bar(result, study)
    sign = {"increase": 1.0, "decrease": -1.0}.get(result.direction, float(np.sign(result.estimate) or 1.0))
    assumed = None if result.sesoi is None else sign * result.sesoi - shift
    judgement = interim_look(
        result.estimate - shift, result.std_error, result.df, look=look, looks=looks, alpha=_share(study),
        kind=rule.spending, assumed=assumed or None, futility=rule.futility,
    )  # fmt: skip
    return Look(
        **common,
        level=judgement.level,
        p_value=judgement.p_value,
        decision=judgement.decision,
        ci_low=judgement.ci_low + shift,
        ci_high=judgement.ci_high + shift,
        conditional_power=judgement.conditional_power,
    )


def _bar(result: HypothesisResult, study: StudySpec) -> float:
    """What the estimate must lie beyond: 0, or the smallest effect of interest on the side that it is tested on."""
    hypothesis = next(h for h in study.hypotheses if h.id == result.id)
    if hypothesis.beyond == "zero" or result.sesoi is None or result.estimate is None:
        return 0.0
    side = {"increase": 1.0, "decrease": -1.0}.get(result.direction)
    if side is not None:
        return side * result.sesoi
    return float(np.sign(result.estimate)) * min(result.sesoi, abs(result.estimate))


def hold_verdicts(hypotheses: Sequence[HypothesisResult], looks: Sequence[Look]) -> list[HypothesisResult]:
    """Verdicts as the registered looks allow: nothing is decided before a bound is crossed, or the last look.

    The interval becomes the repeated confidence interval of the deciding look.
    """
    held = []
    for result in hypotheses:
        hypothesis_looks = [look for look in looks if look.hypothesis == result.id]
        if not hypothesis_looks:
            waiting = bool(looks) and looks[-1].look < looks[-1].looks
            held.append(_wait(result, "equivalence is decided at the last look") if waiting else result)
            continue
        crossed = next((look for look in hypothesis_looks if look.decision == "efficacy"), None)
        deciding = crossed or hypothesis_looks[-1]
        update = {"ci_low": deciding.ci_low, "ci_high": deciding.ci_high, "estimate": deciding.estimate}
        moved = result.model_copy(update=update)
        if crossed is not None:
            held.append(_crossed(moved, crossed))
        elif deciding.look < deciding.looks:
            held.append(_wait(moved, f"look {deciding.look} of {deciding.looks}: {deciding.decision}"))
        elif result.verdict in ("supported", "refuted"):
            held.append(_wait(moved, "the bound of the last look was not crossed"))
        else:
            held.append(moved)
    return held


def _wait(result: HypothesisResult, why: str) -> HypothesisResult:
    return result.model_copy(
        update={"verdict": "inconclusive", "reason": f"{result.reason}; {why}" if result.reason else why}
    )


def _crossed(result: HypothesisResult, look: Look) -> HypothesisResult:
    """The side on which the bound was crossed decides; a later estimate does not take it back."""
    why = f"efficacy bound crossed at look {look.look} of {look.looks}"
    against = {"increase": -1.0, "decrease": 1.0}.get(result.direction, 0.0) * (look.estimate or 0.0) > 0
    verdict = "refuted" if against else "supported"
    return result.model_copy(update={"verdict": verdict, "reason": f"{result.reason}; {why}" if result.reason else why})
