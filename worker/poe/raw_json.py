"""Edits a JSON object whose bytes are to stay as they are, but for what is edited."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

Path = tuple[str, ...]
"""The keys on the way to a member; arrays on that way stand for each of their items. A last key
`=NAME` stands for objects of the `type` NAME: `("tools", "=computer_20990101")`."""

_MAX_NAMES = 16
"""Names in a place: to follow them takes time that may double with each."""

_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_array = msgspec.json.Decoder(list[msgspec.Raw]).decode


class _Typed(msgspec.Struct):
    type: str = ""


_typed = msgspec.json.Decoder(_Typed).decode


def edited(body: bytes, values: Mapping[str, bytes] = {}, *, without: Iterable[Path] = ()) -> bytes:
    """Return an object with these members set, and without others.

    `values` are JSON. Raises msgspec.DecodeError, where `body` is no object, and RecursionError.
    """
    fields = _object(body)
    for path in without:
        _leave_out(fields, path)
    return msgspec.json.encode(fields | {n: msgspec.Raw(value) for n, value in values.items()})


def path_to(value: object, place: str) -> Path | None:
    """Return the path to what an error calls `tools.0.custom.strict`; None if nothing is there.

    `value` is the decoded object. Names in a place that lead nowhere, such as `custom`, tell which
    of several types a validator has tried. A key that has dots itself leads nowhere either.
    """
    names = place.split(".")
    return _path(value, names) if len(names) <= _MAX_NAMES else None


def _path(value: object, names: list[str]) -> Path | None:
    if not names:
        return ()
    name, rest = names[0], names[1:]
    found: Path | None = None
    if isinstance(value, dict):
        if _has_dotted(value, names):
            return None
        if name in value and (inner := _path(value[name], rest)) is not None:
            found = (name, *inner)
    elif isinstance(value, list) and name.isdecimal() and int(name) < len(value):
        found = _path(value[int(name)], rest)
    # A tried type may be called like a key: a block of type `text` has a `text`.
    return _path(value, rest) if found is None and rest else found


def _has_dotted(value: dict[str, object], names: list[str]) -> bool:
    """Return whether several of the names, from the first on, are one key of the object."""
    return any(".".join(names[:end]) in value for end in range(2, len(names) + 1))


def _without(value: msgspec.Raw, path: Path) -> msgspec.Raw:
    match bytes(value).lstrip()[:1]:
        case b"{":
            return _without_member(value, path)
        case b"[":
            return _without_items(value, path)
        case _:
            return value


def _without_member(value: msgspec.Raw, path: Path) -> msgspec.Raw:
    fields = _object(value)
    return msgspec.Raw(msgspec.json.encode(fields)) if _leave_out(fields, path) else value


def _leave_out(fields: dict[str, msgspec.Raw], path: Path) -> bool:
    """Leave out what the path leads to; return whether there was something."""
    key, *rest = path
    inner = fields.get(key)
    if inner is None:
        return False
    if not rest or _is_typed(inner, rest[0]):
        del fields[key]
        return True
    fields[key] = _without(inner, tuple(rest))
    return fields[key] is not inner


def _without_items(value: msgspec.Raw, path: Path) -> msgspec.Raw:
    items = _array(value)
    left = [_without(item, path) for item in items if not _is_typed(item, path[0])]
    if len(left) == len(items) and all(map(_same, left, items)):
        return value
    return msgspec.Raw(msgspec.json.encode(left))


def _is_typed(value: msgspec.Raw, key: str) -> bool:
    if not key.startswith("=") or bytes(value).lstrip()[:1] != b"{":
        return False
    try:
        return f"={_typed(value).type}" == key
    except msgspec.ValidationError:
        return False


def _same(one: msgspec.Raw, other: msgspec.Raw) -> bool:
    return one is other
