"""Interim looks at the registered hypotheses after complete waves, and what they do to the verdicts.

A wave is one replicate of every cell; look k uses the runs of the complete waves 1..k only. The family's error is
divided evenly (Bonferroni) among its hypotheses before it is spent over the looks, unless no correction was asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from maineffect.analyse.result import HypothesisResult, Look
from maineffect.analyse.sequential import interim_look
from maineffect.design.model import Design
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
    found = list(made)
    first = 1 + max((look.look for look in made), default=0)
    for look in range(first, min(complete_waves(replicates, design), last or waves) + 1):
        rows = [i for i, wave in enumerate(replicates) if wave <= look]
        found += look_at(study, table.iloc[rows], look, waves, judge)
    return found


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
    return [_look(one, study, rule, look, looks) for one in judge(table) if _tested(one)]


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
        own = [one for one in looks if one.hypothesis == hypothesis.id and one.look <= look]
        crossed = next((one for one in own if one.decision == "efficacy"), None)
        if crossed is not None:
            decided.append(f"{hypothesis.id} efficacy" + (f" (look {crossed.look})" if crossed.look < look else ""))
        elif own and own[-1].look == look and own[-1].decision == "futility":
            decided.append(f"{hypothesis.id} futility")
        else:
            return None
    return f"interim look {look} of {looks[-1].looks}: {', '.join(decided)}" if decided else None


def _tested(one: HypothesisResult) -> bool:
    """Equivalence has no efficacy bound: it is decided at the end."""
    return one.direction != "negligible"


def _share(study: StudySpec) -> float:
    family = sum(str(h.direction) != "negligible" for h in study.hypotheses)
    return study.analysis.alpha / (1 if study.analysis.correction is Correction.NONE else max(1, family))


def _look(one: HypothesisResult, study: StudySpec, rule: Sequential, look: int, looks: int) -> Look:
    common = {
        "hypothesis": one.id,
        "look": look,
        "looks": looks,
        "spending": rule.spending,
        "registered": study.analysis.sequential is not None,
        "alpha": _share(study),
        "estimate": one.estimate,
    }
    if one.estimate is None or not one.std_error or not one.df:
        last = look == looks
        return Look(**common, decision="end" if last else "continue", reason=one.reason or "there is no error estimate")
    shift = _bar(one, study)
    sign = {"increase": 1.0, "decrease": -1.0}.get(one.direction, float(np.sign(one.estimate) or 1.0))
    assumed = None if one.sesoi is None else sign * one.sesoi - shift
    said = interim_look(
        one.estimate - shift, one.std_error, one.df, look=look, looks=looks, alpha=_share(study),
        kind=rule.spending, assumed=assumed or None, futility=rule.futility,
    )  # fmt: skip
    return Look(
        **common,
        level=said.level,
        p_value=said.p_value,
        decision=said.decision,
        ci_low=said.ci_low + shift,
        ci_high=said.ci_high + shift,
        conditional_power=said.conditional_power,
    )


def _bar(one: HypothesisResult, study: StudySpec) -> float:
    """What the estimate must lie beyond: 0, or the smallest effect of interest on the side that it is tested on."""
    hypothesis = next(h for h in study.hypotheses if h.id == one.id)
    if hypothesis.beyond == "zero" or one.sesoi is None or one.estimate is None:
        return 0.0
    side = {"increase": 1.0, "decrease": -1.0}.get(one.direction)
    if side is not None:
        return side * one.sesoi
    return float(np.sign(one.estimate)) * min(one.sesoi, abs(one.estimate))


def hold_verdicts(hypotheses: Sequence[HypothesisResult], looks: Sequence[Look]) -> list[HypothesisResult]:
    """Verdicts as the registered looks allow: nothing is decided before a bound is crossed, or the last look.

    The interval becomes the repeated confidence interval of the deciding look.
    """
    held = []
    for one in hypotheses:
        own = [look for look in looks if look.hypothesis == one.id]
        if not own:
            waiting = bool(looks) and looks[-1].look < looks[-1].looks
            held.append(_wait(one, "equivalence is decided at the last look") if waiting else one)
            continue
        crossed = next((look for look in own if look.decision == "efficacy"), None)
        deciding = crossed or own[-1]
        update = {"ci_low": deciding.ci_low, "ci_high": deciding.ci_high, "estimate": deciding.estimate}
        moved = one.model_copy(update=update)
        if crossed is not None:
            held.append(_crossed(moved, crossed))
        elif deciding.look < deciding.looks:
            held.append(_wait(moved, f"look {deciding.look} of {deciding.looks}: {deciding.decision}"))
        elif one.verdict in ("supported", "refuted"):
            held.append(_wait(moved, "the bound of the last look was not crossed"))
        else:
            held.append(moved)
    return held


def _wait(one: HypothesisResult, why: str) -> HypothesisResult:
    return one.model_copy(update={"verdict": "inconclusive", "reason": f"{one.reason}; {why}" if one.reason else why})


def _crossed(one: HypothesisResult, look: Look) -> HypothesisResult:
    """The side on which the bound was crossed decides; a later estimate does not take it back."""
    why = f"efficacy bound crossed at look {look.look} of {look.looks}"
    against = {"increase": -1.0, "decrease": 1.0}.get(one.direction, 0.0) * (look.estimate or 0.0) > 0
    verdict = "refuted" if against else "supported"
    return one.model_copy(update={"verdict": verdict, "reason": f"{one.reason}; {why}" if one.reason else why})
