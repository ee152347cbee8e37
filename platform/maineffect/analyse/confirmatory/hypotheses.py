"""Registered hypotheses → estimates, decision p-values, randomisation tests, verdicts.

The family is all registered hypotheses of the study: their decision p-values are adjusted together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from maineffect.analyse.confirmatory.bootstrap import wild_cluster_test
from maineffect.analyse.confirmatory.randomisation import Randomised, freedman_lane
from maineffect.analyse.confirmatory.verdicts import Claim, decide, decision_p_value, replicates_needed
from maineffect.analyse.fit.respond import Answer, Fitted, answer
from maineffect.analyse.fit.robust import RobustInference
from maineffect.analyse.fit.surface import Contrast, Surface
from maineffect.analyse.inference.equivalence import tost
from maineffect.analyse.inference.multiplicity import adjust, max_t_critical, max_t_p_values
from maineffect.analyse.record.result import HypothesisResult
from maineffect.analyse.table.strata import whole_plot_factors
from maineffect.contracts import Level
from maineffect.design.model.terms import expand_terms, term_factors
from maineffect.spec.responses import Direction, Hypothesis
from maineffect.spec.study import StudySpec

__all__ = ["deciding_contrasts", "judge_hypotheses"]

Floats = NDArray[np.float64]
_TWOFOLD = 2.0
_FEWEST_CLUSTERS, _MOST_RUNS = 6, 2_000
"""Fewer clusters have too few signs to draw; from so many runs on the bootstrap says what the t test says, late."""


@dataclass(frozen=True)
class _Tested:
    hypothesis: Hypothesis
    term: str
    contrast: Contrast | None = None
    claim: Claim | None = None
    estimate: float | None = None
    p_value: float | None = None
    randomised: Randomised | None = None
    p_robust: float | None = None
    p_wild: float | None = None
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
    replicates: int,
    draws: int,
) -> tuple[list[HypothesisResult], list[str]]:
    """Verdicts on every registered hypothesis.

    Args:
        study: With its hypotheses and margins.
        fits: Response → fit.
        reasons: Response → why there is none.
        replicates: Replicates so far.
        draws: Random arrangements of each randomisation test.

    Returns:
        Results in the study's order, and warnings.
    """
    alpha = study.analysis.alpha
    tested = [_test(h, study, fits, reasons, draws) for h in study.hypotheses]
    adjusted = adjust([test.p_value for test in tested], str(study.analysis.correction))
    results, warnings = [], []
    for test, p_adjusted in zip(tested, adjusted, strict=True):
        results.append(_result(test, p_adjusted, alpha, study, fits, replicates))
        warnings += _disagreement(test)
    return results, warnings


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
    contrast, contrast_answer, claim, p = _claim(fitted, term, hypothesis, _margin(hypothesis, study))
    if contrast is None or contrast_answer is None:
        return replace(blank, reason=f"{term} is not estimable: it needs cells that have no runs")
    permuted = _randomise(fitted, term, hypothesis, study, draws) if claim is not None else None
    return _Tested(
        hypothesis=hypothesis,
        term=term,
        contrast=contrast,
        claim=claim,
        estimate=contrast_answer.estimate,
        p_value=p,
        randomised=permuted,
        p_robust=_robust(fitted, contrast),
        p_wild=_wild(fitted, contrast, hypothesis, study.seed, draws),
        aliased_with=tuple(aliased),
        reason="" if claim is not None else "there is no error estimate",
    )


def _claim(
    fitted: Fitted, term: str, hypothesis: Hypothesis, margin: float | None
) -> tuple[Contrast | None, Answer | None, Claim | None, float | None]:
    """The contrast that decides, its answer, the claim, and the decision's p-value (unadjusted for the family)."""
    contrasts = deciding_contrasts(fitted.surface, term, hypothesis)
    estimable = fitted.fit.estimable(np.array([c.row for c in contrasts]))
    if not estimable.all():
        return None, None, None, None
    answers = [answer(fitted, c.row) for c in contrasts]
    claims = [_as_claim(fitted, hypothesis, margin, contrast_answer) for contrast_answer in answers]
    usable = [claim for claim in claims if claim is not None]
    if len(usable) < len(claims):
        return contrasts[0], answers[0], None, None
    if len(usable) == 1:
        p = answers[0].p_value if fitted.lenth and usable[0].bar == 0 and hypothesis.direction != "negligible" else None
        return contrasts[0], answers[0], usable[0], decision_p_value(usable[0]) if p is None else p
    if hypothesis.direction is Direction.NEGLIGIBLE:
        # All contrasts must lie inside the margin: the worst decides, and needs no adjustment (intersection-union).
        each = [tost(c.estimate, c.std_error, c.df, c.margin or 0.0).p_value for c in usable]
        worst = int(np.argmax(each))
        return contrasts[worst], answers[worst], usable[worst], each[worst]
    rows = np.array([c.row for c in contrasts])
    covariance = fitted.inference.covariance(rows)
    df = round(min(c.df for c in usable), 6)
    t = np.array([(abs(c.estimate) - c.bar) / c.std_error for c in usable])
    best = int(np.argmax(t))
    p = float(max_t_p_values(covariance, np.maximum(t, 0.0), df)[best])
    critical = max_t_critical(covariance, df, fitted.alpha)
    return contrasts[best], answers[best], replace(usable[best], critical=critical), p


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


def _robust(fitted: Fitted, contrast: Contrast) -> float | None:
    """HC2 with Bell–McCaffrey degrees of freedom, where runs were lost or cells are unequal (one stratum)."""
    from scipy import stats

    if fitted.strata.mixed or fitted.fit.df_error == 0 or not fitted.fit.sse[fitted.column] > 0 or _balanced(fitted):
        return None
    estimates = RobustInference(fitted.fit, fitted.column, "hc2").contrasts(contrast.row[None, :])
    se, df = float(estimates.std_error[0]), float(estimates.df[0])
    if not np.isfinite(se) or not df > 0:
        return None
    return float(2 * stats.t.sf(abs(float(estimates.estimate[0])) / se, df))


def _denies_zero(hypothesis: Hypothesis) -> bool:
    """Whether the claim is against no effect at all, which is what resampling under the null imposes."""
    return hypothesis.direction is not Direction.NEGLIGIBLE and hypothesis.beyond == "zero"


def _wild(fitted: Fitted, contrast: Contrast, hypothesis: Hypothesis, seed: int, draws: int) -> float | None:
    """The wild cluster bootstrap: no trust in equal variances, nor in independence within whole plots or blocks."""
    if not _denies_zero(hypothesis):
        return None
    x, strata = fitted.fit.x, fitted.strata
    clusters = strata.whole_plots if strata.split else strata.blocks if strata.scattered else None
    groups = len(x) if clusters is None else len(set(clusters))
    short = fitted.fit.rank < x.shape[1] or fitted.fit.df_error == 0 or not fitted.fit.sse[fitted.column] > 0
    if short or groups < _FEWEST_CLUSTERS or len(x) > _MOST_RUNS:
        return None
    return wild_cluster_test(x, fitted.y, contrast.row, clusters=clusters, draws=draws, seed=seed)


def _balanced(fitted: Fitted) -> bool:
    leverage = np.sum(fitted.fit.basis**2, axis=1)
    return bool(np.ptp(leverage) < 1e-8)


def _randomise(fitted: Fitted, term: str, hypothesis: Hypothesis, study: StudySpec, draws: int) -> Randomised | None:
    """The randomisation test beside a hypothesis, in the stratum in which its factors were randomised."""
    if not _denies_zero(hypothesis):
        return None
    x, span = fitted.model.matrix, fitted.model.spans[term]
    tested, others = x[:, span], np.delete(x, np.arange(span.start, span.stop), axis=1)
    blocks = fitted.strata.blocks or tuple("1" for _ in fitted.y)
    seed = study.seed
    if fitted.strata.scattered:
        labels = np.array(blocks)
        others = np.hstack([others, (labels[:, None] == np.unique(labels)[None, :]).astype(float)])
    if not fitted.strata.split:
        return freedman_lane(fitted.y, tested, others, blocks, seed=seed, draws=draws)
    plots = np.array(fitted.strata.whole_plots)
    rows = {f.name: _column(fitted, study, f.name) for f in fitted.model.factors}
    if not set(term_factors(term)) <= whole_plot_factors(rows, tuple(plots)):
        dummies = (plots[:, None] == np.unique(plots)[None, :]).astype(float)
        return freedman_lane(fitted.y, tested, np.hstack([others, dummies]), plots.tolist(), seed=seed, draws=draws)
    sizes = np.unique(plots, return_counts=True)[1]
    if np.ptp(sizes) > 0:
        return None
    averager = (np.unique(plots)[:, None] == plots[None, :]) / sizes[0]
    first = [int(np.argmax(plots == plot)) for plot in np.unique(plots)]
    return freedman_lane(
        averager @ fitted.y, averager @ tested, averager @ others, [blocks[i] for i in first], seed=seed, draws=draws
    )


def _column(fitted: Fitted, study: StudySpec, name: str) -> list[Level]:
    del study
    columns = fitted.model.spans.get(name)
    if columns is None:
        # A factor outside the model cannot make a term: any constant will do.
        return [0] * len(fitted.y)
    return [hash(tuple(np.round(row, 9).tolist())) for row in fitted.model.matrix[:, columns]]


def _result(
    test: _Tested, p_adjusted: float | None, alpha: float, study: StudySpec, fits: Mapping[str, Fitted], replicates: int
) -> HypothesisResult:
    hypothesis = test.hypothesis
    common = {
        "id": hypothesis.id,
        "response": hypothesis.response,
        "term": test.term,
        "sesoi": _margin(hypothesis, study),
        "direction": str(hypothesis.direction),
        "statement": hypothesis.statement,
        "estimate": test.estimate,
        "contrast": "" if test.contrast is None else test.contrast.label,
        "aliased_with": list(test.aliased_with),
    }
    if test.claim is None or p_adjusted is None:
        return HypothesisResult(**common, verdict="inconclusive", reason=test.reason)
    claim = test.claim
    verdict, reason = decide(claim, p_adjusted, alpha)
    needed = None
    if verdict == "inconclusive":
        units = _units(fits[hypothesis.response], claim)
        needed = replicates_needed(claim, alpha, replicates, max(1, units // replicates))
    if test.aliased_with:
        shared = f"cannot be told from {', '.join(test.aliased_with)}"
        reason = f"{reason}; {shared}" if reason else shared
    half = claim.critical * claim.std_error
    lenth = fits[hypothesis.response].lenth is not None
    return HypothesisResult(
        **common,
        verdict=verdict,
        ci_low=claim.estimate - half,
        ci_high=claim.estimate + half,
        p_value=test.p_value,
        p_adjusted=p_adjusted,
        p_permutation=None if test.randomised is None else test.randomised.p_value,
        p_robust=test.p_robust,
        p_wild=test.p_wild,
        std_error=None if lenth else claim.std_error,
        df=None if lenth else claim.df,
        replicates_needed=needed,
        reason=reason or None,
    )


def _units(fitted: Fitted, claim: Claim) -> int:
    """Experimental units of the claim's stratum: whole plots where its degrees of freedom are theirs, else runs."""
    plots = fitted.strata.whole_plots
    if fitted.strata.split and plots is not None and claim.df < len(set(plots)):
        return len(set(plots))
    return len(fitted.y)


def _disagreement(test: _Tested) -> list[str]:
    """A twofold difference between the t test and the randomisation test, where it could matter."""
    p = test.p_value
    if p is None or test.randomised is None or min(p, test.randomised.p_value) > 0.1:
        return []
    permuted = test.randomised.p_value
    # Few runs have few arrangements; and below one in a thousand both say the same.
    floor = max(1e-3, test.randomised.smallest)
    ratio = max(p, permuted, floor) / max(min(p, permuted), floor)
    if ratio <= _TWOFOLD + 1e-9:
        return []
    return [
        f"{test.hypothesis.id}: the t test (p = {p:.3g}) and the randomisation test (p = {permuted:.3g}) "
        "differ more than twofold: look at the residuals"
    ]
