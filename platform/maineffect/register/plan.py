"""The plan: what is promised before the first run, as one canonical document and its hash.

The plan holds the question, factors (with units and descriptions: they say what the levels mean), design request,
responses, hypotheses, analysis, settings, trainable, seed, and the emitted runs keyed by run id; where every run has
its own seed, also the seed of what is made once for all of them, such as a warm start. It holds no resources, no budget
and nothing about where the runs are kept: those may change freely, and neither does it hold the trainable's code, whose
version is recorded with every attempt.

The order of keys in the study file never matters. The order of factors is part of the plan only as far as it changes
the emitted runs: not in a full factorial or a list, but a fraction assigns its columns in that order. The order of
levels, hypotheses and terms is part of the plan: the first is the coding, the others are how the study is read.
"""

from __future__ import annotations

import hashlib
from typing import Any

from maineffect.design.model.model import Design
from maineffect.register.canonical import canonical_json
from maineffect.seeds import derive_seed
from maineffect.spec.study import StudySpec

__all__ = ["plan_document", "plan_hash", "planned_runs_document"]

# Options of the analysis that came after the first registrations: unused, they leave old hashes alone.
_LATER = ("sequential", "transport", "thresholds", "covariates", "overfit", "attribution", "inference", "follow_up")

# The same of tuning.
_LATER_OF_TUNING = ("variance_ratio",)


def plan_document(study: StudySpec, design: Design) -> dict[str, Any]:
    """The plan as plain JSON values."""
    asked = study.model_dump(mode="json", exclude={"resources", "budget"})
    # What a design request leaves unsaid is seen in the runs, so that a new option leaves old hashes alone.
    asked["design"] = study.design.model_dump(mode="json", exclude_defaults=True, exclude={"common_random_numbers"})
    # The first registrations were made when runs shared their seeds unless a study said otherwise.
    if not study.design.common_random_numbers:
        asked["design"]["common_random_numbers"] = False
    for option in _LATER:
        if option not in study.analysis.model_fields_set or not asked["analysis"][option]:
            del asked["analysis"][option]
    for response in asked["responses"].values():
        if response["limits"] is None:
            del response["limits"]
    if study.analysis.sequential is not None and study.analysis.sequential.stop:
        asked["analysis"].get("sequential", {}).pop("stop", None)
    if study.analysis.blocks == "fixed":
        del asked["analysis"]["blocks"]
    for part in ("standards", "waivers", "follow_up", "tuning", "optimise", "scaling"):
        if not asked[part]:
            del asked[part]
    for option in _LATER_OF_TUNING if study.tuning is not None else ():
        if asked["tuning"][option] is None:
            del asked["tuning"][option]
    plan = {"plan_version": 2, "study": asked, "runs": planned_runs_document(design)}
    return plan if study.design.common_random_numbers else {**plan, "base_seed": derive_seed(study.seed, "base")}


def planned_runs_document(design: Design) -> dict[str, Any]:
    """Every emitted run by its id, as the plan holds it."""
    levels = {cell.cell_id: dict(cell.levels) for cell in design.cells}
    return {
        run.run_id: {
            "levels": levels[run.cell_id],
            "replicate": run.replicate,
            "block": run.block,
            "whole_plot": run.whole_plot,
            "seed": run.seed,
            "order": run.order,
        }
        for run in design.runs
    }


def plan_hash(document: dict[str, Any]) -> str:
    """SHA-256 of the canonical JSON, in hex."""
    return hashlib.sha256(canonical_json(document).encode()).hexdigest()
