"""The editor's schema says what the loader says, as far as a schema can."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from maineffect.spec.requests import REQUESTS
from maineffect.spec.schema import study_schema

ROOT = Path(__file__).resolve().parents[2]
STORED = ROOT / "factor_specs" / "study.schema.json"
STUDIES = sorted((ROOT / "experiments").glob("*/study.yaml"))


def valid(document: Any) -> bool:
    return jsonschema.Draft7Validator(study_schema()).is_valid(document)


def test_the_stored_schema_is_the_current_one() -> None:
    assert json.loads(STORED.read_text(encoding="utf-8")) == study_schema(), (
        "run: maineffect schema > factor_specs/study.schema.json"
    )


def test_it_is_a_valid_draft_07_schema_without_later_words() -> None:
    schema = study_schema()
    jsonschema.Draft7Validator.check_schema(schema)
    assert schema["$schema"] == "http://json-schema.org/draft-07/schema#"
    text = json.dumps(schema)
    for word in ("prefixItems", "unevaluatedProperties", "dependentRequired", '"discriminator"'):
        assert word not in text


def test_no_key_stands_beside_a_reference() -> None:
    """Draft-07 ignores what stands beside $ref, so a description there would never be shown."""

    def walk(node: Any) -> None:
        if isinstance(node, dict):
            assert "$ref" not in node or len(node) == 1, node
            for child in node.values():
                walk(child)
        elif isinstance(node, list):
            for child in node:
                walk(child)

    walk(study_schema())


def test_every_field_has_a_description_to_hover() -> None:
    schema = study_schema()
    for name, definition in {"study": schema, **schema["$defs"]}.items():
        for key, body in definition.get("properties", {}).items():
            assert body.get("description") or "const" in body, f"{name}.{key}"


def test_it_knows_every_kind_of_design() -> None:
    kinds = {d["properties"]["kind"]["const"] for n, d in study_schema()["$defs"].items() if n.endswith("Request")}
    assert kinds == set(REQUESTS)


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.parent.name)
def test_the_shipped_studies_are_valid_and_point_at_it(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    jsonschema.Draft7Validator(study_schema()).validate(yaml.safe_load(text))
    first = text.splitlines()[0]
    assert first.startswith("# yaml-language-server: $schema=")
    assert (path.parent / first.partition("$schema=")[2]).resolve() == STORED


def test_there_are_studies_to_check() -> None:
    assert len(STUDIES) >= 2


BASE = {
    "schema_version": 1,
    "name": "s",
    "factors": {"a": {"levels": [1, 2], "range": [0, 3]}, "b": {"use": "lib.yaml#b"}},
    "design": {"kind": "full", "replicates": 2},
    "responses": {"y": None, "z": {"goal": "minimize"}},
    "resources": {"timeout": 90},
}


def test_what_the_loader_takes_the_schema_takes() -> None:
    assert valid(BASE)
    assert valid({**BASE, "resources": {"timeout": "30m"}})


@pytest.mark.parametrize(
    "change",
    [
        {"sed": 3},
        {"name": "a b"},
        {"schema_version": 2},
        {"factors": {}},
        {"factors": {"a:b": {"levels": [1, 2]}}},
        {"factors": {" a": {"levels": [1, 2]}}},
        {"factors": {"a": {"binds": "x"}}},
        {"factors": {"a": {"levels": [1]}}},
        {"factors": {"a": {"levels": [1, [2]]}}},
        {"factors": {"a": {"levels": [1, 2], "name": "b"}}},
        {"factors": {"a": {"levels": [1, 2], "range": [1, 2, 3]}}},
        {"factors": {"a": {"use": "library.yaml"}}},
        {"design": {"kind": "ful"}},
        {"design": {"kind": "full", "resolution": 4}},
        {"analysis": {"terms": "mian"}},
        {"responses": {"y": {"goal": "up"}}},
        {"resources": {"timeout": None}},
    ],
    ids=str,
)
def test_what_the_loader_refuses_the_schema_refuses(change: dict[str, Any]) -> None:
    assert not valid({**BASE, **change})
