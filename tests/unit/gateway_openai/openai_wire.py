"""Reads what a client would read: server-sent events, and the text they add up to."""

import json
from typing import Any

from openai.types.chat import ChatCompletionChunk

from tests.support.openai_schema import CHAT_COMPLETION_CHUNK, assert_is


def payloads(stream: bytes) -> list[str]:
    events = stream.decode("ascii").split("\n\n")
    assert events.pop() == "", "an event was not written whole"
    assert all(event.startswith("data: ") and "\n" not in event for event in events)
    return [event.removeprefix("data: ") for event in events]


def chunks(stream: bytes) -> list[dict[str, Any]]:
    """The chunks of a whole stream, each held against OpenAI's own types."""
    decoded = [json.loads(payload) for payload in payloads(stream) if payload != "[DONE]"]
    for chunk in decoded:
        if "error" not in chunk:
            ChatCompletionChunk.model_validate(chunk, strict=True)
            assert_is(chunk, CHAT_COMPLETION_CHUNK)
    return decoded


def deltas(stream: bytes) -> list[dict[str, Any]]:
    return [c["choices"][0]["delta"] for c in chunks(stream) if c.get("choices")]


def content(stream: bytes) -> str:
    return "".join(delta.get("content", "") for delta in deltas(stream))
