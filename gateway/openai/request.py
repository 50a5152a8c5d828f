"""Chat completions requests, from their bytes to the contract's words.

What clients send is taken as tolerantly as it can be without changing its meaning: what cannot
be honoured is ignored, but no part of the conversation is ever dropped in silence.
"""

from __future__ import annotations

import re
from typing import Literal

import msgspec

from contract.messages import Message, Options, ToolCall
from gateway.openai import schema
from gateway.openai.errors import ApiError, invalid_request

_MAX_MODEL = 256
"""Characters of a model's name. Every chunk repeats it, and a line must stay below 64 KiB."""
_MAX_MESSAGES = 10_000
_MAX_QUOTED = 64
"""Characters of the client's own words that an error repeats."""

_Role = Literal["system", "user", "assistant", "tool"]
_ROLES: dict[str, _Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
    "function": "tool",
}
# The second and third are the Responses API's words, which some clients leave in their history.
_TEXT_PARTS = {"text", "input_text", "output_text"}

_decoder = msgspec.json.Decoder(schema.Body)

# msgspec ends its messages with " - at `$.messages[2].content`".
_PLACE = re.compile(r" - at `(?:key in )?\$\.?(.*)`$", re.DOTALL)
_JSON_TYPES = {
    "str": "string",
    "int": "integer",
    "float": "number",
    "bool": "boolean",
}


class ChatRequest(msgspec.Struct, frozen=True):
    """What a client asks for."""

    model: str
    """As the client wrote it."""
    messages: tuple[Message, ...]
    options: Options = Options()
    stream: bool = False
    include_usage: bool = False
    """Whether a stream ends with the token counts."""


def parse_chat(body: bytes) -> ChatRequest:
    """Parse a request's body.

    Raises ApiError, with status 400 and the offending field in `param`, for whatever is not
    JSON in UTF-8, not of the right types, or not to be answered in the sense it was meant.
    The body's size is for the caller to bound.
    """
    asked = _decode(body)
    return ChatRequest(
        model=_model(asked),
        messages=_messages(asked),
        options=_options(asked),
        stream=bool(asked.stream),
        include_usage=asked.stream_options is not None and bool(asked.stream_options.include_usage),
    )


def _decode(body: bytes) -> schema.Body:
    try:
        body.decode()  # msgspec does not look into the strings that it skips
        return _decoder.decode(body)
    except msgspec.ValidationError as error:
        raise _wrongly_typed(str(error)) from error
    except RecursionError as error:
        raise invalid_request("The request's JSON is nested too deeply.") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        reason = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
        raise invalid_request(
            f"We could not parse the JSON body of your request: {reason}."
        ) from error


def _wrongly_typed(problem: str) -> ApiError:
    """Turn msgspec's words into OpenAI's: its place into a param, Python's types into JSON's."""
    place = _PLACE.search(problem)
    param = place[1].replace("[...]", "") if place else None
    if missing := re.match(r"Object missing required field `(\w+)`", problem):
        param = f"{param}.{missing[1]}" if param else missing[1]
        return _missing(param)
    reason = _PLACE.sub("", problem)
    reason = re.sub(r"\b(str|int|float|bool)\b", lambda word: _JSON_TYPES[word[0]], reason)
    return invalid_request(f"Invalid {_quoted(param or 'body')}: {reason}.", param, "invalid_value")


def _model(asked: schema.Body) -> str:
    model = (asked.model or "").strip()
    if not model:
        raise _missing("model")
    if len(model) > _MAX_MODEL or not model.isprintable():
        raise invalid_request(f"Invalid 'model': no name is like {_quoted(model)}.", "model")
    return model


def _messages(asked: schema.Body) -> tuple[Message, ...]:
    if asked.messages is None and bytes(asked.input) not in (b"", b"null"):
        raise invalid_request(
            "This is the chat completions API, which wants `messages`; the request has `input`,"
            " which belongs to the Responses API. Set your client to chat completions.",
            "messages",
            "missing_required_parameter",
        )
    if asked.messages is None:
        raise _missing("messages")
    if not 1 <= len(asked.messages) <= _MAX_MESSAGES:
        raise invalid_request(
            f"Invalid 'messages': expected 1 to {_MAX_MESSAGES}, but got {len(asked.messages)}.",
            "messages",
        )
    return tuple(_message(m, f"messages[{i}]") for i, m in enumerate(asked.messages))


def _message(message: schema.ChatMessage, path: str) -> Message:
    role = _ROLES.get(message.role)
    if role is None:
        supported = ", ".join(_ROLES)
        raise invalid_request(
            f"Invalid '{path}.role': {_quoted(message.role)} is not one of {supported}.",
            f"{path}.role",
            "invalid_value",
        )
    return Message(
        role,
        _content(message.content, f"{path}.content"),
        message.name or "",
        _tool_calls(message, f"{path}.tool_calls"),
        message.tool_call_id or "",
    )


def _content(content: str | list[schema.Part] | None, path: str) -> str:
    if content is None or isinstance(content, str):
        return content or ""
    # Parts are blocks, not fragments: clients leave it to the server to keep them apart.
    return "\n".join(_text(part, f"{path}[{i}]") for i, part in enumerate(content))


def _text(part: schema.Part, path: str) -> str:
    if part.type in _TEXT_PARTS:
        return _required(part.text, f"{path}.text")
    if part.type == "refusal":
        return _required(part.refusal, f"{path}.refusal")
    raise invalid_request(
        f"'{path}' is of type {_quoted(part.type)}, and this deployment cannot pass images,"
        " audio or files on yet. Send text only.",
        path,
        "unsupported_content",
    )


def _tool_calls(message: schema.ChatMessage, path: str) -> tuple[ToolCall, ...]:
    calls = [_tool_call(call, f"{path}[{i}]") for i, call in enumerate(message.tool_calls or ())]
    if legacy := message.function_call:
        calls.append(ToolCall("", legacy.name, legacy.arguments or ""))
    return tuple(calls)


def _tool_call(call: schema.Call, path: str) -> ToolCall:
    if call.custom is not None:
        return ToolCall(call.id or "", call.custom.name, call.custom.input or "")
    if call.function is None:
        raise _missing(f"{path}.function")
    return ToolCall(call.id or "", call.function.name, call.function.arguments or "")


def _options(asked: schema.Body) -> Options:
    if asked.n not in (None, 1):
        raise invalid_request(
            "Invalid 'n': this server gives one choice per request; leave n out, or send 1.",
            "n",
            "unsupported_value",
        )
    stop = [asked.stop] if isinstance(asked.stop, str) else asked.stop or ()
    # An empty sequence would stop the answer before its first word.
    return Options(asked.temperature, tuple(filter(None, stop)), asked.logit_bias)


def _required(value: str | None, path: str) -> str:
    if value is None:
        raise _missing(path)
    return value


def _missing(param: str) -> ApiError:
    message = f"Missing required parameter: '{param}'."
    return invalid_request(message, param, "missing_required_parameter")


def _quoted(words: str) -> str:
    return f"'{words[:_MAX_QUOTED]}'"
