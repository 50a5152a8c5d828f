"""Whether a value matches a schema, both of them a stranger's."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from worker.shaping.matching import violation


@pytest.mark.parametrize(
    ("schema", "value", "reason"),
    [
        ({"type": "object", "required": ["a"]}, {}, '"a" is a required property'),
        ({"properties": {"a": {"items": {"type": "integer"}}}}, {"a": [1, "x"]}, 'at a[1]: "x" is'),
        ({"properties": {}, "additionalProperties": False}, {"x": 1}, "Additional properties"),
        ({"type": "null"}, "b" * 1000, "…b"),
        ({"uniqueItems": True}, [{"a": 1, "b": 2}, {"b": 2, "a": 1}], "non-unique"),
        ({"$defs": {"a": {"type": "null"}}, "$ref": "#/$defs/a"}, 1, 'is not of type "null"'),
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


@pytest.mark.parametrize("pattern", ["(a+)+$", "(?=(a+)+$)b"])
def test_a_regular_expression_is_enforced_in_linear_time(pattern: str) -> None:
    victim = "a" * 64 + "b"

    assert "does not match" in (violation({"items": {"pattern": pattern}}, [victim]) or "")
    patterns = {"patternProperties": {"^x-": {"type": "null"}}, "additionalProperties": False}
    assert "at x-a: 1 is not" in (violation(patterns, {"x-a": 1}) or "")


@pytest.mark.parametrize(
    "pattern",
    ["(", "((a{1,100}){1,100}){1,100}", r"^(?:(a+)\1?)+b$"],
    ids=["none", "huge", "slow"],
)
def test_a_regular_expression_that_cannot_be_applied_is_not_enforced(pattern: str) -> None:
    victim = "a" * 40_000

    assert violation({"type": "string", "pattern": pattern}, victim) is None
    assert "is not of type" in (violation({"type": "null", "pattern": pattern}, victim) or "")
    patterns = {"patternProperties": {pattern: False}, "additionalProperties": False}
    assert violation(patterns, {victim: 1}) is None


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"required": None, "properties": {"a": {"minLength": None}}}, {"a": "x"}),
        ({"const": None}, None),
        ({"minimum": 3, "exclusiveMinimum": False}, 3),
        ({"items": [{"type": "null"}]}, [None, 1]),
    ],
)
def test_a_schema_that_no_draft_knows_is_read_as_it_was_meant(
    schema: dict[str, Any], value: object
) -> None:
    assert violation(schema, value) is None


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
