"""Chat completions requests, from their bytes to the contract's words.

What clients send is taken as tolerantly as it can be without changing its meaning: what cannot
be honoured is ignored, but no part of the conversation is ever dropped in silence.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from contract.messages import Format, Message, Options, ToolCall
from gateway.dialect import Ask
from gateway.openai import fields
from gateway.openai.tools import tools_of
from gateway.problems import invalid_request, invalid_value, missing, quoted, unsupported_value
from gateway.render.body import decode, whole
from gateway.render.json_schemas import SchemaReader
from gateway.render.openai_content import ContentReader
from gateway.render.parameters import call_arguments, model_name, reasoning_effort, token_limit
from gateway.render.value_count import refuse_too_many_arguments

_MAX_MESSAGES = 10_000
MAX_STOPS = 128
MAX_STOP = 4_096
"""Stop sequences of a request, and characters of all of them."""

MAX_BIASES = 2_048
"""Tokens in `logit_bias`."""

_PARTS = "text, image_url, input_audio and file"
_Role = Literal["system", "user", "assistant", "tool"]
_ROLES: dict[str, _Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
    "function": "tool",
}


class ChatAsk(Ask, frozen=True):
    """What a client of chat completions asks for."""

    include_usage: bool = False
    """Whether a stream ends with the token counts."""
    continuous_usage: bool = False
    """Whether every chunk of a stream has the token counts so far."""
    legacy_calls: bool = False
    """Whether the client calls its tools functions, as all did before there were tools."""


def parse_chat(body: bytes) -> ChatAsk:
    """Parse a request's body, whose size is for the caller to bound.

    Raises Problem that names the offending field, for whatever is not JSON in UTF-8, not of the
    right types, or cannot be answered in the sense it was meant.
    """
    asked, extra = decode(body, fields.Chat)
    refuse_logprobs(bool(asked.logprobs or asked.top_logprobs))
    return ChatAsk(
        model=model_name(asked.model),
        messages=_messages(asked),
        options=_options(asked, extra),
        stream=bool(asked.stream),
        include_usage=includes_usage(asked),
        choices=whole(asked.n, "n") or 1,
        continuous_usage=continues_usage(asked),
        legacy_calls=bool(asked.functions and not asked.tools),
    )


def refuse_logprobs(asked: bool) -> None:
    """Raise Problem if log probabilities are asked for."""
    if asked:
        reason = "Poe tells no log probabilities, so there are none to return"
        raise unsupported_value("logprobs", reason)


def includes_usage(asked: fields.Common) -> bool:
    """Return whether a stream is to end with the token counts."""
    return asked.stream_options is not None and bool(asked.stream_options.include_usage)


def continues_usage(asked: fields.Common) -> bool:
    """Return whether every chunk is to have them too."""
    return includes_usage(asked) and bool(
        asked.stream_options and asked.stream_options.continuous_usage_stats
    )


def sampling(asked: fields.Common, extra: dict[str, Any]) -> Options:
    """Return the options that chat completions and legacy completions share."""
    stop = [asked.stop] if isinstance(asked.stop, str) else asked.stop or ()
    # An empty sequence would stop the answer before its first word.
    stop = [each for each in stop if each]
    if len(stop) > MAX_STOPS or sum(map(len, stop)) > MAX_STOP:
        reason = f"more than {MAX_STOPS} sequences, or {MAX_STOP} characters in all"
        raise invalid_value("stop", reason)
    return Options(
        temperature=asked.temperature,
        stop=tuple(stop),
        logit_bias=_biases(asked.logit_bias),
        top_p=asked.top_p,
        max_tokens=token_limit(asked.max_tokens, "max_tokens"),
        extra=extra,
    )


def _biases(biases: dict[str, float | None] | None) -> dict[str, float] | None:
    if biases is None:
        return None
    if len(biases) > MAX_BIASES:
        raise invalid_value("logit_bias", f"more than {MAX_BIASES} tokens")
    return {token: bias for token, bias in biases.items() if bias is not None}


def _options(asked: fields.Chat, extra: dict[str, Any]) -> Options:
    tools, choice, name = tools_of(asked)
    # OpenAI's, and some of Poe's models declare parameters of the same name.
    same = {"seed": whole(asked.seed, "seed"), "verbosity": asked.verbosity}
    extra = extra | {name: value for name, value in same.items() if value is not None}
    return msgspec.structs.replace(
        sampling(asked, extra),
        max_tokens=token_limit(asked.max_completion_tokens, "max_completion_tokens")
        or token_limit(asked.max_tokens, "max_tokens"),
        reasoning_effort=_effort(asked),
        tools=tools,
        tool_choice=choice,
        tool_name=name,
        parallel_tool_calls=_parallel(asked) if tools else None,
        format=_format(asked.response_format),
    )


def _parallel(asked: fields.Chat) -> bool | None:
    # A legacy answer has room for one call.
    return asked.parallel_tool_calls if asked.tools else False


def _effort(asked: fields.Chat) -> str:
    effort, param = asked.reasoning_effort, "reasoning_effort"
    if effort is None and asked.reasoning is not None:
        effort, param = asked.reasoning.effort, "reasoning.effort"
    return reasoning_effort(effort, param)


def _format(asked: fields.ResponseFormat | None) -> Format | None:
    match asked:
        case None | fields.ResponseFormat(type="text"):
            return None
        case fields.ResponseFormat(type="json_object"):
            return Format()
        case fields.ResponseFormat(type="json_schema"):
            return _schema_format(asked.json_schema)
        case _:
            known = "text, json_object, json_schema"
            reason = f"{quoted(asked.type)} is not one of {known}"
            raise invalid_value("response_format.type", reason)


def _schema_format(asked: fields.JsonSchema | None) -> Format:
    if asked is None:
        raise missing("response_format.json_schema")
    wanted = SchemaReader().read(asked.schema, "response_format.json_schema.schema")
    return Format(asked.name or "", wanted)


def _messages(asked: fields.Chat) -> tuple[Message, ...]:
    if asked.messages is None and bytes(asked.input) not in (b"", b"null"):
        raise invalid_request(
            "This is the chat completions API, which wants `messages`; the request has `input`,"
            " which belongs to the Responses API. Send it to /v1/responses.",
            "messages",
            "missing_required_parameter",
        )
    if asked.messages is None:
        raise missing("messages")
    if not 1 <= len(asked.messages) <= _MAX_MESSAGES:
        raise invalid_request(
            f"Invalid 'messages': expected 1 to {_MAX_MESSAGES}, but got {len(asked.messages)}.",
            "messages",
        )
    reader = ContentReader(_PARTS)
    messages = tuple(_message(m, f"messages[{i}]", reader) for i, m in enumerate(asked.messages))
    refuse_too_many_arguments(call.arguments for m in messages for call in m.tool_calls)
    return messages


def _message(message: fields.ChatMessage, path: str, reader: ContentReader) -> Message:
    role = _ROLES.get(message.role)
    if role is None:
        reason = f"{quoted(message.role)} is not one of {', '.join(_ROLES)}"
        raise invalid_value(f"{path}.role", reason)
    return Message(
        role,
        reader.read(message.content, f"{path}.content"),
        message.name or "",
        _tool_calls(message, f"{path}.tool_calls"),
        message.tool_call_id or "",
    )


def _tool_calls(message: fields.ChatMessage, path: str) -> tuple[ToolCall, ...]:
    calls = [
        _tool_call(call, f"{path}[{i}]")
        for i, call in enumerate(message.tool_calls or ())
        if call is not None
    ]
    if legacy := message.function_call:
        place = path.replace("tool_calls", "function_call")
        arguments = call_arguments(legacy.arguments, f"{place}.arguments")
        calls.append(ToolCall("", legacy.name, arguments))
    return tuple(calls)


def _tool_call(call: fields.Call, path: str) -> ToolCall:
    if call.custom is not None:
        return ToolCall(call.id or "", call.custom.name, call.custom.input or "")
    if call.function is None:
        raise missing(f"{path}.function")
    arguments = call_arguments(call.function.arguments, f"{path}.function.arguments")
    return ToolCall(call.id or "", call.function.name, arguments)
