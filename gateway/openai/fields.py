"""The fields of requests, as far as their types go.

Every optional field may be null, which means absent, and so may an element of most lists. What
OpenAI documents but this server cannot honour is typed all the same, so that a mistake in it is
reported, and is then ignored. A field that is not here is not OpenAI's: at the top level it is a
parameter of the model's own, anywhere else it is ignored.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from gateway.render.openai_fields import AnyObject, Content, Probability, Temperature, Whole

MAX_CHOICES = 8
"""Answers to one request. Each is a query of its own upstream, and paid for."""

Bias = Annotated[float, Meta(ge=-100, le=100)]
Choices = Annotated[int, Meta(ge=1, le=MAX_CHOICES)] | Annotated[float, Meta(ge=1, le=MAX_CHOICES)]
Ignored = float
"""A number that is ignored."""


class Named(msgspec.Struct, frozen=True):
    name: str


class Called(msgspec.Struct, frozen=True):
    name: str
    arguments: str | dict[str, Any] | None = None
    """JSON; some clients send the object itself."""


class CustomCall(msgspec.Struct, frozen=True):
    name: str
    input: str | None = None


class Call(msgspec.Struct, frozen=True):
    id: str | None = None
    function: Called | None = None
    custom: CustomCall | None = None


class ChatMessage(msgspec.Struct, frozen=True):
    role: str
    content: Content = None
    name: str | None = None
    tool_calls: list[Call | None] | None = None
    function_call: Called | None = None
    tool_call_id: str | None = None


class Function(msgspec.Struct, frozen=True):
    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Tool(msgspec.Struct, frozen=True):
    """A tool of any type; only functions are looked into."""

    type: str | None = None
    function: Function | None = None


class AllowedTool(msgspec.Struct, frozen=True):
    name: str | None = None
    function: Named | None = None


class AllowedTools(msgspec.Struct, frozen=True):
    mode: str | None = None
    tools: list[AllowedTool] | None = None


class ToolChoice(msgspec.Struct, frozen=True):
    type: str | None = None
    function: Named | None = None
    name: str | None = None
    allowed_tools: AllowedTools | None = None
    mode: str | None = None
    tools: list[AllowedTool] | None = None


class JsonSchema(msgspec.Struct, frozen=True):
    name: str | None = None
    description: str | None = None
    schema: dict[str, Any] | None = None
    strict: bool | None = None


class ResponseFormat(msgspec.Struct, frozen=True):
    type: str
    json_schema: JsonSchema | None = None


class Reasoning(msgspec.Struct, frozen=True):
    """The Responses API's way to say `reasoning_effort`, which others have taken over."""

    effort: str | None = None


class StreamOptions(msgspec.Struct, frozen=True):
    """`continuous_usage_stats` is vLLM's: token counts with every chunk."""

    include_usage: bool | None = None
    continuous_usage_stats: bool | None = None


class Common(msgspec.Struct, frozen=True):
    """What chat completions and legacy completions share."""

    model: str | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: Choices | None = None
    temperature: Temperature | None = None
    top_p: Probability | None = None
    max_tokens: Whole | None = None
    stop: str | list[str | None] | None = None
    logit_bias: dict[str, Bias | None] | None = None

    presence_penalty: Ignored | None = None
    frequency_penalty: Ignored | None = None
    seed: Whole | None = None
    user: str | None = None


class Chat(Common, frozen=True):
    messages: list[ChatMessage] | None = None
    max_completion_tokens: Whole | None = None
    tools: list[Tool | None] | None = None
    tool_choice: str | ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    functions: list[Function | None] | None = None
    function_call: str | Named | None = None
    response_format: ResponseFormat | None = None
    reasoning_effort: str | None = None
    reasoning: Reasoning | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[float, Meta(ge=0, le=20)] | None = None

    input: msgspec.Raw = msgspec.Raw()
    """Belongs to the Responses API; empty if absent."""

    audio: AnyObject | None = None
    metadata: AnyObject | None = None
    modalities: list[str | None] | None = None
    moderation: AnyObject | None = None
    prediction: AnyObject | None = None
    prompt_cache_key: str | None = None
    prompt_cache_options: AnyObject | None = None
    prompt_cache_retention: str | None = None
    safety_identifier: str | None = None
    service_tier: str | None = None
    store: bool | None = None
    verbosity: str | None = None
    web_search_options: AnyObject | None = None


class Completion(Common, frozen=True):
    prompt: str | list[Any] | None = None
    suffix: str | None = None
    echo: bool | None = None
    logprobs: Whole | None = None
    best_of: Ignored | None = None


class Images(msgspec.Struct, frozen=True):
    model: str | None = None
    prompt: str | None = None
    n: Choices | None = None
    size: str | None = None
    quality: str | None = None
    style: str | None = None
    background: str | None = None
    response_format: str | None = None
    stream: bool | None = None

    moderation: str | None = None
    output_compression: Ignored | None = None
    output_format: str | None = None
    partial_images: Ignored | None = None
    user: str | None = None
