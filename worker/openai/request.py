"""Translates a job into the body of `POST /v1/chat/completions`.

Poe refuses fields that neither OpenAI's API nor the model has, and documents a dozen of OpenAI's
as ignored (creator.poe.com, the OpenAI-compatible API, 2026): response_format, seed, logit_bias,
user, the penalties and more. None of those is sent. What the model declares is; see `parameters`.
"""

from __future__ import annotations

from typing import Any

from contract.messages import MediaPart, Message, Options, Part, TextPart, Tool
from worker.poe.max_tokens import sendable
from worker.poe.parameters import parameters_of
from worker.poe.roles import conversation_of, flattened
from worker.poe.upstream import Ask

MAX_STOPS = 4
"""Stop sequences that Poe takes; none of them may be white space."""


def body_of(ask: Ask, *, stream: bool = True) -> dict[str, Any]:
    """Translate a job.

    Raises Fault(BAD_REQUEST) for a conversation without messages, or a parameter of the model's
    own with a value that it does not admit.
    """
    job, model = ask.job, ask.model
    messages = flattened(conversation_of(job), ask.simulate_roles)
    own = {} if model is None else parameters_of(job.options, model)
    body = {
        "model": job.model,
        "messages": [_message(each) for each in messages],
        "stream": stream,
        **_standard(job.options),
        **own,
    }
    if stream:
        body["stream_options"] = {"include_usage": True}
    if "max_output_tokens" in own:
        body.pop("max_tokens", None)
    return body


def _standard(options: Options) -> dict[str, Any]:
    """Return the standard fields that Poe supports and the client has set."""
    # Poe does not tell which sequence has ended the answer; the worker does, where it ends it.
    sent = () if options.names_stop else options.stop
    stop = [sequence for sequence in sent if sequence.strip()]
    fields: dict[str, Any] = {
        "temperature": options.temperature,
        "top_p": options.top_p,
        "max_tokens": sendable(options.max_tokens),
        "stop": stop[:MAX_STOPS] or None,
    }
    if options.tools:
        fields["tools"] = [_tool(tool) for tool in options.tools]
        fields["tool_choice"] = _tool_choice(options)
        fields["parallel_tool_calls"] = options.parallel_tool_calls
    return {name: value for name, value in fields.items() if value is not None}


def _tool(tool: Tool) -> dict[str, Any]:
    function: dict[str, Any] = {"name": tool.name}
    if tool.description:
        function["description"] = tool.description
    if tool.parameters is not None:
        function["parameters"] = tool.parameters
    return {"type": "function", "function": function}


def _tool_choice(options: Options) -> str | dict[str, Any] | None:
    if options.tool_name:
        return {"type": "function", "function": {"name": options.tool_name}}
    return options.tool_choice or None


def _message(message: Message) -> dict[str, Any]:
    fields: dict[str, Any] = {"role": message.role}
    if message.content or not message.tool_calls:
        fields["content"] = _content(message.content)
    if message.name:
        fields["name"] = message.name
    if message.tool_calls:
        fields["tool_calls"] = [
            {"id": c.id, "type": "function", "function": {"name": c.name, "arguments": c.arguments}}
            for c in message.tool_calls
        ]
    if message.role == "tool":
        fields["tool_call_id"] = message.tool_call_id
    return fields


def _content(content: str | tuple[Part, ...]) -> str | list[dict[str, Any]]:
    return content if isinstance(content, str) else [_part(part) for part in content]


def _part(part: Part) -> dict[str, Any]:
    match part:
        case TextPart(text=text):
            return {"type": "text", "text": text}
        case MediaPart(kind="image"):
            image = {"url": part.url} | ({"detail": part.detail} if part.detail else {})
            return {"type": "image_url", "image_url": image}
        case MediaPart():
            # Poe strips OpenAI's audio parts, and takes recordings as files.
            file = {"filename": part.name or part.kind, "file_data": part.url}
            return {"type": "file", "file": file}
