"""Reads JSON that may be anything: a value of another type counts as empty, not as an error."""

from __future__ import annotations

import json

import msgspec

from worker.poe.surrogates import whole

_MAX_COUNT = 2**63 - 1
"""The largest number that msgpack can hold; JSON's numbers have no bound."""

UNREADABLE = (ValueError, RecursionError)
"""What `decode` raises."""


def decode(data: bytes | str) -> object:
    """Decode JSON, also where a string has bytes that are not UTF-8, control characters or halves
    of surrogate pairs, which the result then has as well. Raises UNREADABLE.
    """
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeError):
        text = data if isinstance(data, str) else data.decode("utf-8", "replace")
        return json.loads(text, strict=False, parse_constant=lambda _: None)


def parse(data: bytes | str) -> object:
    """Decode JSON whose strings can be encoded again; None if it is not JSON."""
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeError):
        pass
    except RecursionError:
        return None
    try:
        return json.loads(whole(json.dumps(decode(data), ensure_ascii=False)))
    except UNREADABLE:
        return None


def object_of(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


def string_of(value: object) -> str:
    return value if isinstance(value, str) else ""


def count_of(value: object) -> int | None:
    """Return the value if it is a whole number, not negative; `True` is not one."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MAX_COUNT:
        return value
    return None


def objects_of(value: object) -> list[dict[str, object]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def strings_of(value: object) -> tuple[str, ...]:
    return tuple(v for v in value if isinstance(v, str)) if isinstance(value, list) else ()
