"""Linking: abilities measured on a new battery version, on the scale of the old one.

Item response theory fixes the scale only up to a line: θ_base = A·θ_new + B, a_base = a_new/A, b_base = A·b_new + B
(Kolen and Brennan, 2014, Test Equating, Scaling, and Linking, 3rd ed., pp. 178–180). The anchor items that both
versions share tell A and B.

Legend: N anchors, Q abilities at which test characteristic curves are compared.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

from maineffect.errors import AnalysisError
from maineffect.lab.evaluate.irt import IrtFit, response_probability

__all__ = ["Link", "link"]

Floats = NDArray[np.float64]
Method = Literal["stocking_lord", "mean_sigma"]
_NODES = 41


@dataclass(frozen=True)
class Link:
    """The line from a new scale to the base scale.

    Attributes:
        slope: A; 1 between two Rasch fits, whose unit is the logit.
        shift: B.
        method: ``stocking_lord`` or ``mean_sigma``.
        anchors: Items that told the line.
        drift_N: b on the base scale less b of the new version after linking; an anchor far from 0 has changed its
            meaning and should be dropped.
    """

    slope: float
    shift: float
    method: Method
    anchors: tuple[str, ...]
    drift_N: Floats

    def apply(self, fit: IrtFit) -> IrtFit:
        """The new version's fit on the base scale; its probabilities do not change."""
        return replace(
            fit,
            a_N=fit.a_N / self.slope,
            b_N=self.slope * fit.b_N + self.shift,
            theta_R=self.slope * fit.theta_R + self.shift,
            std_error_R=self.slope * fit.std_error_R,
            spread=self.slope * fit.spread,
        )


def link(base: IrtFit, new: IrtFit, method: Method = "stocking_lord") -> Link:
    """Find the line through the anchors.

    ``mean_sigma``: A = sd(b_base)/sd(b_new), B = mean(b_base) − A·mean(b_new) (Marco, 1977, J. Educ. Measurement
    14:139–160). ``stocking_lord``: A and B at which the anchors' two test characteristic curves are nearest in squares,
    weighted by the base population (Stocking and Lord, 1983, Appl. Psych. Measurement 7:201–210); less sensitive to
    single badly estimated difficulties. Between two Rasch fits A is 1 in both.

    Raises:
        AnalysisError: Fewer than two usable anchors (shared, informative, with positive slopes in both versions).
    """
    names, base_at, new_at = _anchors(base, new)
    a_base, b_base = base.a_N[base_at], base.b_N[base_at]
    a_new, b_new = new.a_N[new_at], new.b_N[new_at]
    rasch = base.model == new.model == "rasch"
    if not rasch and np.ptp(b_new) == 0:
        raise AnalysisError("all anchors are equally difficult", "choose anchors that spread over the scale")
    slope = 1.0 if rasch else float(b_base.std() / b_new.std())
    shift = float(b_base.mean() - slope * b_new.mean())
    if method == "stocking_lord":
        z_Q, weight_Q = special.roots_hermitenorm(_NODES)
        theta_Q1 = (z_Q * base.spread)[:, None]
        curve_Q = response_probability(theta_Q1, a_base, b_base).sum(axis=1)
        root_Q = np.sqrt(weight_Q / weight_Q.sum())

        def gap(line: Floats) -> Floats:
            factor = 1.0 if rasch else np.exp(line[1])
            moved_Q = response_probability(theta_Q1, a_new / factor, factor * b_new + line[0]).sum(axis=1)
            return np.asarray(root_Q * (curve_Q - moved_Q), dtype=float)

        start = [shift] if rasch else [shift, np.log(slope) if slope > 0 else 0.0]
        best_line = optimize.least_squares(gap, start, xtol=1e-12, ftol=1e-12, gtol=1e-12).x
        shift, slope = float(best_line[0]), 1.0 if rasch else float(np.exp(best_line[1]))
    return Link(slope, shift, method, names, b_base - (slope * b_new + shift))


def _anchors(base: IrtFit, new: IrtFit) -> tuple[tuple[str, ...], NDArray[np.intp], NDArray[np.intp]]:
    place = {name: i for i, name in enumerate(new.items)}
    shared = [(i, place[name]) for i, name in enumerate(base.items) if name in place]
    good = [(i, j) for i, j in shared if base.a_N[i] > 0 and new.a_N[j] > 0]
    if len(good) < 2:
        raise AnalysisError(
            f"{len(shared)} items are in both battery versions, {len(good)} of them discriminate in both",
            "keep an anchor set of at least two (better 20) items that some runs solve and some do not",
        )
    base_at, new_at = np.array([i for i, _ in good]), np.array([j for _, j in good])
    return tuple(base.items[i] for i, _ in good), base_at, new_at
