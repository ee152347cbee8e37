"""``optimise:``: a search for the best setting that starts from a finished sweep's runs and ends in a confirmation."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import ConfigDict, Field, model_validator

from maineffect.contracts import Level
from maineffect.spec.factors import StrictModel

__all__ = [
    "ARMS",
    "COST",
    "FEWEST_PAIRS",
    "SETTING",
    "Axis",
    "Bound",
    "Confirm",
    "KnownRun",
    "Optimise",
    "OptimiseRequest",
    "quadratic_size",
]

SETTING = "setting"
"""The one factor of an optimisation's registered runs."""
ARMS = ("comparator", "recommended")
"""Its levels."""
COST = "cost/"
"""How objectives begin that are no responses: ``cost/gpu_hours``, ``cost/cpu_hours``, ``cost/price``."""
FEWEST_PAIRS = 4
"""Pairs of runs from which on a confirmation can tell how its difference varies between seeds."""

_COSTS = ("gpu_hours", "cpu_hours", "price")
_BOUND = re.compile(r"^\s*(>=|<=)\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*$")


class Axis(StrictModel):
    """What a factor of the sweep may be: a range of numbers, or some of its categories."""

    range: tuple[float, float] | None = Field(default=None, description="Smallest and largest value of a number.")
    levels: tuple[Level, ...] | None = Field(
        default=None, min_length=2, description="Categories to choose from, each a level of the sweep's factor."
    )
    scale: Literal["linear", "log"] = Field(default="linear", description="Scale on which numbers are spread.")
    integer: bool = Field(default=False, description="Whether only whole numbers are taken.")

    @model_validator(mode="after")
    def _check(self) -> Axis:
        if (self.range is None) == (self.levels is None):
            raise ValueError("give a range of numbers, or levels to choose from")
        if self.levels is not None and (self.scale == "log" or self.integer):
            raise ValueError("levels to choose from have no scale and are taken as they are: drop scale and integer")
        if self.range is None:
            return self
        low, high = self.range
        if not low < high:
            raise ValueError(f"range goes from the smaller to the larger value, not from {low:g} to {high:g}")
        if self.scale == "log" and low <= 0:
            raise ValueError(f"a log scale needs values above 0, and range begins at {low:g}")
        if self.integer and (low != int(low) or high != int(high)):
            raise ValueError(f"integer: true needs whole ends of the range, not {low:g} and {high:g}")
        return self


class Confirm(StrictModel):
    """The recommended setting beside another one, on seeds, worlds and items that the search has not seen."""

    replicates: int = Field(default=5, ge=FEWEST_PAIRS, description="Pairs of runs; each pair shares a fresh seed.")
    against: dict[str, Level] = Field(description="The other setting: a value of each of the factors.")


class Bound(StrictModel):
    """A limit that a response must keep."""

    least: bool
    value: float

    def violation(self, value: float) -> float:
        """How far a value is on the wrong side; at most 0 where it keeps the limit."""
        return self.value - value if self.least else value - self.value


class OptimiseRequest(StrictModel):
    """What is asked: where to look, for what, and what the best point is compared with."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, populate_by_name=True)

    sweep: str = Field(alias="from", min_length=1, description="The finished sweep that it starts from.")
    factors: dict[str, Axis] = Field(min_length=1, max_length=8, description="Where to look: the box.")
    fixed: dict[str, Level] = Field(default_factory=dict, description="Value of each of the sweep's other factors.")
    objectives: dict[str, Literal["maximize", "minimize"]] = Field(
        min_length=1, max_length=3, description="One response, or several: then a Pareto front. cost/gpu_hours is one."
    )
    constraints: dict[str, str] = Field(
        default_factory=dict, description='Limits to keep, such as {clean_accuracy: ">= 0.95"}.'
    )
    runs: int = Field(ge=1, le=512, description="Further runs of the search.")
    batch: int = Field(default=8, ge=1, le=32, description="Runs that are proposed at a time.")
    sampler: Literal["gp", "tpe", "augment"] | None = Field(
        default=None,
        description="gp: Gaussian processes; tpe: for categories; augment: one batch that completes a second-order "
        "model (I-optimal). Default: tpe with categories, augment where one batch holds all runs, else gp.",
    )
    confirm: Confirm = Field(description="What the recommended setting is confirmed against.")

    @model_validator(mode="after")
    def _check(self) -> OptimiseRequest:
        for name, text in self.constraints.items():
            if not _BOUND.match(text):
                raise ValueError(f'constraints.{name}: {text!r} is no limit; write ">= 0.95" or "<= 3"')
        for name in (*self.objectives, *self.constraints):
            if name.startswith(COST) and name.removeprefix(COST) not in _COSTS:
                known = ", ".join(f"{COST}{kind}" for kind in _COSTS)
                raise ValueError(f"objectives: no cost {name!r}; there are {known}")
        categories = [name for name, axis in self.factors.items() if axis.levels is not None]
        if categories and self.sampler in ("gp", "augment"):
            raise ValueError(f"sampler: {self.sampler} takes numbers only, and {categories[0]} has categories: use tpe")
        if len(categories) == len(self.factors):
            raise ValueError("factors: nothing has a range: compare categories by a factorial, not by a search")
        for name in self.factors:
            if name in self.fixed:
                raise ValueError(f"fixed.{name}: {name} is looked for in factors; it cannot be fixed too")
        if missing := [name for name in self.factors if name not in self.confirm.against]:
            raise ValueError(f"confirm.against: {missing[0]} has no value there")
        if unknown := [name for name in self.confirm.against if name not in self.factors]:
            raise ValueError(f"confirm.against.{unknown[0]}: {unknown[0]} is none of the factors that are looked for")
        return self

    @property
    def method(self) -> Literal["gp", "tpe", "augment"]:
        """The sampler that is used."""
        if self.sampler is not None:
            return self.sampler
        if any(axis.levels is not None for axis in self.factors.values()):
            return "tpe"
        return "augment" if self.runs <= self.batch else "gp"

    @property
    def measured(self) -> tuple[str, ...]:
        """Objectives and limited numbers, each once."""
        return tuple(dict.fromkeys((*self.objectives, *self.constraints)))

    @property
    def bounds(self) -> dict[str, Bound]:
        """The constraints as numbers."""
        parsed = {name: _BOUND.match(text) for name, text in self.constraints.items()}
        return {name: Bound(least=m[1] == ">=", value=float(m[2])) for name, m in parsed.items() if m is not None}


class KnownRun(StrictModel):
    """A finished run of the sweep as the search sees it: less its block effect, moved to the fixed levels."""

    run: str
    values: dict[str, Level]
    scores: dict[str, float]


class Optimise(OptimiseRequest):
    """The same with what the sweep fills in; this is what is registered."""

    plan: str = Field(pattern="^[0-9a-f]{64}$", description="Hash of that sweep's plan.")
    results: str = Field(pattern="^[0-9a-f]{64}$", description="Digest of that sweep's results.")
    binds: dict[str, str] = Field(description="Factor → setting that it drives, fixed ones among them.")
    known: tuple[KnownRun, ...] = Field(description="Runs of the sweep within the box.")
    spent_df: int = Field(ge=0, description="Degrees of freedom that blocks and fixed factors took.")
    evaluation_seed: int = Field(description="The sweep's: the search goes on with its items.")
    base_seed: int | None = Field(default=None, description="The sweep's: the search goes on from its warm start.")
    codes: tuple[str, ...] = Field(default=(), description="Versions of the trainable's code that made its runs.")
    hours_per_run: dict[str, float] = Field(default_factory=dict, description="What a run of the sweep cost.")

    def setting_values(self, arm: str) -> dict[str, Level]:
        """Values of an arm of the confirmation, fixed ones among them; the comparator's where none is chosen yet."""
        assert arm in ARMS
        return {**self.confirm.against, **self.fixed}


def quadratic_size(numbers: int, categories: tuple[int, ...] = ()) -> int:
    """Coefficients of a second-order model: squares of numbers, products with the contrasts of categories.

    Args:
        numbers: How many factors are numbers.
        categories: Levels of each of the others.
    """
    contrasts = sum(levels - 1 for levels in categories)
    return 1 + 2 * numbers + numbers * (numbers - 1) // 2 + contrasts * (1 + numbers)
