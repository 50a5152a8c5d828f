"""Checks answers against OpenAI's published API description.

The facts are OpenAI's (openapi 2.3.0), the notation is our own: a type; a set of legal values; a
list of one, which holds any number of such; a tuple of alternatives; or an object, whose keys
are required unless they end in `?`. Keys that are not named may be there too, as every client
of OpenAI's bears, but `null` is legal only where it is named.
"""

from __future__ import annotations

from typing import Any

Shape = type | frozenset[Any] | list["Shape"] | tuple["Shape", ...] | dict[str, "Shape"] | None


def one_of(*values: Any) -> frozenset[Any]:
    return frozenset(values)


class Seconds:
    """Unix time in seconds; a value in milliseconds would be after the year 5000."""


_USAGE: Shape = {
    "prompt_tokens": int,
    "completion_tokens": int,
    "total_tokens": int,
    "estimated?": one_of(True),
}
_FINISH_REASON = one_of("stop", "length", "tool_calls", "content_filter", "function_call")
_HEAD: dict[str, Shape] = {"id": str, "created": Seconds, "model": str}

CHAT_COMPLETION: Shape = {
    **_HEAD,
    "object": one_of("chat.completion"),
    "choices": [
        {
            "index": int,
            "finish_reason": _FINISH_REASON,
            "logprobs": None,
            "message": {
                "role": one_of("assistant"),
                "content": (str, None),
                "refusal": (str, None),
                "reasoning_content?": str,
                "tool_calls?": [
                    {
                        "id": str,
                        "type": one_of("function"),
                        "function": {"name": str, "arguments": str},
                    }
                ],
            },
        }
    ],
    "usage": _USAGE,
}

CHAT_COMPLETION_CHUNK: Shape = {
    **_HEAD,
    "object": one_of("chat.completion.chunk"),
    "choices": [
        {
            "index": int,
            "finish_reason": (_FINISH_REASON, None),
            "logprobs?": None,
            "delta": {
                "role?": one_of("assistant"),
                # OpenAI allows null, but Chatbox displays it as a word.
                "content?": str,
                "refusal?": str,
                "reasoning_content?": str,
                "tool_calls?": [
                    {
                        "index": int,
                        "id?": str,
                        "type?": one_of("function"),
                        "function": {"name?": str, "arguments": str},
                    }
                ],
            },
        }
    ],
    "usage?": (_USAGE, None),
}

COMPLETION: Shape = {
    **_HEAD,
    "object": one_of("text_completion"),
    "choices": [
        {
            "index": int,
            "text": str,
            "logprobs": None,
            "finish_reason": one_of("stop", "length", "content_filter"),
        }
    ],
    "usage": _USAGE,
}

COMPLETION_CHUNK: Shape = {
    **_HEAD,
    "object": one_of("text_completion"),
    "choices": [
        {
            "index": int,
            "text": str,
            "logprobs": None,
            "finish_reason": (one_of("stop", "length", "content_filter"), None),
        }
    ],
    "usage?": _USAGE,
}

IMAGES_RESPONSE: Shape = {
    "created": Seconds,
    "data": [{"url?": str, "b64_json?": str, "revised_prompt?": str}],
}

MODEL: Shape = {"id": str, "object": one_of("model"), "created": Seconds, "owned_by": str}
LIST_MODELS: Shape = {"object": one_of("list"), "data": [MODEL]}

ERROR: Shape = {"error": {"message": str, "type": str, "param": (str, None), "code": (str, None)}}


def faults(value: Any, shape: Shape, path: str = "$") -> list[str]:
    """Return every fault of the value, each with its place."""
    match shape:
        case frozenset():
            legal = value is not None and value in shape
            return [] if legal else [f"{path}: {value!r} is not one of {sorted(shape)}"]
        case tuple():
            found = [faults(value, alternative, path) for alternative in shape]
            return min(found, key=len)
        case list():
            if not isinstance(value, list):
                return [f"{path}: {value!r} is no array"]
            items = enumerate(value)
            return [fault for i, item in items for fault in faults(item, shape[0], f"{path}[{i}]")]
        case dict():
            return _faults_of_object(value, shape, path)
        case _:
            return [] if _is_a(value, shape) else [f"{path}: {value!r} is no {shape}"]


def _faults_of_object(value: Any, shape: dict[str, Shape], path: str) -> list[str]:
    if not isinstance(value, dict):
        return [f"{path}: {value!r} is no object"]
    found = []
    for key, inner in shape.items():
        name = key.removesuffix("?")
        if name in value:
            found += faults(value[name], inner, f"{path}.{name}")
        elif name == key:
            found.append(f"{path}.{name} is missing")
    return found


def _is_a(value: Any, kind: type | None) -> bool:
    if kind is None:
        return value is None
    if kind is Seconds:
        return type(value) is int and 10**9 < value < 10**11
    # In JSON, true is not a number.
    return type(value) is kind


def assert_is(value: Any, shape: Shape) -> None:
    """Fail with every fault of the value."""
    found = faults(value, shape)
    assert not found, "\n".join(found)
