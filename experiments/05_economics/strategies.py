"""Ways to answer the same questions, each as a person would go it through maineffect's public functions.

one factor     a baseline, and every factor changed alone; the baseline has three times the runs of an arm
fraction       2^(7−3) of resolution IV in 16 cells, all replicates at once
looks          the same fraction, a look after every replicate, stopped when all is decided or futile
next           a small fraction with error kept back, then the proposal of `next`; both phases count
looks + next   looks, then the proposal of `next` on new runs alone; half of the error for each of the two

Of `next` the first line that is for a registered question is followed, once.

One factor at a time shares its baseline at the best allocation: with k arms of r runs the variance of an effect is
σ²(1/r + 1/b), least for b = r·√k at the same number of runs, b + kr (Dunnett (1955) JASA 50:1096); √7 is 2.6, and 3
costs .3 % more than that. All strategies register the same family of claims and hold it to 5 % by Holm's method.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import sqrt

import numpy as np
import pandas as pd
from truth import Truth

from maineffect.analyse.follow_up.propose import Planned, what_next
from maineffect.analyse.follow_up.written import Followed, follow_up_study
from maineffect.analyse.record.result import AnalysisResult, HypothesisResult, Look
from maineffect.analyse.run import analyse, analyse_with_fits
from maineffect.analyse.waves import look_after_wave
from maineffect.design.build import build_design
from maineffect.design.model.model import Design
from maineffect.spec.requests import AblationRequest, DesignRequest, FractionalRequest
from maineffect.spec.study import Reserve, Sequential, StudySpec

__all__ = ["STRATEGIES", "Outcome", "theory"]

BASELINE_RUNS = 3
CELLS = 16
RESERVE = Reserve(phases=2, spending="pocock")


@dataclass(frozen=True)
class Outcome:
    """One simulated study.

    Attributes:
        verdicts: Question → supported, refuted, negligible or inconclusive.
        found: Question → sign of the effect that a verdict states; 0 where it states none.
        runs: All that were made.
        hours: Core-hours that they took.
    """

    verdicts: Mapping[str, str]
    found: Mapping[str, int]
    runs: int
    hours: float


Strategy = Callable[[Truth, int, np.random.Generator], Outcome]


def theory(factors: int) -> float:
    """Runs of a two-level fraction over those of one factor at a time for the same variance of an effect.

    4σ²/N against σ²(1 + √k)²/N, the latter with its baseline shared at the best allocation.
    """
    return 4 / (1 + sqrt(factors)) ** 2


def one_factor(truth: Truth, replicates: int, rng: np.random.Generator) -> Outcome:
    """One factor at a time, all others at their first level."""
    first = {name: factor.levels[0] for name, factor in truth.study.factors.items()}
    request = AblationRequest(
        kind="ablation", baseline=first, mode="add_one_in", baseline_repeats=BASELINE_RUNS, replicates=replicates
    )
    study = _study(truth, request, terms="main")
    design = build_design(study)
    table = truth.measure(design, rng)
    return _outcome(analyse(study, table, design=design, draws=0), table)


def fraction(truth: Truth, replicates: int, rng: np.random.Generator) -> Outcome:
    """A fraction, all at once."""
    study = _study(truth, _fraction(replicates))
    design = build_design(study)
    table = truth.measure(design, rng)
    return _outcome(analyse(study, table, design=design, draws=0), table)


def looks(truth: Truth, replicates: int, rng: np.random.Generator) -> Outcome:
    """A fraction with a look after every replicate."""
    _, _, table, result = _with_looks(truth, replicates, rng, alpha=truth.study.analysis.alpha)
    return _outcome(result, table)


def then_next(truth: Truth, replicates: int, rng: np.random.Generator) -> Outcome:
    """A fraction with error kept back, and what `next` proposes first; both phases count."""
    study = _study(truth, _fraction(replicates), follow_up=RESERVE)
    design = build_design(study)
    table = truth.measure(design, rng)
    result = analyse(study, table, design=design, draws=0)
    return _followed(truth, study, design, table, result, rng)


def looks_then_next(truth: Truth, replicates: int, rng: np.random.Generator) -> Outcome:
    """A fraction with looks, and what `next` proposes first for what is open, judged on its new runs alone."""
    study, design, table, result = _with_looks(truth, replicates, rng, alpha=truth.study.analysis.alpha / 2)
    return _followed(truth, study, design, table, result, rng)


STRATEGIES: dict[str, Strategy] = {
    "one factor": one_factor,
    "fraction": fraction,
    "looks": looks,
    "next": then_next,
    "looks + next": looks_then_next,
}


def _study(truth: Truth, request: DesignRequest, **analysis: object) -> StudySpec:
    plan = truth.study.analysis.model_copy(update=analysis)
    return truth.study.model_copy(update={"design": request, "analysis": plan})


def _fraction(replicates: int) -> FractionalRequest:
    return FractionalRequest(kind="fractional", runs=CELLS, replicates=replicates)


def _with_looks(
    truth: Truth, replicates: int, rng: np.random.Generator, *, alpha: float
) -> tuple[StudySpec, Design, pd.DataFrame, AnalysisResult]:
    """A sweep that stops as the driver would stop it, and its analysis: what was not run is no loss."""
    study = _study(truth, _fraction(replicates), sequential=Sequential(), alpha=alpha)
    design = build_design(study)
    table = truth.measure(design, rng)
    made: list[Look] = []
    stopped: int | None = None
    for wave in range(1, replicates + 1):
        look = look_after_wave(study, table, wave, made)
        made += look.judged
        if look.stop and wave < replicates:
            stopped = wave
            break
    if stopped is not None:
        design = replace(design, runs=tuple(run for run in design.runs if run.replicate <= stopped))
        table = table[table["replicate"] <= stopped].reset_index(drop=True)
    result, _ = analyse_with_fits(study, table, design=design, draws=0, made=made, last_look=stopped)
    return study, design, table, result


def _followed(
    truth: Truth, study: StudySpec, design: Design, table: pd.DataFrame, result: AnalysisResult,
    rng: np.random.Generator,
) -> Outcome:  # fmt: skip
    """What came of a first sweep and of the proposal that is followed, if any."""
    first = _outcome(result, table)
    _, planned = what_next(study, result, design, "economics-1")
    chosen = next((one for one in planned if _asks(one, study)), None)
    if chosen is None:
        return first
    made = frozenset(run.run_id for run in design.runs)
    after = follow_up_study(study, design, chosen, Followed("economics-1", "0" * 64, "1" * 64, made))
    both = build_design(after)
    measured = truth.measure(both, rng, before=table)
    second = _outcome(analyse(after, measured, design=both, draws=0), measured)
    return replace(second, verdicts={**first.verdicts, **second.verdicts}, found={**first.found, **second.found})


def _asks(planned: Planned, study: StudySpec) -> bool:
    """Whether a proposal is for a question of the study: all else that it offers is exploration."""
    registered = {q.id for q in study.hypotheses}
    return planned.candidate is not None and any(c.question in registered for c in planned.proposal.chances)


def _outcome(result: AnalysisResult, table: pd.DataFrame) -> Outcome:
    return Outcome(
        verdicts={h.id: h.verdict for h in result.hypotheses},
        found={h.id: _found(h) for h in result.hypotheses},
        runs=len(table),
        hours=float(table["seconds"].sum()) / 3600,
    )


def _found(result: HypothesisResult) -> int:
    """The sign of the effect that a verdict states."""
    if result.verdict not in ("supported", "refuted"):
        return 0
    if result.direction == "different":
        return int(np.sign(result.estimate or 0.0))
    claimed = 1 if result.direction == "increase" else -1
    return claimed if result.verdict == "supported" else -claimed
