"""Reads OpenAI's chat completions as Poe writes them: chunks of a stream, or one whole answer.

Both kinds of upstream send them, the bot protocol as `json` events when tools are in play
(fastapi_poe, `_stream_request_with_tools`). They are OpenAI's with liberties: `index` may be
missing, `content` null, and the usage comes in a chunk without choices. Reasoning has no field of
OpenAI's; `reasoning_content` and `reasoning` are what others call it. Nothing here fails: what
cannot be read is not there.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from contract.messages import ToolCallDelta, Usage
from worker.poe.loose import count_of, object_of, objects_of, string_of

FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]

_REASONS: dict[object, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}


class Chunk(msgspec.Struct, frozen=True):
    """What one chunk adds to the answer."""

    content: str = ""
    tool_calls: tuple[ToolCallDelta, ...] = ()
    usage: Usage | None = None
    finish_reason: FinishReason | None = None
    reasoning: str = ""


def read_chunk(value: object) -> Chunk:
    """Read a decoded chunk, or a whole completion, whose `message` is all deltas in one."""
    fields = object_of(value)
    choice = next((c for c in objects_of(fields.get("choices")) if not c.get("index")), {})
    delta = object_of(choice.get("delta") or choice.get("message"))
    calls = enumerate(objects_of(delta.get("tool_calls")))
    reason = choice.get("finish_reason")
    return Chunk(
        string_of(delta.get("content")),
        tuple(_tool_call(position, call) for position, call in calls),
        _usage(object_of(fields.get("usage"))),
        _REASONS.get(reason) if isinstance(reason, str) else None,
        string_of(delta.get("reasoning_content")) or string_of(delta.get("reasoning")),
    )


def _tool_call(position: int, call: dict[str, object]) -> ToolCallDelta:
    index = count_of(call.get("index"))
    function = object_of(call.get("function"))
    return ToolCallDelta(
        position if index is None else index,
        string_of(call.get("id")),
        string_of(function.get("name")),
        string_of(function.get("arguments")),
    )


def _usage(usage: dict[str, object]) -> Usage | None:
    prompt = count_of(usage.get("prompt_tokens"))
    completion = count_of(usage.get("completion_tokens"))
    return None if prompt is None or completion is None else Usage(prompt, completion)
