"""A fraction by size, by resolution, by clear effects, or by stated generators."""

from __future__ import annotations

import re

from maineffect.design.additions import block_labels, centre_rows, emitted_words, folded
from maineffect.design.regular import RegularFraction, minimum_aberration, smallest_with_resolution
from maineffect.design.treatments import Treatments
from maineffect.errors import DesignError
from maineffect.spec.requests import FractionalRequest
from maineffect.spec.study import StudySpec

__all__ = ["fractional"]


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
    fraction = _choose(request, names)
    signs = folded(fraction.signs(), names, request.foldover)
    regular = request.foldover == "none"
    if not regular and request.blocks > 1:
        raise DesignError(
            "a folded fraction is not cut into blocks here", "each half of the foldover can be a replicate"
        )
    pattern = fraction.word_length_pattern if regular else emitted_words(signs)
    rows = [{f.name: f.levels[(sign + 1) // 2] for f, sign in zip(factors, row, strict=True)} for row in signs.tolist()]
    blocks = block_labels(fraction, request.blocks)
    centres = centre_rows(factors, request.centre_points)
    if blocks is not None and centres:
        raise DesignError("centre points and blocks are not combined here", "set centre_points: 0 or blocks: 1")
    return Treatments(
        (*rows, *centres),
        blocks=blocks,
        resolution=min(pattern) if pattern else None,
        word_length_pattern=pattern or None,
        generators=(fraction.generators(names) or None) if regular else None,
        notes=() if pattern else ("this is the full factorial: no smaller fraction satisfies the request",),
        centre_points=len(centres),
    )


def _choose(request: FractionalRequest, names: tuple[str, ...]) -> RegularFraction:
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
    if len(stated) > 1:
        raise DesignError(f"{' and '.join(stated)} are stated together, and only one can decide", "keep one of them")
    if request.generators:
        return _stated(request, names)
    if request.runs is not None:
        runs = request.runs
        if runs & (runs - 1):
            below, above = 1 << (runs.bit_length() - 1), 1 << runs.bit_length()
            raise DesignError(
                f"a regular fraction has a power of two runs, not {runs}", f"use runs: {below} or runs: {above}"
            )
        if runs > 2**k:
            raise DesignError(
                f"{k} two-level factors have only {2**k} cells, not {runs}", f"use runs: {2**k} and replicates"
            )
        fraction = minimum_aberration(k, runs.bit_length() - 1)
        if request.resolution is not None and (fraction.resolution or k + 1) < request.resolution:
            enough = smallest_with_resolution(k, request.resolution)
            raise DesignError(
                f"{k} factors in {runs} runs reach resolution {fraction.resolution} at most, not {request.resolution}",
                f"use runs: {2**enough.q}",
            )
        return fraction
    if request.resolution is not None:
        return smallest_with_resolution(k, request.resolution)
    if request.clear:
        return _clear(request.clear, names)
    raise DesignError("a fraction needs a size or a goal", "set design.runs, design.resolution or design.clear")


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


def _clear(terms: tuple[str, ...], names: tuple[str, ...]) -> RegularFraction:
    """The smallest minimum aberration fraction in which the terms are clear of effects up to two factors."""
    k = len(names)
    position = {name: i for i, name in enumerate(names)}
    wanted = []
    for term in terms:
        unknown = [part for part in term.split(":") if part not in position]
        if unknown:
            raise DesignError(f"design.clear: no factor {unknown[0]!r}", f"factors: {', '.join(names)}")
        wanted.append(sum(1 << position[part] for part in term.split(":")))
    for q in range(max(2, k.bit_length()), k):
        fraction = minimum_aberration(k, q)
        masks = {int(word) for word in fraction.words}
        if all(bin(word ^ mask).count("1") > 2 for word in masks for mask in wanted):
            return fraction
    return RegularFraction(k, tuple(1 << i for i in range(k)))
