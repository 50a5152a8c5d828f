"""JSON schemas that clients bring."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from contract.schemas import MAX_BYTES, MAX_DEPTH, check_schema, violation


def nested(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {}
    for _ in range(levels):
        schema = {"not": schema}
    return schema


def doubling(levels: int) -> dict[str, Any]:
    """A schema that asks for 2**levels steps."""
    defs: dict[str, Any] = {
        f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(levels)
    }
    return {"$ref": "#/$defs/d0", "$defs": {**defs, f"d{levels}": {}}}


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
    ("schema", "value", "reason"),
    [
        ({"type": "object", "required": ["a"]}, {}, "'a' is a required property"),
        ({"properties": {"a": {"items": {"type": "integer"}}}}, {"a": [1, "x"]}, "at a[1]: 'x' is"),
        ({"additionalProperties": False}, {"x": 1}, "Additional properties"),
        ({"type": "null"}, "b" * 1000, "b…"),
        ({"uniqueItems": True}, [{"a": 1, "b": 2}, {"b": 2, "a": 1}], "not unique"),
        ({"$defs": {"a": {"type": "null"}}, "$ref": "#/$defs/a"}, 1, "is not of type 'null'"),
    ],
)
def test_a_value_that_does_not_match_is_told_with_its_place(
    schema: dict[str, Any], value: object, reason: str
) -> None:
    assert reason in (violation(schema, value) or "")


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "object", "properties": {"a": {"type": "string"}}}, {"a": "x"}),
        ({"uniqueItems": True}, [1, "1", [1]]),
        ({"$defs": {"a": {"anyOf": [{"type": "null"}, {"items": {"$ref": "#"}}]}}}, [[None]]),
        (
            {"$schema": "http://json-schema.org/draft-07/schema#", "items": [{"type": "null"}]},
            [None],
        ),
    ],
)
def test_a_value_that_matches_is_taken(schema: dict[str, Any], value: object) -> None:
    assert violation(schema, value) is None


def test_a_regular_expression_cannot_stop_the_process() -> None:
    evil = "(a+)+$"
    victim = "a" * 64 + "b"

    assert violation({"properties": {"a": {"pattern": evil}}}, {"a": victim}) is None
    assert violation({"propertyNames": {"pattern": evil}}, {victim: 1}) is None
    patterns = {"patternProperties": {evil: False}, "additionalProperties": False}
    assert violation(patterns, {victim: 1}) is None
    assert violation({**patterns, "unevaluatedProperties": False}, {victim: 1}) is None


@pytest.mark.parametrize("schema", [doubling(40), {"$ref": "#"}], ids=["doubling", "endless"])
def test_a_schema_that_takes_for_ever_is_given_up(schema: dict[str, Any]) -> None:
    assert check_schema(schema) is None
    assert violation(schema, {}) == "matching it against the schema takes too long"


@pytest.mark.parametrize("schema", [{"type": "objekt"}, {"properties": 3}, {"$ref": "#/nowhere"}])
def test_a_schema_that_slipped_through_is_matched_by_nothing(schema: dict[str, Any]) -> None:
    assert violation(schema, {}) == "the schema cannot be applied to it"


def test_no_reference_is_ever_fetched() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        url = f"http://127.0.0.1:{server.getsockname()[1]}/schema.json"

        assert violation({"$ref": url}, {}) == "the schema cannot be applied to it"
        assert violation({"$schema": url, "$id": url, "type": "object"}, {}) is None
        with pytest.raises(BlockingIOError):
            server.accept()
