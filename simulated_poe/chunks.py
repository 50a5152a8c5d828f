"""OpenAI's `chat.completion.chunk`, which both interfaces use."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

FRAGMENT = 7
"""Characters of a tool call's arguments in one chunk."""


class Head(msgspec.Struct, frozen=True):
    """The fields that all chunks of an answer share."""

    id: str
    model: str
    created: int
    """Unix time in seconds."""
    prompt_tokens: int = 0
    """Words are counted as tokens."""


def an_object(head: Head, name: str, choices: list[Any]) -> dict[str, Any]:
    """Make a completion or a chunk of one."""
    own = {"id": head.id, "object": name, "created": head.created, "model": head.model}
    return {**own, "choices": choices}


def chunk(head: Head, delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
    """Make a chunk of the only choice."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return an_object(head, "chat.completion.chunk", [choice])


def usage(head: Head, completion_tokens: int) -> dict[str, Any]:
    """Make the field `usage`."""
    total = head.prompt_tokens + completion_tokens
    counts = {"prompt_tokens": head.prompt_tokens, "completion_tokens": completion_tokens}
    return {"usage": {**counts, "total_tokens": total}}


def usage_chunk(head: Head, completion_tokens: int) -> dict[str, Any]:
    """Make the chunk without choices that reports usage."""
    return an_object(head, "chat.completion.chunk", []) | usage(head, completion_tokens)


def call_deltas(
    index: int, identifier: str, name: str, arguments: str, *, nulls: bool
) -> Iterator[dict[str, Any]]:
    """Yield a tool call in fragments, the first of which has its id and name.

    In later ones these fields are null with `nulls`, as in the bot protocol, and otherwise
    missing, as in OpenAI's API.
    """
    function = {"name": name, "arguments": ""}
    yield _delta({"index": index, "id": identifier, "type": "function", "function": function})
    for start in range(0, len(arguments), FRAGMENT):
        fragment = arguments[start : start + FRAGMENT]
        if nulls:
            later = {"name": None, "arguments": fragment}
            yield _delta({"index": index, "id": None, "type": None, "function": later})
        else:
            yield _delta({"index": index, "function": {"arguments": fragment}})


def _delta(call: dict[str, Any]) -> dict[str, Any]:
    return {"tool_calls": [call]}
