"""The plan: what is promised before the first run, as one canonical document and its hash.

The plan holds the question, factors, design request, responses, hypotheses, analysis, settings, trainable, seed, and
the emitted runs. It holds no resources, and nothing about where the runs are kept: those may change freely. Key order
in the study file never matters. Factor order is part of the plan only as far as it changes the emitted runs.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from maineffect.design.model import Design
from maineffect.spec.study import StudySpec

__all__ = ["canonical_json", "plan_document", "plan_hash"]


def plan_document(study: StudySpec, design: Design) -> dict[str, Any]:
    """The plan as plain JSON values."""
    asked = study.model_dump(mode="json", exclude={"resources"})
    levels = {cell.cell_id: dict(cell.levels) for cell in design.cells}
    runs = {
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
    return {"plan_version": 1, "study": asked, "runs": runs}


def canonical_json(document: Any) -> str:
    """JSON with sorted keys and numbers written one way (1 and 1.0 are the same number)."""
    return json.dumps(_canonical(document), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _canonical(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    if isinstance(value, dict):
        return {str(key): _canonical(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_canonical(item) for item in value]
    return value


def plan_hash(document: dict[str, Any]) -> str:
    """SHA-256 of the canonical JSON, in hex."""
    return hashlib.sha256(canonical_json(document).encode()).hexdigest()
