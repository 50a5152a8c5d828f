"""The JSON types that a schema allows, as far as it says so in simple words."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

_MAX_DEPTH = 4
"""References and alternatives followed, one within another."""

_MAX_ALTERNATIVES = 8
"""Side by side. With depth these multiply, and a client's schema may refer to itself."""

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


def types(schema: object, root: dict[str, Any], depth: int = 0) -> frozenset[str]:
    """Return the types that a schema allows; none if it does not say.

    `root` is the schema that it is a part of, for `$ref`.
    """
    if not isinstance(schema, dict) or depth > _MAX_DEPTH:
        return frozenset()
    if isinstance(reference := schema.get("$ref"), str):
        return types(_within(root, reference), root, depth + 1)
    if named := schema.get("type"):
        names = named if isinstance(named, list) else [named]
        return frozenset(name for name in names if isinstance(name, str))
    if values := schema.get("enum", [schema["const"]] if "const" in schema else None):
        return _union(map(types_of, values)) if isinstance(values, list) else frozenset()
    alternatives = schema.get("anyOf") or schema.get("oneOf")
    if isinstance(alternatives, list) and len(alternatives) <= _MAX_ALTERNATIVES:
        return _union(types(one, root, depth + 1) for one in alternatives)
    return frozenset()


def _union(each: Iterable[frozenset[str]]) -> frozenset[str]:
    """Join them; where one does not say, nothing is known."""
    known = list(each)
    return frozenset().union(*known) if all(known) else frozenset()


def _within(root: dict[str, Any], reference: str) -> object:
    """Return what a local `$ref` points at."""
    found: object = root
    for name in reference.removeprefix("#").split("/")[1:]:
        name = name.replace("~1", "/").replace("~0", "~")  # noqa: PLW2901
        found = found.get(name) if isinstance(found, dict) else None
    return found
