"""Translates a job into the body of `POST /v1/responses`.

Sources: creator.poe.com's createResponse (2026), and a user's tests of May 2026. Poe ignores
`instructions` and keeps no responses, so every system message and the whole conversation go into
`input`. The endpoint has fields for the form of an answer, for strict tools and for summaries of
thoughts; it has none for `stop` and for parameters of a model's own (`can_say`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from contract.messages import (
    Format,
    Job,
    MediaPart,
    Message,
    Model,
    Options,
    Part,
    TextPart,
    Tool,
)
from worker.poe.attachments import is_sent_along
from worker.poe.max_tokens import sendable
from worker.poe.parameters import parameters_of, thinks
from worker.poe.raw_json import Path
from worker.poe.roles import conversation_of, flattened
from worker.poe.upstream import Ask
from worker.responses.schemas import strict_form

_EFFORT, _SEARCH, _VERBOSITY = "reasoning_effort", "web_search", "verbosity"
_SAYABLE = frozenset({_VERBOSITY, _SEARCH, "max_output_tokens", "temperature", "top_p"})
"""Parameters of a model's own that the endpoint has fields for, or a tool."""

_EFFORTS = {
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "high",
    "max": "high",
}
"""The efforts that Poe documents, for models that declare none."""

_WEB = {"type": "web_search_preview"}

_OPTIONAL: frozenset[Path] = frozenset(
    {("store",), ("reasoning",), ("reasoning", "effort"), ("reasoning", "summary")}
    | {("text", "verbosity"), ("parallel_tool_calls",)}
)
"""Fields without which a request is still the same: others of Poe's interfaces lack them, too."""

_REFUSED = re.compile(
    r"(?:Unsupported|Unknown) parameter: '(?P<name>[\w.]+)'"
    r"|^(?P<place>[\w.]+): Extra inputs are not permitted"
)
"""What OpenAI and Poe say of a field that they do not take."""

_NO_NAME = re.compile(r"[^A-Za-z0-9_-]")
_MAX_NAME = 64
"""What OpenAI takes as the name of a format."""


def can_say(job: Job, model: Model | None) -> bool:
    """Return whether the endpoint has fields for all that the job asks of the model."""
    options, declared = job.options, {} if model is None else model.parameters
    own = {name: value for name, value in options.extra.items() if name in declared}
    if not own.keys() <= _SAYABLE or own.get(_SEARCH, True) is not True:
        return False
    if options.thinking_budget is not None and "thinking_budget" in declared:
        return False
    # Not to think can be said only where the model knows the word.
    is_still = options.reasoning_effort == "none" and thinks(model)
    if is_still and "none" not in declared.get(_EFFORT, {}).get("enum", ()):
        return False
    return all(map(_can_say, job.messages))


def _can_say(message: Message) -> bool:
    # Poe documents text and images for the endpoint; names it has none.
    is_plain = not message.media or message.role == "user"
    has_files = any(part.kind != "image" for part in message.media)
    has_ids = all(call.id for call in message.tool_calls)
    return is_plain and not has_files and not message.name and has_ids


def searches(options: Options, model: Model | None) -> bool:
    """Return whether the client wants the web to be searched by a model that can."""
    can = model is not None and (_SEARCH in model.parameters or _SEARCH in model.features)
    return can and options.extra.get(_SEARCH) is True


def refused(_ask: Ask, message: str) -> frozenset[Path]:
    """Return the field that an error blames, if a request can do without it."""
    found = _REFUSED.search(message)
    path = tuple((found["name"] or found["place"]).split(".")) if found else ()
    return frozenset({path} & _OPTIONAL)


def body_of(ask: Ask, *, stream: bool = True) -> dict[str, Any]:
    """Translate a job.

    Raises Fault(BAD_REQUEST) for a conversation without messages, or a parameter of the model's
    own with a value that it does not admit.
    """
    job, model = ask.job, ask.model
    messages = flattened(conversation_of(job), ask.simulate_roles)
    body = {
        "model": job.model,
        "input": [item for message in messages for item in _items(message)],
        "stream": stream,
        "store": False,
        **_fields(job.options, model),
    }
    for *outer, name in ask.without:
        holder = body.get(outer[0]) if outer else body
        if isinstance(holder, dict):
            holder.pop(name, None)
    return {name: value for name, value in body.items() if value not in (None, {})}


def _fields(options: Options, model: Model | None) -> dict[str, Any]:
    own = {} if model is None else parameters_of(options, model)
    most = own.get("max_output_tokens", options.max_tokens)
    fields: dict[str, Any] = {
        "temperature": options.temperature,
        "top_p": options.top_p,
        "max_output_tokens": sendable(most),
        "reasoning": _reasoning(options, model, own.get(_EFFORT)),
        "text": _text(options.format, own.get(_VERBOSITY)),
        "tools": [*map(_tool, options.tools), *[_WEB] * searches(options, model)] or None,
    }
    if options.tools:
        fields["tool_choice"] = _tool_choice(options)
        fields["parallel_tool_calls"] = options.parallel_tool_calls
    return fields


def _reasoning(options: Options, model: Model | None, own_effort: Any) -> dict[str, Any]:
    """Return how much the model is to think, and whether it is to tell a summary of that.

    Who has a model think is shown its thoughts, as over Poe's other interfaces.
    """
    if not thinks(model):
        return {}
    effort = options.reasoning_effort
    if model is not None:
        effort = own_effort or _EFFORTS.get(effort, "")
    is_thinking = effort not in ("", "none")
    fields = {"effort": effort, "summary": options.summary or ("auto" if is_thinking else "")}
    return {name: value for name, value in fields.items() if value}


def _text(wanted: Format | None, verbosity: Any) -> dict[str, Any]:
    text = {} if wanted is None else {"format": _format(wanted)}
    return text if verbosity is None else text | {"verbosity": verbosity}


def _format(wanted: Format) -> dict[str, Any]:
    if wanted.schema is None:
        return {"type": "json_object"}
    strict = strict_form(wanted.schema)
    return {
        "type": "json_schema",
        "name": _NO_NAME.sub("_", wanted.name)[:_MAX_NAME] or "answer",
        "schema": strict or wanted.schema,
        "strict": strict is not None,
    }


def _tool(tool: Tool) -> dict[str, Any]:
    strict = strict_form(tool.parameters) if tool.strict else None
    fields = {"type": "function", "name": tool.name, "description": tool.description}
    # Where `strict` is not said, OpenAI takes it for true.
    schema = strict or tool.parameters or {"type": "object", "properties": {}}
    said = {name: value for name, value in fields.items() if value}
    return {**said, "parameters": schema, "strict": strict is not None}


def _tool_choice(options: Options) -> str | dict[str, Any] | None:
    if options.tool_name:
        return {"type": "function", "name": options.tool_name}
    return options.tool_choice or None


def _items(message: Message) -> Iterator[dict[str, Any]]:
    """Yield a message as items of the input: its text, then its calls, or the result it is."""
    if message.role == "tool":
        output = _content(message)
        yield {"type": "function_call_output", "call_id": message.tool_call_id, "output": output}
        return
    if message.content or not message.tool_calls:
        # The words of the model have parts of a type of their own, so they are one text.
        content = message.text if message.role == "assistant" else _content(message)
        yield {"type": "message", "role": message.role, "content": content}
    for call in message.tool_calls:
        own = {"call_id": call.id, "name": call.name, "arguments": call.arguments}
        yield {"type": "function_call", **own}


def _content(message: Message) -> str | list[dict[str, Any]]:
    if isinstance(message.content, str):
        return message.content
    return [_part(part) for part in message.content] if message.media else message.text


def _part(part: Part) -> dict[str, Any]:
    match part:
        case TextPart(text=text):
            return {"type": "input_text", "text": text}
        case MediaPart(kind="image"):
            detail = {"detail": part.detail} if part.detail else {}
            return {"type": "input_image", "image_url": part.url, **detail}
        case MediaPart():
            if is_sent_along(part):
                name = part.name or part.kind
                return {"type": "input_file", "filename": name, "file_data": part.url}
            return {"type": "input_file", "file_url": part.url}
