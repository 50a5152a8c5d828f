"""Token counts of a conversation and of an answer, estimated where the upstream tells none.

An image counts the same whatever it shows: what OpenAI's guide gives for one of 1024 by 1024
pixels, or for any at low detail. Its size is not known here, nor is the length of any other file,
which counts the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

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
from contract.token_estimate import TokenCounter

# OpenAI's cookbook: each message is framed by some three tokens, as is the answer's beginning.
_PER_MESSAGE = 3
_ANSWER_START = 3

_PER_FILE = 765
_PER_IMAGE_AT_LOW_DETAIL = 85


class UsageMeter:
    """Counts one choice: as the upstream says if it says so, else by estimate.

    `prompt_tokens` is asked for only if the upstream tells nothing.
    """

    def __init__(self, prompt_tokens: Callable[[], int]) -> None:
        self._prompt_tokens = prompt_tokens
        self._answer = TokenCounter()
        self._beside = TokenCounter()
        self._told: Usage | None = None

    def observe(self, event: Event) -> None:
        """Count one event."""
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
        """The counts so far."""
        if self._told is not None:
            return self._told
        return Usage(self._prompt_tokens(), self._answer.tokens + self._beside.tokens)

    @property
    def is_estimated(self) -> bool:
        """Whether the upstream has counted nothing so far."""
        return self._told is None


class Total(NamedTuple):
    """The token counts of an answer."""

    prompt: int
    completion: int
    is_estimated: bool


def total(meters: Sequence[UsageMeter]) -> Total:
    """Add up the choices of an answer, which have one prompt in common."""
    usages = [meter.usage for meter in meters]
    return Total(
        usages[0].prompt_tokens,
        sum(usage.completion_tokens for usage in usages),
        any(meter.is_estimated for meter in meters),
    )


def cached(meters: Sequence[UsageMeter]) -> int | None:
    """Return how many tokens of the prompt were cached. None: the upstream does not say."""
    return meters[0].usage.cached_tokens


def reasoned(meters: Sequence[UsageMeter]) -> int | None:
    """Return how many tokens all thoughts took. None: the upstream does not say it of all."""
    counts = [meter.usage.reasoning_tokens for meter in meters]
    return None if None in counts else sum(count or 0 for count in counts)


def estimate_prompt(messages: Iterable[Message], tools: Iterable[Tool] = ()) -> int:
    """Estimate how many tokens a conversation is, its framing, files and tools included."""
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
