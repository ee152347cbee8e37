"""What a study's ``scaling:`` must fit: its factors, responses and the model that will be fitted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from maineffect.spec.factors import Factor
from maineffect.spec.problems import Finding, KeyPath, nearest
from maineffect.spec.questions.scaling import ScaleCovariate, Scaling, sizes_of

__all__ = ["check_scaling"]


def check_scaling(
    scaling: Scaling,
    factors: Mapping[str, Factor | None],
    responses: Mapping[str, object],
    fitted: Callable[[str], bool],
    squared: Callable[[str], bool],
) -> Iterator[Finding]:
    """Every reference that leads nowhere, every size that is none, and every effect that could not be read.

    Args:
        scaling: As declared.
        factors: Name → factor, None where it is not valid itself.
        responses: Names of the responses, made ones included.
        fitted: Whether the registered model holds a term.
        squared: Whether it holds a factor as a straight line and a square.
    """
    known = True
    for name, covariate in scaling.covariates.items():
        path: KeyPath = ("scaling", "covariates", name)
        if name not in factors:
            known = False
            yield Finding(path, f"no factor {name!r}", nearest(name, factors))
        elif (factor := factors[name]) is not None:
            yield from _covariate(path, covariate, factor)
            if squared(name) and len(factor.levels) > 2:
                message = f"the registered model holds {name!r} as a line and a square, not size by size"
                yield Finding(path, message, "use analysis.terms: two_way, or a list without the square")
    for key, named, there in (("effects", scaling.effects, factors), ("responses", scaling.responses, responses)):
        for i, name in enumerate(named):
            if name not in there:
                known = False
                yield Finding(("scaling", key, i), f"no {key.removesuffix('s')} {name!r}", nearest(name, there))
            elif name in named[:i]:
                yield Finding(("scaling", key, i), f"{name!r} is listed twice", "keep one")
    if known:
        yield from _pairs(scaling, tuple(factors), fitted)


def _pairs(scaling: Scaling, factors: tuple[str, ...], fitted: Callable[[str], bool]) -> Iterator[Finding]:
    """An effect is read against size through its interaction with it."""
    effects = scaling.effects_of(factors)
    if not effects:
        message = "every factor is a covariate: no effect is left to read against size"
        yield Finding(("scaling", "covariates"), message, "name it in scaling.effects, or drop a covariate")
    for i, effect in enumerate(effects):
        others = [name for name in scaling.covariates if name != effect]
        if not others:
            path: KeyPath = ("scaling", "effects", i)
            yield Finding(
                path, f"{effect!r} is the only covariate, and no effect against itself", "name another factor"
            )
        for name in others:
            if not fitted(f"{effect}:{name}"):
                message = (
                    f"the effect of {effect!r} at each {name} needs {effect}:{name}, which analysis.terms leaves out"
                )
                hint = "add it to analysis.terms, or use terms: two_way or full"
                yield Finding(("scaling", "covariates", name), message, hint)


def _covariate(path: KeyPath, covariate: ScaleCovariate, factor: Factor) -> Iterator[Finding]:
    try:
        sizes = sizes_of(covariate, factor)
    except ValueError as error:
        hint = "write sizes: {level: size} with every level of the factor, such as parameter counts"
        yield Finding((*path, "sizes") if covariate.sizes else path, str(error), hint)
        return
    at: KeyPath = (*path, "sizes") if covariate.sizes else path
    if len(set(sizes)) < len(sizes):
        yield Finding(at, f"two levels of {factor.name!r} have the same size", "give each its own, or merge them")
        return
    logarithmic = covariate.scale != "linear"
    if logarithmic and min(sizes) <= 0:
        yield Finding(at, f"a size of {min(sizes):g} has no logarithm", "use sizes above 0, or scale: linear")
        return
    low, high = min(sizes), max(sizes)
    for i, size in enumerate(covariate.extrapolate):
        where: KeyPath = (*path, "extrapolate", i)
        if logarithmic and size <= 0:
            yield Finding(where, f"a size of {size:g} has no logarithm", "use a size above 0, or scale: linear")
        elif low <= size <= high:
            message = f"{size:g} lies within the sizes that are run, {low:g} to {high:g}: that is no extrapolation"
            yield Finding(where, message, "name a size beyond them, or add it to the factor's levels")
        elif size in covariate.extrapolate[:i]:
            yield Finding(where, f"{size:g} is listed twice", "keep one")
