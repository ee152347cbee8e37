"""Records of a search for the best setting: what was tried, what is recommended, and whether new runs confirm it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from maineffect.analyse.record.further_records import Contour, Record
from maineffect.contracts import Level

__all__ = ["FrontPoint", "Paired", "Prediction", "Recommended", "Searched", "SearchedRun"]


class Prediction(Record):
    """What a surrogate predicts of one number at a setting, in the number's units.

    ``low`` and ``high`` hold for all settings of the box at once, so also for one that the data chose: exactly for a
    quadratic with normal errors, about so for a Gaussian process. ``shown`` is whether the interval keeps the limit;
    None without a limit.
    """

    name: str
    estimate: float
    low: float | None = None
    high: float | None = None
    by: Literal["quadratic", "gaussian process", "constant"]
    lack_of_fit_p: float | None = None
    shown: bool | None = None


class FrontPoint(Record):
    """A setting that no other one is predicted to beat in every objective."""

    values: dict[str, Level]
    predictions: list[Prediction]


class Recommended(Record):
    """The setting that the surrogates recommend; never the best run, whose value is mostly luck.

    ``feasible`` is whether the intervals of all limited numbers keep their limits. ``front`` is empty with one
    objective. ``notes`` say which surrogate was used and why, and what to beware of.
    """

    values: dict[str, Level]
    predictions: list[Prediction]
    feasible: bool = True
    on_edge: list[str] = Field(default_factory=list)
    front: list[FrontPoint] = Field(default_factory=list)
    notes: list[str] = Field(default_factory=list)
    contours: list[Contour] = Field(default_factory=list)


class SearchedRun(Record):
    """A run that the search knows; ``known``: of the finished sweep. ``scores`` is empty where it diverged."""

    run: str
    known: bool
    values: dict[str, Level]
    scores: dict[str, float] = Field(default_factory=dict)


class Paired(Record):
    """Recommended minus comparator over pairs of runs with a common fresh seed (paired t)."""

    name: str
    goal: Literal["maximize", "minimize"]
    pairs: int
    recommended: float | None = None
    comparator: float | None = None
    difference: float | None = None
    std_error: float | None = None
    low: float | None = None
    high: float | None = None
    p_value: float | None = None


class Searched(Record):
    """A search as a whole. ``confirmed`` is empty before its confirmation."""

    sweep: str
    sampler: str
    objectives: dict[str, Literal["maximize", "minimize"]]
    constraints: dict[str, str] = Field(default_factory=dict)
    ranges: dict[str, tuple[float, float]] = Field(default_factory=dict)
    levels: dict[str, list[Level]] = Field(default_factory=dict)
    fixed: dict[str, Level] = Field(default_factory=dict)
    comparator: dict[str, Level] = Field(default_factory=dict)
    asked: int
    runs: list[SearchedRun] = Field(default_factory=list)
    recommended: Recommended | None = None
    chosen: dict[str, Level] | None = None
    confirmed: list[Paired] = Field(default_factory=list)
    best_run: str | None = None
