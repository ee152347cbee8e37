"""JSON Schema of a study file, for editors and other tools.

Written for draft-07, which is what yaml-language-server documents, from pydantic's 2020-12: no ``prefixItems``, no
keys beside ``$ref``. What only makes sense between parts of a file (names, levels, bindings) is the loader's.
"""

from __future__ import annotations

from typing import Any

from maineffect.spec.study import StudySpec

__all__ = ["study_schema"]

_FACTOR_NAME = r"^[^:^\s]([^:^\r\n\t]*[^:^\s])?$"


def study_schema() -> dict[str, Any]:
    """The schema as a document; ``factor_specs/study.schema.json`` is this, kept in step by a test."""
    schema: dict[str, Any] = _draft_07(StudySpec.model_json_schema())
    definitions = schema["$defs"]
    del schema["properties"]["optimise"]  # written by no user: a file that optimises is no whole study
    for name in ("Axis", "Confirm", "KnownRun", "Optimise"):
        del definitions[name]
    for name in ("Factor", "Response"):
        definitions[name]["properties"].pop("name")
    factor = definitions["Factor"]
    factor["properties"]["use"] = {
        "type": "string",
        "description": "Take the factor from a library: ../../factor_specs/world.yaml#conflict_rate. Local keys win.",
        "pattern": "^[^#]+#.+$",
    }
    factor.pop("required")
    factor["anyOf"] = [{"required": ["levels"]}, {"required": ["use"]}]
    properties = schema["properties"]
    properties["factors"]["propertyNames"] = {"pattern": _FACTOR_NAME}
    properties["responses"]["additionalProperties"] = {"anyOf": [{"$ref": "#/$defs/Response"}, {"type": "null"}]}
    for name in ("timeout", "wait"):
        definitions["Resources"]["properties"][name]["type"] = ["string", "number"]
    definitions["Budget"]["properties"]["wall_time"]["anyOf"] = [{"type": ["string", "number"]}, {"type": "null"}]
    for definition in (schema, *definitions.values()):
        for name, body in definition.get("properties", {}).items():
            definition["properties"][name] = _described(body, definitions)
    head = {"$schema": "http://json-schema.org/draft-07/schema#", "title": "maineffect study"}
    return {**head, **schema}


def _described(body: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """Say again at the property what pydantic leaves to the definition, because editors show it only there."""
    (reference,) = body.get("allOf", [body])
    target = definitions.get(str(reference.get("$ref", "")).rpartition("/")[2], {})
    if "description" in body or "description" not in target:
        return body
    rest = {key: value for key, value in body.items() if key not in {"$ref", "allOf"}}
    return {"description": target["description"], **rest, "allOf": [reference]}


def _draft_07(node: Any) -> Any:
    if isinstance(node, list):
        return [_draft_07(item) for item in node]
    if not isinstance(node, dict):
        return node
    # A title that is text is pydantic's echo of the name; one that is a mapping describes a property called title.
    result = {
        key: _draft_07(value)
        for key, value in node.items()
        if key not in {"discriminator", "prefixItems"} and not (key == "title" and isinstance(value, str))
    }
    if "prefixItems" in node:
        result["items"] = {"anyOf": [_draft_07(item) for item in node["prefixItems"]]}
        if all(item == node["prefixItems"][0] for item in node["prefixItems"]):
            result["items"] = _draft_07(node["prefixItems"][0])
    if "$ref" in result and len(result) > 1:
        result["allOf"] = [{"$ref": result.pop("$ref")}]
    return result
