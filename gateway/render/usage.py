"""Token counts of a conversation and of an answer, guessed where the upstream tells none.

An image counts the same whatever it shows: what OpenAI's guide gives for one of 1024 by 1024
pixels, or for any at low detail. Nobody here knows its size, nor how long another file is, which
counts the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from contract.messages import (
    Event,
    MediaPart,
    Message,
    Reasoning,
    Refusal,
    Replaced,
    Text,
    Tool,
    ToolCallDelta,
    Usage,
)
from contract.tokens import TokenCounter

# OpenAI's cookbook: each message is framed by some three tokens, as is the answer's beginning.
_PER_MESSAGE = 3
_ANSWER_START = 3

_PER_FILE = 765
_PER_IMAGE_AT_LOW_DETAIL = 85


class UsageMeter:
    """Counts one answer: as the upstream says if it says so, else by estimate."""

    def __init__(self, prompt_tokens: int) -> None:
        self._prompt_tokens = prompt_tokens
        self._answer = TokenCounter()
        self._beside = TokenCounter()
        self._told: Usage | None = None

    def observe(self, event: Event) -> None:
        match event:
            case Text():
                self._answer.add(event.text)
            case Replaced():
                self._answer = TokenCounter()
                self._answer.add(event.text)
            case Reasoning() | Refusal():
                self._beside.add(event.text)
            case ToolCallDelta():
                self._beside.add(event.name)
                self._beside.add(event.arguments)
            case Usage():
                self._told = event

    @property
    def usage(self) -> Usage:
        completion_tokens = self._answer.tokens + self._beside.tokens
        return self._told or Usage(self._prompt_tokens, completion_tokens)

    @property
    def is_estimated(self) -> bool:
        """Whether the upstream has counted nothing so far."""
        return self._told is None


def total(meters: Sequence[UsageMeter]) -> dict[str, int | bool]:
    """OpenAI's usage object for all choices of an answer, which have one prompt in common."""
    prompt = meters[0].usage.prompt_tokens
    completion = sum(meter.usage.completion_tokens for meter in meters)
    fields: dict[str, int | bool] = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }
    if any(meter.is_estimated for meter in meters):
        fields["estimated"] = True
    return fields


def estimate_prompt(messages: Iterable[Message], tools: Iterable[Tool] = ()) -> int:
    """Guess how many tokens a conversation is, its framing, files and tools included."""
    counter = TokenCounter()
    beside = _ANSWER_START
    for message in messages:
        beside += _PER_MESSAGE + sum(map(_of_file, message.media))
        counter.add(message.text)
        counter.add(message.name)
        for call in message.tool_calls:
            counter.add(call.name)
            counter.add(call.arguments)
    for tool in tools:
        counter.add(msgspec.json.encode(tool).decode())
    return beside + counter.tokens


def _of_file(part: MediaPart) -> int:
    return _PER_IMAGE_AT_LOW_DETAIL if part.detail == "low" else _PER_FILE
