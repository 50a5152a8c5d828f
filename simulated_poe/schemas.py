"""JSON schemas: the smallest value that matches one, and finding one in prose."""

from __future__ import annotations

import json
from typing import Any

_TEXTS = {
    "date": "2026-01-02",
    "date-time": "2026-01-02T03:04:05Z",
    "time": "03:04:05Z",
    "email": "someone@example.com",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}
_STRING = {"type": "string"}
_PYTHON = {"boolean": bool, "number": int | float, "integer": int, "string": str}
_SIGNS = ("properties", "type", "$ref", "anyOf", "oneOf", "allOf", "enum", "const", "items")


def instance(schema: Any) -> Any:
    """Return a value that matches the schema; objects have only their required properties.

    Patterns and conditions are ignored.
    """
    return _instance(schema, schema)


def schema_in(text: str) -> dict[str, Any] | None:
    """Return the first JSON object in a text that is a schema or has one as `schema`."""
    decoder = json.JSONDecoder()
    start = text.find("{")
    while start >= 0:
        try:
            found, end = decoder.raw_decode(text, start)
        except ValueError:
            found, end = None, start + 1
        if isinstance(found, dict):
            inner = found.get("schema")
            schema = inner if isinstance(inner, dict) else found
            if any(sign in schema for sign in _SIGNS):
                return schema
        start = text.find("{", end)
    return None


def _instance(schema: Any, root: Any) -> Any:
    if not isinstance(schema, dict):
        return {}
    if "$ref" in schema:
        return _instance(_referred(schema["$ref"], root), root)
    if "const" in schema:
        return schema["const"]
    choices = schema.get("anyOf") or schema.get("oneOf")
    if choices:
        return _instance(choices[0], root)
    if schema.get("allOf"):
        return _merged([_instance(part, root) for part in schema["allOf"]])
    return schema["enum"][0] if schema.get("enum") else _of_type(schema, root)


def _of_type(schema: dict[str, Any], root: Any) -> Any:
    kind = schema.get("type", "object" if "properties" in schema else "string")
    match kind[0] if isinstance(kind, list) else kind:
        case "object":
            properties = schema.get("properties") or {}
            names = schema.get("required") or []
            return {name: _instance(properties.get(name) or _STRING, root) for name in names}
        case "array":
            item = schema.get("items") or _STRING
            return [_instance(item, root) for _ in range(schema.get("minItems", 0))]
        case "integer" | "number":
            least = schema.get("minimum", schema.get("exclusiveMinimum", -1) + 1)
            return min(max(least, 0), schema.get("maximum", least + 1)) if least <= 0 else least
        case "boolean":
            return True
        case "null":
            return None
        case _:
            text = _TEXTS.get(schema.get("format", ""), "text")
            return text.ljust(schema.get("minLength", 0), "x")[: schema.get("maxLength", 1000)]


def _referred(reference: str, root: Any) -> Any:
    for name in reference.removeprefix("#").split("/"):
        if name:
            root = root.get(name.replace("~1", "/").replace("~0", "~"), {})
    return root


def _merged(parts: list[Any]) -> Any:
    if all(isinstance(part, dict) for part in parts):
        return {name: value for part in parts for name, value in part.items()}
    return parts[0]


def beyond_strict(schema: Any, path: str = "()") -> str | None:
    """Return why OpenAI's strict mode refuses a schema; None if it takes it."""
    if not isinstance(schema, dict):
        return f"In context={path}, a schema must be an object"
    if "properties" in schema or schema.get("type") == "object":
        if schema.get("additionalProperties") is not False:
            said = "'additionalProperties' is required to be supplied and to be false"
            return f"In context={path}, {said}"
        if set(schema.get("required") or ()) != set(schema.get("properties") or ()):
            said = "'required' is required to be an array including every key in properties"
            return f"In context={path}, {said}"
    if refused := {"allOf", "oneOf", "not", "patternProperties"} & schema.keys():
        return f"In context={path}, {', '.join(sorted(refused))} is not permitted"
    inner = [*(schema.get("properties") or {}).values(), *(schema.get("$defs") or {}).values()]
    inner += [schema["items"]] if "items" in schema else []
    inner += schema.get("anyOf") or []
    return next(filter(None, (beyond_strict(each, f"{path}…") for each in inner)), None)


def mismatch(value: Any, schema: dict[str, Any]) -> str | None:
    """Return why a value does not match a catalogue's (flat) schema; None if it does."""
    known = schema.get("enum")
    if known is not None:
        return None if value in known else f"Input should be one of {', '.join(map(str, known))}"
    kind = schema.get("type")
    if kind in _PYTHON and not _is(value, kind):
        return f"Input should be a valid {kind}"
    if "minimum" in schema and value < schema["minimum"]:
        return f"Input should be greater than or equal to {schema['minimum']}"
    if "maximum" in schema and value > schema["maximum"]:
        return f"Input should be less than or equal to {schema['maximum']}"
    return None


def _is(value: Any, kind: str) -> bool:
    return isinstance(value, _PYTHON[kind]) and isinstance(value, bool) == (kind == "boolean")
