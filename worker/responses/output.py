"""Reads the objects within Responses API events: items, whole responses, token counts.

Nothing here fails: a field that is missing or of another type counts as empty.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Literal

from contract.messages import FinishReason, Usage
from worker.poe.lenient_json import count_of, object_of, objects_of, string_of
from worker.poe.partial_call import Fragment

Object = Mapping[str, object]

Kind = Literal["text", "thought", "refusal"]

_KINDS: dict[str, Kind] = {
    "output_text": "text",
    "text": "text",
    "refusal": "refusal",
    "summary_text": "thought",
    "reasoning_text": "thought",
}
"""What the types of parts stand for."""

_REASONS: dict[str, FinishReason] = {
    "max_output_tokens": "length",
    "max_tokens": "length",
    "length": "length",
    "content_filter": "content_filter",
}


def words_of(item: Object) -> Iterator[tuple[Kind, str]]:
    """Yield what an item says: a message its text, a reasoning item its thoughts or summary."""
    parts = [*objects_of(item.get("content")), *objects_of(item.get("summary"))]
    for part in parts:
        if kind := _KINDS.get(string_of(part.get("type"))):
            yield kind, string_of(part.get("refusal" if kind == "refusal" else "text"))
    if item.get("type") == "message":
        yield "text", string_of(item.get("content"))


def is_call(item: Object) -> bool:
    """Return whether an item is a call of a function."""
    return item.get("type") == "function_call"


def call_of(item: Object) -> Fragment:
    """Return the call that an item is, with all of its arguments that the item holds."""
    call_id = string_of(item.get("call_id")) or string_of(item.get("id"))
    name = item.get("name")
    part = arguments_of(item.get("arguments"), None)
    is_sound = part.is_sound and isinstance(name, str)
    return Fragment(None, call_id, string_of(name), part.arguments, is_sound=is_sound)


def arguments_of(arguments: object, place: str | None) -> Fragment:
    """Return these arguments as a part of the call at this place."""
    if isinstance(arguments, dict):
        # Not msgspec's: it refuses halves of surrogate pairs.
        arguments = json.dumps(arguments, ensure_ascii=False, separators=(",", ":"))
    is_sound = isinstance(arguments, str | None)
    return Fragment(place, arguments=string_of(arguments), is_sound=is_sound)


def items_of(response: Object) -> list[dict[str, object]]:
    """Return the items of a response's output."""
    return objects_of(response.get("output"))


def usage_of(response: Object) -> Usage | None:
    """Return the token counts of a response; None: it has none."""
    usage = object_of(response.get("usage"))
    prompt, completion = count_of(usage.get("input_tokens")), count_of(usage.get("output_tokens"))
    if prompt is None or completion is None:
        return None
    cached = count_of(object_of(usage.get("input_tokens_details")).get("cached_tokens"))
    thoughts = count_of(object_of(usage.get("output_tokens_details")).get("reasoning_tokens"))
    return Usage(prompt, completion, cached, thoughts)


def cut_of(response: Object) -> FinishReason | None:
    """Return why a response is incomplete; None: it does not say so in words that are known."""
    reason = object_of(response.get("incomplete_details")).get("reason")
    return _REASONS.get(string_of(reason).strip().lower())


def error_of(response: Object) -> bytes:
    """Return the error of a response in the form of an error body."""
    error = response.get("error")
    return json.dumps({"error": error if isinstance(error, dict | str) else {}}).encode()
