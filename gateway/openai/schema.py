"""The fields of a chat completions request, as far as their types go.

Every optional field may be null, which means absent. Fields that are not here are ignored,
whatever they hold. Of those that are here but that `request` does not read, Poe's bot protocol
can honour none; they are typed so that a mistake in them is told all the same.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

Temperature = Annotated[float, Meta(ge=0, le=2)]
Bias = Annotated[float, Meta(ge=-100, le=100)]


class AnyObject(msgspec.Struct, frozen=True):
    """An object of which nobody looks at a field."""


class Part(msgspec.Struct, frozen=True):
    type: str
    text: str | None = None
    refusal: str | None = None


class Function(msgspec.Struct, frozen=True):
    name: str
    arguments: str | None = None


class CustomCall(msgspec.Struct, frozen=True):
    name: str
    input: str | None = None


class Call(msgspec.Struct, frozen=True):
    id: str | None = None
    function: Function | None = None
    custom: CustomCall | None = None


class ChatMessage(msgspec.Struct, frozen=True):
    role: str
    content: str | list[Part] | None = None
    name: str | None = None
    tool_calls: list[Call] | None = None
    function_call: Function | None = None
    tool_call_id: str | None = None


class StreamOptions(msgspec.Struct, frozen=True):
    include_usage: bool | None = None


class Body(msgspec.Struct, frozen=True):
    model: str | None = None
    messages: list[ChatMessage] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    temperature: Temperature | None = None
    stop: str | list[str] | None = None
    logit_bias: dict[str, Bias] | None = None
    n: int | None = None

    input: msgspec.Raw = msgspec.Raw()
    """Belongs to the Responses API; empty if absent."""

    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    top_p: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    seed: int | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    tools: list[AnyObject] | None = None
    tool_choice: str | AnyObject | None = None
    parallel_tool_calls: bool | None = None
    functions: list[AnyObject] | None = None
    function_call: str | AnyObject | None = None
    response_format: AnyObject | None = None
    reasoning_effort: str | None = None
    user: str | None = None
