"""What the analysis will fit to runs that are only planned: power is that of the test that will be made."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from maineffect.analyse.confirmatory.hypotheses import deciding_contrasts
from maineffect.analyse.fit.model import CURVATURE, AnalysisModel, build_model, whole_model
from maineffect.analyse.fit.surface import Surface
from maineffect.analyse.fit.terms import fitted_terms, registered_terms
from maineffect.design.model.model import Design
from maineffect.design.model.terms import expand_terms
from maineffect.design.power_report import PlannedModel
from maineffect.seeds import generator
from maineffect.spec.study import StudySpec

__all__ = ["planned_direction", "planned_model", "planned_scatter"]

Floats = NDArray[np.float64]


def planned_model(study: StudySpec, design: Design) -> PlannedModel:
    """Terms, curvature and deciding contrasts of the registered analysis on the planned runs."""
    model = _whole(study, design) or _model(study, design)
    surface = Surface(model)
    contrasts = {}
    for hypothesis in study.hypotheses:
        (term,) = expand_terms(model.factors, (hypothesis.term,))
        if term not in model.terms:
            continue
        deciding = deciding_contrasts(surface, term, hypothesis)
        if len(deciding) == 1:
            contrasts[hypothesis.id] = deciding[0].row[model.spans[term]]
    several = [term for term in model.terms if model.spans[term].stop - model.spans[term].start > 1]
    claims = {
        term: np.array([claim.row[model.spans[term]] for claim in surface.claims(term)])
        for term in several
        if study.analysis.over_seeds
    }
    extra = None
    if CURVATURE in model.spans or study.analysis.covariates:
        rows = len(design.runs)
        curvature = model.matrix[:, model.spans[CURVATURE]] if CURVATURE in model.spans else np.empty((rows, 0))
        extra = np.hstack([curvature, _covariate_columns(study, model.matrix)])
    return PlannedModel(model.terms, extra if extra is not None and extra.shape[1] else None, contrasts, claims)


def _whole(study: StudySpec, design: Design) -> AnalysisModel | None:
    """The model if the plan is known to estimate all that is asked, so that its rows need not be written out."""
    more = bool(study.analysis.covariates) or bool(getattr(study.design, "centre_points", 0))
    asked = fitted_terms(study)
    if more or study.design.kind != "full" or not set(asked) <= set(design.terms):
        return None
    return whole_model(tuple(study.factors.values()), asked)


def _covariate_columns(study: StudySpec, x: Floats) -> Floats:
    """(n, q) columns that cost what q normal covariates cost on average.

    With f degrees of freedom left beside the design they take q of them, and their chance correlation with the design
    inflates the variance of an effect by 1 + q/(f − q − 1) on average (Cox and McCullagh (1982) Biometrics 38:541).
    The columns have just this correlation with every direction of the model; without room for them they are left out,
    as the analysis leaves them out.
    """
    u, s, _ = np.linalg.svd(x, full_matrices=False)
    inside = u[:, s > 1e-9 * s[0]]
    free = len(x) - inside.shape[1]
    count = min(len(study.analysis.covariates), max(0, free - 2))
    # Any directions beside the design will do: only their lengths and angles count.
    drawn = generator(study.seed, "covariates", len(x)).standard_normal((len(x), count))
    outside = np.linalg.qr(np.hstack([inside, drawn]))[0][:, inside.shape[1] :]
    size = np.sqrt(max(1.0, free - count - 1.0))
    along = inside @ (inside.T @ (x / np.linalg.norm(x, axis=0))).sum(axis=1)
    return np.column_stack([along + size * outside[:, j] for j in range(count)]) if count else np.empty((len(x), 0))


def planned_direction(study: StudySpec, design: Design, term: str, directed: bool) -> Floats:
    """(n,) pattern of a term over the planned runs that changes its deciding contrast by one, and as little else.

    The smallest pattern over the term's cells with c'β = 1 is K(K'K)⁻¹c/(c'(K'K)⁻¹c), K the term's columns: for two
    levels ±½; for the first and last of several categories ±½ there and nothing between.
    """
    model = _model(study, design)
    surface = Surface(model)
    contrast = surface.last_minus_first(term) if directed else surface.claims(term)[-1]
    columns = model.matrix[:, model.spans[term]]
    cells = np.unique(np.round(columns, 12), axis=0)
    c = contrast.row[model.spans[term]]
    solved = np.linalg.solve(cells.T @ cells, c)
    return np.asarray(columns @ (solved / float(c @ solved)))


def planned_scatter(study: StudySpec, design: Design, term: str, directed: bool) -> Floats:
    """(n, q) patterns of a term whose independent normal multiples differ as its effect does between seeds.

    The effects of the term's cells are alike in variance; the deciding contrast that varies most has variance 1.
    """
    model = _model(study, design)
    surface = Surface(model)
    contrasts = [surface.last_minus_first(term)] if directed else surface.claims(term)
    columns = model.matrix[:, model.spans[term]]
    cells = np.unique(np.round(columns, 12), axis=0)
    root = np.linalg.cholesky(np.linalg.inv(cells.T @ cells))
    rows = np.array([contrast.row[model.spans[term]] for contrast in contrasts])
    largest = float(np.max(np.sum((rows @ root) ** 2, axis=1)))
    return np.asarray(columns @ root / np.sqrt(largest))


def _model(study: StudySpec, design: Design) -> AnalysisModel:
    factors = tuple(study.factors.values())
    rows = {name: [design.levels_of(run)[name] for run in design.runs] for name in study.factors}
    blocks = [str(run.block) for run in design.runs] if design.runs[0].block is not None else None
    return build_model(factors, rows, fitted_terms(study), blocks=blocks, first=registered_terms(study))
