"""The platform checks its own analysis: A/A and planted-effect studies simulated on the user's design.

Every simulated table goes through :func:`maineffect.analyse.run.analyse`, so that what is measured is what is used:
error rate, coverage and power, each with its Monte Carlo standard error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from maineffect.analyse.confirmatory.on_seeds import scope_of
from maineffect.analyse.record.result import AnalysisResult, Effect, HypothesisResult
from maineffect.analyse.run import analyse
from maineffect.analyse.simulation.planned import planned_direction, planned_model
from maineffect.analyse.table.scales import unscaled
from maineffect.contracts import Level
from maineffect.design.emit import design_rows
from maineffect.design.model.model import Design
from maineffect.design.model.terms import expand_terms
from maineffect.errors import AnalysisError
from maineffect.seeds import generator
from maineffect.spec.responses import Direction
from maineffect.spec.study import Correction, StudySpec

__all__ = ["Rate", "SelfTest", "self_test", "simulate_table"]


@dataclass(frozen=True)
class Rate:
    """A simulated rate.

    Attributes:
        value: Share.
        std_error: Monte Carlo standard error, by studies (the effects of one study are not independent).
        count: Tests or intervals behind it.
    """

    value: float
    std_error: float
    count: int

    def within(self, nominal: float, multiple: float = 3.0) -> bool:
        """Whether the nominal rate lies within so many Monte Carlo standard errors."""
        return abs(self.value - nominal) <= multiple * max(self.std_error, 1e-12)


@dataclass(frozen=True)
class SelfTest:
    """What the analysis does on this design.

    Attributes:
        studies: Simulated studies of each kind.
        alpha: Nominal error rate.
        error_rate: Of single tests when nothing has an effect.
        family_error: Studies with any rejection among registered hypotheses, adjusted; None without hypotheses.
        coverage: Of the 1 − α intervals of all effects, when nothing has an effect.
        power: Of the test of the planted effect; None if nothing was planted.
        planted: Term, and its size in standard deviations of a run.
        wrong_verdicts: Studies with a wrong verdict on any registered claim when nothing has an effect (supported or
            refuted), by the registered rule, interim looks included; None without hypotheses.
        wrong_at_margin: The same where every claimed effect is exactly its smallest effect of interest, in the claimed
            direction (negligible, or refuted); None without margins.
        looks: Interim looks that these verdicts went through; 0 where none are registered.
        together: Whether the registered correction holds the family's error, so that these rates promise alpha.
        inference: What verdicts are about: ``seeds`` (new ones) or ``these_seeds``.
        between_seeds: How often the test of the first two-level factor rejects where its effect differs between seeds
            with the standard deviation of a run and is zero on average: an error, if verdicts are about new seeds.
            None where no factor has two levels or nothing is tested.
    """

    studies: int
    alpha: float
    error_rate: Rate
    family_error: Rate | None
    coverage: Rate
    power: Rate | None
    planted: tuple[str, float] | None
    wrong_verdicts: Rate | None
    wrong_at_margin: Rate | None
    looks: int
    together: bool
    inference: str
    between_seeds: Rate | None

    @property
    def calibrated(self) -> bool:
        """Whether error rates and coverage are within 3 Monte Carlo standard errors of what they claim.

        Verdicts about these seeds claim nothing where effects differ between seeds, and without a correction nothing is
        claimed of several verdicts together. Wrong verdicts may be rarer than alpha: not every truth is the worst.
        """
        new = self.between_seeds if self.inference == "seeds" else None
        rates = [(self.error_rate, self.alpha), (self.coverage, 1 - self.alpha)]
        wrong = [self.family_error, self.wrong_verdicts, self.wrong_at_margin] if self.together else []
        rare = all(r is None or r.value <= self.alpha + 3 * r.std_error for r in wrong)
        return rare and all(rate.within(nominal) for rate, nominal in [*rates, *([(new, self.alpha)] if new else [])])

    def document(self) -> dict[str, Any]:
        """JSON-able record."""
        return {"schema_version": 1, **asdict(self), "calibrated": self.calibrated}


def simulate_table(
    study: StudySpec,
    design: Design,
    seed: int,
    *,
    block_sd: float = 1.0,
    whole_plot_sd: float = 1.0,
    planted: tuple[str, float] | None = None,
    added: Mapping[str, NDArray[np.float64]] | None = None,
    lost: int = 0,
) -> pd.DataFrame:
    """One study's table: normal runs with sd 1, block and whole-plot effects, at most one planted main effect.

    Args:
        study: Whose responses are simulated, independently.
        design: As planned.
        seed: Of this table.
        block_sd: Standard deviation between blocks.
        whole_plot_sd: Standard deviation between whole plots.
        planted: Factor and its effect from the first to the last level, on every response.
        added: Response → (n,) what its mean is in each planned run, in run order.
        lost: Runs lost at random.
    """
    rng = generator(seed, "self-test")
    table = pd.DataFrame(design_rows(design))
    n = len(table)
    gone = rng.choice(n, size=lost, replace=False) if lost else np.empty(0, dtype=int)
    for name in study.responses:
        y = rng.standard_normal(n)
        for column, sd in (("block", block_sd), ("whole_plot", whole_plot_sd)):
            labels = table[column].astype(str)
            drawn = {label: sd * rng.standard_normal() for label in sorted(set(labels))}
            y = y + labels.map(drawn).to_numpy(dtype=float) * bool(table[column].notna().any())
        if planted is not None:
            y = y + planted[1] * np.array([_position(study, planted[0], v) for v in table[planted[0]].tolist()])
        if added is not None and name in added:
            y = y + added[name]
        y[gone] = np.nan
        table[name] = y
    for name in study.analysis.covariates:
        table[name] = rng.standard_normal(n)
    return table


def _position(study: StudySpec, name: str, value: Level) -> float:
    levels = study.factors[name].levels
    return levels.index(value) / (len(levels) - 1)


def self_test(
    study: StudySpec,
    design: Design,
    *,
    studies: int = 200,
    effect: float = 1.0,
    lost: int = 0,
    seed: int = 0,
    draws: int = 199,
) -> SelfTest:
    """Simulate A/A studies and studies with one planted main effect on a design, through the public analysis.

    Args:
        study: With its analysis plan.
        design: On which runs are simulated.
        studies: Of each kind.
        effect: Planted on the first factor, in standard deviations of a run.
        lost: Runs lost at random in every study.
        seed: Root of the simulation.
        draws: Arrangements of each randomisation test (small: they are not what is measured).

    Raises:
        AnalysisError: The design leaves no tests to calibrate.
    """
    study = unscaled(study)
    factor = next(iter(study.factors))

    def simulated_study(i: int, planted: tuple[str, float] | None) -> _Summary:
        plots = float(np.sqrt(design.variance_ratio))
        table = simulate_table(study, design, seed * 1_000_003 + i, whole_plot_sd=plots, planted=planted, lost=lost)
        return _summarised(analyse(study, table, draws=draws), study.analysis.alpha, factor)

    null = [simulated_study(i, None) for i in range(studies)]
    if not any(summary.rejections for summary in null):
        raise AnalysisError("no effect of this design can be tested", "replicate it, or fit fewer terms")
    at_margin, claimed = _at_margins(study, design)

    def wrong_at_margin(i: int) -> list[bool]:
        plots = float(np.sqrt(design.variance_ratio))
        table = simulate_table(study, design, seed * 1_000_003 + i, whole_plot_sd=plots, added=at_margin, lost=lost)
        judged = [h for h in analyse(study, table, draws=draws).hypotheses if h.id in claimed]
        return [any(h.verdict == "negligible" or (h.verdict == "refuted" and _directed(h)) for h in judged)]

    margin = [wrong_at_margin(3 * studies + i) for i in range(studies)] if claimed else []
    shared = study.design.common_random_numbers
    scattered = [_between_seeds(study, design, seed * 1_000_003 + 2 * studies + i, draws) for i in range(studies)]
    detections = [simulated_study(studies + i, (factor, effect)).first for i in range(studies)]
    return SelfTest(
        studies=studies,
        alpha=study.analysis.alpha,
        error_rate=_rate([summary.rejections for summary in null]),
        family_error=_rate([[summary.any_registered] for summary in null]) if study.hypotheses else None,
        coverage=_rate([summary.covered for summary in null]),
        power=_rate(detections) if any(detections) else None,
        planted=(factor, effect),
        wrong_verdicts=_rate([[summary.any_wrong] for summary in null]) if study.hypotheses else None,
        wrong_at_margin=_rate(margin) if margin else None,
        looks=max((summary.looks for summary in null), default=0),
        together=study.analysis.correction in (Correction.HOLM, Correction.MAX_T),
        inference=scope_of(study, shared=shared).inference,
        between_seeds=_rate(scattered) if any(scattered) else None,
    )


def _between_seeds(study: StudySpec, design: Design, seed: int, draws: int) -> list[bool]:
    """Whether the first two-level factor is found in a study where its effect is N(0, 1) over seeds."""
    factor = next((name for name, factor in study.factors.items() if len(factor.levels) == 2), None)
    if factor is None:
        return []
    rng = generator(seed, "between seeds")
    of_seed = {run_seed: rng.standard_normal() for run_seed in sorted({run.seed for run in design.runs})}
    changed = np.array(
        [of_seed[run.seed] * (_position(study, factor, design.levels_of(run)[factor]) - 0.5) for run in design.runs]
    )
    plots = float(np.sqrt(design.variance_ratio))
    table = simulate_table(study, design, seed, whole_plot_sd=plots, added=dict.fromkeys(study.responses, changed))
    return _summarised(analyse(study, table, draws=draws), study.analysis.alpha, factor).first


def _at_margins(study: StudySpec, design: Design) -> tuple[dict[str, NDArray[np.float64]], set[str]]:
    """What to plant so that claimed effects are exactly their margins, and the claims whose effects are.

    Of several claims about one term and response the first is planted and judged.
    """
    added: dict[str, NDArray[np.float64]] = {}
    claimed: dict[tuple[str, str], str] = {}
    terms = planned_model(study, design).terms
    for hypothesis in study.hypotheses:
        (term,) = expand_terms(design.factors, (hypothesis.term,))
        declared = study.responses.get(hypothesis.response)
        size = hypothesis.smallest_effect or (declared.smallest_effect if declared is not None else None)
        if size is None or hypothesis.pair is not None or term not in terms or (hypothesis.response, term) in claimed:
            continue
        claimed[hypothesis.response, term] = hypothesis.id
        sign = -1.0 if hypothesis.direction is Direction.DECREASE else 1.0
        directed = hypothesis.direction in (Direction.INCREASE, Direction.DECREASE)
        pattern = sign * size * planned_direction(study, design, term, directed)
        added[hypothesis.response] = added.get(hypothesis.response, 0.0) + pattern
    return added, set(claimed.values())


def _directed(judged: HypothesisResult) -> bool:
    return judged.direction in ("increase", "decrease")


@dataclass(frozen=True)
class _Summary:
    """What is counted of one simulated study."""

    rejections: list[bool]
    covered: list[bool]
    any_registered: bool
    any_wrong: bool
    looks: int
    first: list[bool]


def _summarised(result: AnalysisResult, alpha: float, factor: str) -> _Summary:
    effects = _effects(result)
    return _Summary(
        [e.p_value <= alpha for e in effects if e.p_value is not None],
        [e.ci_low <= 0 <= e.ci_high for e in effects if e.ci_low is not None and e.ci_high is not None],
        _any_rejection(result, alpha),
        any(
            h.verdict == "refuted" or (h.verdict == "supported" and h.direction != "negligible")
            for h in result.hypotheses
        ),
        max((look.look for look in result.looks), default=0),
        [e.p_value <= alpha for e in effects if e.term == factor and e.p_value is not None][:1],
    )


def _effects(result: AnalysisResult) -> list[Effect]:
    return [effect for response in result.responses.values() for effect in response.effects]


def _any_rejection(result: AnalysisResult, alpha: float) -> bool:
    return any(
        h.p_adjusted is not None and h.p_adjusted <= alpha and h.direction != "negligible" for h in result.hypotheses
    )


def _rate(by_study: list[list[bool]]) -> Rate:
    """Share over all tests, with the standard error of a ratio clustered by study."""
    hits = np.array([sum(study_tests) for study_tests in by_study], dtype=float)
    sizes = np.array([len(study_tests) for study_tests in by_study], dtype=float)
    share = float(hits.sum() / sizes.sum())
    spread = float(np.sqrt(np.sum((hits - share * sizes) ** 2)) / sizes.sum())
    # Without any hit the sample knows no spread: use the binomial's at the rule of three.
    floor = float(np.sqrt(share * (1 - share) / sizes.sum())) if 0 < share < 1 else 1.0 / float(sizes.sum())
    return Rate(share, max(spread, floor), int(sizes.sum()))
