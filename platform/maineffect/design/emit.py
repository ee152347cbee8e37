"""A design as a JSON document and as CSV."""

from __future__ import annotations

import csv
import io
from dataclasses import asdict
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_json

from maineffect.design.model.model import Design
from maineffect.errors import DesignError

__all__ = ["design_csv", "design_document", "design_rows", "read_design", "stored_design"]


def design_document(design: Design, plan_hash: str) -> dict[str, Any]:
    """The document of ``design --json``."""
    pattern = design.word_length_pattern
    return {
        "schema_version": 1,
        "study": design.study,
        "kind": design.kind,
        "plan_hash": plan_hash,
        "n_cells": len(design.cells),
        "n_runs": len(design.runs),
        "cells": [{"cell_id": cell.cell_id, "levels": dict(cell.levels)} for cell in design.cells],
        "runs": [
            {
                "run_id": run.run_id,
                "cell_id": run.cell_id,
                "replicate": run.replicate,
                "block": run.block,
                "whole_plot": run.whole_plot,
                "seed": run.seed,
                "order": run.order,
            }
            for run in design.runs
        ],
        "resolution": design.resolution,
        "word_length_pattern": None if pattern is None else {str(k): v for k, v in pattern.items()},
        "generators": None if design.generators is None else list(design.generators),
        "aliases": [list(chain) for chain in design.aliases],
        "d_efficiency": design.d_efficiency,
        "d_bound": design.d_bound,
        "terms": list(design.terms),
        "alias_matrix": {term: dict(row) for term, row in design.alias_matrix.items()},
        "notes": list(design.notes),
        "hard_to_change": list(design.hard_to_change),
        "variance_ratio": design.variance_ratio if design.hard_to_change else None,
        "average_variance": design.average_variance,
        "average_variance_bound": design.average_variance_bound,
        "cost": None if design.cost is None else asdict(design.cost),
        "alternatives": [asdict(alternative) for alternative in design.alternatives],
    }


def design_rows(design: Design) -> list[dict[str, Any]]:
    """One flat row per run, in run order.

    Labels with a point are written as words: a spreadsheet would take 1.10 for the number 1.1.
    """
    return [
        {
            "order": run.order,
            "run_id": run.run_id,
            "cell_id": run.cell_id,
            "replicate": run.replicate,
            "block": _as_word("block", run.block),
            "whole_plot": _as_word("plot", run.whole_plot),
            "seed": run.seed,
            **design.levels_of(run),
        }
        for run in design.runs
    ]


def _as_word(kind: str, label: str | int | None) -> str | int | None:
    return f"{kind} {label}" if isinstance(label, str) else label


def design_csv(design: Design) -> str:
    """The runs as CSV text."""
    rows = design_rows(design)
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()


def stored_design(design: Design) -> str:
    """A design as JSON, whole: what was searched for once is read back by :func:`read_design`, and never again found.

    Another processor, or another version of the search, may find another design that is equally good.
    """
    return to_json(design, inf_nan_mode="constants").decode()


def read_design(text: str) -> Design:
    """The design that :func:`stored_design` wrote.

    Raises:
        DesignError: The text is no design, or another version of maineffect wrote it.
    """
    try:
        return TypeAdapter(Design).validate_json(text)
    except ValidationError as error:
        raise DesignError(
            f"the stored design cannot be read: {error.errors()[0]['msg']}", "use the maineffect that submitted it"
        ) from None
