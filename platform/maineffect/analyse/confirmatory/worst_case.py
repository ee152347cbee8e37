"""What the runs that were lost could make of a registered effect at worst, whatever they were lost for.

The effect is that of least squares over the planned runs; each lost run may have had any value within the response's
stated limits (Manski (1990) Am. Econ. Rev. 80:319). No assumption on why runs were lost is made, so that nothing
narrows these bounds but fewer losses.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from maineffect.analyse.confirmatory.hypotheses import deciding_contrasts
from maineffect.analyse.fit.losses import Plan, missing_bounds
from maineffect.analyse.fit.model import build_model
from maineffect.analyse.fit.surface import Surface
from maineffect.analyse.fit.terms import fitted_terms, registered_terms
from maineffect.analyse.table.runs import Runs
from maineffect.design.model.model import Design
from maineffect.design.model.terms import expand_terms
from maineffect.spec.study import StudySpec

__all__ = ["worst_cases"]

Floats = NDArray[np.float64]


def worst_cases(study: StudySpec, runs: Runs, design: Design | None, values: Mapping[str, Floats]) -> list[str]:
    """A sentence per registered effect of a response with limits that lost runs (a scale has no limits at its ends).

    Args:
        study: With its hypotheses and limits.
        runs: At hand, failed ones included.
        design: As planned; without it the rows of the table are the plan.
        values: Response → (n,) values, NaN where there is none.
    """
    plan = Plan.of(design) if design is not None else _plan_of_rows(study, runs)
    short = {name: y for name, y in _planned_values(study, plan, runs, values).items() if np.isnan(y).any()}
    if not short:
        return []
    registered = registered_terms(study)
    model = build_model(plan.factors, plan.rows, fitted_terms(study), blocks=plan.blocks, first=registered)
    surface, sentences = Surface(model), []
    for hypothesis in study.hypotheses:
        (term,) = expand_terms(plan.factors, (hypothesis.term,))
        if hypothesis.response not in short or term not in model.terms:
            continue
        y, limits = short[hypothesis.response], study.responses[hypothesis.response].limits
        assert limits is not None
        for claim in deciding_contrasts(surface, term, hypothesis):
            low, high = missing_bounds(model.matrix, y, claim.row, *limits)
            same = "the same side of 0" if low * high > 0 else "either side of 0"
            sentences.append(
                f"{hypothesis.id}: had the {int(np.isnan(y).sum())} lost run(s) lain anywhere within {list(limits)}, "
                f"the estimate ({claim.label}) would lie in [{low:.4g}, {high:.4g}]: on {same}"
            )
    return sentences


def _plan_of_rows(study: StudySpec, runs: Runs) -> Plan:
    return Plan(tuple(study.factors.values()), runs.levels, runs.strata.fixed_blocks, runs.run_ids)


def _planned_values(study: StudySpec, plan: Plan, runs: Runs, values: Mapping[str, Floats]) -> dict[str, Floats]:
    """Judged response with limits → its values in the planned runs, NaN where a run was lost; none if all were."""
    planned_values = {}
    for name in {hypothesis.response: None for hypothesis in study.hypotheses}:
        response = study.responses.get(name)
        if response is None or response.limits is None or response.scale is not None:
            continue
        value_by_run = dict(zip(runs.run_ids, values[name].tolist(), strict=True))
        y = np.array([value_by_run.get(run_id, np.nan) for run_id in plan.run_ids])
        y[~np.isfinite(y)] = np.nan
        if not np.isnan(y).all():
            planned_values[name] = y
    return planned_values
