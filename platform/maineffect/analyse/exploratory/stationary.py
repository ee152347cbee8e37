"""The stationary point of a second-order surface: where it is, what it is, and what the runs know of both.

Canonical analysis as in Box and Wilson (1951), J. R. Statist. Soc. B 13:1–45. The region is Box and Hunter's (1954),
Biometrika 41:190–199: a point t belongs to it unless the estimated slopes at t, which are linear in the coefficients,
differ from zero at level α. It holds its coverage whatever the curvature, as Fieller's interval does; an interval by
the delta method does not on a rising ridge.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import combinations_with_replacement
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

from maineffect.seeds import generator

__all__ = ["Nature", "Quadratic", "Stationary", "stationary_point"]

Floats = NDArray[np.float64]
Nature = Literal["maximum", "minimum", "saddle"]

_FLAT = 1e-10
_DIRECTIONS, _REFINED = 256, 4
_STEPS, _SETTLED = 200, 1e-9


@dataclass(frozen=True)
class Quadratic:
    """A fitted surface β₀ + Σ β_i·x_i + Σ_{i≤j} β_ij·x_i·x_j, and the precision of its slopes.

    Attributes:
        constant: β₀.
        linear: (k,) β_i.
        second: (k·(k + 1)/2,) β_ij for i ≤ j: 11, 12, …, 1k, 22, ….
        covariance: Of (linear, second).
        df: Degrees of freedom of that covariance.
    """

    constant: float
    linear: Floats
    second: Floats
    covariance: Floats
    df: float

    @property
    def k(self) -> int:
        """Number of factors."""
        return len(self.linear)

    @cached_property
    def pairs(self) -> tuple[tuple[int, int], ...]:
        """Which factors each of ``second`` multiplies."""
        return tuple(combinations_with_replacement(range(self.k), 2))

    @cached_property
    def matrix(self) -> Floats:
        """(k, k) symmetric B: the surface is β₀ + x'b + x'Bx."""
        b = np.zeros((self.k, self.k))
        for (i, j), value in zip(self.pairs, self.second, strict=True):
            b[i, j] += value / 2
            b[j, i] += value / 2
        return b

    @cached_property
    def _along(self) -> Floats:
        """(k, k, m): how the slope along i grows with the j-th coordinate, as rows on the coefficients."""
        tensor = np.zeros((self.k, self.k, self.k + len(self.pairs)))
        for column, (i, j) in enumerate(self.pairs):
            tensor[i, j, self.k + column] += 1
            tensor[j, i, self.k + column] += 1
        return tensor

    @cached_property
    def coefficients(self) -> Floats:
        """(m,) linear, then second."""
        return np.concatenate([self.linear, self.second])

    def value(self, x: Floats) -> Floats:
        """(n,) heights at (n, k) points."""
        return np.asarray(self.constant + x @ self.linear + np.einsum("ni,ij,nj->n", x, self.matrix, x))

    def slope_rows(self, x: Floats, *, far: bool = False) -> Floats:
        """(n, k, m) rows on the coefficients that give the k slopes at (n, k) points; ``far``: without β_i."""
        rows = np.einsum("ijm,nj->nim", self._along, x)
        if not far:
            rows[:, :, : self.k] += np.eye(self.k)
        return np.asarray(rows)

    def distance(self, x: Floats, *, far: bool = False) -> Floats:
        """(n,) d'V⁻¹d of the slopes d at (n, k) points: at most k·F inside Box and Hunter's region.

        Args:
            x: Points, or with ``far`` directions in which a point goes to infinity.
            far: The limit at infinity.
        """
        rows = self.slope_rows(x, far=far)
        slopes = rows @ self.coefficients
        variance = rows @ self.covariance @ rows.transpose(0, 2, 1)
        return np.asarray(np.einsum("ni,ni->n", slopes, np.linalg.solve(variance, slopes[:, :, None])[:, :, 0]))


@dataclass(frozen=True)
class Stationary:
    """The stationary point.

    Attributes:
        point: (k,).
        value: Height there.
        nature: By the signs of the eigenvalues as estimated.
        eigenvalues: (k,) of B, increasing: curvature along the axes.
        errors: (k,) their standard errors (delta method, as if the axes were known; Bisgaard and Ankenman 1996).
        axes: (k, k) unit vectors in columns.
        critical: k·F: :meth:`Quadratic.distance` is at most this within the region.
        bounded: Whether the region is bounded. Then, at the same level of confidence, the nature is what it seems:
            every surface that the runs do not rule out is curved the same way.
        low: (k,) smallest coordinates of the region, all together valid at level 1 − α; None if it is not bounded.
        high: (k,) largest.
        weakest: (k,) direction in which the surface is least certain to be curved.
    """

    point: Floats
    value: float
    nature: Nature
    eigenvalues: Floats
    errors: Floats
    axes: Floats
    critical: float
    bounded: bool
    low: Floats | None
    high: Floats | None
    weakest: Floats


def stationary_point(surface: Quadratic, alpha: float) -> Stationary | None:
    """Locate the stationary point and describe it.

    Args:
        surface: In units in which the factors are comparable.
        alpha: The region and the intervals hold with probability 1 − α.

    Returns:
        None if the surface is a plane in some direction, so that there is no such point.
    """
    eigenvalues, axes = np.linalg.eigh(surface.matrix)
    if np.abs(eigenvalues).min() <= _FLAT * max(float(np.abs(eigenvalues).max()), float(np.abs(surface.linear).max())):
        return None
    point = -0.5 * axes @ ((axes.T @ surface.linear) / eigenvalues)
    critical = float(surface.k * stats.f.isf(alpha, surface.k, surface.df))
    least, weakest = _least_curved(surface, axes)
    bounded = least > critical
    low = high = None
    if bounded:
        low = np.array([_furthest(surface, critical, i, -1.0) for i in range(surface.k)])
        high = np.array([_furthest(surface, critical, i, 1.0) for i in range(surface.k)])
    signs = set(np.sign(eigenvalues).tolist())
    nature: Nature = "saddle" if len(signs) > 1 else "maximum" if signs == {-1.0} else "minimum"
    gradients = np.array([[axis[i] * axis[j] for i, j in surface.pairs] for axis in axes.T])
    covariance = surface.covariance[surface.k :, surface.k :]
    errors = np.sqrt(np.einsum("ij,jk,ik->i", gradients, covariance, gradients))
    value = float(surface.value(point[None])[0])
    return Stationary(
        point, value, nature, eigenvalues, errors, axes, critical, bounded, low, high, np.asarray(weakest)
    )


def _least_curved(surface: Quadratic, axes: Floats) -> tuple[float, Floats]:
    """Smallest distance at infinity over all directions, and the direction.

    The region is bounded if and only if it exceeds the critical value: the distance tends to it along a ray.
    """
    drawn = generator(0, "directions", surface.k).normal(size=(_DIRECTIONS * (surface.k > 1), surface.k))
    tried = np.vstack([axes.T, drawn])
    tried /= np.linalg.norm(tried, axis=1)[:, None]
    distances = surface.distance(tried, far=True)
    best = int(distances.argmin())
    least, direction = float(distances[best]), tried[best]
    if surface.k == 1:
        return least, direction
    for start in tried[np.argsort(distances)[:_REFINED]]:
        found = optimize.minimize(  # type: ignore[call-overload]
            lambda u: float(surface.distance((u / np.linalg.norm(u))[None], far=True)[0]), start, method="BFGS"
        )
        if found.fun < least:
            least, direction = float(found.fun), found.x / np.linalg.norm(found.x)
    return least, direction


def _furthest(surface: Quadratic, critical: float, i: int, sign: float) -> float:
    """Largest (or smallest) i-th coordinate within a bounded region.

    A point is in the region if and only if it is the stationary point of a surface whose coefficients lie within the
    ellipsoid (θ − θ̂)'Σ⁻¹(θ − θ̂) ≤ k·F (Scheffé's argument). There the coordinate is a smooth function of θ; each step
    goes to where its gradient is greatest over the ellipsoid, half way while that gains nothing.
    """
    k, centre, at = surface.k, surface.coefficients, surface.coefficients
    reached, x = _coordinate(surface, at, i)
    for _ in range(_STEPS):
        moved = Quadratic(0.0, at[:k], at[k:], surface.covariance, surface.df)
        row = np.linalg.solve(moved.matrix, np.eye(k)[i])
        gradient = -0.5 * sign * row @ surface.slope_rows(x[None])[0]
        towards = surface.covariance @ gradient
        length = float(np.sqrt(gradient @ towards))
        if not length > 0:
            break
        target = centre + np.sqrt(critical) * towards / length
        step, gained = 1.0, False
        while step > 1e-6:
            trial = at + step * (target - at)
            value, trial_x = _coordinate(surface, trial, i)
            if sign * (value - reached) > 0:
                gained = sign * (value - reached) > _SETTLED * (1 + abs(value))
                at, reached, x = trial, value, trial_x
                break
            step /= 2
        if not gained:
            break
    return reached


def _coordinate(surface: Quadratic, coefficients: Floats, i: int) -> tuple[float, Floats]:
    k = surface.k
    moved = Quadratic(0.0, coefficients[:k], coefficients[k:], surface.covariance, surface.df)
    x = np.asarray(-0.5 * np.linalg.solve(moved.matrix, moved.linear), dtype=float)
    return float(x[i]), x
