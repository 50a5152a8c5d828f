"""JSON schemas that clients bring."""

from __future__ import annotations

from typing import Any

import pytest

from contract.json_schema import MAX_BYTES, MAX_DEPTH, check_schema
from tests.support.counting import counted_calls


def nested(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {}
    for _ in range(levels):
        schema = {"not": schema}
    return schema


@pytest.mark.parametrize(
    "schema",
    [
        pytest.param({}, id="anything"),
        pytest.param({"type": ["object", "null"], "properties": {"a": True}}, id="several types"),
        pytest.param({"$ref": "#/$defs/a", "$defs": {"a": {}}}, id="a reference"),
        pytest.param({"definitions": {"a": {"properties": {"a": {"$ref": "#"}}}}}, id="recursion"),
        pytest.param({"properties": {"$ref": {"type": "string"}}}, id="a property named $ref"),
        pytest.param({"enum": [{"$ref": "a"}], "required": ["a"]}, id="a value named $ref"),
        pytest.param(
            {"properties": {"pattern": {}, "type": {}}}, id="properties named as keywords"
        ),
        pytest.param({"$schema": "http://json-schema.org/draft-07/schema#"}, id="an older draft"),
        pytest.param({"items": [{}], "exclusiveMinimum": True}, id="what older drafts have"),
        pytest.param({"type": "string", "format": "x", "minLength": 0, "x-y": 1}, id="annotations"),
        pytest.param(nested(MAX_DEPTH - 1), id="deep"),
    ],
)
def test_a_schema_that_can_be_used_is_taken(schema: dict[str, Any]) -> None:
    assert check_schema(schema) is None


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ({"type": "objekt"}, "at type: it must be one of array"),
        ({"type": []}, "at type"),
        ({"properties": {"a": {"type": 1}}}, "at properties.a.type"),
        ({"properties": []}, "at properties: it must be an object"),
        ({"properties": {"a": "string"}}, "at properties.a: a schema must be an object"),
        ({"anyOf": []}, "at anyOf: it must be an array that is not empty"),
        ({"anyOf": [{"minimum": "1"}]}, "at anyOf[0].minimum: it must be a number"),
        ({"items": 7}, "at items: a schema must be"),
        ({"required": "a"}, "at required: it must be an array of strings"),
        ({"enum": "a"}, "at enum: it must be an array"),
        ({"minItems": -1}, "at minItems: it must be a whole number"),
        ({"maxLength": True}, "at maxLength: it must be a whole number"),
        ({"multipleOf": 0}, "at multipleOf: it must be a number above 0"),
        ({"uniqueItems": 1}, "at uniqueItems: it must be a boolean"),
        ({"$ref": 1}, "at $ref: it must be a string"),
        ({"$ref": "#/$defs/a"}, "leads nowhere"),
        ({"not": {"$ref": "https://example.com/s"}}, "leads outside"),
        ({"$dynamicRef": "file:///etc/passwd"}, "leads outside"),
        (nested(MAX_DEPTH + 1), "levels deep"),
        (nested(5000), "levels deep"),
        ({"title": "x" * MAX_BYTES}, "larger than"),
    ],
)
def test_what_is_no_schema_is_told_with_its_place(schema: dict[str, Any], reason: str) -> None:
    assert reason in (check_schema(schema) or "")


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": {"a": {"$ref": "#b"}}, "$defs": {"b": {"$anchor": "b"}}},
        {"$ref": "#b", "$defs": {"b": {"$dynamicAnchor": "b"}}},
        {"$ref": "#b", "definitions": {"b": {"id": "#b"}}},
        {"$ref": "other#/$defs/c", "$defs": {"b": {"$id": "other", "$defs": {"c": {}}}}},
        {"$id": "https://example.com/s", "properties": {"a": {"$ref": "https://example.com/s"}}},
        {"properties": {"a/b~c": {"items": [{}]}}, "$ref": "#/properties/a~1b~0c/items/0"},
        {"properties": {"ä": {}}, "$ref": "#/properties/%C3%A4"},
    ],
)
def test_a_reference_to_a_part_of_the_schema_is_taken(schema: dict[str, Any]) -> None:
    assert check_schema(schema) is None


def test_a_reference_costs_no_more_in_a_large_schema() -> None:
    parts = 1_200
    schema: dict[str, Any] = {
        "$defs": {f"d{n}": {"$anchor": f"a{n}", "type": "object"} for n in range(parts)},
        "properties": {f"p{n}": {"$ref": f"#a{n}"} for n in range(parts)},
    }

    with counted_calls() as calls:
        assert check_schema(schema) is None

    assert calls.made < 40 * parts
