"""Effects against size: part of AnalysisResult. What lies beyond the sizes that were run is marked, and no verdict."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from maineffect.analyse.record.further_records import Record

__all__ = ["EffectOverSizes", "Linearity", "SizePoint"]


class SizePoint(Record):
    """An effect at one size, in the response's units; ``level`` is None where the straight line says it.

    ``extrapolated`` is true beyond the sizes that were run. With a response's ``scale`` the ratio is the exponential.
    """

    size: float
    level: str | int | float | bool | None = None
    estimate: float
    std_error: float | None = None
    df: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    extrapolated: bool = False
    ratio: float | None = None
    ratio_low: float | None = None
    ratio_high: float | None = None


class Linearity(Record):
    """Test of the straight line: the effects' departure from it, on sizes − 2 degrees of freedom; or why there is none.

    ``method`` names an approximation (Satterthwaite, Bonferroni); without one it is the F of the effects' own stratum.
    """

    F: float | None = None
    df: float | None = None
    df_error: float | None = None
    p_value: float | None = None
    method: str | None = None
    reason: str | None = None


class EffectOverSizes(Record):
    """The effect of one factor on one response at each size, its trend, and what the line says beyond.

    ``slope`` is the change of the effect per doubling (``log2``), tenfold (``log10``) or unit (``linear``) of the size;
    ``p_adjusted`` is Benjamini and Hochberg's over all trends of the study. ``line`` is the fitted line with its band,
    from the smallest to the largest size asked for. ``at`` are the sizes that were run, smallest first. ``hypotheses``
    are the registered ones about this very interaction; verdicts are theirs. ``reason`` says why there is nothing.
    """

    response: str
    factor: str
    contrast: str
    covariate: str
    scale: Literal["log2", "log10", "linear"]
    unit: str = ""
    at: list[SizePoint] = Field(default_factory=list)
    beyond: list[SizePoint] = Field(default_factory=list)
    line: list[SizePoint] = Field(default_factory=list)
    slope: float | None = None
    slope_std_error: float | None = None
    slope_df: float | None = None
    slope_low: float | None = None
    slope_high: float | None = None
    p_value: float | None = None
    p_adjusted: float | None = None
    linearity: Linearity | None = None
    inference: Literal["seeds", "these_seeds"] | None = None
    aliased_with: list[str] = Field(default_factory=list)
    hypotheses: list[str] = Field(default_factory=list)
    notes: list[str] = Field(default_factory=list)
    reason: str | None = None
