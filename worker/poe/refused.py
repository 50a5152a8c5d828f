"""Reads which fields of a request Poe refuses to take, of a kind that may be left out.

The validators of Anthropic and Poe (pydantic's) name the place, `tools.0.custom.strict: Extra
inputs are not permitted`, and, where a type is new to them, the type: `tools.3: Input tag
'computer_2099' found using 'type' does not match any of the expected tags: …`. A client may have
put these words there itself, so only what its request has at that place is taken for refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from worker.poe.raw_json import Path, path_to

_PLACE = r"(?P<place>[\w-]+(?:\.[\w-]+)*)"
_EXTRA = re.compile(rf"{_PLACE}: Extra inputs are not permitted[\s.,;]*", re.ASCII)
_TAG = re.compile(rf"{_PLACE}: Input tag '(?P<tag>[\w.-]+)' found using 'type' does not ", re.ASCII)

_NEEDED = frozenset(
    {
        "content",
        "data",
        "id",
        "input",
        "input_schema",
        "is_error",
        "max_tokens",
        "messages",
        "model",
    }
    | {"name", "role", "signature", "source", "stream", "system", "text", "thinking", "tool_choice"}
    | {"tool_use_id", "tools", "type"}
)
"""Keys that every version has, and that no request is the same without."""


def refused_fields(body: bytes, message: str) -> frozenset[Path]:
    """Return the paths that an error blames, and that the request can do without."""
    if " not permitted" not in message and "Input tag" not in message:
        return frozenset()
    try:
        request = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return frozenset()
    return frozenset({*_extra(request, message), *_of_new_type(request, message)})


def _extra(request: object, message: str) -> Iterator[Path]:
    at = 0
    while found := _EXTRA.match(message, at):
        path = path_to(request, found["place"])
        if path and path[-1] not in _NEEDED:
            yield path
        at = found.end()


def _of_new_type(request: object, message: str) -> Iterator[Path]:
    found = _TAG.match(message)
    path = path_to(request, found["place"]) if found else None
    # A tool or a way to think can be left out; a block of a message is a part of what is said.
    if found and path in (("tools",), ("thinking",)):
        yield (*path, f"={found['tag']}")
