"""Factors: what is varied, over which levels, and which setting of the trainable each one drives."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from maineffect.contracts import Level

__all__ = ["Factor", "FactorKind", "StrictModel"]


class StrictModel(BaseModel):
    """Base of everything a user writes: unknown keys are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class FactorKind(StrEnum):
    """How a factor's levels relate to each other."""

    CATEGORICAL = "categorical"
    ORDINAL = "ordinal"
    CONTINUOUS = "continuous"


class Factor(StrictModel):
    """One factor of the study.

    ``kind`` is inferred when absent: numbers that are not booleans are continuous, everything else is categorical.
    Ordinal levels are ordered as written and are coded by their rank.
    """

    name: str = Field(default="", description="Filled from the key in `factors:`.")
    kind: FactorKind | None = Field(default=None, description="categorical, ordinal or continuous; inferred if absent.")
    levels: Annotated[tuple[Level, ...], Field(min_length=2)] = Field(description="The values it takes, low to high.")
    binds: str = Field(default="", description="Dotted setting of the trainable that it drives; default: its own name.")
    unit: str = Field(default="", description="Unit of the levels.")
    description: str = Field(default="", description="What changes in the world or in training.")
    shortcut: str = Field(default="", description="The shortcut that this factor must not reward.")
    relative_cost: float = Field(default=1.0, gt=0, description="Cost of a run at the high level over the low level.")
    range: tuple[float, float] | None = Field(default=None, description="Lowest and highest permitted numeric level.")

    @model_validator(mode="before")
    @classmethod
    def _infer_kind(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("kind") is None and isinstance(data.get("levels"), list | tuple):
            numeric = all(isinstance(v, int | float) and not isinstance(v, bool) for v in data["levels"])
            data = {**data, "kind": FactorKind.CONTINUOUS if numeric else FactorKind.CATEGORICAL}
        return data

    @model_validator(mode="after")
    def _check_levels(self) -> Self:
        keys = [(type(v) is bool, v) for v in self.levels]
        if len(set(keys)) != len(keys):
            raise ValueError(f"levels repeat a value: {list(self.levels)}")
        numeric = all(isinstance(v, int | float) and not isinstance(v, bool) for v in self.levels)
        if self.kind is FactorKind.CONTINUOUS and not numeric:
            raise ValueError(f"a continuous factor needs numeric levels, got {list(self.levels)}")
        if self.kind is FactorKind.CONTINUOUS and list(self.levels) != sorted(self.levels):
            raise ValueError(f"levels of a continuous factor go from low to high, got {list(self.levels)}")
        if self.range is not None:
            low, high = self.range
            outside = [v for v in self.levels if not (isinstance(v, int | float) and low <= v <= high)]
            if outside:
                raise ValueError(f"levels {outside} lie outside the range {low} to {high}")
        return self

    @property
    def is_numeric(self) -> bool:
        """Whether levels are numbers (polynomial contrasts make sense)."""
        return self.kind is FactorKind.CONTINUOUS

    @property
    def setting(self) -> str:
        """Dotted setting that the factor drives."""
        return self.binds or self.name
