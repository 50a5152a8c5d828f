"""The fields of requests, as far as their types go.

Every optional field may be null, which means absent. What OpenAI documents but nothing behind
this gateway can honour is typed loosely or not at all, and ignored.
"""

from __future__ import annotations

from typing import Any

import msgspec

from gateway.render.openai_fields import AnyObject, Content, Probability, Temperature, Whole


class Item(msgspec.Struct, frozen=True):
    """An item of the input, of any type; without one it is a message."""

    type: str | None = None
    role: str | None = None
    content: Content = None
    call_id: str | None = None
    namespace: str | None = None
    name: str | None = None
    arguments: str | dict[str, Any] | None = None
    """JSON; some clients send the object itself."""
    input: str | None = None
    output: Content = None
    status: Any = None


class Typed(msgspec.Struct, frozen=True):
    """What tells the tools of a request apart."""

    type: str | None = None
    name: object = None


class Grammar(msgspec.Struct, frozen=True):
    """What the input of a custom tool must be like."""

    type: str | None = None
    syntax: str | None = None
    definition: str | None = None


class Tool(msgspec.Struct, frozen=True):
    """A function, a custom tool, or a namespace of both."""

    name: str
    type: str | None = None
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None
    format: Grammar | None = None
    tools: list[msgspec.Raw] | None = None


class AllowedTool(msgspec.Struct, frozen=True):
    namespace: str | None = None
    name: str | None = None
    type: str | None = None


class ToolChoice(msgspec.Struct, frozen=True):
    type: str
    namespace: str | None = None
    name: str | None = None
    mode: str | None = None
    tools: list[AllowedTool] | None = None


class TextFormat(msgspec.Struct, frozen=True):
    type: str
    name: str | None = None
    description: str | None = None
    schema: dict[str, Any] | None = None
    strict: bool | None = None


class TextConfig(msgspec.Struct, frozen=True):
    format: TextFormat | None = None
    verbosity: str | None = None


class Reasoning(msgspec.Struct, frozen=True):
    effort: str | None = None
    summary: str | None = None
    generate_summary: str | None = None


class CreateResponse(msgspec.Struct, frozen=True):
    model: str | None = None
    input: str | list[Item] | None = None
    instructions: str | list[Item] | None = None
    stream: bool | None = None
    tools: list[msgspec.Raw] | None = None
    tool_choice: str | ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    text: TextConfig | None = None
    reasoning: Reasoning | None = None
    max_output_tokens: Whole | None = None
    temperature: Temperature | None = None
    top_p: Probability | None = None
    truncation: str | None = None
    metadata: dict[str, Any] | None = None
    prompt_cache_key: str | None = None
    safety_identifier: str | None = None
    user: str | None = None

    background: bool | None = None
    conversation: msgspec.Raw = msgspec.Raw(b"null")
    messages: msgspec.Raw = msgspec.Raw(b"null")
    """Belongs to chat completions."""
    previous_response_id: str | None = None
    prompt: msgspec.Raw = msgspec.Raw(b"null")

    client_metadata: AnyObject | None = None
    context_management: msgspec.Raw = msgspec.Raw(b"null")
    include: list[str | None] | None = None
    max_tool_calls: Whole | None = None
    moderation: msgspec.Raw = msgspec.Raw(b"null")
    prompt_cache_options: AnyObject | None = None
    prompt_cache_retention: str | None = None
    service_tier: str | None = None
    store: bool | None = None
    stream_options: AnyObject | None = None
    top_logprobs: Whole | None = None
