"""The subset of JSON Schema that OpenAI's strict mode takes, in which a model keeps to a schema.

By OpenAI's guide to structured outputs, every object there requires all of its properties and
admits no others. A schema beyond the subset can be sent as a hint only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_MAX_DEPTH = 10
"""Levels of nesting that OpenAI takes."""

_REFUSED = frozenset(
    {"allOf", "oneOf", "not", "if", "then", "else", "dependentRequired", "dependentSchemas"}
    | {"patternProperties", "propertyNames", "unevaluatedProperties", "unevaluatedItems"}
    | {"contains", "prefixItems", "minProperties", "maxProperties", "uniqueItems"}
    | {"minLength", "maxLength"}
)
_OF_NO_EFFECT = frozenset({"$schema", "$comment", "default", "examples"})
"""Keywords that OpenAI may refuse, and that change nothing of what matches."""

_FORMATS = frozenset(
    {"date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"}
)


class _NotStrict(Exception):
    """The schema is beyond the subset."""


def strict_form(schema: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return a schema of the subset whose instances all match this one; None: none is known.

    An object that says nothing of further properties admits none there.
    """
    try:
        if schema is None or schema.get("type") != "object" or "anyOf" in schema:
            return None
        return _strict(schema, 0)
    except _NotStrict:
        return None


def _strict(schema: object, depth: int) -> dict[str, Any]:
    if not isinstance(schema, Mapping) or depth > _MAX_DEPTH or not _REFUSED.isdisjoint(schema):
        raise _NotStrict
    if "type" not in schema and "anyOf" not in schema and "$ref" not in schema:
        raise _NotStrict
    form = {name: value for name, value in schema.items() if name not in _OF_NO_EFFECT}
    if form.get("format", "date") not in _FORMATS:
        del form["format"]
    if "properties" in form or _is_object(form.get("type")):
        _close(form)
    for name in ("properties", "$defs", "definitions"):
        if name in form:
            form[name] = {key: _strict(each, depth + 1) for key, each in _named(form[name])}
    if "items" in form:
        form["items"] = _strict(form["items"], depth + 1)
    if "anyOf" in form:
        form["anyOf"] = [_strict(each, depth + 1) for each in _listed(form["anyOf"])]
    return form


def _is_object(kind: object) -> bool:
    return kind == "object" or (isinstance(kind, list) and "object" in kind)


def _close(form: dict[str, Any]) -> None:
    properties, required = form.get("properties"), form.get("required", [])
    is_open = form.get("additionalProperties", not properties) is not False and (
        not properties or "additionalProperties" in form
    )
    if is_open or not isinstance(required, list) or set(required) != set(properties or ()):
        raise _NotStrict
    form |= {"properties": properties or {}, "required": required, "additionalProperties": False}


def _named(value: object) -> list[tuple[str, object]]:
    if not isinstance(value, Mapping):
        raise _NotStrict
    return list(value.items())


def _listed(value: object) -> list[object]:
    if not isinstance(value, list):
        raise _NotStrict
    return value
