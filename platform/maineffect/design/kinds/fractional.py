"""A fraction by size, by resolution, by clear effects, or by stated generators."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from maineffect.design.algebra.clear import clear_columns
from maineffect.design.algebra.regular import RegularFraction, minimum_aberration, smallest_with_resolution
from maineffect.design.algebra.wordlength import generalised_word_length_pattern
from maineffect.design.kinds.additions import block_labels, centre_rows, given_up_to_blocks
from maineffect.design.kinds.foldover import Semifold, emitted_words, folded, semifolded
from maineffect.design.model.treatments import Treatments
from maineffect.errors import DesignError
from maineffect.spec.requests import FractionalRequest
from maineffect.spec.study import StudySpec

__all__ = ["fractional"]

Signs = NDArray[np.int64]


def fractional(study: StudySpec) -> Treatments:
    """Build the regular two-level fraction that a study asks for.

    Raises:
        DesignError: A factor has more than two levels, or no fraction satisfies the request.
    """
    request = study.design
    assert isinstance(request, FractionalRequest)
    factors = tuple(study.factors.values())
    many = [factor.name for factor in factors if len(factor.levels) != 2]
    if many:
        raise DesignError(
            f"a regular fraction needs two levels of every factor; {', '.join(many)} has more",
            "use two levels, kind: orthogonal_array, or kind: optimal",
        )
    names = tuple(study.factors)
    fraction, notes = _choose(request, names)
    signs, blocks, more = _with_additions(request, fraction, names)
    regular = request.foldover != "semi"
    pattern = emitted_words(signs)
    rows = [{f.name: f.levels[(sign + 1) // 2] for f, sign in zip(factors, row, strict=True)} for row in signs.tolist()]
    centres = centre_rows(factors, request.centre_points)
    if blocks is not None and centres:
        raise DesignError("centre points and blocks are not combined here", "set centre_points: 0 or blocks: 1")
    return Treatments(
        (*rows, *centres),
        blocks=blocks,
        # Half a mirror image leaves partial aliasing, which no resolution describes.
        resolution=min(pattern) if pattern and regular else None,
        word_length_pattern=pattern or None,
        generators=(fraction.generators(names) or None) if request.foldover == "none" else None,
        notes=(*notes, *more),
        centre_points=len(centres),
    )


def _with_additions(
    request: FractionalRequest, fraction: RegularFraction, names: tuple[str, ...]
) -> tuple[Signs, tuple[int, ...] | None, tuple[str, ...]]:
    """Rows, blocks and notes: the fraction, its mirror image if asked, each half a block or cut into blocks."""
    signs, fold, blocks = fraction.signs(), request.foldover, request.blocks
    if fold == "none":
        return signs, block_labels(fraction, blocks), _lost(fraction, blocks, names)
    if fold == "semi":
        if blocks > 2:
            raise DesignError(f"a semifoldover is not cut into {blocks} blocks", "use blocks: 2 (the added runs) or 1")
        semi = semifolded(signs, names, blocks=blocks == 2)
        added = len(semi.signs) - len(signs)
        return (
            semi.signs,
            (1,) * len(signs) + (2,) * added if blocks == 2 else None,
            _semifold_notes(semi, added, names),
        )
    both = folded(signs, names, fold)
    if blocks == 1:
        return both, None, ()
    if blocks % 2:
        raise DesignError(
            f"a foldover is not cut into {blocks} blocks: each half is one, or is cut alike", "use blocks: 2"
        )
    half = block_labels(fraction, blocks // 2) or (1,) * len(signs)
    labels = half + tuple(label + blocks // 2 for label in half)
    return both, labels, ("the mirror image is run in blocks of its own", *_lost(fraction, blocks // 2, names))


def _lost(fraction: RegularFraction, blocks: int, names: tuple[str, ...]) -> tuple[str, ...]:
    lost = given_up_to_blocks(fraction, blocks, names)
    return (f"confounded with blocks: {', '.join(lost)}",) if lost else ()


def _semifold_notes(semi: Semifold, added: int, names: tuple[str, ...]) -> tuple[str, ...]:
    lengths = generalised_word_length_pattern(semi.signs, [2] * len(names), 4)
    reversed_factors = "all factors" if len(semi.reversed) == len(names) > 1 else ", ".join(semi.reversed)
    every = len(names) * (len(names) + 1) // 2
    return (
        f"semifoldover: the {added} runs with {semi.kept} at its second level are repeated with {reversed_factors} "
        f"reversed",
        f"{len(semi.estimable)} of {every} main effects and two-factor interactions are estimable in one model: "
        f"{', '.join(semi.estimable) or 'none'}",
        "the design is not regular: generalised word lengths "
        + ", ".join(f"A{j} = {lengths[j]:.4g}" for j in range(1, len(lengths))),
    )


def _choose(request: FractionalRequest, names: tuple[str, ...]) -> tuple[RegularFraction, tuple[str, ...]]:
    k = len(names)
    stated = [
        word
        for word, given in (
            ("generators", bool(request.generators)),
            ("runs or resolution", request.runs is not None or request.resolution is not None),
            ("clear", bool(request.clear)),
        )
        if given
    ]
    if not stated:
        raise DesignError("a fraction needs a size or a goal", "set design.runs, design.resolution or design.clear")
    if len(stated) > 1:
        raise DesignError(f"{' and '.join(stated)} are stated together, and only one can decide", "keep one of them")
    if request.generators:
        return _stated(request, names), ()
    if request.clear:
        return _clear(request.clear, names)
    if request.runs is not None:
        fraction = _sized(k, request.runs, request.resolution)
    else:
        fraction = smallest_with_resolution(k, request.resolution or 3)
    full = fraction.q == k
    return fraction, (
        ("this is the full factorial" + ("" if request.runs else ": no smaller fraction satisfies the request"),)
        if full
        else ()
    )


def _sized(k: int, runs: int, resolution: int | None) -> RegularFraction:
    if runs > 2**k:
        raise DesignError(
            f"{k} two-level factors have only {2**k} cells, not {runs}", f"use runs: {2**k} and replicates"
        )
    # Only sizes that can be had are named as the way out.
    if runs & (runs - 1):
        least = smallest_with_resolution(k, resolution or 3).q
        below = runs.bit_length() - 1
        feasible = sorted({min(max(q, least), k) for q in (below, below + 1)})
        raise DesignError(
            f"a regular fraction has a power of two runs, not {runs}",
            "use " + " or ".join(f"runs: {2**q}" for q in feasible),
        )
    if k > runs - 1:
        enough = smallest_with_resolution(k, resolution or 3)
        raise DesignError(f"{k} factors do not fit into {runs} runs", f"use runs: {2**enough.q}")
    fraction = minimum_aberration(k, runs.bit_length() - 1)
    if resolution is not None and (fraction.resolution or k + 1) < resolution:
        enough = smallest_with_resolution(k, resolution)
        raise DesignError(
            f"{k} factors in {runs} runs reach resolution {fraction.resolution} at most, not {resolution}",
            f"use runs: {2**enough.q}, or resolution: {fraction.resolution}",
        )
    return fraction


def _stated(request: FractionalRequest, names: tuple[str, ...]) -> RegularFraction:
    """Columns from generators such as ``E = A:B:C``; factors without a generator are basic."""
    position = {name: i for i, name in enumerate(names)}
    parsed: dict[str, list[str]] = {}
    for text in request.generators:
        left, sign, right = (
            (part.strip() for part in re.split(r"(=)", text, maxsplit=1)) if "=" in text else (text, "", "")
        )
        parts = [part.strip() for part in right.split(":")]
        unknown = [part for part in (left, *parts) if part not in position]
        if not sign or unknown:
            raise DesignError(f"generator {text!r} is not of the form E = A:B:C", f"factors: {', '.join(names)}")
        parsed[left] = parts
    basic = [name for name in names if name not in parsed]
    for name, parts in parsed.items():
        if any(part in parsed for part in parts):
            raise DesignError(
                f"the generator of {name!r} uses another generated factor", f"use only {', '.join(basic)}"
            )
    if list(names[: len(basic)]) != basic:
        raise DesignError(
            "generated factors come after the basic ones", f"write the factors in the order {basic + list(parsed)}"
        )
    bit = {name: 1 << i for i, name in enumerate(basic)}
    columns = [bit[name] if name in bit else sum(bit[part] for part in set(parsed[name])) for name in names]
    if len(set(columns)) != len(columns):
        raise DesignError("two factors have the same column", "give each generator its own product")
    return RegularFraction(len(basic), tuple(columns))


def _clear(terms: tuple[str, ...], names: tuple[str, ...]) -> tuple[RegularFraction, tuple[str, ...]]:
    """The smallest fraction in which the terms are clear of each other and of effects up to two factors."""
    k = len(names)
    wanted = [_mask(term, names) for term in terms]
    unsure: list[int] = []
    for q in range(max(2, k.bit_length()), k):
        search = clear_columns(k, q, wanted)
        if search.columns is not None:
            return RegularFraction(q, search.columns), _clear_notes(search.columns, names, unsure)
        if not search.exhausted:
            unsure.append(2**q)
    full = RegularFraction(k, tuple(1 << i for i in range(k)))
    return full, ("this is the full factorial: no smaller fraction satisfies the request", *_unsure(unsure))


def _mask(term: str, names: tuple[str, ...]) -> int:
    parts = term.split(":")
    unknown = [part for part in parts if part not in names]
    if unknown:
        raise DesignError(f"design.clear: no factor {unknown[0]!r}", f"factors: {', '.join(names)}")
    if len(set(parts)) != len(parts):
        raise DesignError(f"design.clear: {term!r} repeats a factor", "name each factor of an interaction once")
    return sum(1 << names.index(part) for part in parts)


def _clear_notes(columns: tuple[int, ...], names: tuple[str, ...], unsure: list[int]) -> tuple[str, ...]:
    """What the request did not ask for and did not get, and what was not proved."""
    position = {column: i for i, column in enumerate(columns)}
    k = len(columns)
    mixed = {
        position[columns[i] ^ columns[j]] for i in range(k) for j in range(i) if columns[i] ^ columns[j] in position
    }
    aliased = ", ".join(names[i] for i in sorted(mixed))
    note = f"main effects that were not asked to be clear are aliased with two-factor interactions: {aliased}"
    return (*((note,) if mixed else ()), *_unsure(unsure))


def _unsure(sizes: list[int]) -> tuple[str, ...]:
    runs = ", ".join(str(size) for size in sizes)
    return (f"the search in {runs} runs found none but was not exhaustive",) if sizes else ()
