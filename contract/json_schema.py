"""JSON schemas that clients bring: whether they can be used.

They come from outside, so this takes a time in proportion to their size: each keyword is looked at
once, and a reference once, by its path. Whether a value matches is seen elsewhere, in a process
that can be stopped.

    $ref    only within the schema; nothing is ever fetched
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import unquote

import msgspec

MAX_BYTES = 128 * 1024
"""Of a schema as compact JSON; OpenAI allows 120,000 characters of names and values."""

MAX_DEPTH = 64
"""Levels of JSON in a schema: OpenAI's ten levels of objects are at most thirty of these."""

_MAX_QUOTED = 300
"""Characters of the schema that a reason repeats."""

_REFERENCES = frozenset({"$ref", "$dynamicRef", "$recursiveRef"})

_ANCHORS = frozenset({"$anchor", "$dynamicAnchor"})
_IDS = frozenset({"$id", "id"})

_TYPES = frozenset({"array", "boolean", "integer", "null", "number", "object", "string"})


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_number(value: object) -> bool:
    return isinstance(value, int | float)


def _is_type(value: object) -> bool:
    names = value if isinstance(value, list) else [value]
    return bool(names) and all(isinstance(name, str) and name in _TYPES for name in names)


def _are_names(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


_WITH_MANY = frozenset(
    {"$defs", "definitions", "dependentSchemas", "patternProperties", "properties"}
)
_WITH_LIST = frozenset({"allOf", "anyOf", "items", "oneOf", "prefixItems"})
_WITH_ONE = frozenset(
    {
        *("additionalItems", "additionalProperties", "contains", "items", "not"),
        *("if", "then", "else", "propertyNames"),
    }
)
"""Keywords with schemas inside: in an object, in an array, or as the argument itself."""

_ARGUMENTS: dict[str, tuple[str, Callable[[object], bool]]] = {
    "type": (f"one of {', '.join(sorted(_TYPES))}, or several in an array", _is_type),
    "enum": ("an array", lambda value: isinstance(value, list)),
    # Draft 4 has a boolean here, which Python counts among the numbers.
    **dict.fromkeys(_WITH_MANY, ("an object", lambda value: isinstance(value, dict))),
    **dict.fromkeys(
        ("allOf", "anyOf", "oneOf", "prefixItems"),
        ("an array that is not empty", lambda value: isinstance(value, list) and bool(value)),
    ),
    "required": ("an array of strings", _are_names),
    **dict.fromkeys(("exclusiveMaximum", "exclusiveMinimum"), ("a number", _is_number)),
    **dict.fromkeys(("maximum", "minimum"), ("a number", _is_number)),
    "multipleOf": ("a number above 0", lambda value: _is_number(value) and value > 0),  # type: ignore[operator]
    **dict.fromkeys(
        (
            *("maxContains", "maxItems", "maxLength", "maxProperties"),
            *("minContains", "minItems", "minLength", "minProperties"),
        ),
        ("a whole number, not negative", _is_count),
    ),
    "uniqueItems": ("a boolean", lambda value: isinstance(value, bool)),
    "$ref": ("a string", lambda value: isinstance(value, str)),
}
"""Keywords whose argument is no schema: what it must be."""


def check_schema(schema: dict[str, Any]) -> str | None:
    """Return why this cannot be used as a schema; None if it can.

    The check against the standard's schema of schemas takes two seconds for one of 100 KB, and
    its words are of little help; this one looks at the keywords that it knows.
    """
    if _deeper_than(schema, MAX_DEPTH):
        return f"it is nested more than {MAX_DEPTH} levels deep"
    if len(msgspec.json.encode(schema)) > MAX_BYTES:
        return f"it is larger than {MAX_BYTES} bytes"
    check = _Check()
    check.look_at(schema, None)
    return check.fault or _bad_reference(schema, check)


_Place = tuple["_Place", str] | None
"""Where in the schema: the keyword, index or name, within what it is in."""


class _Check:
    """What one look at all of a schema finds: the first fault, references, and where they lead."""

    def __init__(self) -> None:
        self.fault = ""
        self.references: list[str] = []
        self.anchors: set[str] = set()
        self.ids: set[str] = set()

    def look_at(self, schema: object, place: _Place) -> None:
        if isinstance(schema, dict):
            for keyword, argument in schema.items():
                self._note(keyword, argument)
                if reason := _fault(keyword, argument):
                    self._refuse((place, f".{keyword}"), f"it must be {reason}")
            for inner, within in _inner(schema, place):
                if self.fault:
                    break
                self.look_at(inner, within)
        elif not isinstance(schema, bool):
            self._refuse(place, "a schema must be an object or a boolean")

    def _note(self, keyword: str, argument: object) -> None:
        if not isinstance(argument, str):
            return
        if keyword in _REFERENCES:
            self.references.append(argument)
        elif keyword in _ANCHORS:
            self.anchors.add(f"#{argument}")
        elif keyword in _IDS:
            # Draft 6 and older have anchors in here.
            (self.anchors if argument.startswith("#") else self.ids).add(argument)

    def _refuse(self, place: _Place, reason: str) -> None:
        self.fault = self.fault or f"at {_written(place)}: {reason}"


def _fault(keyword: str, argument: object) -> str:
    """Return what the argument should be; nothing if it is that."""
    words, holds = _ARGUMENTS.get(keyword, ("", None))
    return "" if holds is None or holds(argument) else words


def _inner(schema: dict[str, Any], place: _Place) -> Iterator[tuple[object, _Place]]:
    """Find the schemas directly inside one."""
    for keyword, argument in schema.items():
        within = (place, f".{keyword}")
        if keyword in _WITH_MANY and isinstance(argument, dict):
            for name, inner in argument.items():
                yield inner, (within, f".{name}")
        elif keyword in _WITH_LIST and isinstance(argument, list):
            for index, inner in enumerate(argument):
                yield inner, (within, f"[{index}]")
        elif keyword in _WITH_ONE and not isinstance(argument, list):
            yield argument, within


def _written(place: _Place) -> str:
    parts = []
    while place is not None:
        place, part = place
        parts.append(part)
    return "".join(reversed(parts)).lstrip(".")[:_MAX_QUOTED]


def _deeper_than(value: object, levels: int) -> bool:
    if not isinstance(value, dict | list):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_deeper_than(item, levels - 1) for item in inner)


def _bad_reference(schema: dict[str, Any], check: _Check) -> str | None:
    for reference in check.references:
        base, _, fragment = reference.partition("#")
        if base and base not in check.ids:
            return f"its $ref {reference[:_MAX_QUOTED]!r} leads outside"
        # Within a part that has an `$id` of its own, a path begins there.
        if not (check.ids or reference in check.anchors or _leads_to(schema, fragment)):
            return f"its $ref {reference[:_MAX_QUOTED]!r} leads nowhere"
    return None


def _leads_to(schema: dict[str, Any], pointer: str) -> bool:
    """Return whether there is something at this JSON pointer (RFC 6901)."""
    root, *steps = unquote(pointer).split("/")
    at: Any = schema
    for step in steps:
        key = step.replace("~1", "/").replace("~0", "~")
        if isinstance(at, dict) and key in at:
            at = at[key]
        elif isinstance(at, list) and key.isdecimal() and len(key) < 7 and int(key) < len(at):
            at = at[int(key)]
        else:
            return False
    return not root


def rewritten(schema: Any, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Any:
    """Return a copy in which `change` was made to the schema and to all that are inside it."""
    if not isinstance(schema, dict):
        return schema
    copy = change(schema)
    for keyword, argument in copy.items():
        if keyword in _WITH_MANY and isinstance(argument, dict):
            copy[keyword] = {name: rewritten(inner, change) for name, inner in argument.items()}
        elif keyword in _WITH_LIST and isinstance(argument, list):
            copy[keyword] = [rewritten(inner, change) for inner in argument]
        elif keyword in _WITH_ONE:
            copy[keyword] = rewritten(argument, change)
    return copy
