"""Reads OpenAI's chat completions as Poe writes them: chunks of a stream, or one whole answer.

Both upstreams send them, the bot protocol as `json` events when tools are in play
(fastapi_poe, `_stream_request_with_tools`). They are OpenAI's with liberties: `index` may be
missing, `content` null, and the usage comes in a chunk without choices. Reasoning has no field of
OpenAI's; `reasoning_content` and `reasoning` are what others call it. Nothing here fails: what
cannot be read is left out, and `unread` says so.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Literal

import msgspec

from contract.messages import FinishReason, Usage
from worker.poe.lenient_json import count_of, object_of, objects_of, string_of
from worker.poe.partial_call import Fragment

_REASONS: dict[str, FinishReason] = {
    "length": "length",
    "max_tokens": "length",
    "max_output_tokens": "length",
    "model_length": "length",
    "tool_calls": "tool_calls",
    "tool_call": "tool_calls",
    "tool_use": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
    "safety": "content_filter",
}
"""The words of OpenAI, Anthropic, Google and Mistral, in lower case. Any other word is a `stop`."""

_FAILURES = frozenset({"error", "abort", "insufficient_system_resource"})
"""Words of OpenRouter, vLLM and DeepSeek for an answer that the model did not get to end."""

_ARGUMENTS = ("arguments", "parameters", "input", "args")
"""The words of OpenAI, Llama, Anthropic and Google for what a call runs with."""


class Chunk(msgspec.Struct, frozen=True, gc=False):
    """What one chunk adds to the answer. Text may hold halves of surrogate pairs."""

    content: str = ""
    fragments: tuple[Fragment, ...] = ()
    usage: Usage | None = None
    finish_reason: FinishReason | None = None
    reasoning: str = ""
    has_failed: bool = False
    """Whether the finish reason says that the model has failed."""
    has_choice: bool = False
    unread: bool = False
    """Whether something of the answer could not be read."""


class _PlainDelta(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    content: str
    role: str | None = None
    refusal: None = None
    tool_calls: None = None
    function_call: None = None
    reasoning_content: None = None
    reasoning: None = None


class _PlainChoice(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    delta: _PlainDelta
    index: Literal[0] = 0
    finish_reason: None = None
    logprobs: None = None


class _PlainChunk(msgspec.Struct, frozen=True, gc=False):
    choices: tuple[_PlainChoice]
    usage: None = None
    error: None = None


_decode_plain = msgspec.json.Decoder(_PlainChunk).decode


def plain_text(data: bytes) -> str | None:
    """Return the text of a chunk that holds text and nothing else, as nearly all do.

    None for any other chunk, which `read_chunk` reads; that costs five times as much.
    """
    try:
        return _decode_plain(data).choices[0].delta.content
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None


class _Texts:
    """Reads fields that ought to be strings."""

    def __init__(self) -> None:
        self.unread = False

    def read(self, value: object) -> str:
        if isinstance(value, str):
            return value
        if isinstance(value, list):
            # The parts of a message's content, as in a request.
            return "".join(self.read(object_of(part).get("text")) for part in value)
        self.unread = self.unread or value is not None
        return ""


def read_chunk(value: object) -> Chunk:
    """Read a decoded chunk, or a whole completion, whose `message` is all deltas in one."""
    fields = object_of(value)
    choices = _items(fields.get("choices"))
    objects = objects_of(choices)
    choice = next((c for c in objects if _is_first(c.get("index"))), {})
    is_whole = not choice.get("delta")
    told = choice.get("message") if is_whole else choice.get("delta")
    delta, texts = object_of(told), _Texts()
    reason = _word(choice.get("finish_reason"))
    content = texts.read(delta.get("content"))
    reasoning = texts.read(delta.get("reasoning_content")) or texts.read(delta.get("reasoning"))
    is_odd = not isinstance(value, dict) or (choices and not objects) or (told and not delta)
    calls = delta.get("tool_calls") or delta.get("function_call")
    return Chunk(
        content,
        tuple(_fragments(delta, is_whole=is_whole)) if calls else (),
        _usage(object_of(fields.get("usage"))) if fields.get("usage") else None,
        _REASONS.get(reason, "stop") if reason else None,
        reasoning,
        reason in _FAILURES,
        bool(choice),
        texts.unread or bool(is_odd),
    )


def _items(value: object) -> list[object]:
    """Return the items of what ought to be a list; a single item counts as a list of one."""
    if isinstance(value, list):
        return value
    return [value] if value else []


def _is_first(index: object) -> bool:
    """Return whether a choice is the first; a nonsensical index counts as none."""
    return not (isinstance(index, int) and index)


def _word(value: object) -> str:
    """Read a finish reason; one that is not a word counts as `stop`."""
    if isinstance(value, str):
        return value.strip().lower()
    return "stop" if value else ""


def _fragments(delta: dict[str, object], *, is_whole: bool) -> Iterator[Fragment]:
    calls = [call for call in _items(delta.get("tool_calls")) if call is not None]
    for position, call in enumerate(calls):
        fields = object_of(call)
        place = f"#{position}" if is_whole else _place(fields.get("index"))
        if place is None and len(calls) > 1:
            place = f"#{position}"
        # The name and the arguments may lie beside one another, as in OpenAI's newer dialect.
        function = fields | object_of(fields.get("function"))
        yield _fragment(place, _id(fields.get("id")), function, is_call=isinstance(call, dict))
    if not calls and (legacy := delta.get("function_call")):
        yield _fragment("function_call", "", object_of(legacy), is_call=isinstance(legacy, dict))


def _fragment(
    place: str | None, call_id: str, function: dict[str, object], *, is_call: bool
) -> Fragment:
    name, arguments = function.get("name"), _arguments(function)
    if isinstance(arguments, dict):
        # Not msgspec's: it refuses halves of surrogate pairs.
        arguments = json.dumps(arguments, ensure_ascii=False, separators=(",", ":"))
    is_sound = isinstance(name, str | None) and isinstance(arguments, str | None)
    return Fragment(
        place, call_id, string_of(name), string_of(arguments), is_sound=is_call and is_sound
    )


def _arguments(function: dict[str, object]) -> object:
    """Return the arguments, also by the names that they have in other vendors' calls."""
    named = (function.get(name) for name in _ARGUMENTS)
    return next((arguments for arguments in named if arguments not in (None, "")), None)


def _place(index: object) -> str | None:
    """Return what tells a call apart from those beside it; None if there is no such sign."""
    if isinstance(index, bool) or not isinstance(index, int | float | str) or index == "":
        return None
    return str(int(index)) if isinstance(index, float) and index.is_integer() else str(index)


def _id(value: object) -> str:
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return str(value) if is_number else string_of(value)


def _usage(usage: dict[str, object]) -> Usage | None:
    prompt = count_of(usage.get("prompt_tokens"))
    completion = count_of(usage.get("completion_tokens"))
    return None if prompt is None or completion is None else Usage(prompt, completion)
