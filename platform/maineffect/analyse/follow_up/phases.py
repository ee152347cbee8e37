"""A study in phases → verdicts that keep its error rate, each phase by itself, and phase × factor.

With error kept back before the first run (`analysis.follow_up`), the phases are combined at its bounds. Without it, and
for what an earlier sweep suggested, the verdict comes from the new runs alone: the error rate then holds per phase, and
the chance of an error in either of two phases is about twice as large.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from maineffect.analyse.confirmatory.family import adjusted_evidence, claim_levels, family_of
from maineffect.analyse.confirmatory.findings import Evidence, finding
from maineffect.analyse.confirmatory.verdicts import Claim, claim_of, decide, deciding_p_value
from maineffect.analyse.follow_up.combination import PhaseTest, combined_evidence, repeated_interval
from maineffect.analyse.inference.multiplicity import adjust
from maineffect.analyse.record.result import (
    AnalysisResult,
    Effect,
    HypothesisResult,
    PhaseDifference,
    PhaseEstimate,
)
from maineffect.design.model.model import Design
from maineffect.design.phases import FEWEST_DF
from maineffect.errors import AnalysisError
from maineffect.spec.study import Reserve, StudySpec

__all__ = ["Phases", "in_phases"]

Judge = Callable[[StudySpec, pd.DataFrame, Design | None], AnalysisResult]
"""Analyses some of the runs as a study of their own."""


@dataclass(frozen=True)
class Phases:
    """What the phases of a study say.

    Attributes:
        hypotheses: With the verdicts that stand.
        differences: Phase × factor.
        warnings: What a reader must know.
    """

    hypotheses: list[HypothesisResult]
    differences: list[PhaseDifference]
    warnings: list[str]


@dataclass(frozen=True)
class _Part:
    """The runs of one phase, analysed by themselves."""

    phase: int
    runs: int
    result: AnalysisResult | None
    reason: str = ""

    def of(self, hypothesis: str) -> HypothesisResult | None:
        """What it says of a hypothesis."""
        judged = () if self.result is None else self.result.hypotheses
        return next((h for h in judged if h.id == hypothesis), None)


def in_phases(
    study: StudySpec,
    hypotheses: Sequence[HypothesisResult],
    table: pd.DataFrame,
    design: Design | None,
    judge: Judge,
) -> Phases:
    """Verdicts of a study in phases; those that came in, where it has one phase and keeps nothing back.

    Args:
        study: With `follow_up` or `analysis.follow_up`.
        hypotheses: As judged on all runs together.
        table: One row per run, ``run_id`` among its columns where there are earlier phases.
        design: As planned.
        judge: Analyses some of the runs.
    """
    reserve = study.analysis.follow_up
    if study.follow_up is None or not study.follow_up.runs:
        if reserve is None:
            return Phases([_with_source(study, h) for h in hypotheses], [], [])
        alone = [[h] for h in hypotheses]
        return Phases(_combined(study, reserve, hypotheses, alone, [[0]] * len(alone)), [], [])
    parts = _parts(study, table, design, judge)
    warnings = [f"phase {part.phase}: {part.reason}" for part in parts if part.reason]
    each = [[part.of(h.id) for part in parts] for h in hypotheses]
    counting = [[1] if reserve is None else _counting(study, results) for results in each]
    judged = (
        _of_new_phase(study, hypotheses, parts[-1])
        if reserve is None
        else _combined(study, reserve, hypotheses, each, counting)
    )
    judged = [
        _with_source(study, h.model_copy(update={"phases": _estimates(parts, h.id, counts, reserve)}))
        for h, counts in zip(judged, counting, strict=True)
    ]
    differences = _differences(parts)
    warnings += [
        f"{d.response}: the effect of {d.term} differs between the phases ({d.first:.3g}, then {d.second:.3g}; p = "
        f"{d.p_adjusted:.2g} after Holm): what both share is not one effect"
        for d in differences
        if d.p_adjusted is not None and d.p_adjusted <= study.analysis.alpha
    ]
    return Phases(judged, differences, warnings)


def _parts(study: StudySpec, table: pd.DataFrame, design: Design | None, judge: Judge) -> list[_Part]:
    """The earlier runs, then the new ones."""
    assert study.follow_up is not None
    made = {run.run for run in study.follow_up.runs}
    ids = table["run_id"].tolist() if "run_id" in table else [None] * len(table)
    plan = study.analysis.model_copy(update={"sequential": None, "follow_up": None})
    plain = study.model_copy(update={"analysis": plan, "follow_up": None})
    parts = []
    for phase, earlier in ((study.follow_up.phase - 1, True), (study.follow_up.phase, False)):
        rows = [i for i, run_id in enumerate(ids) if run_id is not None and (run_id in made) == earlier]
        planned = None
        if design is not None:
            planned = replace(design, runs=tuple(run for run in design.runs if (run.run_id in made) == earlier))
        if not rows:
            why = "no run has ended" if None not in ids else "the table has no column run_id that tells its runs"
            parts.append(_Part(phase, 0, None, why))
            continue
        try:
            parts.append(_Part(phase, len(rows), judge(plain, table.iloc[rows], planned)))
        except AnalysisError as error:
            parts.append(_Part(phase, 0, None, error.message))
    return parts


def _of_new_phase(study: StudySpec, hypotheses: Sequence[HypothesisResult], new: _Part) -> list[HypothesisResult]:
    """Verdicts of the new runs alone."""
    assert study.follow_up is not None
    told = (
        f"the verdict comes from the {new.runs} new runs of phase {new.phase} alone, as no error was kept back before "
        f"the first run of {study.follow_up.sweep}: {study.analysis.alpha:.0%} holds per phase, about "
        f"{1 - (1 - study.analysis.alpha) ** 2:.0%} for an error in either of two"
    )
    judged = []
    for hypothesis in hypotheses:
        of_new = new.of(hypothesis.id)
        if of_new is None or _too_few(of_new):
            why = f"phase {new.phase}: {new.reason}" if of_new is None else _too_few(of_new)
            judged.append(_open(hypothesis, why))
        else:
            apart = _told_apart(study, hypothesis, of_new)
            caveats = [*of_new.caveats, *([] if apart is None else [apart]), told]
            update: dict[str, Any] = {"caveats": caveats, "replicates_needed": None}
            if apart is not None:
                shared = f"cannot be told from {', '.join(of_new.aliased_with)}"
                reason = (of_new.reason or "").removesuffix(shared).removesuffix("; ")
                update |= {"aliased_with": [], "reason": reason or None}
            judged.append(of_new.model_copy(update=update))
    return judged


def _told_apart(study: StudySpec, together: HypothesisResult, new: HypothesisResult) -> str | None:
    """What all runs say of a suggested term that the new ones alone cannot tell from another.

    Where all runs separate two terms that each phase mixes, the phases mix them with opposite signs: the rival would
    show on the other side of zero than the side that the first phase suggested.
    """
    suggested = _suggested_by(study, new.id) is not None
    if not suggested or not new.aliased_with or together.aliased_with or together.estimate is None:
        return None
    ends = "" if together.ci_low is None else f" ({together.ci_low:+.3g} to {together.ci_high:+.3g})"
    return (
        f"the new runs alone mix it with {', '.join(new.aliased_with)}, with the opposite sign; all runs together tell "
        f"them apart and give {together.estimate:+.3g}{ends}"
    )


def _too_few(result: HypothesisResult) -> str:
    if result.df is not None and result.df >= FEWEST_DF:
        return ""
    if result.estimate is None:
        return result.reason or "there is no estimate"
    if result.df is None:
        return "there are no degrees of freedom for error"
    return f"{result.df:.3g} degrees of freedom are left for error, and a phase needs {FEWEST_DF} of its own"


def _open(result: HypothesisResult, why: str) -> HypothesisResult:
    """Nothing is found: all that a verdict rests on goes."""
    gone = dict.fromkeys(
        ("ci_low", "ci_high", "p_value", "p_adjusted", "p_permutation", "p_robust", "p_wild", "p_zero", "p_beyond",
         "p_equivalence", "p_equivalence_adjusted", "std_error", "df", "replicates_needed", "assurance"),
    )  # fmt: skip
    return result.model_copy(update={**gone, "verdict": "inconclusive", "finding": [], "reason": why, "caveats": []})


def _suggested_by(study: StudySpec, hypothesis: str) -> str | None:
    return next((h.suggested_by for h in study.hypotheses if h.id == hypothesis), None)


def _with_source(study: StudySpec, result: HypothesisResult) -> HypothesisResult:
    """A result that says which sweep's data suggested the claim, where one did."""
    source = _suggested_by(study, result.id)
    if source is None:
        return result
    told = f"the data of {source} suggested the claim; it is tested on runs made since"
    return result.model_copy(update={"suggested_by": source, "caveats": [*result.caveats, told]})


def _combined(
    study: StudySpec,
    reserve: Reserve,
    hypotheses: Sequence[HypothesisResult],
    each: Sequence[Sequence[HypothesisResult | None]],
    counting: Sequence[Sequence[int]],
) -> list[HypothesisResult]:
    """Verdicts at the bounds of the phases so far, held together as one family.

    Args:
        study: With its family.
        reserve: As registered.
        hypotheses: As judged on all runs together: what is not judged here keeps their words.
        each: Per hypothesis its results phase by phase; one alone before there is a follow-up.
        counting: Per hypothesis the phases that count.
    """
    usable = [
        [i for i in chosen if (one := results[i]) is not None and claim_of(one) is not None and one.p_zero is not None]
        for results, chosen in zip(each, counting, strict=True)
    ]
    evidence = [_evidence(results, chosen, reserve) for results, chosen in zip(each, usable, strict=True)]
    least = min((one.df for results in each for one in results if one is not None and one.df), default=np.inf)
    family = family_of(evidence, str(study.analysis.correction), df=least)
    adjusted = adjusted_evidence(family)
    levels = claim_levels(family, study.analysis.alpha)
    return [
        _judged(study, reserve, hypothesis, (results, chosen), (own, held), level)
        for hypothesis, results, chosen, own, held, level in zip(
            hypotheses, each, usable, evidence, adjusted, levels, strict=True
        )
    ]


def _counting(study: StudySpec, results: Sequence[HypothesisResult | None]) -> list[int]:
    """The phases that count for a claim: those with an error estimate of their own.

    The first does not where it suggested the claim, or where its term is aliased and the new phase separates it.
    """
    first, second = results
    suggested = second is not None and _suggested_by(study, second.id) is not None
    separated = second is not None and not second.aliased_with
    aliased = first is not None and bool(first.aliased_with) and separated
    return [
        i
        for i, result in enumerate(results)
        if result is not None and not _too_few(result) and not (i == 0 and (suggested or aliased))
    ]


def _evidence(results: Sequence[HypothesisResult | None], chosen: Sequence[int], reserve: Reserve) -> Evidence | None:
    """Of both phases, or of the first at its bound; of the second alone, which nobody has looked at, at full level."""
    used = [result for i in chosen if (result := results[i]) is not None]
    if not used:
        return None
    tests = [_test(result) for result in used]
    if list(chosen) == [1]:
        assert used[0].p_zero is not None
        return Evidence(-1 if tests[0].estimate < 0 else 1, used[0].p_zero, used[0].p_beyond, used[0].p_equivalence)
    return combined_evidence(tests, used[0].sesoi, reserve)


def _test(result: HypothesisResult) -> PhaseTest:
    assert result.estimate is not None
    assert result.std_error is not None
    assert result.df is not None
    return PhaseTest(result.estimate, result.std_error, result.df)


def _judged(
    study: StudySpec,
    reserve: Reserve,
    hypothesis: HypothesisResult,
    phases: tuple[Sequence[HypothesisResult | None], Sequence[int]],
    evidence: tuple[Evidence | None, Evidence | None],
    level: float | None,
) -> HypothesisResult:
    """The registered rule, on what the phases found together."""
    results, chosen = phases
    latest = next((result for result in reversed(results) if result is not None), hypothesis)
    own, held = evidence
    if own is None or held is None or level is None or not chosen:
        return _open(latest, latest.reason or "no phase has an error estimate of it")
    used = [result for i in chosen if (result := results[i]) is not None]
    tests = [_test(result) for result in used]
    if list(chosen) == [1]:
        estimate, low, high = used[0].estimate or 0.0, used[0].ci_low, used[0].ci_high
    else:
        estimate, low, high = repeated_interval(tests, study.analysis.alpha, reserve)
    claim = Claim(latest.direction, latest.beyond, latest.sesoi, estimate, tests[-1].std_error, tests[-1].df, np.nan)
    found = finding(held, study.analysis.alpha)
    verdict, reason = decide(claim, found)
    update: dict[str, Any] = {
        "verdict": verdict, "reason": _reason(verdict, reason, chosen, len(results)), "finding": list(found),
        "estimate": estimate, "ci_low": low, "ci_high": high, "level": level,
        "std_error": tests[0].std_error if len(tests) == 1 else None, "df": tests[0].df if len(tests) == 1 else None,
        "p_value": deciding_p_value(claim, own), "p_adjusted": deciding_p_value(claim, held),
        "p_zero": own.zero, "p_beyond": own.beyond, "p_equivalence": own.equivalence,
        "p_equivalence_adjusted": held.equivalence, "p_permutation": None, "p_robust": None, "p_wild": None,
        "replicates_needed": None, "assurance": None, "caveats": [],
    }  # fmt: skip
    return used[-1].model_copy(update=update)


def _reason(verdict: str, reason: str, chosen: Sequence[int], phases: int) -> str | None:
    """The rule's own reason, with the phases that it rests on."""
    if list(chosen) == [1]:
        told = "judged on the new phase alone"
    elif len(chosen) == 2:
        told = "both phases together, at the bound that was registered"
    else:
        told = "at the bound of phase 1 of 2" + ("" if phases == 1 else ": the new phase has no error estimate of it")
    if verdict == "inconclusive" and phases == 1:
        return f"the bound of phase 1 of 2 leaves it open: {reason}"
    return f"{reason}; {told}" if reason else told


def _estimates(
    parts: Sequence[_Part], hypothesis: str, counting: Sequence[int], reserve: Reserve | None
) -> list[PhaseEstimate]:
    """Each phase by itself, and whether the verdict uses it."""
    lines = []
    for i, part in enumerate(parts):
        result = part.of(hypothesis)
        if result is None:
            lines.append(PhaseEstimate(phase=part.phase, runs=part.runs, counts=False, reason=part.reason or None))
            continue
        counts = i in counting
        lines.append(
            PhaseEstimate(
                phase=part.phase, runs=part.runs, estimate=result.estimate, std_error=result.std_error, df=result.df,
                ci_low=result.ci_low, ci_high=result.ci_high, p_value=result.p_value, counts=counts,
                reason=None if counts else (reserve is not None and _too_few(result)) or "shown only",
            )
        )  # fmt: skip
    return lines


def _differences(parts: Sequence[_Part]) -> list[PhaseDifference]:
    """Main effects of the new phase minus those of the earlier runs; Welch (1947) with Satterthwaite's df."""
    earlier, later = (_main_effects(part.result) for part in parts)
    found = []
    for key, first in earlier.items():
        second = later.get(key)
        if second is None or not first.std_error or not second.std_error or not first.df or not second.df:
            continue
        variance = first.std_error**2 + second.std_error**2
        df = variance**2 / (first.std_error**4 / first.df + second.std_error**4 / second.df)
        gap = second.estimate - first.estimate
        found.append(
            PhaseDifference(
                response=key[0], term=key[1], contrast=key[2], first=first.estimate, second=second.estimate,
                difference=gap, std_error=float(np.sqrt(variance)), df=df,
                p_value=float(2 * stats.t.sf(abs(gap) / np.sqrt(variance), df)),
            )
        )  # fmt: skip
    held = adjust([difference.p_value for difference in found], "holm")
    return [one.model_copy(update={"p_adjusted": p}) for one, p in zip(found, held, strict=True)]


def _main_effects(result: AnalysisResult | None) -> Mapping[tuple[str, str, str], Effect]:
    if result is None:
        return {}
    return {
        (name, effect.term, effect.contrast): effect
        for name, response in result.responses.items()
        for effect in response.effects
        if effect.kind == "main" and "^" not in effect.term
    }
