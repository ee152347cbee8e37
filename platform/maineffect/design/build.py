"""StudySpec → verified Design: generate the cells, randomise the order, check what was emitted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from maineffect.contracts import Level
from maineffect.design.ablation import ablation
from maineffect.design.additions import block_labels, centre_rows
from maineffect.design.aliasing import alias_chains, alias_matrix, estimable_terms
from maineffect.design.factorial import full_factorial, without_forbidden
from maineffect.design.fractional import fractional
from maineffect.design.model import Cell, Design, PlannedRun, cell_id
from maineffect.design.regular import RegularFraction
from maineffect.design.screening import definitive_screening, plackett_burman
from maineffect.design.terms import expand_terms, model_matrix
from maineffect.design.treatments import Treatments
from maineffect.errors import DesignError
from maineffect.seeds import derive_seed, generator
from maineffect.spec.factors import Factor
from maineffect.spec.requests import FullRequest, ListRequest
from maineffect.spec.study import StudySpec

__all__ = ["build_design", "check_estimable"]


def build_design(study: StudySpec) -> Design:
    """Build the design that a study asks for.

    Raises:
        DesignError: No such design; the hint names what is feasible.
    """
    factors = tuple(study.factors.values())
    build = _BUILDERS.get(study.design.kind)
    if build is None:
        raise DesignError(
            f"this version cannot build {study.design.kind} designs",
            f"it builds {', '.join(_BUILDERS)}; runs of any design can be analysed with `analyse --study --table`",
        )
    if study.design.balanced_order:
        raise DesignError(
            "a run order balanced over time is not built yet", "leave balanced_order out: the order is randomised"
        )
    treatments = build(study)
    cells = {cell_id(levels): dict(levels) for levels in treatments.rows}
    runs = _runs(study, treatments)
    rows = {name: [levels[name] for levels in treatments.rows] for name in study.factors}
    factorial = {name: column[: len(column) - treatments.centre_points] for name, column in rows.items()}
    asked = expand_terms(factors, treatments.model or study.analysis.terms)
    terms = estimable_terms(factors, rows, asked, treatments.blocks)
    design = Design(
        study=study.name,
        kind=study.design.kind,
        factors=factors,
        cells=tuple(Cell(key, levels) for key, levels in cells.items()),
        runs=runs,
        terms=terms,
        resolution=treatments.resolution,
        word_length_pattern=treatments.word_length_pattern,
        generators=treatments.generators,
        aliases=alias_chains(factors, factorial),
        d_efficiency=d_efficiency(factors, rows, terms),
        d_bound=treatments.d_bound,
        alias_matrix=alias_matrix(factors, rows, terms),
        notes=treatments.notes,
        hard_to_change=treatments.hard_to_change,
        variance_ratio=treatments.variance_ratio,
    )
    _verify(study, design, treatments)
    return design


def _full(study: StudySpec) -> Treatments:
    request = study.design
    assert isinstance(request, FullRequest)
    factors = tuple(study.factors.values())
    cells = without_forbidden(full_factorial(factors), request.forbid)
    blocks = None
    if request.blocks > 1:
        if any(len(factor.levels) != 2 for factor in factors) or request.forbid or request.centre_points:
            raise DesignError(
                "blocks within a full factorial need two levels everywhere, nothing forbidden and no centre points",
                "use replicates as blocks, or kind: optimal",
            )
        blocks = block_labels(RegularFraction(len(factors), tuple(1 << i for i in range(len(factors)))), request.blocks)
    centres = centre_rows(factors, request.centre_points)
    return Treatments((*cells, *centres), blocks=blocks, centre_points=len(centres))


def _listed(study: StudySpec) -> Treatments:
    assert isinstance(study.design, ListRequest)
    factors = study.factors.items()
    return Treatments(tuple({name: _level(f, cell[name]) for name, f in factors} for cell in study.design.cells))


def _level(factor: Factor, level: Level) -> Level:
    """The study's own spelling of a level (1.0 written for 1)."""
    return next(
        (own for own in factor.levels if own == level and isinstance(own, bool) == isinstance(level, bool)), level
    )


_BUILDERS: dict[str, Callable[[StudySpec], Treatments]] = {
    "full": _full,
    "fractional": fractional,
    "plackett_burman": plackett_burman,
    "definitive_screening": definitive_screening,
    "ablation": ablation,
    "list": _listed,
}


def _runs(study: StudySpec, treatments: Treatments) -> tuple[PlannedRun, ...]:
    """Replicates one after the other, each in its own seeded random order within its blocks."""
    design = study.design
    runs: list[PlannedRun] = []
    for replicate in range(1, design.replicates + 1):
        shared = derive_seed(study.seed, "replicate", replicate)
        seen: dict[str, int] = {}
        planned: list[PlannedRun] = []
        for i, levels in enumerate(treatments.rows):
            key = cell_id(levels)
            seen[key] = seen.get(key, 0) + 1
            run_id = f"{key}-r{replicate}" + (f"-{seen[key]}" if seen[key] > 1 else "")
            # A repeated cell in one replicate must not be a copy: its seed is its own.
            own = not design.common_random_numbers or seen[key] > 1
            seed = derive_seed(study.seed, "run", run_id) if own else shared
            planned.append(
                PlannedRun(
                    run_id,
                    key,
                    replicate,
                    _block(study, treatments, replicate, i),
                    _whole_plot(treatments, replicate, i),
                    seed,
                    0,
                )
            )
        runs += _randomised(study, planned, replicate)
    return tuple(
        PlannedRun(r.run_id, r.cell_id, r.replicate, r.block, r.whole_plot, r.seed, order)
        for order, r in enumerate(runs)
    )


def _block(study: StudySpec, treatments: Treatments, replicate: int, i: int) -> str | int | None:
    if treatments.blocks is not None:
        return f"{replicate}.{treatments.blocks[i]}" if study.design.replicates > 1 else treatments.blocks[i]
    return replicate if study.design.replicates > 1 else None


def _whole_plot(treatments: Treatments, replicate: int, i: int) -> str | None:
    return None if treatments.whole_plots is None else f"{replicate}.{treatments.whole_plots[i]}"


def _randomised(study: StudySpec, planned: Sequence[PlannedRun], replicate: int) -> list[PlannedRun]:
    """Random order of blocks, of whole plots within blocks, and of runs within whole plots."""
    # The order must not depend on the order in which factors were written: sort by identity first.
    ordered = sorted(planned, key=lambda run: run.run_id)
    rng = generator(study.seed, "order", replicate)
    keys = sorted({(str(run.block), str(run.whole_plot)) for run in ordered})
    names = sorted({block for block, _ in keys})
    block_rank = dict(zip(names, rng.permutation(len(names)).tolist(), strict=True))
    plot_rank = dict(zip(keys, rng.permutation(len(keys)).tolist(), strict=True))
    within = rng.permutation(len(ordered)).tolist()
    rank = {
        run.run_id: (block_rank[str(run.block)], plot_rank[(str(run.block), str(run.whole_plot))], within[i])
        for i, run in enumerate(ordered)
    }
    return sorted(ordered, key=lambda run: rank[run.run_id])


def d_efficiency(factors: Sequence[Factor], rows: Mapping[str, Sequence[Level]], terms: Sequence[str]) -> float:
    """100·|X'X|^(1/p)/n with orthonormal contrasts; 0 when singular. Atkinson, Donev and Tobias (2007), ch. 11."""
    matrix = model_matrix(factors, rows, tuple(terms), coding="orthonormal").matrix
    n, p = matrix.shape
    sign, logdet = np.linalg.slogdet(matrix.T @ matrix)
    return float(100 * np.exp(logdet / p) / n) if sign > 0 else 0.0


def _verify(study: StudySpec, design: Design, treatments: Treatments) -> None:
    """Hold the emitted rows to what is claimed of them; a failure here is our defect, so it is refused loudly."""
    ids = [run.run_id for run in design.runs]
    if len(set(ids)) != len(ids):
        raise DesignError("the design repeats a run id", "please report this study")
    forbidden = getattr(study.design, "forbid", ())
    if any(all(row[k] == v for k, v in entry.items()) for entry in forbidden for row in treatments.rows):
        raise DesignError("the design holds a forbidden combination", "please report this study")
    counts = {run.replicate: 0 for run in design.runs}
    for run in design.runs:
        counts[run.replicate] += 1
    if set(counts.values()) != {len(treatments.rows)}:
        raise DesignError("the replicates are not complete", "please report this study")
    if design.resolution is not None:
        shortest = _emitted_resolution(design, treatments)
        if shortest != design.resolution:
            raise DesignError(f"claimed resolution {design.resolution}, emitted {shortest}", "please report this study")


def _emitted_resolution(design: Design, treatments: Treatments) -> int:
    """Length of the shortest product of columns that is constant over the emitted rows."""
    from itertools import combinations

    factorial = treatments.rows[: len(treatments.rows) - treatments.centre_points]
    signs = np.array([[1 if row[f.name] == f.levels[1] else -1 for f in design.factors] for row in factorial])
    for length in range(1, signs.shape[1] + 1):
        for group in combinations(range(signs.shape[1]), length):
            if abs(int(np.prod(signs[:, group], axis=1).sum())) == len(signs):
                return length
    return int(signs.shape[1]) + 1


def check_estimable(design: Design, study: StudySpec) -> None:
    """Refuse a design that cannot answer a registered hypothesis.

    Raises:
        DesignError: A hypothesis' term is aliased with a main effect or another registered or named term, or there
            are too few runs for it.
    """
    named = {hypothesis.term for hypothesis in study.hypotheses}
    if isinstance(study.analysis.terms, tuple):
        named |= set(expand_terms(design.factors, study.analysis.terms))
    chains = {term: chain for chain in design.aliases for term in chain}
    for hypothesis in study.hypotheses:
        (term,) = expand_terms(design.factors, (hypothesis.term,))
        rivals = [
            other
            for other in chains.get(term, ())
            if other != term and (other == "1" or other in named or ":" not in other)
        ]
        if rivals:
            raise DesignError(
                f"{hypothesis.id}: {term} cannot be told from {', '.join(rivals)} in this design",
                "ask for a higher design.resolution, more design.runs, or drop one of them from the study",
            )
        rows = {name: [design.levels_of(run)[name] for run in design.runs] for name in study.factors}
        asked = expand_terms(design.factors, (*expand_terms(design.factors, "main"), term))
        if term not in estimable_terms(design.factors, rows, asked):
            raise DesignError(
                f"{hypothesis.id}: the runs cannot estimate {term}",
                "add runs or levels, or register another hypothesis",
            )
