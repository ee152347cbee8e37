"""Power by simulation through the public analysis: registered tests, corrections and verdicts as they will be used."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maineffect.analyse.fit.terms import fitted_terms
from maineffect.analyse.record.result import AnalysisResult, HypothesisResult
from maineffect.analyse.run import analyse
from maineffect.analyse.simulation.planned import planned_direction, planned_scatter
from maineffect.analyse.simulation.selftest import simulate_table
from maineffect.analyse.table.scales import unscaled
from maineffect.design.model.model import Design
from maineffect.design.model.terms import expand_terms
from maineffect.errors import UsageError
from maineffect.seeds import generator
from maineffect.spec.responses import Direction
from maineffect.spec.study import StudySpec

__all__ = ["SimulatedPower", "simulate_power"]


@dataclass(frozen=True)
class SimulatedPower:
    """What the analysis found of one hypothesis over simulated studies.

    Attributes:
        id: Of the hypothesis.
        effect: Planted, in standard deviations of a run (0 for a claim of negligibility).
        alone: Share of studies in which the term's own test (ANOVA; over seeds that of its contrasts) rejects at alpha.
        supported: Share in which the registered rule says so: ``supported``, or ``negligible`` where that is the claim.
        studies: Simulated.
    """

    id: str
    effect: float
    alone: float
    supported: float
    studies: int

    def document(self) -> dict[str, Any]:
        """JSON-able, with Monte Carlo standard errors."""
        n = self.studies
        return {
            **asdict(self),
            "alone_std_error": float(np.sqrt(max(self.alone * (1 - self.alone), 1 / (4 * n**2)) / n)),
            "supported_std_error": float(np.sqrt(max(self.supported * (1 - self.supported), 1 / (4 * n**2)) / n)),
        }


def simulate_power(
    study: StudySpec,
    design: Design,
    effects: Mapping[str, float],
    *,
    studies: int = 200,
    draws: int = 19,
    seed: int | None = None,
    ratio: float | None = None,
    tau: Mapping[str, float] | None = None,
    on_study: Callable[[int, int], None] | None = None,
) -> list[SimulatedPower]:
    """Simulate studies in which every hypothesis' effect is there, and count what the analysis says.

    Hypotheses that share a response are planted together: orthogonal effects do not disturb each other, and the
    correction is seen at work. Claims of negligibility get no effect. Whole plots scatter with the design's variance
    ratio, blocks with the standard deviation of a run.

    Args:
        effects: Hypothesis id → effect in standard deviations of a run, in the claimed direction.
        studies: How many.
        draws: Arrangements of each randomisation test; they do not decide the verdict, so few are enough.
        seed: Root of the simulation; default: the study's.
        ratio: Whole-plot variance over run variance; default: the design's.
        tau: Response → standard deviation of an effect between seeds, in standard deviations of a run: the effects of
            registered terms, and of those that are pooled with them, then differ so between seeds.
        on_study: Called with (done, of).

    Raises:
        UsageError: No hypotheses, or too few studies.
    """
    if not study.hypotheses:
        raise UsageError("there is no hypothesis whose power could be simulated", "register one under `hypotheses:`")
    if studies < 2:
        raise UsageError(f"{studies} simulated studies say nothing", "use --simulate 200 or more")
    study = unscaled(study)
    planted: dict[str, NDArray[np.float64]] = {}
    scatter: dict[tuple[str, str], NDArray[np.float64]] = {}
    for hypothesis in study.hypotheses:
        (term,) = expand_terms(design.factors, (hypothesis.term,))
        between = (tau or {}).get(hypothesis.response, 0.0)
        if between > 0:
            directed = hypothesis.direction in (Direction.INCREASE, Direction.DECREASE)
            scatter[hypothesis.response, term] = between * planned_scatter(study, design, term, directed)
            for other in fitted_terms(study) if study.analysis.pool_seeds else ():
                if other.count(":") == term.count(":") and (hypothesis.response, other) not in scatter:
                    scatter[hypothesis.response, other] = between * planned_scatter(study, design, other, False)
        if hypothesis.direction is not Direction.NEGLIGIBLE:
            sign = -1.0 if hypothesis.direction is Direction.DECREASE else 1.0
            directed = hypothesis.direction is not Direction.DIFFERENT
            pattern = sign * effects[hypothesis.id] * planned_direction(study, design, term, directed)
            planted[hypothesis.response] = planted.get(hypothesis.response, 0.0) + pattern
    alone = {hypothesis.id: 0 for hypothesis in study.hypotheses}
    supported = dict(alone)
    root = study.seed if seed is None else seed
    for i in range(studies):
        table = simulate_table(
            study,
            design,
            root * 1_000_003 + i,
            whole_plot_sd=float(np.sqrt(design.variance_ratio if ratio is None else ratio)),
            added=_between_seeds(design, planted, scatter, root * 1_000_003 + i),
        )
        result = analyse(study, table, draws=draws)
        for judged in result.hypotheses:
            alone[judged.id] += _rejected(result, judged, study.analysis.alpha)
            supported[judged.id] += judged.verdict == (
                "negligible" if judged.direction == "negligible" else "supported"
            )
        if on_study is not None:
            on_study(i + 1, studies)
    return [
        SimulatedPower(
            hypothesis.id,
            0.0 if hypothesis.direction is Direction.NEGLIGIBLE else effects[hypothesis.id],
            alone[hypothesis.id] / studies,
            supported[hypothesis.id] / studies,
            studies,
        )
        for hypothesis in study.hypotheses
    ]


def _between_seeds(
    design: Design,
    planted: Mapping[str, NDArray[np.float64]],
    scatter: Mapping[tuple[str, str], NDArray[np.float64]],
    seed: int,
) -> dict[str, NDArray[np.float64]]:
    """What is planted, with one study's differences between seeds."""
    added = dict(planted)
    seeds = {drawn: j for j, drawn in enumerate(dict.fromkeys(run.seed for run in design.runs))}
    which = [seeds[run.seed] for run in design.runs]
    for (response, term), patterns in scatter.items():
        drawn = generator(seed, "between seeds", response, term).standard_normal((len(seeds), patterns.shape[1]))
        added[response] = added.get(response, 0.0) + np.sum(patterns * drawn[which], axis=1)
    return added


def _rejected(result: AnalysisResult, judged: HypothesisResult, alpha: float) -> bool:
    rows = [row for row in result.responses[judged.response].anova if row.term == judged.term]
    if rows and rows[0].method == "between seeds":
        return judged.p_zero is not None and judged.p_zero <= alpha
    return any(row.p_value is not None and row.p_value <= alpha for row in rows)
