"""A new phase beside the finished runs that it follows: one design, in which the phases are blocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from maineffect.contracts import Level
from maineffect.design.model.aliasing import alias_chains, alias_matrix, estimable_terms
from maineffect.design.model.model import Cell, Design, PlannedRun, cell_id
from maineffect.design.model.terms import expand_terms, model_matrix
from maineffect.design.search.efficiency import d_efficiency
from maineffect.errors import DesignError
from maineffect.seeds import derive_seed
from maineffect.spec.requests import EarlierRun
from maineffect.spec.responses import Direction
from maineffect.spec.study import StudySpec

__all__ = ["FEWEST_DF", "PHASE", "check_new_phase", "judged_runs", "new_runs", "with_earlier_phases"]

PHASE = "phase"
"""How the labels of a phase's blocks begin: ``phase 1``, or ``phase 1.2`` for its second block."""
FEWEST_DF = 4
"""Error degrees of freedom that a phase needs of its own."""


def new_runs(study: StudySpec, runs: Sequence[PlannedRun]) -> tuple[PlannedRun, ...]:
    """The runs of a design that no earlier phase has made."""
    made = {run.run for run in study.follow_up.runs} if study.follow_up is not None else set()
    return tuple(run for run in runs if run.run_id not in made)


def with_earlier_phases(study: StudySpec, design: Design) -> Design:
    """A new phase's design with the finished runs before it, as fixed rows in a block of their own.

    What it can tell apart is read from all rows together. Resolution and bounds are promises about one phase, and are
    not kept.

    Args:
        study: With `follow_up` or without; without it, or without runs, the design is returned as it is.
        design: Of the new phase.

    Raises:
        DesignError: A finished run's id does not belong to its levels, or is an id of the new phase.
    """
    follow_up = study.follow_up
    if follow_up is None or not follow_up.runs:
        return design
    cells = {cell.cell_id: cell for cell in (*map(_cell, follow_up.runs), *design.cells)}
    earlier = [_planned(study, run, order) for order, run in enumerate(follow_up.runs)]
    later = [
        replace(run, block=_label(follow_up.phase, run.block), order=run.order + len(earlier)) for run in design.runs
    ]
    runs = (*earlier, *later)
    if len({run.run_id for run in runs}) < len(runs):
        raise DesignError("a finished run and a new one share an id", "write the follow-up again: maineffect next")
    factors = design.factors
    rows = _rows(design, cells, runs)
    outside = {i for i, run in enumerate(runs) if _between(design, cells[run.cell_id].levels)}
    corners = {name: [v for i, v in enumerate(column) if i not in outside] for name, column in rows.items()}
    blocks = [run.block for run in runs]
    terms = estimable_terms(factors, rows, expand_terms(factors, study.analysis.terms), blocks)
    note = (
        f"phase {follow_up.phase} of {follow_up.sweep}: {len(earlier)} finished runs count and are not run again, "
        f"{len(later)} are new"
    )
    return replace(
        design,
        cells=tuple(cells.values()),
        runs=runs,
        terms=terms,
        resolution=None,
        word_length_pattern=None,
        generators=None,
        aliases=alias_chains(factors, corners),
        d_efficiency=d_efficiency(factors, rows, terms, blocks=blocks),
        d_bound=None,
        alias_matrix=alias_matrix(factors, rows, terms),
        notes=(note, *design.notes),
        average_variance=None,
        average_variance_bound=None,
    )


def judged_runs(study: StudySpec, design: Design) -> Design:
    """The design that verdicts rest on: of a follow-up its new runs alone, unless error was kept back.

    Args:
        study: With `follow_up` or without.
        design: All of its runs.
    """
    runs = new_runs(study, design.runs)
    if len(runs) == len(design.runs) or study.analysis.follow_up is not None:
        return design
    rows = {name: [design.levels_of(run)[name] for run in runs] for name in study.factors}
    asked = expand_terms(design.factors, study.analysis.terms)
    terms = estimable_terms(design.factors, rows, asked, [run.block for run in runs])
    return replace(design, runs=runs, terms=terms)


def check_new_phase(study: StudySpec, design: Design) -> None:
    """Refuse a follow-up whose new runs cannot judge by themselves what is judged on them alone.

    That is every hypothesis where no error was kept back, and those that an earlier sweep suggested.

    Args:
        study: With `follow_up`, with `analysis.follow_up`, both, or neither.
        design: All of its runs.

    Raises:
        DesignError: The new runs do not determine a hypothesis' term, or leave too few degrees of freedom for error; or
            phases are to be combined for a claim about several contrasts.
    """
    _require_one_contrast(study)
    follow_up = study.follow_up
    if follow_up is None or not follow_up.runs:
        return
    alone = [h for h in study.hypotheses if study.analysis.follow_up is None or h.suggested_by is not None]
    if not alone:
        return
    runs = new_runs(study, design.runs)
    rows = {name: [design.levels_of(run)[name] for run in runs] for name in study.factors}
    blocks = [run.block for run in runs]
    asked = expand_terms(design.factors, study.analysis.terms)
    for hypothesis in alone:
        (term,) = expand_terms(design.factors, (hypothesis.term,))
        # What is registered goes before what is not: main effects, then the claim's own term.
        first = expand_terms(design.factors, (*expand_terms(design.factors, "main"), term))
        if term not in estimable_terms(design.factors, rows, first, blocks):
            raise DesignError(
                f"{hypothesis.id}: the {len(runs)} new runs do not determine {term}, and the claim is judged on them "
                "alone",
                "add runs to the new phase, or keep error back before the first one (analysis.follow_up)",
            )
    fitted = estimable_terms(design.factors, rows, asked, blocks)
    df = len(runs) - _parameters(design, fitted) - len(set(blocks)) + 1
    if df < FEWEST_DF:
        raise DesignError(
            f"the {len(runs)} new runs leave {max(df, 0)} degrees of freedom for error, and a phase needs {FEWEST_DF} "
            "of its own",
            f"replicate the new phase (design.replicates: {study.design.replicates + 1}), or fit fewer terms",
        )


def _require_one_contrast(study: StudySpec) -> None:
    """Phases are combined by one-sided tests: a claim about several contrasts has no side."""
    for hypothesis in study.hypotheses if study.analysis.follow_up is not None else ():
        directed = hypothesis.direction in (Direction.INCREASE, Direction.DECREASE)
        parts = hypothesis.term.split(":")
        several = any(not part.endswith("^2") and len(study.factors[part].levels) > 2 for part in parts)
        if several and not directed:
            raise DesignError(
                f"{hypothesis.id}: {hypothesis.term} has over two levels, and phases are combined for one contrast",
                "state its direction (increase or decrease: first to last level), or drop analysis.follow_up",
            )


def _parameters(design: Design, terms: Sequence[str]) -> int:
    first = {factor.name: [factor.levels[0]] for factor in design.factors}
    return int(model_matrix(design.factors, first, tuple(terms)).matrix.shape[1])


def _cell(run: EarlierRun) -> Cell:
    key = cell_id(run.levels)
    if not run.run.startswith(f"{key}-"):
        raise DesignError(
            f"follow_up.runs: {run.run} is not a run of its levels, which are the cell {key}",
            "write the follow-up again: maineffect next SWEEP --write FILE",
        )
    return Cell(key, dict(run.levels))


def _planned(study: StudySpec, run: EarlierRun, order: int) -> PlannedRun:
    """A finished run with the seed that it had: the seed tree gives the same id the same seed."""
    repeated = run.run.count("-") > 1
    own = not study.design.common_random_numbers or repeated
    path = ("run", run.run) if own else ("replicate", run.replicate)
    return PlannedRun(
        run_id=run.run,
        cell_id=cell_id(run.levels),
        replicate=run.replicate,
        block=run.block or f"{PHASE} 1",
        whole_plot=run.whole_plot,
        seed=derive_seed(study.seed, *path),
        order=order,
    )


def _label(phase: int, block: str | int | None) -> str:
    return f"{PHASE} {phase}" if block is None else f"{PHASE} {phase}.{block}"


def _rows(design: Design, cells: Mapping[str, Cell], runs: Sequence[PlannedRun]) -> dict[str, list[Level]]:
    return {factor.name: [cells[run.cell_id].levels[factor.name] for run in runs] for factor in design.factors}


def _between(design: Design, levels: Mapping[str, Level]) -> bool:
    """Whether a cell lies between the levels of a factor, as a centre run does."""
    return any(levels[factor.name] not in factor.levels for factor in design.factors)
