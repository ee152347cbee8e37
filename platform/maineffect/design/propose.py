"""``kind: auto``: the design that finds the smallest effects for a budget, beside what it was compared with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from maineffect.design.build import build_design
from maineffect.design.model.estimable import check_estimable
from maineffect.design.model.model import Alternative, Design
from maineffect.design.model.terms import expand_terms, model_matrix
from maineffect.design.power.analytic import power_document
from maineffect.design.search.efficiency import between_columns
from maineffect.errors import DesignError
from maineffect.spec.requests import REQUESTS, AutoRequest
from maineffect.spec.study import StudySpec

__all__ = ["resolve"]

_ALIKE = 0.02
_STARTS = 20
_MOST_REPLICATES = 64
_MOST_OPTIMAL_RUNS = 256
_MOST_OPTIMAL_CELLS = 5000
_MORE_PLOTS = 6
_MOST_AXIAL = 10


@dataclass(frozen=True)
class _Tried:
    """An alternative with what ranks it."""

    alternative: Alternative
    study: StudySpec | None
    clarity: int = 0
    replicated: bool = False


def resolve(study: StudySpec) -> tuple[StudySpec, tuple[Alternative, ...]]:
    """A study whose design is a concrete one.

    Designs of every kind that fits the budget are built and compared by the largest of the wanted effects' smallest
    detectable effects (each tested alone at the study's alpha). Within 2 % they count as alike; then the higher
    resolution wins, then replication, then the lower cost.

    Returns:
        The study itself and nothing for any other kind; else the study with the chosen request, and all alternatives,
        best first.

    Raises:
        DesignError: The budget does not suffice; the hint names one that does.
    """
    request = study.design
    if not isinstance(request, AutoRequest):
        return study, ()
    tried = [_tried(study, request, label, asked) for label, asked in _requests(study, request)]
    able = [option for option in tried if option.alternative.mde is not None and option.study is not None]
    if not able:
        raise _nothing_fits(study, request, tried)
    least = min(option.alternative.mde for option in able if option.alternative.mde is not None)
    ranked = sorted(able, key=lambda option: _rank(option, least))
    best = ranked[0]
    assert best.study is not None
    listed = [_explained(option, best, least) for option in ranked]
    return best.study, (*listed, *(option.alternative for option in tried if option not in able))


def _rank(option: _Tried, least: float) -> tuple[Any, ...]:
    mde = option.alternative.mde
    assert mde is not None
    alike = mde <= least * (1 + _ALIKE)
    return (
        (0, -option.clarity, not option.replicated, option.alternative.gpu_hours, mde)
        if alike
        else (1, mde, -option.clarity, not option.replicated, option.alternative.gpu_hours)
    )


def _explained(option: _Tried, best: _Tried, least: float) -> Alternative:
    alternative = option.alternative
    assert alternative.mde is not None
    if option is best:
        why = f"chosen: no alternative finds effects more than {_ALIKE:.0%} smaller"
    elif alternative.mde > least * (1 + _ALIKE):
        why = f"its smallest detectable effect is {alternative.mde / least - 1:.0%} larger"
    elif option.clarity < best.clarity:
        why = "as sensitive, but more effects are mixed"
    elif option.replicated < best.replicated:
        why = "as sensitive, but without replicates seed variance is not seen by itself"
    else:
        why = "as sensitive, no cheaper"
    return replace(alternative, why=why)


def _requests(study: StudySpec, request: AutoRequest) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every design request that the factors and the budget allow, replicated as often as can be paid."""
    factors = tuple(study.factors.values())
    k = len(factors)
    most = int(request.budget / (request.run_cost or 1.0))
    cells = 1
    for factor in factors:
        cells *= len(factor.levels)
    forbid = {"forbid": [dict(entry) for entry in request.forbid]} if request.forbid else {}
    two_level = all(len(factor.levels) == 2 for factor in factors) and not forbid
    if cells <= max(most, 1) * 4:
        yield from _replicated("full factorial", cells, most, {"kind": "full", **forbid})
    if two_level:
        q = max(2, k.bit_length())
        while q < k and 2**q <= most * 2:
            yield from _replicated(f"fraction in {2**q} runs", 2**q, most, {"kind": "fractional", "runs": 2**q})
            q += 1
    only_main = all(":" not in term and "^" not in term for term in _wanted(study, request))
    if only_main and two_level and not request.hard_to_change:
        runs = 4 * (k // 4 + 1)
        yield from _replicated(f"Plackett–Burman in {runs} runs", runs, most, {"kind": "plackett_burman", "runs": runs})
    if only_main and not two_level and not forbid:
        yield from _replicated("orthogonal array", 1, most, {"kind": "orthogonal_array"})
    if only_main and not forbid and k > 1:
        baseline = {factor.name: factor.levels[0] for factor in factors}
        size = 1 + sum(len(factor.levels) - 1 for factor in factors)
        yield from _replicated("one change at a time", size, most, {"kind": "ablation", "baseline": baseline})
    if any("^" in term for term in _wanted(study, request)) and not forbid and not request.hard_to_change:
        yield from _second_order(study, most)
    yield from _optimal(study, request, most, cells, forbid)


def _second_order(study: StudySpec, most: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Designs for quadratics that the factors' levels allow: three levels for one kind of runs, five for the other."""
    factors = tuple(study.factors.values())
    k, counts = len(factors), {len(factor.levels) for factor in factors}
    if not all(factor.is_numeric for factor in factors) or len(counts) > 1:
        return
    axial = {3: "face_centred", 5: "rotatable"}.get(counts.pop())
    if axial is not None and 2 <= k <= _MOST_AXIAL:
        asked = {"kind": "central_composite", "alpha": axial}
        yield from _replicated(f"central composite, {axial}".replace("_", "-"), 2 ** min(k, 4) + 2 * k, most, asked)
    if axial == "face_centred" and 3 <= k <= 7:
        yield from _replicated("Box–Behnken", 4 * k, most, {"kind": "box_behnken"})


def _replicated(label: str, size: int, most: int, request: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    yield label, {**request, "replicates": max(1, min(_MOST_REPLICATES, most // size))}


def _optimal(
    study: StudySpec, request: AutoRequest, most: int, cells: int, forbid: Mapping[str, Any]
) -> Iterator[tuple[str, dict[str, Any]]]:
    if cells > _MOST_OPTIMAL_CELLS:
        return
    p = _parameters(study, request)
    shared = {"kind": "optimal", "model": list(_wanted(study, request)), "starts": _STARTS, **forbid}
    seen = set()
    for replicates in (1, 2, 3, 4):
        for plots in _plot_counts(study, request):
            hours = request.budget / replicates - (plots or 0) * request.setup_cost
            runs = min(int(hours / (request.run_cost or 1.0) + 1e-9), _MOST_OPTIMAL_RUNS)
            if runs < max(p, plots or 0) or (runs, plots) in seen:
                continue
            seen.add((runs, plots))
            sized = {**shared, "runs": runs, "replicates": replicates if plots else max(replicates, most // runs)}
            if plots is None:
                yield f"D-optimal in {runs} runs", sized
            else:
                yield f"D-optimal in {runs} runs, {plots} whole plots", {**sized, "whole_plots": plots}


def _plot_counts(study: StudySpec, request: AutoRequest) -> Sequence[int | None]:
    """Numbers of whole plots worth trying: from the fewest with an error term between them."""
    if not request.hard_to_change:
        return (None,)
    wanted = _wanted(study, request)
    fewest = sum(between_columns(tuple(study.factors.values()), wanted, request.hard_to_change)) + 1
    return range(fewest, fewest + _MORE_PLOTS)


def _wanted(study: StudySpec, request: AutoRequest) -> tuple[str, ...]:
    terms = request.effects if request.effects is not None else study.analysis.terms
    return expand_terms(tuple(study.factors.values()), terms)


def _parameters(study: StudySpec, request: AutoRequest) -> int:
    factors = tuple(study.factors.values())
    rows = {factor.name: [factor.levels[0]] for factor in factors}
    return len(model_matrix(factors, rows, _wanted(study, request)).columns)


def _tried(study: StudySpec, request: AutoRequest, label: str, asked: dict[str, Any]) -> _Tried:
    """Build one alternative within the budget and find its smallest detectable effect."""
    shared = request.model_dump(include={"common_random_numbers", "balanced_order", "variance_ratio", "setup_cost"})
    shared |= {"hard_to_change": request.hard_to_change, "run_cost": request.run_cost or 1.0}
    replicates = asked["replicates"]
    reason = ""
    while replicates >= request.replicates:
        full = {**shared, **asked, "replicates": replicates}
        concrete = study.model_copy(update={"design": REQUESTS[asked["kind"]].model_validate(full)})
        try:
            design = build_design(concrete)
            check_estimable(design, concrete)
        except DesignError as error:
            reason = error.message
            break
        hours = design.cost.gpu_hours if design.cost is not None else 0.0
        if hours <= request.budget * (1 + 1e-9):
            return _measured(concrete, request, label, design, hours)
        reason = f"{len(design.runs)} runs cost {hours:g} GPU-hours, more than the budget of {request.budget:g}"
        fewer = min(replicates - 1, int(replicates * request.budget / hours))
        if fewer < request.replicates and asked["kind"] == "optimal" and asked["runs"] > _parameters(study, request):
            # Set-ups cost too: what the budget does not pay for is taken from the runs.
            runs = max(_parameters(study, request), int(asked["runs"] * request.budget / hours) - 1)
            return _tried(study, request, f"D-optimal in {runs} runs", {**asked, "runs": runs})
        replicates = fewer
    reason = reason or f"the budget does not pay for {request.replicates} replicates"
    return _Tried(
        Alternative(label=label, request=asked, runs=0, gpu_hours=0.0, resolution=None, mde=None, why=reason), None
    )


def _measured(study: StudySpec, request: AutoRequest, label: str, design: Design, hours: float) -> _Tried:
    asked = study.design.model_dump(mode="json", exclude_defaults=True)
    replicates = study.design.replicates
    name = label if replicates == 1 else f"{label}, {replicates} replicates"
    result = Alternative(
        label=name,
        request=asked,
        runs=len(design.runs),
        gpu_hours=hours,
        resolution=design.resolution,
        mde=None,
        why="",
    )
    wanted = _wanted(study, request)
    mixed = _mixed(design, wanted)
    if mixed:
        return _Tried(replace(result, why=mixed), None)
    # Designs are ranked as if effects were alike in all seeds: how they differ is a question to the pilot.
    document = power_document(study, design, power=request.power, tau=0.0)
    rows = {row["term"]: row["mde_sigma"] for row in document["terms"]}
    # A NaN is not larger than any number: compare the other way round.
    if any(not (rows.get(term) or 0.0) > 0 for term in wanted):
        untested = ", ".join(term for term in wanted if not (rows.get(term) or 0.0) > 0)
        return _Tried(replace(result, why=f"leaves no error term for {untested}"), None)
    mde = max(rows[term] for term in wanted) * (request.sigma or 1.0)
    return _Tried(replace(result, mde=mde), study, _clarity(design), replicates > 1)


def _mixed(design: Design, wanted: tuple[str, ...]) -> str:
    """Which wanted effects cannot be told apart, in words."""
    for chain in design.aliases:
        inside = [term for term in chain if term in wanted or term == "1"]
        if len(inside) > 1:
            return f"cannot tell {inside[0]} from {inside[1]}"
    gone = [term for term in wanted if term not in design.terms]
    return f"cannot estimate {', '.join(gone)}" if gone else ""


def _clarity(design: Design) -> int:
    """Resolution, or what stands for it: 3 when main effects lean on interactions, 5 when nothing is mixed."""
    if design.resolution is not None:
        return min(design.resolution, 5)
    if not design.alias_matrix and not design.aliases:
        return 5
    main = {factor.name for factor in design.factors}
    leaning = any(term.split("[")[0] in main for term in design.alias_matrix)
    return 3 if leaning else 4


def _nothing_fits(study: StudySpec, request: AutoRequest, tried: list[_Tried]) -> DesignError:
    p = _parameters(study, request)
    least = None
    plots = _plot_counts(study, request)[0]
    for runs in range(max(p + 1, plots or 0), p + 40):
        asked: dict[str, Any] = {"kind": "optimal", "runs": runs, "model": list(_wanted(study, request))}
        asked |= {"starts": _STARTS, "whole_plots": plots, "replicates": request.replicates}
        asked |= {"forbid": [dict(entry) for entry in request.forbid]}
        option = _tried(study, request.model_copy(update={"budget": 1e12}), "", asked)
        if option.study is not None:
            least = option.alternative.gpu_hours
            break
    reasons = (
        "; ".join(f"{option.alternative.label}: {option.alternative.why}" for option in tried)
        or "no design has so few runs"
    )
    hint = (
        f"set design.budget: {least:g} or more, or want fewer effects"
        if least is not None
        else "want fewer effects, or forbid less"
    )
    return DesignError(
        f"no design within {request.budget:g} GPU-hours estimates the wanted effects with an error term ({reasons})",
        hint,
    )
