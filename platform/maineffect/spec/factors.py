"""Factors: what is varied, over which levels, and which setting of the trainable each one drives."""

from __future__ import annotations

from enum import StrEnum
from itertools import combinations, pairwise
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from maineffect.contracts import Level

__all__ = ["Factor", "FactorKind", "StrictModel", "level_key"]


def level_key(level: Level) -> tuple[bool, Level]:
    """What tells levels apart: 1 and 1.0 are one level, 1 and true are two."""
    return (isinstance(level, bool), level)


_SMALLEST = 1e-30
_CLOSEST = 1e-9


class StrictModel(BaseModel):
    """Base of everything a user writes: unknown keys are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class FactorKind(StrEnum):
    """How a factor's levels relate to each other."""

    CATEGORICAL = "categorical"
    ORDINAL = "ordinal"
    CONTINUOUS = "continuous"


def _all_numbers(levels: tuple[Level, ...]) -> bool:
    return all(isinstance(level, int | float) and not isinstance(level, bool) for level in levels)


def _check_texts(levels: tuple[Level, ...]) -> None:
    """A table of runs is text: two levels must not look alike there."""
    for a, b in combinations(levels, 2):
        texts = [level.strip() for level in (a, b) if isinstance(level, str)]
        if len(texts) == 2:
            alike = texts[0] == texts[1]
        else:
            alike = len(texts) == 1 and _reads_as(texts[0], b if isinstance(a, str) else a)
        if alike:
            raise ValueError(f"levels {a!r} and {b!r} cannot be told apart in a table; write them as two words")


def _reads_as(text: str, level: Level) -> bool:
    """Whether a text in a table would be taken for a level that is no text."""
    if isinstance(level, bool):
        return text.lower() == str(level).lower()
    try:
        return float(text) == float(level)
    except ValueError:
        return False


def _check_spacing(levels: list[float]) -> None:
    """Contrasts of numeric levels are computed from their differences, which must survive rounding."""
    largest = max(map(abs, levels))
    if not _SMALLEST <= largest <= 1 / _SMALLEST:
        raise ValueError(f"levels {levels} are too small or too large to compute with; choose another unit")
    closest, a, b = min((b - a, a, b) for a, b in pairwise(levels))
    if closest < _CLOSEST * largest:
        raise ValueError(
            f"levels {a!r} and {b!r} are too close beside {largest!r}; use kind: ordinal to code their ranks"
        )


class Factor(StrictModel):
    """One factor of the study.

    ``kind`` is inferred when absent: numbers that are not booleans are continuous, everything else is categorical.
    Ordinal levels are ordered as written and are coded by their rank.
    """

    name: str = Field(default="", description="Filled from the key in `factors:`.")
    levels: Annotated[tuple[Level, ...], Field(min_length=2)] = Field(description="The values it takes, low to high.")
    kind: FactorKind | None = Field(
        default=None, validate_default=True, description="categorical, ordinal or continuous; inferred if absent."
    )
    binds: str = Field(default="", description="Dotted setting of the trainable that it drives; default: its own name.")
    unit: str = Field(default="", description="Unit of the levels.")
    description: str = Field(default="", description="What changes in the world or in training.")
    shortcut: str = Field(default="", description="The shortcut that this factor must not reward.")
    relative_cost: float = Field(default=1.0, gt=0, description="Cost of a run at the high level over the low level.")
    range: tuple[float, float] | None = Field(default=None, description="Lowest and highest permitted numeric level.")

    @field_validator("kind")
    @classmethod
    def _infer_kind(cls, kind: FactorKind | None, info: ValidationInfo) -> FactorKind | None:
        if kind is not None or "levels" not in info.data:
            return kind
        return FactorKind.CONTINUOUS if _all_numbers(info.data["levels"]) else FactorKind.CATEGORICAL

    @model_validator(mode="after")
    def _check_levels(self) -> Self:
        keys = [level_key(v) for v in self.levels]
        if len(set(keys)) != len(keys):
            raise ValueError(f"levels repeat a value: {list(self.levels)}; write each once, replicates repeat runs")
        _check_texts(self.levels)
        if self.kind is FactorKind.CONTINUOUS and not _all_numbers(self.levels):
            raise ValueError(f"a continuous factor needs numeric levels, got {list(self.levels)}")
        if self.kind is FactorKind.CONTINUOUS and list(self.levels) != sorted(self.levels):
            raise ValueError(f"levels of a continuous factor go from low to high, got {list(self.levels)}")
        if self.kind is FactorKind.CONTINUOUS:
            _check_spacing([float(level) for level in self.levels])
        if self.range is not None:
            low, high = self.range
            if low > high:
                raise ValueError(f"the range goes from low to high, got {low} to {high}")
            outside = [v for v in self.levels if isinstance(v, bool | str) or not low <= v <= high]
            if outside:
                raise ValueError(f"levels {outside} lie outside the range {low} to {high}")
        return self

    @property
    def is_numeric(self) -> bool:
        """Whether levels are numbers (polynomial contrasts make sense)."""
        return self.kind is FactorKind.CONTINUOUS

    def has_level(self, level: Level) -> bool:
        """Whether a written level is one of the factor's."""
        return level_key(level) in {level_key(own) for own in self.levels}

    @property
    def setting(self) -> str:
        """Dotted setting that the factor drives."""
        return self.binds or self.name
