"""The JSON types that a schema allows."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.counting import counted_calls
from worker.shaping.json_types import types

VALUES = list(range(20_000))


def nested(alternatives: int, levels: int, leaf: dict[str, Any]) -> dict[str, Any]:
    schema = leaf
    for _ in range(levels):
        schema = {"anyOf": [schema] * alternatives}
    return schema


@pytest.mark.parametrize(
    ("schema", "allowed"),
    [
        ({"type": ["string", "null"]}, {"string", "null"}),
        ({"enum": ["a", 1]}, {"string", "integer", "number"}),
        ({"const": None}, {"null"}),
        ({"anyOf": [{"type": "string"}, {"$ref": "#/$defs/a~1b"}]}, {"string", "array"}),
        ({"anyOf": [{"type": "string"}, {}]}, set()),
        ({"$ref": "#/$defs/self"}, set()),
        ({"$ref": "#/nowhere"}, set()),
        (True, set()),
    ],
)
def test_the_types_are_what_the_schema_says_in_simple_words(
    schema: object, allowed: set[str]
) -> None:
    root = {"$defs": {"a/b": {"type": "array"}, "self": {"$ref": "#/$defs/self"}}}

    assert types(schema, root) == allowed


@pytest.mark.parametrize(
    "schema",
    [
        pytest.param({"enum": VALUES}, id="values"),
        pytest.param(nested(8, 3, {"$ref": "#/$defs/values"}), id="references to values"),
        pytest.param(nested(8, 4, {"type": "string"}), id="alternatives"),
        pytest.param({"$ref": "#" + "/$defs" * 20_000}, id="a long reference"),
    ],
)
def test_a_schema_that_does_not_say_soon_does_not_say(schema: dict[str, Any]) -> None:
    root = {"$defs": {"values": {"enum": VALUES}}}

    with counted_calls() as calls:
        assert types(schema, root) == set()

    assert calls.made < 5_000
