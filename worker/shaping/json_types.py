"""Finds the JSON types that a schema allows, as far as it says so in simple keywords."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

_MAX_DEPTH = 4
"""References and alternatives followed, one within another."""

_MAX_ALTERNATIVES = 8
"""Side by side. With depth these multiply, and a client's schema may refer to itself."""

_MAX_STEPS = 256
"""Schemas and values that are looked at. This is done for each argument of each call."""

_MAX_REFERENCE = 256
"""Characters of a `$ref` that is followed."""

_NAMES: dict[type, frozenset[str]] = {
    type(None): frozenset({"null"}),
    bool: frozenset({"boolean"}),
    int: frozenset({"integer", "number"}),
    float: frozenset({"number"}),
    str: frozenset({"string"}),
    list: frozenset({"array"}),
    dict: frozenset({"object"}),
}


def types_of(value: object) -> frozenset[str]:
    """Return the types that a decoded value has."""
    return _NAMES[type(value)]


def types(schema: object, root: dict[str, Any]) -> frozenset[str]:
    """Return the types that a schema allows; none if it does not say, or not soon enough.

    `root` is the schema that it is a part of, for `$ref`.
    """
    return _Look(root).types(schema, 0)


class _Look:
    """One look into a schema, of so many steps at most."""

    def __init__(self, root: dict[str, Any]) -> None:
        self._root = root
        self._left = _MAX_STEPS

    def types(self, schema: object, depth: int) -> frozenset[str]:
        self._left -= 1
        if not isinstance(schema, dict) or depth > _MAX_DEPTH or self._left < 0:
            return frozenset()
        if isinstance(reference := schema.get("$ref"), str):
            return self.types(_within(self._root, reference), depth + 1)
        if named := schema.get("type"):
            names = named if isinstance(named, list) else [named]
            return frozenset(name for name in names[: len(_NAMES)] if isinstance(name, str))
        if values := schema.get("enum", [schema["const"]] if "const" in schema else None):
            return self._of_values(values)
        alternatives = schema.get("anyOf") or schema.get("oneOf")
        if isinstance(alternatives, list) and len(alternatives) <= _MAX_ALTERNATIVES:
            return _union([self.types(one, depth + 1) for one in alternatives])
        return frozenset()

    def _of_values(self, values: object) -> frozenset[str]:
        if not isinstance(values, list) or len(values) > self._left:
            return frozenset()
        self._left -= len(values)
        return _union(map(types_of, values))


def _union(each: Iterable[frozenset[str]]) -> frozenset[str]:
    """Join them; where one does not say, nothing is known."""
    known = list(each)
    return frozenset().union(*known) if all(known) else frozenset()


def _within(root: dict[str, Any], reference: str) -> object:
    """Return what a local `$ref` points at."""
    if len(reference) > _MAX_REFERENCE:
        return None
    found: object = root
    for name in reference.removeprefix("#").split("/")[1:]:
        name = name.replace("~1", "/").replace("~0", "~")  # noqa: PLW2901
        found = found.get(name) if isinstance(found, dict) else None
    return found
