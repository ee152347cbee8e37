"""Interim looks at the registered hypotheses after complete waves, and what they do to the verdicts.

A wave is one replicate of every cell; look k uses the runs of the complete waves 1..k only. The family's error is
divided evenly (Bonferroni) among its hypotheses before it is spent over the looks, unless no correction was asked for.
A look judges by the rule of the final verdict, at the level of the look.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from maineffect.analyse.confirmatory.findings import Evidence, State, finding
from maineffect.analyse.confirmatory.sequential import interim_look
from maineffect.analyse.confirmatory.verdicts import Claim, claim_of, decide, deciding_p_value
from maineffect.analyse.record.result import HypothesisResult, Look
from maineffect.design.model.model import Design
from maineffect.spec.study import FEWEST_SEEDS, Correction, Sequential, StudySpec

__all__ = ["complete_waves", "first_look", "hold_verdicts", "interim_looks", "look_at", "stopping"]

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
    first = max(first_look(study), 1 + max((look.look for look in made), default=0))
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
    if look < first_look(study):
        return []
    return [_look(result, study, rule, look, looks) for result in judge(table) if _tested(result)]


def first_look(study: StudySpec) -> int:
    """The first wave after which there is a look: claims about new seeds from shared ones need four replicates."""
    return FEWEST_SEEDS if study.analysis.over_seeds and study.design.common_random_numbers else 1


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
    """The part of the family's error that each hypothesis spends, claims of negligibility included."""
    return study.analysis.alpha / (1 if study.analysis.correction is Correction.NONE else max(1, len(study.hypotheses)))


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
    claim, evidence = _read(result)
    if claim is None or evidence is None:
        last = look == looks
        return Look(
            **common, decision="end" if last else "continue", reason=result.reason or "there is no error estimate"
        )
    sign = {"increase": 1.0, "decrease": -1.0}.get(result.direction, float(evidence.sign))
    bar = sign * (result.sesoi or 0.0) if claim.barred else 0.0
    assumed = None if result.sesoi is None or claim.barred else sign * result.sesoi
    judgement = interim_look(
        claim.estimate, claim.std_error, claim.df, look=look, looks=looks, alpha=_share(study), kind=rule.spending,
        assumed=assumed, futility=rule.futility, p_value=deciding_p_value(claim, evidence), bar=bar,
        first=first_look(study),
    )  # fmt: skip
    return Look(
        **common,
        level=judgement.level,
        p_value=judgement.p_value,
        decision=judgement.decision,
        ci_low=judgement.ci_low,
        ci_high=judgement.ci_high,
        conditional_power=judgement.conditional_power,
        verdict=decide(claim, finding(evidence, judgement.level), equivalence=False)[0],
    )


def _read(result: HypothesisResult) -> tuple[Claim | None, Evidence | None]:
    """A result as the rule takes it; None where there is no error estimate."""
    claim = claim_of(result)
    if claim is None or result.p_zero is None:
        return None, None
    sign = -1 if claim.estimate < 0 else 1
    return claim, Evidence(sign, result.p_zero, result.p_beyond, result.p_equivalence)


def hold_verdicts(hypotheses: Sequence[HypothesisResult], looks: Sequence[Look]) -> list[HypothesisResult]:
    """Verdicts as the registered looks allow: nothing is decided before a bound is crossed, or the last look.

    The interval becomes the repeated confidence interval of the deciding look, and the finding what that leaves. At the
    last look directions are held to the level of that look, and equivalence, which is tested there only, to the claim's
    share of the family's error.
    """
    held = []
    for result in hypotheses:
        hypothesis_looks = [look for look in looks if look.hypothesis == result.id]
        if not hypothesis_looks:
            held.append(_equivalence(result, looks))
            continue
        crossed = next((look for look in hypothesis_looks if look.decision == "efficacy"), None)
        deciding = crossed or hypothesis_looks[-1]
        update = {"ci_low": deciding.ci_low, "ci_high": deciding.ci_high, "estimate": deciding.estimate}
        found = {"finding": list(_possible(result, deciding))} if result.finding else {}
        moved = result.model_copy(update={**update, **found, "level": deciding.level})
        if crossed is not None:
            held.append(_crossed(moved, crossed))
        elif deciding.look < deciding.looks:
            held.append(_wait(moved, f"look {deciding.look} of {deciding.looks}: {deciding.decision}"))
        else:
            held.append(_at_the_end(moved, deciding))
    return held


def _equivalence(result: HypothesisResult, looks: Sequence[Look]) -> HypothesisResult:
    """A claim of negligibility, which has no looks of its own."""
    if not looks:
        return result
    if looks[-1].look < looks[-1].looks:
        waiting = result.model_copy(update=_open(result))
        return _wait(waiting, "equivalence is decided at the last look")
    claim, evidence = _read(result)
    if claim is None or evidence is None:
        return result
    return result.model_copy(update={**_judged(claim, finding(evidence, looks[-1].alpha)), "level": looks[-1].alpha})


def _at_the_end(result: HypothesisResult, look: Look) -> HypothesisResult:
    """The last look crossed no bound: what is left to find is that the effect is not as large, or negligible."""
    claim, _ = _read(result)
    if claim is None:
        return result
    judged = _judged(claim, _possible(result, look))
    if judged["verdict"] != "negligible":
        return _wait(result, "the bound of the last look was not crossed")
    return result.model_copy(update=judged)


def _judged(claim: Claim, found: tuple[State, ...]) -> dict[str, Any]:
    """What changes in a result by what is found."""
    verdict, reason = decide(claim, found)
    return {"verdict": verdict, "reason": reason or None, "finding": list(found)}


def _possible(result: HypothesisResult, look: Look) -> tuple[State, ...]:
    """The statements that a look leaves possible at its level: its repeated interval says which.

    That the effect is negligible is found at the last look only, at the claim's share of the family's error.
    """
    low = -np.inf if look.ci_low is None else look.ci_low
    high = np.inf if look.ci_high is None else look.ci_high
    margin = result.sesoi
    excluded = Evidence(
        -1 if high < 0 else 1,
        0.0 if low > 0 or high < 0 else 1.0,
        None if margin is None else 0.0 if low >= margin or high <= -margin else 1.0,
        None if margin is None else 1.0,
    )
    _, evidence = _read(result)
    if look.look == look.looks and evidence is not None and evidence.equivalence is not None:
        excluded = replace(excluded, equivalence=0.0 if evidence.equivalence <= look.alpha else 1.0)
    return finding(excluded, 0.5)


def _open(result: HypothesisResult) -> dict[str, Any]:
    """Everything is possible; nothing where there was nothing to find."""
    if not result.finding:
        return {}
    evidence = Evidence(1, 1.0, None if result.sesoi is None else 1.0, None if result.sesoi is None else 1.0)
    return {"finding": list(finding(evidence, 0.5))}


def _wait(result: HypothesisResult, why: str) -> HypothesisResult:
    return result.model_copy(update={"verdict": "inconclusive", "reason": why})


def _crossed(result: HypothesisResult, look: Look) -> HypothesisResult:
    """The side on which the bound was crossed decides; a later estimate does not take it back."""
    against = {"increase": -1.0, "decrease": 1.0}.get(result.direction, 0.0) * (look.estimate or 0.0) > 0
    verdict = "refuted" if against else "supported"
    why = f"efficacy bound crossed at look {look.look} of {look.looks}"
    if against:
        why = f"the effect has the opposite direction; {why}"
    update = {"verdict": verdict, "reason": why, "replicates_needed": None}
    return result.model_copy(update=update)
