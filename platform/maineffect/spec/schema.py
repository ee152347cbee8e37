"""JSON Schema of a study file, for editors and other tools."""

from __future__ import annotations

from typing import Any

from maineffect.spec.study import StudySpec

__all__ = ["study_schema"]


def study_schema() -> dict[str, Any]:
    """The schema as a document; ``factor_specs/study.schema.json`` is this, kept in step by a test."""
    schema = StudySpec.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "maineffect study"
    factor = schema["$defs"]["Factor"]
    factor["properties"]["use"] = {
        "type": "string",
        "description": "Take the factor from a library: ../../factor_specs/world.yaml#conflict_rate. Local keys win.",
        "pattern": "#",
    }
    factor["required"] = [name for name in factor.get("required", []) if name != "levels"]
    factor["anyOf"] = [{"required": ["levels"]}, {"required": ["use"]}]
    for definition in ("Factor", "Response"):
        schema["$defs"][definition]["properties"].pop("name", None)
    return dict(sorted(schema.items()))
