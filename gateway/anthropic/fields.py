"""The fields of requests, as far as their types go.

Every optional field may be null, which means absent. Nothing is typed that is not used: Anthropic
adds fields at any depth, and clients send them before any gateway knows them. So the elements of
lists are read one by one, once their type is known.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

Temperature = Annotated[float, Meta(ge=0, le=2)]
Probability = Annotated[float, Meta(ge=0, le=1)]
Whole = int | float
"""A whole number: many languages have no other numbers than floats, and write 1.0."""

Content = str | list[msgspec.Raw] | None
"""Text, or blocks."""


class Typed(msgspec.Struct, frozen=True):
    """What tells blocks and tools apart."""

    type: Any = None


class Text(msgspec.Struct, frozen=True):
    """A block of text, or of a type that is unknown here."""

    text: Any = None
    tool_name: Any = None
    """What a search for tools has found."""


class Source(msgspec.Struct, frozen=True):
    """Where the content of an image or a document is."""

    type: str
    media_type: str | None = None
    data: str | None = None
    url: str | None = None
    content: Content = None


class Image(msgspec.Struct, frozen=True):
    source: Source


class Document(msgspec.Struct, frozen=True):
    source: Source
    title: str | None = None
    context: str | None = None


class SearchResult(msgspec.Struct, frozen=True):
    source: str | None = None
    title: str | None = None
    content: Content = None


class ToolUse(msgspec.Struct, frozen=True):
    id: str
    name: str
    input: Any = None


class ToolResult(msgspec.Struct, frozen=True):
    tool_use_id: str
    content: Content = None
    is_error: bool | None = None


class Message(msgspec.Struct, frozen=True):
    role: str
    content: Content = None


class Tool(msgspec.Struct, frozen=True):
    """A tool that the client runs."""

    name: str
    description: str | None = None
    input_schema: dict[str, Any] | None = None
    strict: Any = None


class NamedTool(msgspec.Struct, frozen=True):
    """A tool of a type that Anthropic defines."""

    name: Any = None


class ToolChoice(msgspec.Struct, frozen=True):
    type: str
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class CreateMessage(msgspec.Struct, frozen=True):
    model: str | None = None
    messages: list[msgspec.Raw] | None = None
    system: Content = None
    max_tokens: Whole | None = None
    stream: bool | None = None
    stop_sequences: list[str | None] | None = None
    temperature: Temperature | None = None
    top_p: Probability | None = None
    tools: list[msgspec.Raw] | None = None
    tool_choice: ToolChoice | None = None
    thinking: Any = None
    output_config: Any = None
    output_format: Any = None
    """What `output_config.format` was called in 2025."""
