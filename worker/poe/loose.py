"""Reads JSON of which nothing is promised: what is not as hoped is empty, never an exception."""

from __future__ import annotations

import msgspec

_MAX_COUNT = 2**63 - 1
"""What msgpack, and whoever reads it, can hold; JSON's numbers have no bound."""


def parse(data: bytes | str) -> object:
    """Decode JSON; None when it is none."""
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None


def object_of(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


def string_of(value: object) -> str:
    return value if isinstance(value, str) else ""


def count_of(value: object) -> int | None:
    """A whole number that is not negative; True is none, though Python says that it is."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MAX_COUNT:
        return value
    return None


def objects_of(value: object) -> list[dict[str, object]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def strings_of(value: object) -> tuple[str, ...]:
    return tuple(v for v in value if isinstance(v, str)) if isinstance(value, list) else ()
