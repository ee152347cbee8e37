"""Runs of a sweep and of a search → the setting that is recommended: the surrogates' best point, never the best run.

The best observed value is mostly luck: over simulated searches it overstated its own setting by more than a standard
deviation of a run, whatever proposed the runs (tests/analyse/follow_up).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from maineffect.analyse.follow_up.box import Box, Points
from maineffect.analyse.follow_up.gaussian_process import GaussianProcess, fit_gaussian_process
from maineffect.analyse.follow_up.search_contours import contours_of
from maineffect.analyse.follow_up.second_order import SecondOrder, fit_second_order
from maineffect.analyse.record.searched import FrontPoint, Prediction, Recommended
from maineffect.analyse.table.scales import back_transformed, on_scale
from maineffect.contracts import Level
from maineffect.errors import AnalysisError
from maineffect.seeds import generator
from maineffect.spec.phases.optimise import Axis, Bound
from maineffect.spec.responses import Response

__all__ = ["Asked", "Run", "recommend"]

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
_ZOOMS = (0.5, 0.25, 0.1, 0.05, 0.02, 0.01)
_AROUND = 256
_SHOWN = 15
_ALIKE = 1e-6


@dataclass(frozen=True)
class Run:
    """A run within the box.

    Attributes:
        values: Its setting.
        sweep: Whether it is the finished sweep's.
        scores: Number → value, in its own units; empty where the training diverged.
    """

    values: Mapping[str, Level]
    sweep: bool
    scores: Mapping[str, float]


@dataclass(frozen=True)
class Asked:
    """What is looked for.

    Attributes:
        axes: Factor → where it may lie.
        maximise: Objective → whether more of it is better.
        bounds: Limited number → its limit.
        responses: For their scales; costs are none of them.
        alpha: Intervals hold with probability 1 − α.
        spent_df: Degrees of freedom that the sweep's blocks and fixed factors took.
        drift: Whether the sweep's runs get a level of their own: where other code made them. Without need it costs
            more than half of the precision, because a search lies in the middle of a sweep's corners: the level then
            looks like curvature.
    """

    axes: Mapping[str, Axis]
    maximise: Mapping[str, bool]
    bounds: Mapping[str, Bound]
    responses: Mapping[str, Response]
    alpha: float = 0.05
    spent_df: int = 0
    drift: bool = False


def recommend(asked: Asked, runs: Sequence[Run]) -> Recommended:
    """The recommended setting with what is predicted there.

    Of one objective it is the best prediction within the box among settings whose interval keeps every limit; of
    several the compromise on the predicted front that is nearest to the ideal point, each objective scaled to its range
    over the front (Zeleny 1973). Where no setting is shown to keep the limits, it is the one that comes nearest to it.
    A setting nearer to a run that diverged than to one that ended is not taken.

    Args:
        asked: What is looked for.
        runs: Of the sweep, then of the search.

    Raises:
        AnalysisError: Too few runs ended to say anything, or a value has none on its response's scale.
    """
    ended = [run for run in runs if run.scores]
    box = Box(asked.axes)
    if len(ended) < box.k + 2:
        raise AnalysisError(
            f"{len(ended)} run(s) within the box have values: no surface can be fitted in {len(asked.axes)} factor(s)",
            "run more, or look over a wider box",
        )
    view = _View(asked, box, ended, box.coded([run.values for run in runs if not run.scores]))
    shown = view.shown(box.filled.joined(view.points))
    if len(asked.maximise) == 1:
        (name,) = asked.maximise
        best = view.climb(view.best(shown, name), name)
        front: list[FrontPoint] = []
    else:
        places = view.front(shown)
        best = places.take(np.array([view.compromise(places)]))
        front = [
            FrontPoint(values=values, predictions=view.predictions(places.take(np.array([i]))))
            for i, values in enumerate(box.settings(places))
        ]
    predictions = view.predictions(best)
    feasible = all(p.shown is not False for p in predictions)
    (values,) = box.settings(best)
    return Recommended(
        values=values,
        predictions=predictions,
        feasible=feasible,
        on_edge=box.on_edge(best),
        front=front,
        notes=[*view.notes, *([] if feasible else ["no setting within the box is shown to keep the limits"])],
        contours=contours_of(box, view.contoured(), best),
    )


@dataclass(frozen=True)
class _Constant:
    """A number that is the same in every run."""

    value: float
    lack_of_fit_p = None
    by: Literal["constant"] = "constant"

    def predict(self, points: Points) -> tuple[Floats, Floats]:
        return np.full(len(points), self.value), np.zeros(len(points))

    def known(self, points: Points) -> Mask:
        return np.ones(len(points), dtype=bool)

    def critical(self, alpha: float) -> float:  # noqa: ARG002 — as the others
        return 0.0


Surrogate = SecondOrder | GaussianProcess | _Constant


class _View:
    """The surrogates of everything that is asked about."""

    def __init__(self, asked: Asked, box: Box, runs: Sequence[Run], diverged: Points) -> None:
        self.asked, self.box, self.diverged = asked, box, diverged
        self.points = box.coded([run.values for run in runs])
        self.notes: list[str] = []
        sweep = np.array([run.sweep for run in runs])
        self.surrogates = {name: self._fit(name, runs, sweep) for name in {**asked.maximise, **asked.bounds}}
        self.critical = {name: one.critical(asked.alpha) for name, one in self.surrogates.items()}

    def _fit(self, name: str, runs: Sequence[Run], sweep: Mask) -> Surrogate:
        y = np.array([run.scores[name] for run in runs], dtype=float)
        if name in self.asked.responses:
            y = on_scale(y, name, self.asked.responses[name], lambda i: f"run {i + 1} of the search")
        if np.ptp(y) <= _ALIKE * float(np.abs(y).max()):
            if name in self.asked.maximise:
                message = f"{name} has the same value, {y[0]:g}, in all {len(y)} runs: nothing is best"
                raise AnalysisError(message, "choose another objective")
            return _Constant(float(y[0]))
        sweep = sweep if self.asked.drift else np.zeros(len(y), dtype=bool)
        quadratic = fit_second_order(self.box, self.points, y, sweep, spent_df=self.asked.spent_df)
        if quadratic is None:
            self.notes.append(f"{name}: the runs do not determine a quadratic; a Gaussian process is read instead")
        elif quadratic.lack_of_fit_p is not None and quadratic.lack_of_fit_p < self.asked.alpha:
            self.notes.append(
                f"{name}: a quadratic does not fit (lack of fit p = {quadratic.lack_of_fit_p:.2g}); the mean of a "
                "Gaussian process is read instead, and its interval holds about so"
            )
        else:
            return quadratic
        return fit_gaussian_process(self.box, self.points, y, sweep)

    def shown(self, places: Points) -> Points:
        """Places that may be recommended: known well enough, away from divergence, and shown to keep the limits.

        Where none is shown to keep them, those whose worst interval comes nearest to it.
        """
        places = places.take(self._inside(places))
        margins = self._margins(places)
        feasible = margins >= 0
        if feasible.any():
            return places.take(feasible)
        return places.take(margins >= margins.max() - 1e-12)

    def _inside(self, places: Points) -> Mask:
        known = np.ones(len(places), dtype=bool)
        for one in self.surrogates.values():
            known &= one.known(places)
        if len(self.diverged):
            known &= _nearest(places, self.points) <= _nearest(places, self.diverged)
        known[-1] |= not known.any()
        return known

    def _margins(self, places: Points) -> Floats:
        """(n,) by how much the interval of the limit that is missed most keeps it, in its standard deviations."""
        margins = np.full(len(places), np.inf)
        for name, bound in self.asked.bounds.items():
            mean, error = self.surrogates[name].predict(places)
            half = self.critical[name] * error
            limit = self._limit(name, bound)
            gap = mean - half - limit if bound.least else limit - mean - half
            margins = np.minimum(margins, gap / max(float(np.std(mean)), 1e-12))
        return margins

    def _limit(self, name: str, bound: Bound) -> float:
        if name not in self.asked.responses:
            return bound.value
        return float(on_scale(np.array([bound.value]), name, self.asked.responses[name], lambda _: "the limit")[0])

    def height(self, places: Points, name: str) -> Floats:
        """(n,) predictions, larger is better."""
        mean = self.surrogates[name].predict(places)[0]
        return mean if self.asked.maximise[name] else -mean

    def best(self, places: Points, name: str) -> Points:
        """The best of some places."""
        return places.take(np.array([int(np.argmax(self.height(places, name)))]))

    def climb(self, start: Points, name: str) -> Points:
        """A better place nearby, by drawing around the best so far, ever closer: limits stay kept, categories stay."""
        draw = generator(0, "climb", self.box.k)
        at = start
        if self.asked.bounds and float(self._margins(at)[0]) < 0:
            return at
        for size in _ZOOMS:
            step = draw.normal(0, size, size=(_AROUND, self.box.k))
            near = self.box.snapped(Points(np.vstack([at.x, at.x + step]), np.repeat(at.kinds, _AROUND + 1, axis=0)))
            keep = np.ones(len(near), dtype=bool)
            for one in self.surrogates.values():
                keep &= one.known(near)
            if len(self.diverged):
                keep &= _nearest(near, self.points) <= _nearest(near, self.diverged)
            keep &= self._margins(near) >= 0
            keep[0] = True
            at = self.best(near.take(keep), name)
        return at

    def front(self, places: Points) -> Points:
        """Places of which no other is predicted to be at least as good in all objectives; some of them, spread out."""
        heights = np.column_stack([self.height(places, name) for name in self.asked.maximise])
        order = np.lexsort(-heights.T[::-1])
        kept: list[int] = []
        for i in order:
            if not any(np.all(heights[j] >= heights[i]) for j in kept):
                kept.append(int(i))
        if len(kept) > _SHOWN:
            kept = [kept[i] for i in np.linspace(0, len(kept) - 1, _SHOWN).round().astype(int)]
        return places.take(np.array(kept))

    def compromise(self, places: Points) -> int:
        """The place of a front that is nearest to the best of every objective."""
        heights = np.column_stack([self.height(places, name) for name in self.asked.maximise])
        span = np.maximum(np.ptp(heights, axis=0), 1e-300)
        return int(np.argmin(np.sum(((heights.max(axis=0) - heights) / span) ** 2, axis=1)))

    def predictions(self, place: Points) -> list[Prediction]:
        """What is predicted at one place, in the numbers' units."""
        found = []
        for name, one in self.surrogates.items():
            mean, error = (float(v[0]) for v in one.predict(place))
            half = self.critical[name] * error
            units = self._units(name)
            bound = self.asked.bounds.get(name)
            limit = None if bound is None else self._limit(name, bound)
            kept = (
                None
                if bound is None or limit is None
                else (mean - half >= limit if bound.least else mean + half <= limit)
            )
            found.append(
                Prediction(
                    name=name, estimate=units(mean), low=units(mean - half), high=units(mean + half), by=one.by,
                    lack_of_fit_p=one.lack_of_fit_p, shown=kept,
                )
            )  # fmt: skip
        return found

    def contoured(self) -> Callable[[Points], Floats]:
        """Heights of the first objective, in its units."""
        name = next(iter(self.asked.maximise))
        units = self._units(name)
        return lambda places: np.array([units(float(v)) for v in self.surrogates[name].predict(places)[0]])

    def _units(self, name: str) -> Callable[[float], float]:
        response = self.asked.responses.get(name)
        if response is None:
            return lambda value: value
        return lambda value: float(back_transformed(value, response) or 0.0)


def _nearest(places: Points, runs: Points) -> Floats:
    """(n,) distance of each place to the nearest of some runs, categories counting as far as a range is wide."""
    gap = ((places.x[:, None, :] - runs.x[None, :, :]) ** 2).sum(-1)
    gap = gap + 4.0 * (places.kinds[:, None, :] != runs.kinds[None, :, :]).sum(-1)
    return np.asarray(np.sqrt(gap).min(axis=1))
