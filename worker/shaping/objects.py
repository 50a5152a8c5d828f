"""JSON objects in the prose of an answer."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, NamedTuple, NoReturn

_CLOSING = re.compile(
    r"</(?:think(?:ing)?|thoughts?|reasoning)(?:\s[^<>]{0,100})?>|◁/think▷", re.IGNORECASE
)
"""The ends of thoughts, also those by which an answer without a form is not split."""

_MAX_OPENINGS = 200
"""Opening braces at which an object is looked for; prose that has more is no answer."""


class Found(NamedTuple):
    """An object, and its text as the model wrote it."""

    text: str
    value: dict[str, Any]


def the_object(text: str, fault_of: Callable[[Found], str]) -> tuple[Found | None, str]:
    """Return the one object in the text that has no fault, or why there is not one.

    Models say their answer twice at times: that is one object.
    """
    found = _behind_thoughts(text) or _objects(text)
    faults = [fault_of(each) for each in found]
    fitting = [each for each, fault in zip(found, faults, strict=True) if not fault]
    if fitting and _are_the_same(fitting):
        return fitting[0], ""
    if not found:
        return None, "The answer is not a JSON object."
    if len(found) == 1:
        return None, faults[0]
    return None, f"The answer holds several JSON objects, not one. {faults[-1]}".rstrip()


def _are_the_same(found: list[Found]) -> bool:
    if len(found) == 1:
        return True
    try:
        # Compared as JSON, for to Python True is 1.
        return len({json.dumps(each.value, sort_keys=True) for each in found}) == 1
    except RecursionError:
        return False


def _behind_thoughts(text: str) -> list[Found]:
    """Find the objects behind the closing tag of thoughts that are still in the text.

    Some models' templates write the opening one for them.
    """
    end = max((tag.end() for tag in _CLOSING.finditer(text)), default=0)
    is_quoted = any(start < end < start + len(found.text) for start, found in _placed(text))
    return [] if is_quoted or not end else _objects(text[end:])


def _objects(text: str) -> list[Found]:
    return [found for _, found in _placed(text)]


def _placed(text: str) -> list[tuple[int, Found]]:
    """Find the objects that lie in the text, not within one another, and where they begin."""
    found: list[tuple[int, Found]] = []
    start = text.find("{")
    for _ in range(_MAX_OPENINGS):
        if start == -1:
            break
        try:
            value, end = _decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            end = start + 1
        else:
            found.append((start, Found(text[start:end], value)))
        start = text.find("{", end)
    return found


def _refuse(constant: str) -> NoReturn:
    """Refuse NaN and Infinity, which Python reads and JSON has not."""
    raise ValueError(constant)


_decoder = json.JSONDecoder(parse_constant=_refuse)
