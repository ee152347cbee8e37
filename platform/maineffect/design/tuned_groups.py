"""Groups of runs that share a tuned value: they are what was tuned, and so the whole plots of the design.

A group's value is drawn once for all of its runs, by trials that are noisy: what tuning gets wrong, all of them get. In
the randomisation that is a whole plot (Montgomery, Design and Analysis of Experiments, 8th ed., sec. 14.4), whether or
not anything is hard to change.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from maineffect.contracts import Level
from maineffect.design.model.aliasing import estimable_terms
from maineffect.design.model.model import Design, cell_id
from maineffect.design.model.terms import expand_terms
from maineffect.design.phases import FEWEST_DF
from maineffect.design.power.precision import precision_of
from maineffect.errors import DesignError, Problem
from maineffect.spec.phases.tuning import GROUPS_VARIANCE
from maineffect.spec.study import StudySpec

__all__ = ["check_groups", "group_of", "in_tuned_groups"]

_BETWEEN = ("whole plots", "both")


def group_of(study: StudySpec, run_id: str, levels: Mapping[str, Level]) -> str:
    """The group that gets one value with a run: ``all``, the run, or the levels that its runs have in common.

    Args:
        study: With `tuning`.
        run_id: The run.
        levels: Of its cell.
    """
    if study.tuned_by:
        return cell_id({name: levels[name] for name in study.tuned_by})
    return "all" if study.tuning is not None and study.tuning.scope == "shared" else run_id


def in_tuned_groups(study: StudySpec, design: Design) -> Design:
    """The design with the groups as its whole plots, where cells or levels are tuned; else as it is.

    The order of the runs stays: nothing has to be set up once for a group.
    """
    if study.tuning is None or not study.tuned_by:
        return design
    runs = tuple(replace(run, whole_plot=group_of(study, run.run_id, design.levels_of(run))) for run in design.runs)
    stated = study.tuning.variance_ratio
    ratio = GROUPS_VARIANCE if stated is None else stated
    return replace(design, runs=runs, hard_to_change=study.tuned_by, variance_ratio=ratio)


def check_groups(study: StudySpec, design: Design) -> list[Problem]:
    """Refuse groups between which the analysis would have no error.

    Args:
        study: With `tuning` or without.
        design: With the groups as whole plots.

    Returns:
        A warning where there is so little of it that only huge effects can be found.

    Raises:
        DesignError: A term is tested between groups, and the fitted terms use up what lies between them.
    """
    groups = {run.whole_plot for run in design.runs}
    if study.tuning is None or not study.tuned_by or len(groups) in (1, len(design.runs)):
        return []
    rows = {name: [design.levels_of(run)[name] for run in design.runs] for name in study.factors}
    of_analysis = expand_terms(design.factors, study.analysis.terms)
    asked = expand_terms(design.factors, (*of_analysis, *(h.term for h in study.hypotheses)))
    terms = estimable_terms(design.factors, rows, asked, [run.block for run in design.runs])
    found = precision_of(design, terms).terms
    between = {term: one.df_error for term, one in found.items() if one.stratum in _BETWEEN}
    lost = [term for term, df in between.items() if df is None]
    if not lost:
        fewest = min((df for df in between.values() if df is not None), default=float(FEWEST_DF))
        message = f"the {len(groups)} tuned groups leave {fewest:.3g} degree(s) of freedom for the error between them"
        hint = "scope: replicate, more cells, or fewer terms between the groups"
        return [Problem(message, "tuning.scope", hint=hint)] if fewest < FEWEST_DF else []
    shown = ", ".join(lost[:3]) + (", …" if len(lost) > 3 else "")
    raise DesignError(
        f"tuning.scope: the {len(groups)} groups differ by tuning and by {shown}, and nothing is left to tell these "
        "apart: one tuning per arm compares these two tunings, not the factor",
        "use scope: replicate, or more cells (or fit fewer terms between the groups)",
    )
