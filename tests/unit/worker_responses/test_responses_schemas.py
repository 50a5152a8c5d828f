"""Which schemas OpenAI's strict mode takes."""

from __future__ import annotations

from typing import Any

import pytest

from simulated_poe.schemas import beyond_strict
from worker.responses.schemas import strict_form

TEXT = {"type": "string"}


def an_object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


def closed(**properties: Any) -> dict[str, Any]:
    return an_object(**properties) | {"additionalProperties": False}


@pytest.mark.parametrize(
    ("schema", "form"),
    [
        pytest.param(closed(a=TEXT), closed(a=TEXT), id="strict as it is"),
        pytest.param(an_object(a=TEXT), closed(a=TEXT), id="it says nothing of more"),
        pytest.param(
            an_object(a={"type": "array", "items": an_object(b=TEXT)}),
            closed(a={"type": "array", "items": closed(b=TEXT)}),
            id="within a list",
        ),
        pytest.param(
            closed(a={"anyOf": [an_object(b=TEXT), {"type": "null"}]}),
            closed(a={"anyOf": [closed(b=TEXT), {"type": "null"}]}),
            id="within a choice",
        ),
        pytest.param(
            closed(a={"$ref": "#/$defs/b"}) | {"$defs": {"b": an_object(c=TEXT)}},
            closed(a={"$ref": "#/$defs/b"}) | {"$defs": {"b": closed(c=TEXT)}},
            id="within a definition",
        ),
        pytest.param(
            closed(a=TEXT | {"format": "uri", "default": "x", "title": "A"}),
            closed(a=TEXT | {"title": "A"}),
            id="what changes nothing is left out",
        ),
        pytest.param(closed(a=TEXT | {"format": "date"}), closed(a=TEXT | {"format": "date"})),
        pytest.param(closed(default=TEXT), closed(default=TEXT), id="a property of that name"),
        pytest.param(
            {"type": "object", "properties": {}, "additionalProperties": False},
            {"type": "object", "properties": {}, "required": [], "additionalProperties": False},
            id="the empty object",
        ),
    ],
)
def test_a_schema_is_made_strict_where_that_only_narrows_it(
    schema: dict[str, Any], form: dict[str, Any]
) -> None:
    before = repr(schema)

    assert strict_form(schema) == form
    assert beyond_strict(form) is None
    assert repr(schema) == before


DEEP: dict[str, Any] = closed(a=TEXT)
for _ in range(12):
    DEEP = closed(a=DEEP)


@pytest.mark.parametrize(
    "schema",
    [
        pytest.param(None, id="none"),
        pytest.param({}, id="anything"),
        pytest.param({"type": "object"}, id="any object"),
        pytest.param({"type": "array", "items": TEXT}, id="no object"),
        pytest.param(closed(a=TEXT) | {"required": []}, id="an optional property"),
        pytest.param(closed(a=TEXT) | {"required": ["a", "b"]}, id="a property without a schema"),
        pytest.param(an_object(a=TEXT) | {"additionalProperties": True}, id="more is admitted"),
        pytest.param(an_object(a=TEXT) | {"additionalProperties": TEXT}, id="more of a kind"),
        pytest.param(closed(a=an_object(b=TEXT) | {"required": []}), id="further in"),
        pytest.param(closed(a={"oneOf": [TEXT]}), id="a keyword that it refuses"),
        pytest.param(closed(a=TEXT | {"minLength": 1}), id="and another"),
        pytest.param(closed(a={}), id="a property of any type"),
        pytest.param(closed(a=True), id="a boolean"),
        pytest.param(closed(a={"type": "array", "items": [TEXT]}), id="a list of items"),
        pytest.param(closed(a={"anyOf": TEXT}), id="a choice of no list"),
        pytest.param(closed(a=TEXT) | {"anyOf": [TEXT]}, id="a choice at the root"),
        pytest.param(closed(a=TEXT) | {"required": "a"}, id="required of no list"),
        pytest.param(closed(a=TEXT) | {"$defs": []}, id="definitions of no object"),
        pytest.param(DEEP, id="too deep"),
    ],
)
def test_any_other_schema_is_a_hint_only(schema: Any) -> None:
    assert strict_form(schema) is None
