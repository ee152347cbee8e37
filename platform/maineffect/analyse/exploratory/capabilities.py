"""Convergent and discriminant evidence: responses of one capability beside those of others.

Campbell and Fiske (1959) Psychol. Bull. 56:81. Two correlations are given for each pair: of their effects over the
terms of the model (do interventions move both?), and of the runs' residuals (do runs of one cell differ in both?).
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from maineffect.analyse.fit.respond import Fitted
from maineffect.analyse.record.further_records import CapabilityPair
from maineffect.spec.study import StudySpec

__all__ = ["capability_pairs"]

Floats = NDArray[np.float64]
_FEWEST = 4
"""Fewer points have no correlation worth a look."""


def capability_pairs(study: StudySpec, fits: Mapping[str, Fitted]) -> list[CapabilityPair]:
    """Every pair of responses whose capability is stated.

    Args:
        study: With ``responses.*.capability``.
        fits: Response → fit.
    """
    stated = {name: r.capability for name, r in study.responses.items() if r.capability is not None and name in fits}
    return [
        CapabilityPair(
            first=a,
            second=b,
            same=stated[a] == stated[b],
            effects_r=_correlation(*_effects(fits[a], fits[b])),
            runs_r=_correlation(*_residuals(fits[a], fits[b])),
            first_reliability=study.responses[a].reliability,
            second_reliability=study.responses[b].reliability,
        )
        for a, b in combinations(stated, 2)
    ]


def _effects(a: Fitted, b: Fitted) -> tuple[Floats, Floats]:
    """Estimates of the contrasts that both fits have, in standard deviations of their runs."""
    found: list[dict[tuple[str, str], float]] = []
    for fitted in (a, b):
        contrasts = [c for term in fitted.model.terms for c in fitted.surface.contrasts(term)]
        scale = float(np.sqrt(fitted.inference.sigma2)) or 1.0
        rows = np.array([c.row for c in contrasts]) if contrasts else np.empty((0, fitted.surface.width))
        values = rows @ fitted.inference.beta / scale
        found.append({(c.term, c.label): float(v) for c, v in zip(contrasts, values, strict=True)})
    both = [key for key in found[0] if key in found[1]]
    return np.array([found[0][key] for key in both]), np.array([found[1][key] for key in both])


def _residuals(a: Fitted, b: Fitted) -> tuple[Floats, Floats]:
    """Residuals of the runs that both fits have."""
    first = dict(zip(a.rows, a.fit.residuals[:, a.column].tolist(), strict=True))
    second = dict(zip(b.rows, b.fit.residuals[:, b.column].tolist(), strict=True))
    both = [row for row in first if row in second]
    return np.array([first[row] for row in both]), np.array([second[row] for row in both])


def _correlation(x: Floats, y: Floats) -> float | None:
    if len(x) < _FEWEST or np.ptp(x) == 0 or np.ptp(y) == 0:
        return None
    return float(np.corrcoef(x, y)[0, 1])
