"""Scaling: factors whose levels are sizes, and the sizes at which nobody has trained.

Model size and training steps are factors like any other; declared here, the effect of the other factors is read
against them, on a scale on which it is taken to be a straight line.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator

from maineffect.spec.factors import Factor, StrictModel

__all__ = ["ScaleCovariate", "Scaling", "sizes_of"]


class ScaleCovariate(StrictModel):
    """A factor whose levels are sizes."""

    sizes: dict[str, float] = Field(
        default_factory=dict,
        description="Size of each level, such as the parameters of each model in a list: {small: 135000000, large: "
        "360000000}; default: the levels themselves.",
    )
    scale: Literal["log2", "log10", "linear"] = Field(
        default="log2", description="Where effects are a straight line: log2 (a slope per doubling), log10, linear."
    )
    unit: str = Field(default="", description="Unit of the sizes; default: the factor's own.")
    extrapolate: tuple[float, ...] = Field(
        default=(), description="Sizes beyond those that are run, at which the effect is asked for."
    )

    @field_validator("sizes", mode="before")
    @classmethod
    def _level_names(cls, value: Any) -> Any:
        return {str(level): size for level, size in value.items()} if isinstance(value, dict) else value


class Scaling(StrictModel):
    """What is read against size: the effect of which factors, on which responses."""

    covariates: dict[str, ScaleCovariate] = Field(
        min_length=1, description="Factor of the study → how its levels are sizes: {width: {extrapolate: [256]}}."
    )
    effects: tuple[str, ...] = Field(
        default=(), description="Factors whose effect is read against size; default: all that are no covariate."
    )
    responses: tuple[str, ...] = Field(default=(), description="Responses that are read; default: all.")

    def effects_of(self, factors: tuple[str, ...]) -> tuple[str, ...]:
        """Factors whose effect is read, given the study's."""
        return self.effects or tuple(name for name in factors if name not in self.covariates)


def sizes_of(covariate: ScaleCovariate, factor: Factor) -> tuple[float, ...]:
    """Size of each level, in the order of the levels.

    Args:
        covariate: As declared.
        factor: The factor that it names.

    Raises:
        ValueError: A level has no size, or a size belongs to no level.
    """
    levels = [str(level) for level in factor.levels]
    if covariate.sizes:
        if strange := [name for name in covariate.sizes if name not in levels]:
            raise ValueError(f"no level {strange[0]!r}; levels: {', '.join(levels)}")
        if missing := [level for level in levels if level not in covariate.sizes]:
            raise ValueError(f"level {missing[0]!r} has no size")
        return tuple(covariate.sizes[level] for level in levels)
    sizes = [level for level in factor.levels if isinstance(level, int | float) and not isinstance(level, bool)]
    if len(sizes) < len(levels):
        raise ValueError(f"the levels {', '.join(levels)} are no numbers, so that each needs a size")
    return tuple(float(size) for size in sizes)
