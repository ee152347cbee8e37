"""Registered hypotheses → estimates, findings, verdicts, and other tests beside them.

The family is all registered hypotheses of the study: what is found of each is held to the family's level together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from maineffect.analyse.confirmatory.assurance import chance_of_decision, replicates_needed
from maineffect.analyse.confirmatory.caveats import other_tests
from maineffect.analyse.confirmatory.family import Family, adjusted_evidence, claim_levels, family_of
from maineffect.analyse.confirmatory.findings import Evidence, evidence_of, finding
from maineffect.analyse.confirmatory.on_seeds import OverSeeds, Scope, sign_flip
from maineffect.analyse.confirmatory.randomisation import Randomised
from maineffect.analyse.confirmatory.resampled import denies_zero, randomised_p, robust_p, wild_p
from maineffect.analyse.confirmatory.scale_error import with_scale_error
from maineffect.analyse.confirmatory.verdicts import Claim, decide, deciding_p_value
from maineffect.analyse.fit.empty_cells import needs
from maineffect.analyse.fit.respond import Answer, Fitted, answer
from maineffect.analyse.fit.surface import Contrast, Surface
from maineffect.analyse.inference.multiplicity import max_t_critical, max_t_p_values
from maineffect.analyse.record.result import HypothesisResult
from maineffect.design.model.terms import expand_terms, term_factors
from maineffect.spec.responses import Direction, Hypothesis
from maineffect.spec.study import FEWEST_SEEDS, StudySpec

__all__ = ["deciding_contrasts", "judge_hypotheses"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class _Tested:
    hypothesis: Hypothesis
    term: str
    contrast: Contrast | None = None
    claim: Claim | None = None
    evidence: Evidence | None = None
    estimate: float | None = None
    randomised: Randomised | None = None
    p_robust: float | None = None
    p_wild: float | None = None
    several: bool = False
    aliased_with: tuple[str, ...] = ()
    reason: str = ""


def deciding_contrasts(surface: Surface, term: str, hypothesis: Hypothesis) -> list[Contrast]:
    """Contrasts of a term that a hypothesis is judged by: a directed claim is about one."""
    directed = hypothesis.direction in (Direction.INCREASE, Direction.DECREASE)
    return [surface.last_minus_first(term)] if directed else surface.claims(term)


def judge_hypotheses(
    study: StudySpec,
    fits: Mapping[str, Fitted],
    reasons: Mapping[str, str],
    *,
    scope: Scope,
    replicates: int,
    draws: int,
) -> tuple[list[HypothesisResult], list[str]]:
    """Verdicts on every registered hypothesis.

    Args:
        study: With its hypotheses and margins.
        fits: Response → fit.
        reasons: Response → why there is none.
        scope: What the verdicts are about.
        replicates: Replicates so far.
        draws: Random arrangements of each randomisation test.

    Returns:
        Results in the study's order, and warnings.
    """
    tested = [_test(h, study, fits, reasons, draws) for h in study.hypotheses]
    family = _family(tested, fits, str(study.analysis.correction))
    adjusted = adjusted_evidence(family)
    levels = claim_levels(family, study.analysis.alpha)
    results, warnings = [], []
    said = {"inference": scope.inference, "condition": scope.condition or None}
    for test, evidence, level in zip(tested, adjusted, levels, strict=True):
        results.append(_result(test, evidence, level, study, fits, replicates).model_copy(update=said))
        warnings += [f"{test.hypothesis.id}: {caveat}" for caveat in results[-1].caveats]
    return results, warnings


def _family(tested: Sequence[_Tested], fits: Mapping[str, Fitted], method: str) -> Family:
    """The claims' evidence with the correlation of their estimates, which is known within a response."""
    correlation = np.eye(len(tested))
    for i, one in enumerate(tested):
        for j, other in enumerate(tested[:i]):
            if one.contrast is None or other.contrast is None or one.hypothesis.response != other.hypothesis.response:
                continue
            inference = fits[one.hypothesis.response].inference
            covariance = inference.covariance(np.array([one.contrast.row, other.contrast.row]))
            scale = float(np.sqrt(covariance[0, 0] * covariance[1, 1]))
            if np.isfinite(scale) and scale > 0:
                correlation[i, j] = correlation[j, i] = float(np.clip(covariance[0, 1] / scale, -1.0, 1.0))
    df = [test.claim.df for test in tested if test.claim is not None]
    if any(isinstance(fitted.inference, OverSeeds) for fitted in fits.values()):
        # Each has a variance of its own, so that no χ² is shared: Šidák's inequality over the p-values.
        return family_of([test.evidence for test in tested], method)
    return family_of([test.evidence for test in tested], method, df=min(df, default=np.inf), correlation=correlation)


def _margin(hypothesis: Hypothesis, study: StudySpec) -> float | None:
    return hypothesis.smallest_effect or study.responses[hypothesis.response].smallest_effect


def _test(
    hypothesis: Hypothesis, study: StudySpec, fits: Mapping[str, Fitted], reasons: Mapping[str, str], draws: int
) -> _Tested:
    (term,) = expand_terms(tuple(study.factors.values()), (hypothesis.term,))
    blank = _Tested(hypothesis, term)
    fitted = fits.get(hypothesis.response)
    if fitted is None:
        return replace(blank, reason=reasons.get(hypothesis.response, "the response could not be analysed"))
    if term not in fitted.model.terms:
        why = next((e.reason for e in fitted.model.not_estimable if e.term == term), "it was not fitted")
        return replace(blank, reason=f"{term} is not estimable: {why}")
    aliased = fitted.model.aliased_with.get(term, ())
    contrast, contrast_answer, claim, evidence = _claim(fitted, term, hypothesis, _margin(hypothesis, study), fits)
    if contrast is None or contrast_answer is None:
        return replace(blank, reason=f"{term} is not estimable: {needs(fitted.model.empty, term_factors(term))}")
    new_seeds = isinstance(fitted.inference, OverSeeds)
    return _Tested(
        hypothesis=hypothesis,
        term=term,
        contrast=contrast,
        claim=claim,
        evidence=evidence,
        estimate=contrast_answer.estimate,
        randomised=None if claim is None else _randomised(fitted, term, hypothesis, study.seed, draws),
        p_robust=None if new_seeds else robust_p(fitted, contrast),
        p_wild=None if new_seeds else wild_p(fitted, contrast, hypothesis, study.seed, draws),
        several=len(deciding_contrasts(fitted.surface, term, hypothesis)) > 1,
        aliased_with=tuple(aliased),
        reason="" if claim is not None else _no_error(fitted, term),
    )


def _no_error(fitted: Fitted, term: str) -> str:
    if isinstance(fitted.inference, OverSeeds) and fitted.fit.sse[fitted.column] > 0:
        return f"a claim about new seeds needs {FEWEST_SEEDS} replicates in which the runs determine {term}"
    return "there is no error estimate"


def _randomised(fitted: Fitted, term: str, hypothesis: Hypothesis, seed: int, draws: int) -> Randomised | None:
    """In the stratum in which the claim is judged: of new seeds by signs of whole replicates."""
    if not isinstance(fitted.inference, OverSeeds):
        return randomised_p(fitted, term, hypothesis, seed, draws)
    if not denies_zero(hypothesis):
        return None
    rows = np.array([contrast.row for contrast in deciding_contrasts(fitted.surface, term, hypothesis)])
    return sign_flip(fitted.inference.by_replicate(rows), seed, draws)


def _claim(
    fitted: Fitted, term: str, hypothesis: Hypothesis, margin: float | None, fits: Mapping[str, Fitted]
) -> tuple[Contrast | None, Answer | None, Claim | None, Evidence | None]:
    """The contrast that decides, its answer, the claim, and the evidence (unadjusted for the family)."""
    contrasts = deciding_contrasts(fitted.surface, term, hypothesis)
    estimable = fitted.fit.estimable(np.array([c.row for c in contrasts]))
    if not estimable.all():
        return None, None, None, None
    answers = [with_scale_error(answer(fitted, c.row), c.row, hypothesis, fits) for c in contrasts]
    claims = [_as_claim(fitted, hypothesis, margin, contrast_answer) for contrast_answer in answers]
    usable = [claim for claim in claims if claim is not None]
    if len(usable) < len(claims):
        return contrasts[0], answers[0], None, None
    each = [evidence_of(claim.estimate, claim.std_error, claim.df, margin) for claim in usable]
    if len(usable) == 1:
        evidence = each[0]
        if fitted.lenth is not None and answers[0].p_value is not None:
            evidence = replace(evidence, zero=answers[0].p_value)
        return contrasts[0], answers[0], usable[0], evidence
    # Of several contrasts one must differ (max-|t|), but all must lie inside the margin (intersection-union).
    rows = np.array([c.row for c in contrasts])
    df = round(min(c.df for c in usable), 6)
    held, critical = _together(fitted, rows, df)
    ratio = np.array([abs(c.estimate) / c.std_error for c in usable])
    best = int(np.argmax(ratio))
    beyond = inside = None
    shown = best
    if margin is not None:
        over = np.array([(abs(c.estimate) - margin) / c.std_error for c in usable])
        beyond = float(np.min(held(np.maximum(over, 0.0)))) if over.max() > 0 else 1.0
        inside = max(evidence.equivalence or 0.0 for evidence in each)
        widest = int(np.argmax([evidence.equivalence or 0.0 for evidence in each]))
        shown = widest if hypothesis.direction is Direction.NEGLIGIBLE else best
    zero = float(held(ratio)[best])
    evidence = Evidence(each[shown].sign, zero, beyond, inside)
    if hypothesis.direction is not Direction.NEGLIGIBLE:
        usable[shown] = replace(usable[shown], critical=critical)
    return contrasts[shown], answers[shown], usable[shown], evidence


def _together(fitted: Fitted, rows: Floats, df: float) -> tuple[Callable[[Floats], Floats], float]:
    """P-values that hold for several contrasts together, of their |t|, and the critical value: max-|t|.

    Over new seeds each contrast has a variance of its own: Bonferroni.
    """
    if isinstance(fitted.inference, OverSeeds):
        k = len(rows)
        critical = float(stats.t.isf(fitted.alpha / (2 * k), df))
        return lambda t: np.asarray(np.minimum(1.0, 2 * k * stats.t.sf(t, df))), critical
    covariance = fitted.inference.covariance(rows)
    return lambda t: max_t_p_values(covariance, t, df), max_t_critical(covariance, df, fitted.alpha)


def _as_claim(fitted: Fitted, hypothesis: Hypothesis, margin: float | None, contrast_answer: Answer) -> Claim | None:
    if contrast_answer.half_width is None:
        return None
    if contrast_answer.std_error is not None and contrast_answer.df is not None:
        se, df = contrast_answer.std_error, contrast_answer.df
    elif fitted.lenth is not None:
        # Lenth's own approximation, t on m/3 degrees of freedom, serves the equivalence test (it is conservative).
        se = contrast_answer.half_width * fitted.lenth.pse / fitted.lenth.margin_of_error
        df = len(fitted.lenth.p_values) / 3
    else:
        return None
    return Claim(
        direction=str(hypothesis.direction),
        beyond=hypothesis.beyond,
        margin=margin,
        estimate=contrast_answer.estimate,
        std_error=se,
        df=df,
        critical=contrast_answer.half_width / se,
    )


def _result(
    test: _Tested,
    adjusted: Evidence | None,
    level: float | None,
    study: StudySpec,
    fits: Mapping[str, Fitted],
    replicates: int,
) -> HypothesisResult:
    hypothesis, claim, evidence = test.hypothesis, test.claim, test.evidence
    common: dict[str, Any] = {
        "id": hypothesis.id,
        "response": hypothesis.response,
        "term": test.term,
        "sesoi": _margin(hypothesis, study),
        "direction": str(hypothesis.direction),
        "beyond": hypothesis.beyond,
        "statement": hypothesis.statement,
        "estimate": test.estimate,
        "contrast": "" if test.contrast is None else test.contrast.label,
        "aliased_with": list(test.aliased_with),
    }
    if claim is None or evidence is None or adjusted is None or level is None:
        return HypothesisResult(**common, verdict="inconclusive", reason=test.reason)
    alpha = study.analysis.alpha
    found = finding(adjusted, alpha)
    verdict, reason = decide(claim, found)
    if verdict == "inconclusive" and decide(claim, finding(evidence, alpha))[0] != "inconclusive":
        reason = f"{reason}; it would be decided alone, not within the registered family"
    needed = assurance = None
    if verdict == "inconclusive":
        units = _units(fits[hypothesis.response], claim) / replicates
        needed = replicates_needed(claim, level, replicates, units)
        assurance = None if needed is None else chance_of_decision(claim, level, replicates, needed, units)
    if test.aliased_with:
        shared = f"cannot be told from {', '.join(test.aliased_with)}"
        reason = f"{reason}; {shared}" if reason else shared
    half = claim.critical * claim.std_error
    lenth = fits[hypothesis.response].lenth is not None
    return HypothesisResult(
        **common,
        verdict=verdict,
        finding=list(found),
        level=level,
        ci_low=claim.estimate - half,
        ci_high=claim.estimate + half,
        p_value=deciding_p_value(claim, evidence),
        p_adjusted=deciding_p_value(claim, adjusted),
        p_zero=evidence.zero,
        p_beyond=evidence.beyond,
        p_equivalence=evidence.equivalence,
        p_equivalence_adjusted=adjusted.equivalence,
        p_permutation=None if test.randomised is None else test.randomised.p_value,
        p_robust=test.p_robust,
        p_wild=test.p_wild,
        std_error=None if lenth else claim.std_error,
        df=None if lenth else claim.df,
        replicates_needed=needed,
        assurance=assurance,
        reason=reason or None,
        caveats=list(_other_tests(test, level, decided=verdict in ("supported", "refuted"))),
    )


def _other_tests(test: _Tested, level: float, *, decided: bool) -> tuple[str, ...]:
    """Tests that would change the verdict of a claim against no effect."""
    if test.evidence is None or (test.claim is not None and test.claim.barred):
        return ()
    randomised = test.randomised
    tests: dict[str, tuple[float | None, float]] = {
        "the randomisation test": (
            None if randomised is None else randomised.p_value, 0.0 if randomised is None else randomised.smallest,
        ),
    }  # fmt: skip
    if not test.several:  # of several contrasts these test one, and the claim is about all
        tests["the test for unequal variances"] = (test.p_robust, 0.0)
        tests["the wild bootstrap"] = (test.p_wild, 0.0)
    return other_tests(test.evidence.zero, level, tests, decided=decided)


def _units(fitted: Fitted, claim: Claim) -> int:
    """Experimental units of the claim's stratum: whole plots where its degrees of freedom are theirs, else runs.

    Over new seeds a replicate adds one degree of freedom, and as many as terms are pooled: one unit more than that.
    """
    if isinstance(fitted.inference, OverSeeds):
        replicates = len(fitted.inference.fits)
        return replicates * (1 + max(1, round(claim.df / (replicates - 1))))
    plots = fitted.strata.whole_plots
    if fitted.strata.split and plots is not None and claim.df < len(set(plots)):
        return len(set(plots))
    return len(fitted.y)
