"""JSON objects in the prose of an answer."""

from __future__ import annotations

import json
from typing import Any, NamedTuple, NoReturn

_MAX_OPENINGS = 200
"""Opening braces at which an object is looked for; prose that has more is no answer."""


class Found(NamedTuple):
    """An object, and its text as the model wrote it."""

    text: str
    value: dict[str, Any]


def the_object(text: str) -> tuple[Found | None, str]:
    """Return the one object in the text, or why there is not one."""
    found = _objects(text)
    if len(found) == 1:
        return found[0], ""
    if found:
        return None, "The answer holds several JSON objects, not one."
    return None, "The answer is not a JSON object."


def _objects(text: str) -> list[Found]:
    """Find the objects that lie in the text, not within one another."""
    found: list[Found] = []
    start = text.find("{")
    for _ in range(_MAX_OPENINGS):
        if start == -1:
            break
        try:
            value, end = _decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            end = start + 1
        else:
            found.append(Found(text[start:end], value))
        start = text.find("{", end)
    return found


def _refuse(constant: str) -> NoReturn:
    """Refuse NaN and Infinity, which Python reads and JSON has not."""
    raise ValueError(constant)


_decoder = json.JSONDecoder(parse_constant=_refuse)
