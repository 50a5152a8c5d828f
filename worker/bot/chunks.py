"""Reads the OpenAI chunks that Poe sends as `json` events when tools are in play.

Their shape is fastapi_poe's (`_stream_request_with_tools`), which is OpenAI's with liberties:
`index` may be missing, `content` null, and the usage comes in a chunk without choices. A `json`
event may also be any other object, so nothing here fails: what cannot be read is not there.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from contract.messages import ToolCallDelta, Usage
from worker.poe.loose import object_of, objects_of, string_of

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


def read_chunk(value: object) -> Chunk:
    """Read a decoded `json` event."""
    fields = object_of(value)
    choice = next((c for c in objects_of(fields.get("choices")) if not c.get("index")), {})
    delta = object_of(choice.get("delta"))
    calls = enumerate(objects_of(delta.get("tool_calls")))
    reason = choice.get("finish_reason")
    return Chunk(
        string_of(delta.get("content")),
        tuple(_tool_call(position, call) for position, call in calls),
        _usage(object_of(fields.get("usage"))),
        _REASONS.get(reason) if isinstance(reason, str) else None,
    )


def _tool_call(position: int, call: dict[str, object]) -> ToolCallDelta:
    index = call.get("index")
    function = object_of(call.get("function"))
    return ToolCallDelta(
        index if isinstance(index, int) else position,
        string_of(call.get("id")),
        string_of(function.get("name")),
        string_of(function.get("arguments")),
    )


def _usage(usage: dict[str, object]) -> Usage | None:
    prompt, completion = usage.get("prompt_tokens"), usage.get("completion_tokens")
    if isinstance(prompt, int) and isinstance(completion, int):
        return Usage(prompt, completion)
    return None
