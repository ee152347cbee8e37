"""What the runs that were lost could make of a registered effect at worst, whatever they were lost for.

The effect is that of least squares over the planned runs; each lost run may have had any value within the response's
stated limits (Manski (1990) Am. Econ. Rev. 80:319). No assumption on why runs were lost is made, so that nothing
narrows these bounds but fewer losses.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from maineffect.analyse.hypotheses import registered_terms
from maineffect.analyse.intake import Runs
from maineffect.analyse.losses import Plan, missing_bounds
from maineffect.analyse.model import build_model
from maineffect.analyse.surface import Surface
from maineffect.design.model import Design
from maineffect.design.terms import expand_terms
from maineffect.spec.responses import Direction
from maineffect.spec.study import StudySpec

__all__ = ["worst_cases"]

Floats = NDArray[np.float64]


def worst_cases(study: StudySpec, runs: Runs, design: Design | None, values: Mapping[str, Floats]) -> list[str]:
    """A sentence per registered effect of a response with limits that lost runs.

    Args:
        study: With its hypotheses and limits.
        runs: At hand, failed ones included.
        design: As planned; without it the rows of the table are the plan.
        values: Response → (n,) values, NaN where there is none.
    """
    own = Plan(tuple(study.factors.values()), runs.levels, runs.strata.fixed_blocks, runs.run_ids)
    plan = own if design is None else Plan.of(design)
    said = []
    for hypothesis in study.hypotheses:
        response = study.responses.get(hypothesis.response)
        if response is None or response.limits is None:
            continue
        pairs = zip(runs.run_ids, values[hypothesis.response].tolist(), strict=True)
        known = {run_id: value for run_id, value in pairs if np.isfinite(value)}
        lost = [run_id for run_id in plan.run_ids if run_id not in known]
        if not lost or len(lost) == len(plan.run_ids):
            continue
        (term,) = expand_terms(plan.factors, (hypothesis.term,))
        terms = expand_terms(plan.factors, study.analysis.terms)
        registered = registered_terms(study)
        everything = expand_terms(plan.factors, (*terms, *registered))
        model = build_model(plan.factors, plan.rows, everything, blocks=plan.blocks, first=registered)
        if term not in model.terms:
            continue
        surface = Surface(model)
        directed = hypothesis.direction in (Direction.INCREASE, Direction.DECREASE)
        claims = [surface.last_minus_first(term)] if directed else surface.claims(term)
        y = np.array([known.get(run_id, np.nan) for run_id in plan.run_ids])
        for claim in claims:
            low, high = missing_bounds(model.matrix, y, claim.row, *response.limits)
            same = "the same side of 0" if low * high > 0 else "either side of 0"
            said.append(
                f"{hypothesis.id}: had the {len(lost)} lost run(s) lain anywhere within {list(response.limits)}, the "
                f"estimate ({claim.label}) would lie in [{low:.4g}, {high:.4g}]: on {same}"
            )
    return said
