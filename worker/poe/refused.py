"""Reads which fields of a request Poe refuses to take, of a kind that may be left out.

The validators of Anthropic and Poe (pydantic's) name the place first:

    tools.0.custom.strict: Extra inputs are not permitted
    tools.3: Input tag 'computer_2099' found using 'type' does not match any of the expected tags: …
    messages.0.content.1: Unable to extract tag using discriminator 'type'
    thinking.enabled.display: Input should be 'summarized' or 'omitted'

A client could write such words itself, as a key that the error then names. So a request with such
keys has nothing that is refused, and else only what it has at that place is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from worker.poe.raw_json import Found, Path, path_to, type_key, value_key

OF_JOB = "this job"
"""Begins the paths that are not learned of a model. They lead nowhere."""

_PLACE = r"(?P<place>[\w-]+(?:\.[\w-]+)*)"
_EXTRA = re.compile(rf"{_PLACE}: Extra inputs are not permitted[\s.,;]*", re.ASCII)
_TAG = re.compile(
    rf"{_PLACE}: (?:Input tag '(?P<tag>[\w.-]+)' found using 'type' does not "
    "|Unable to extract tag using discriminator 'type')",
    re.ASCII,
)
_VALUE = re.compile(rf"{_PLACE}: Input should be ", re.ASCII)

_OURS = re.compile(
    "extra inputs are|input tag|input should|unable to extract|unexpected (?:value|role)"
    r"|invalid `|expected `|thinking\.(?:signature|data):"
    r"|which is the maximum|the effort parameter|thinking is not supported"
    r"|`(?:temperature|top_[pk])`",
    re.I,
)
"""Words of validators, which no key has."""

_NEEDED = frozenset(
    {"content", "data", "id", "input", "input_schema", "is_error", "max_tokens", "media_type"}
    | {"messages", "model", "name", "role", "signature", "source", "stream", "system", "text"}
    | {"thinking", "tool_choice", "tool_use_id", "tools", "type", "url"}
)
"""Keys that every version has, and that no request is the same without."""

_SAID = frozenset(
    {"=text", "=image", "=document", "=tool_use", "=tool_result", "=thinking"}
    | {"=redacted_thinking", "=custom", "=base64", "=url"}
)
"""Types that every version has."""

_OF_THINKING: tuple[Path, ...] = (("thinking",), ("thinking", "budget_tokens"))

_UNTYPED: tuple[Path, ...] = (("tools",), ("messages",))
"""Lists whose items need no type."""


def may_be_refusal(message: str) -> bool:
    """Return whether an error is in the words of a validator."""
    return bool(_OURS.search(message))


def refused_fields(body: bytes, message: str) -> frozenset[Path]:
    """Return the paths that an error blames, and that the request can do without.

    Raises msgspec.DecodeError or RecursionError for what is no JSON. See `is_forged`.
    """
    if not may_be_refusal(message):
        return frozenset()
    request = msgspec.json.decode(body)
    found = {*_extra(request, message), *_of_new_type(request, message)}
    return frozenset(found | {*_of_new_value(request, message)})


def is_forged(body: bytes) -> bool:
    """Return whether a key of a request says what only an error would, or it is no JSON."""
    try:
        left = [msgspec.json.decode(body)]
    except (msgspec.DecodeError, RecursionError):
        return True
    while left:
        value = left.pop()
        if isinstance(value, dict):
            if any(map(_OURS.search, value)):
                return True
            left += value.values()
        elif isinstance(value, list):
            left += value
    return False


def _extra(request: object, message: str) -> Iterator[Path]:
    at = 0
    while match := _EXTRA.match(message, at):
        found = path_to(request, match["place"])
        if found and _is_spare(found):
            yield found.path
        at = match.end()


def _of_new_type(request: object, message: str) -> Iterator[Path]:
    match = _TAG.match(message)
    found = path_to(request, match["place"]) if match else None
    if match is None or found is None:
        return
    kind = f"={match['tag'] or ''}"
    if not isinstance(found.value, dict) or type_key(found.value) != kind or kind in _SAID:
        return
    if found.path[-1].startswith("="):
        # Of an item, the path says the type already.
        if kind != "=" or found.path[:-1] not in _UNTYPED:
            yield found.path
    elif found.path == ("thinking",) or _is_spare(found):
        yield (*found.path, kind)


def _of_new_value(request: Any, message: str) -> Iterator[Path]:
    match = _VALUE.match(message)
    found = path_to(request, match["place"]) if match else None
    # Others may give a value that is taken.
    if found and found.path in _OF_THINKING:
        # It is nothing without its budget.
        yield ("thinking", value_key(request["thinking"]))
    elif found and _is_spare(found):
        yield (*found.path, value_key(found.value))


def _is_spare(found: Found) -> bool:
    """Return whether a request can do without a member."""
    last = found.path[-1]
    return not last.startswith("=") and last not in _NEEDED
