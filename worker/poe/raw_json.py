"""Edits a JSON object whose bytes are to stay as they are, but for what is edited."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any, NamedTuple

import msgspec

Path = tuple[str, ...]
"""The keys on the way to a member; arrays on that way stand for each of their items.

`=NAME` stands for objects of the `type` NAME, `=` for those without one: `("tools", "=search")` are
tools, `("tools", "=search", "strict")` is a member of them. A last `==DIGEST` narrows a member to
one value: `("speed", "==0a…")`.
"""

_Tree = dict[str, "_Tree"]

_MAX_NAMES = 16
"""Names in a place: to follow them takes time that may double with each."""

_TYPE = re.compile(r"[\w.-]{0,64}", re.ASCII)

_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_array = msgspec.json.Decoder(list[msgspec.Raw]).decode


class _Typed(msgspec.Struct):
    type: Any = ""


_typed = msgspec.json.Decoder(_Typed).decode


class Found(NamedTuple):
    """A value within a request."""

    path: Path
    value: object


def edited(body: bytes, values: Mapping[str, bytes] = {}, *, without: Iterable[Path] = ()) -> bytes:
    """Return an object with these members set, and without others.

    `values` are JSON. Raises msgspec.DecodeError, where `body` is no object, and RecursionError.
    """
    fields = _object(body)
    _leave_out(fields, _tree_of(without))
    return msgspec.json.encode(fields | {n: msgspec.Raw(value) for n, value in values.items()})


def path_to(value: object, place: str) -> Found | None:
    """Return the path to what an error calls `tools.0.custom.strict`; None if nothing is there.

    `value` is the decoded object. Names in a place that lead nowhere, such as `custom`, tell which
    of several types a validator has tried. A key that has dots itself leads nowhere either. What is
    said of an item is said of those of its type only.
    """
    names = place.split(".")
    return _path(value, names) if len(names) <= _MAX_NAMES else None


def type_key(value: object) -> str | None:
    """Return the key of all objects of the same type; None: it has a type that nobody gives."""
    kind = value.get("type") if isinstance(value, dict) else None
    kind = kind if isinstance(kind, str) else ""
    return f"={kind}" if _TYPE.fullmatch(kind) else None


def value_key(value: object) -> str:
    """Return the key that narrows a member to this value."""
    return f"=={sha256(msgspec.json.encode(value)).hexdigest()[:16]}"


def _path(value: object, names: list[str]) -> Found | None:
    if not names:
        return Found((), value)
    name, rest = names[0], names[1:]
    found: Found | None = None
    if isinstance(value, dict):
        if _has_dotted(value, names):
            return None
        if name in value:
            found = _behind(name, _path(value[name], rest))
    elif isinstance(value, list) and name.isdecimal() and int(name) < len(value):
        item = value[int(name)]
        key = type_key(item)
        found = _behind(key, _path(item, rest)) if key else None
    # A tried type may be called like a key: a block of type `text` has a `text`.
    return _path(value, rest) if found is None and rest else found


def _behind(key: str, found: Found | None) -> Found | None:
    return found and Found((key, *found.path), found.value)


def _has_dotted(value: dict[str, object], names: list[str]) -> bool:
    """Return whether several of the names, from the first on, are one key of the object."""
    return any(".".join(names[:end]) in value for end in range(2, len(names) + 1))


def _tree_of(paths: Iterable[Path]) -> _Tree:
    """Return the paths as one tree, whose leaves are left out: a body is read once for all."""
    tree: _Tree = {}
    # What is left out as a whole has nothing left out of it.
    for path in sorted(paths, key=len, reverse=True):
        node = tree
        for key in path[:-1]:
            node = node.setdefault(key, {})
        node[path[-1]] = {}
    return tree


def _without(value: msgspec.Raw, tree: _Tree) -> msgspec.Raw:
    match bytes(memoryview(value)[:1]):
        case b"{":
            fields = _object(value)
            return msgspec.Raw(msgspec.json.encode(fields)) if _leave_out(fields, tree) else value
        case b"[":
            return _without_items(value, tree)
        case _:
            return value


def _leave_out(fields: dict[str, msgspec.Raw], tree: _Tree) -> bool:
    """Leave out what the paths lead to; return whether there was something."""
    found = False
    for key, node in tree.items():
        inner = fields.get(key)
        if inner is None:
            continue
        if not node or any(_is_such(inner, last) for last, more in node.items() if not more):
            del fields[key]
            found = True
        elif (left := _without(inner, node)) is not inner:
            fields[key] = left
            found = True
    return found


def _without_items(value: msgspec.Raw, tree: _Tree) -> msgspec.Raw:
    items = _array(value)
    left = [rest for item in items if (rest := _item_without(item, tree)) is not None]
    if len(left) == len(items) and all(map(_same, left, items)):
        return value
    return msgspec.Raw(msgspec.json.encode(left))


def _item_without(item: msgspec.Raw, tree: _Tree) -> msgspec.Raw | None:
    """Return what is left of an item; None if it is left out as a whole."""
    node = tree.get(_type_key_of(item) or "")
    if node is None:
        return _without(item, tree)
    return _without(_without(item, node), tree) if node else None


def _is_such(value: msgspec.Raw, key: str) -> bool:
    """Return whether a member is what a path's last key says."""
    if key.startswith("=="):
        return value_key(msgspec.json.decode(value)) == key
    return _is_typed(value, key)


def _is_typed(value: msgspec.Raw, key: str) -> bool:
    return key.startswith("=") and _type_key_of(value) == key


def _type_key_of(value: msgspec.Raw) -> str | None:
    """Return the key of an object's type; None for what is no object."""
    if bytes(memoryview(value)[:1]) != b"{":
        return None
    return type_key({"type": _typed(value).type})


def _same(one: msgspec.Raw, other: msgspec.Raw) -> bool:
    return one is other
