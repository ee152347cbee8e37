"""What pydantic cannot see: words that refer to other parts of the study, and settings that are claimed twice."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from math import prod
from typing import Any

from maineffect.contracts import Level
from maineffect.spec.factors import Factor, level_key
from maineffect.spec.problems import Finding, KeyPath, nearest
from maineffect.spec.questions.scaling import Scaling
from maineffect.spec.requests import DesignRequest, FollowUp
from maineffect.spec.responses import Direction, Hypothesis, Response
from maineffect.spec.scaling_checks import check_scaling
from maineffect.spec.study import FEWEST_SEEDS, SEEDS_TO_FLIP, AnalysisPlan, StudySpec

__all__ = ["Parts", "cross_check", "parts_of", "same_level"]

_MOST_CELLS = 200_000
_JOINED = re.compile(r"[*×&+]| x ")
"""What people write between the factors of an interaction."""


@dataclass(frozen=True)
class Parts:
    """The parts of a study that are valid by themselves, so that references are checked beside other errors.

    Attributes:
        factors: Name → factor, or None where only the name is known. None as a whole: nothing is known.
        responses: Likewise.
        hypotheses: Index in the file → hypothesis.
        design: None when invalid.
        analysis: None when invalid.
        settings: Fixed settings.
        follow_up: None when there is none, or it is invalid.
        follows: Whether the file says that the study follows a sweep.
        scaling: None when there is none, or it is invalid.
    """

    factors: Mapping[str, Factor | None] | None
    responses: Mapping[str, Response | None] | None
    hypotheses: Mapping[int, Hypothesis]
    design: DesignRequest | None
    analysis: AnalysisPlan | None
    settings: Mapping[str, Any] = field(default_factory=dict)
    follow_up: FollowUp | None = None
    follows: bool = False
    scaling: Scaling | None = None


def parts_of(study: StudySpec) -> Parts:
    """All parts of a valid study."""
    hypotheses = dict(enumerate(study.hypotheses))
    return Parts(
        factors=study.factors,
        responses=study.responses,
        hypotheses=hypotheses,
        design=study.design,
        analysis=study.analysis,
        settings=study.settings,
        follow_up=study.follow_up,
        follows=study.follow_up is not None,
        scaling=study.scaling,
    )


def same_level(a: object, b: object) -> bool:
    """Whether two written levels are the same: 1 and 1.0 are, 1 and true are not."""
    return isinstance(a, bool) == isinstance(b, bool) and a == b


def cross_check(parts: Parts) -> list[Finding]:
    """Every reference that leads nowhere, and every claim that could not be judged."""
    findings = [*_hypotheses(parts), *_wide_margins(parts), *_inference(parts), *_phases(parts)]
    if parts.factors is not None:
        findings += [*_all_terms(parts, parts.factors), *_hard_to_change(parts, parts.factors)]
        findings += [*_combinations(parts, parts.factors), *_shared_names(parts), *_bindings(parts, parts.factors)]
        findings += _scaling(parts, parts.factors)
    return findings


def _parts_of_term(term: str) -> list[tuple[str, bool]]:
    return [(part.removesuffix("^2"), part.endswith("^2")) for part in term.split(":")]


def _term(path: KeyPath, term: str, factors: Mapping[str, Factor | None]) -> Iterator[Finding]:
    names = [name for name, _ in _parts_of_term(term)]
    for name in dict.fromkeys(names):
        if name not in factors:
            parts = [part.strip() for part in _JOINED.split(name)]
            joined = len(parts) > 1 and all(part in factors for part in parts)
            hint = f"an interaction is written {':'.join(parts)}" if joined else nearest(name, factors)
            yield Finding(path, f"term {term!r} names no factor {name!r}", hint)
    if len(set(names)) != len(names):
        yield Finding(path, f"term {term!r} repeats a factor", "a quadratic is written A^2")
    for name, squared in _parts_of_term(term):
        factor = factors.get(name)
        if squared and factor is not None and (not factor.is_numeric or len(factor.levels) < 3):
            message = f"{name + '^2'!r} needs a numeric factor with three levels or more"
            yield Finding(path, message, "add a middle level, or drop the quadratic")


def _all_terms(parts: Parts, factors: Mapping[str, Factor | None]) -> Iterator[Finding]:
    places: list[tuple[KeyPath, object]] = [
        (("analysis", "terms"), parts.analysis.terms if parts.analysis else None),
        (("design", "model"), getattr(parts.design, "model", None)),
        (("design", "clear"), getattr(parts.design, "clear", None)),
        (("design", "effects"), getattr(parts.design, "effects", None)),
    ]
    for path, terms in places:
        if isinstance(terms, tuple):
            for i, term in enumerate(terms):
                yield from _term((*path, i), term, factors)
    for i, hypothesis in parts.hypotheses.items():
        findings = list(_term(("hypotheses", i, "term"), hypothesis.term, factors))
        yield from findings
        if not findings and parts.analysis is not None and not _is_estimated(hypothesis.term, parts.analysis):
            message = f"{hypothesis.id} is about {hypothesis.term!r}, which analysis.terms leaves out"
            hint = "add it to analysis.terms, or use terms: two_way, second_order or full"
            yield Finding(("hypotheses", i, "term"), message, hint)


def _is_estimated(term: str, analysis: AnalysisPlan) -> bool:
    """Whether the registered model holds a term."""
    wanted = sorted(_parts_of_term(term))
    if isinstance(analysis.terms, tuple):
        return any(sorted(_parts_of_term(other)) == wanted for other in analysis.terms)
    if analysis.terms == "second_order":
        return sum(1 + squared for _, squared in wanted) <= 2
    highest = {"main": 1, "two_way": 2, "full": len(wanted)}[analysis.terms]
    return len(wanted) <= highest and not any(squared for _, squared in wanted)


def _scaling(parts: Parts, factors: Mapping[str, Factor | None]) -> Iterator[Finding]:
    scaling, analysis = parts.scaling, parts.analysis
    if scaling is None or analysis is None or parts.responses is None:
        return
    yield from check_scaling(
        scaling,
        factors,
        {**parts.responses, **analysis.overfit},
        fitted=lambda term: _is_estimated(term, analysis),
        squared=lambda name: _is_estimated(f"{name}^2", analysis),
    )


def _hypotheses(parts: Parts) -> Iterator[Finding]:
    first: dict[str, int] = {}
    for i, hypothesis in parts.hypotheses.items():
        if hypothesis.id in first:
            message = f"the id {hypothesis.id!r} is used twice, first by hypotheses.{first[hypothesis.id]}"
            yield Finding(("hypotheses", i, "id"), message, "give each its own id")
        first.setdefault(hypothesis.id, i)
        if parts.responses is None:
            continue
        made: dict[str, Any] = dict(parts.analysis.overfit) if parts.analysis is not None else {}
        if hypothesis.pair is not None:
            yield from _difference(i, hypothesis, parts)
            made[hypothesis.response] = hypothesis.pair
        if hypothesis.response not in parts.responses and hypothesis.response not in made:
            message, responses = f"no response {hypothesis.response!r}", {**parts.responses, **made}
            yield Finding(("hypotheses", i, "response"), message, nearest(hypothesis.response, responses))
            continue
        response = parts.responses.get(hypothesis.response)
        needs_margin = hypothesis.direction is Direction.NEGLIGIBLE or hypothesis.beyond == "smallest_effect"
        lacks = hypothesis.response in made or (response is not None and response.smallest_effect is None)
        if needs_margin and hypothesis.smallest_effect is None and lacks:
            message = f"{hypothesis.id}: the claim needs a smallest effect of interest"
            way = f"hypotheses.{i}" if hypothesis.response in made else f"responses.{hypothesis.response}"
            yield Finding(("hypotheses", i), message, f"set {way}.smallest_effect")


def _difference(i: int, hypothesis: Hypothesis, parts: Parts) -> Iterator[Finding]:
    """Two responses on a common scale."""
    assert hypothesis.pair is not None
    for name in hypothesis.pair:
        if name not in (parts.responses or {}):
            yield Finding(("hypotheses", i, "response"), f"no response {name!r}", nearest(name, parts.responses or {}))
            continue
        response = (parts.responses or {})[name]
        if hypothesis.common_scale == "headroom" and response is not None and response.limits is None:
            message = f"{hypothesis.id}: the headroom of {name!r} is not known without its limits"
            yield Finding(("hypotheses", i, "common_scale"), message, f"state responses.{name}.limits")
    replicates = getattr(parts.design, "replicates", 2)
    if hypothesis.common_scale == "run_sd" and replicates < 2:
        message = f"{hypothesis.id}: without replicates the standard deviation of a run is not known"
        yield Finding(("hypotheses", i, "common_scale"), message, "replicate, or use common_scale: headroom")


def _inference(parts: Parts) -> Iterator[Finding]:
    """What verdicts are about must fit what runs share."""
    design, analysis, path = parts.design, parts.analysis, ("analysis", "inference")
    if design is None or analysis is None or analysis.inference is None:
        return
    own = "drop design.common_random_numbers, so that every run has its own seed"
    if not design.common_random_numbers:
        if analysis.inference == "these_seeds" or analysis.pool_seeds:
            message = "every run has its own seed, so that verdicts are about new seeds and nothing is pooled"
            yield Finding(path, message, "drop the key, or set design.common_random_numbers: true")
    elif analysis.over_seeds and design.replicates < FEWEST_SEEDS:
        message = f"{design.replicates} replicate(s) cannot tell how an effect differs between seeds"
        yield Finding(path, message, f"design.replicates: {FEWEST_SEEDS} at least, better {SEEDS_TO_FLIP}; or {own}")
    elif analysis.over_seeds and analysis.covariates:
        message = "verdicts about new seeds from shared ones take no covariates"
        yield Finding(path, message, f"drop analysis.covariates, or {own}")


def _phases(parts: Parts) -> Iterator[Finding]:
    """A claim is tested on data that did not suggest it, and each phase is one look."""
    follow_up, analysis = parts.follow_up, parts.analysis
    for i, hypothesis in parts.hypotheses.items():
        source = hypothesis.suggested_by
        if source is None or (parts.follows and follow_up is None):
            continue
        if follow_up is None or follow_up.sweep != source:
            message = f"{hypothesis.id} was suggested by sweep {source!r}: it cannot be tested on the data it came from"
            hint = f"test it on new runs, in a follow-up of that sweep: maineffect next {source} --write FILE"
            yield Finding(("hypotheses", i, "suggested_by"), message, hint)
    if analysis is not None and analysis.sequential is not None and (parts.follows or analysis.follow_up is not None):
        message = "a study in phases has no interim looks: each phase is one"
        yield Finding(("analysis", "sequential"), message, "drop it, or analysis.follow_up and follow_up")
    if follow_up is None:
        return
    if analysis is not None and analysis.follow_up is not None and follow_up.phase > analysis.follow_up.phases:
        message = f"phase {follow_up.phase}: error was kept back for {analysis.follow_up.phases} phases, and is used up"
        yield Finding(("analysis", "follow_up"), message, "drop the key: verdicts then come from the new runs alone")
    seen: set[str] = set()
    for i, run in enumerate(follow_up.runs):
        if run.run in seen:
            yield Finding(("follow_up", "runs", i), f"run {run.run!r} is listed twice", "keep one")
        seen.add(run.run)
        if parts.factors is not None:
            yield from _entry(("follow_up", "runs", i, "levels"), run.levels, parts.factors, whole=True, between=True)


def _wide_margins(parts: Parts) -> Iterator[Finding]:
    """No effect exceeds the width of a response's limits, and none could ever be more than such a margin."""
    for name, response in (parts.responses or {}).items():
        if response is None or response.limits is None or response.scale is not None:
            continue
        width = response.limits[1] - response.limits[0]
        stated: list[tuple[KeyPath, float | None]] = [
            (("responses", name, "smallest_effect"), response.smallest_effect)
        ]
        stated += [
            (("hypotheses", i, "smallest_effect"), hypothesis.smallest_effect)
            for i, hypothesis in parts.hypotheses.items()
            if hypothesis.response == name
        ]
        for path, margin in stated:
            if margin is not None and margin >= width:
                message = f"a smallest effect of {margin:g} is as wide as the limits of {name!r}, which leave {width:g}"
                yield Finding(path, message, "every effect would be negligible: state it in the response's units")


def _hard_to_change(parts: Parts, factors: Mapping[str, Factor | None]) -> Iterator[Finding]:
    names = getattr(parts.design, "hard_to_change", ())
    for i, name in enumerate(names):
        if name not in factors:
            yield Finding(("design", "hard_to_change", i), f"no factor {name!r}", nearest(name, factors))
        elif name in names[:i]:
            yield Finding(("design", "hard_to_change", i), f"{name!r} is listed twice", "keep one")
    if names and set(factors) <= set(names):
        hint = "leave at least one factor that changes from run to run"
        yield Finding(("design", "hard_to_change"), "every factor is hard to change", hint)
    fold = getattr(parts.design, "foldover", "none")
    if isinstance(fold, str) and fold not in {"none", "full", "semi"} and fold not in factors:
        message = f"{fold!r} is neither none, full, semi nor a factor"
        yield Finding(("design", "foldover"), message, nearest(fold, ["none", "full", "semi", *factors]))


def _combinations(parts: Parts, factors: Mapping[str, Factor | None]) -> Iterator[Finding]:
    design = parts.design
    for key, whole, between in (("forbid", False, False), ("fixed", True, True), ("cells", True, True)):
        for i, entry in enumerate(getattr(design, key, ())):
            yield from _entry(("design", key, i), entry, factors, whole=whole, between=between)
    forbid = getattr(design, "forbid", ())
    known = all(name in factors and _known(factors[name], level) for e in forbid for name, level in e.items())
    if forbid and known:
        yield from _left_by_forbid(forbid, factors)
    baseline = getattr(design, "baseline", None)
    if baseline is not None:
        yield from _entry(("design", "baseline"), baseline, factors, whole=True, between=False)


def _entry(
    path: KeyPath, entry: Mapping[str, Level], factors: Mapping[str, Factor | None], *, whole: bool, between: bool
) -> Iterator[Finding]:
    """One combination of levels: ``whole`` if it must name every factor, ``between`` if numbers may lie in between."""
    if not entry and not whole:
        yield Finding(path, "an empty combination matches every cell", "name at least one factor and its level")
    for name, level in entry.items():
        if name not in factors:
            yield Finding((*path, name), f"no factor {name!r}", nearest(name, factors))
            continue
        factor = factors[name]
        if factor is not None and not _has_level(factor, level, between=between):
            levels = ", ".join(map(repr, factor.levels))
            yield Finding((*path, name), f"factor {name!r} has no level {level!r}", f"its levels: {levels}")
    missing = [name for name in factors if name not in entry] if whole else []
    if missing:
        yield Finding(path, f"a level of {', '.join(map(repr, missing))} is missing", "give every factor a level")


def _known(factor: Factor | None, level: Level) -> bool:
    return factor is not None and _has_level(factor, level, between=False)


def _has_level(factor: Factor, level: Level, *, between: bool) -> bool:
    if any(same_level(level, factor_level) for factor_level in factor.levels):
        return True
    if not between or not factor.is_numeric or isinstance(level, bool | str):
        return False
    numbers = [float(factor_level) for factor_level in factor.levels]
    return min(numbers) <= level <= max(numbers)


def _shared_names(parts: Parts) -> Iterator[Finding]:
    """A table of runs has one column per name."""
    for name in parts.responses or ():
        if name in (parts.factors or ()):
            yield Finding(("responses", name), f"{name!r} is a factor and a response", "rename one of them")


def _bindings(parts: Parts, factors: Mapping[str, Factor | None]) -> Iterator[Finding]:
    """Two factors must not drive one setting, nor one a part of the other's, nor what settings fix."""
    owners: dict[tuple[str, ...], str] = {}
    for name, factor in factors.items():
        if factor is None:
            continue
        path: KeyPath = ("factors", name, "binds") if factor.binds else ("factors", name)
        keys = tuple(factor.setting.split("."))
        if not all(keys):
            yield Finding(path, f"{factor.setting!r} is not a dotted setting", "write section.setting")
            continue
        for other, owner in owners.items():
            if other[: len(keys)] == keys[: len(other)]:
                message = f"factors {owner!r} and {name!r} drive {'.'.join(other)!r} and {factor.setting!r}"
                message = f"factors {owner!r} and {name!r} both drive {factor.setting!r}" if other == keys else message
                yield Finding(path, message, "bind each factor to a setting of its own")
        owners[keys] = name
        yield from _fixed(path, name, keys, parts.settings)


def _fixed(path: KeyPath, name: str, keys: tuple[str, ...], settings: Mapping[str, Any]) -> Iterator[Finding]:
    node: Any = settings
    for depth, key in enumerate(keys):
        if not isinstance(node, Mapping):
            held, through = ".".join(keys[:depth]), ".".join(keys)
            yield Finding(path, f"{through!r} leads through settings.{held}, which is {node!r}", "make it a section")
            return
        if key not in node:
            return
        node = node[key]
    message = f"{'.'.join(keys)!r} is fixed in settings and varied by factor {name!r}"
    yield Finding(path, message, f"remove settings.{'.'.join(keys)}")


def _left_by_forbid(forbid: Sequence[Mapping[str, Level]], factors: Mapping[str, Factor | None]) -> Iterator[Finding]:
    """Factors of which the forbidden combinations leave one level or none, and levels that can never occur.

    Only the factors that are forbidden something are combined: the others are free. Nothing is said where one of them
    is not valid, or where they have more combinations than a design could.
    """
    named = [name for name in factors if any(name in entry for entry in forbid)]
    chosen = [factor for name in named if (factor := factors[name]) is not None]
    if len(chosen) < len(named) or not named or prod(len(factor.levels) for factor in chosen) > _MOST_CELLS:
        return
    entries = [{name: level_key(level) for name, level in entry.items() if name in named} for entry in forbid if entry]
    left: dict[str, dict[tuple[bool, Level], Level]] = {name: {} for name in named}
    for levels in product(*(factor.levels for factor in chosen)):
        cell = dict(zip(named, levels, strict=True))
        if not any(all(level_key(cell[name]) == key for name, key in entry.items()) for entry in entries):
            for name, level in cell.items():
                left[name].setdefault(level_key(level), level)
    for factor in chosen:
        kept = left[factor.name]
        if len(kept) == len(factor.levels):
            continue
        gone = ", ".join(repr(level) for level in factor.levels if level_key(level) not in kept)
        if not kept:
            yield Finding(("design", "forbid"), "the forbidden combinations leave no cell", "remove one of them")
            return
        if len(kept) == 1:
            only = next(iter(kept.values()))
            message = f"the forbidden combinations leave {factor.name!r} one level, {only!r}: it has no effect to see"
            yield Finding(("design", "forbid"), message, f"drop the factor, or permit {gone}")
        else:
            message = f"the forbidden combinations leave no cell with {factor.name} = {gone}"
            yield Finding(("design", "forbid"), message, "drop the level, or permit a cell that has it")
