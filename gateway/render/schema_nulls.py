"""What null means in a JSON schema: nothing, since libraries write it for what they were not given.

It is a value as `const` and `default` and within `enum` and `examples`, and a type among types:
`["string", null]` is what YAML makes of an unquoted null.
"""

from __future__ import annotations

from typing import Any

_SINGLE = frozenset({"const", "default"})
_VALUES = _SINGLE | {"enum", "examples"}
_NAMED = frozenset({"$defs", "definitions", "dependentSchemas", "patternProperties", "properties"})
"""Keywords that hold schemas by name: one that is null admits everything."""
_NULL: dict[str, Any] = {"anyOf": {"type": "null"}, "oneOf": {"type": "null"}, "type": "null"}
"""What null stands for in the lists of these keywords; in those of others, for nothing."""


def without_nulls(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema without keywords whose argument is null."""
    return {
        keyword: argument if keyword in _VALUES else _argument(keyword, argument)
        for keyword, argument in schema.items()
        if argument is not None or keyword in _SINGLE
    }


def _argument(keyword: str, argument: Any) -> Any:
    if isinstance(argument, list):
        listed = (_NULL.get(keyword) if each is None else each for each in argument)
        return [_inner(each) for each in listed if each is not None]
    if keyword in _NAMED and isinstance(argument, dict):
        return {name: {} if each is None else _inner(each) for name, each in argument.items()}
    return _inner(argument)


def _inner(schema: Any) -> Any:
    return without_nulls(schema) if isinstance(schema, dict) else schema
