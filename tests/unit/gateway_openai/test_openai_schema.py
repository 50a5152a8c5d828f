"""The checks that other tests rely on: that they find what breaks clients."""

import copy
from typing import Any

import pytest

from tests.support.openai_schema import (
    CHAT_COMPLETION,
    CHAT_COMPLETION_CHUNK,
    ERROR,
    LIST_MODELS,
    Shape,
    assert_is,
    faults,
)

HEAD = {"id": "x", "created": 1_700_000_000, "model": "m"}
ANSWER: dict[str, Any] = {
    **HEAD,
    "object": "chat.completion",
    "choices": [
        {
            "index": 0,
            "finish_reason": "stop",
            "logprobs": None,
            "message": {"role": "assistant", "content": None, "refusal": None},
        }
    ],
    "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
}
CHUNK: dict[str, Any] = {
    **HEAD,
    "object": "chat.completion.chunk",
    "choices": [{"index": 0, "finish_reason": None, "delta": {"content": "x"}}],
}
MODELS: dict[str, Any] = {
    "object": "list",
    "data": [{"id": "m", "object": "model", "created": 1_700_000_000, "owned_by": "poe"}],
}
REFUSAL: dict[str, Any] = {"error": {"message": "", "type": "", "param": None, "code": None}}


@pytest.mark.parametrize(
    ("value", "shape"),
    [
        (ANSWER, CHAT_COMPLETION),
        (CHUNK, CHAT_COMPLETION_CHUNK),
        (CHUNK | {"choices": []}, CHAT_COMPLETION_CHUNK),
        (MODELS, LIST_MODELS),
        (REFUSAL, ERROR),
        (ANSWER | {"more": 1}, CHAT_COMPLETION),
    ],
)
def test_what_is_right_has_no_fault(value: object, shape: Shape) -> None:
    assert_is(value, shape)


def with_(value: Any, at: list[str | int], new: object) -> Any:
    changed = copy.deepcopy(value)
    inner = changed
    for key in at[:-1]:
        inner = inner[key]
    inner[at[-1]] = new
    return changed


@pytest.mark.parametrize(
    ("value", "shape", "at", "new", "fault"),
    [
        (ANSWER, CHAT_COMPLETION, ["created"], 1_700_000_000_000, "$.created"),
        (ANSWER, CHAT_COMPLETION, ["created"], 1.7e9, "$.created"),
        (ANSWER, CHAT_COMPLETION, ["choices"], {}, "$.choices"),
        (ANSWER, CHAT_COMPLETION, ["choices", 0, "index"], True, "$.choices[0].index"),
        (
            ANSWER,
            CHAT_COMPLETION,
            ["choices", 0, "finish_reason"],
            "end_turn",
            "$.choices[0].finish_reason",
        ),
        (ANSWER, CHAT_COMPLETION, ["choices", 0, "message"], {}, "$.choices[0].message.role"),
        (ANSWER, CHAT_COMPLETION, ["usage"], None, "$.usage"),
        (CHUNK, CHAT_COMPLETION_CHUNK, ["choices", 0, "delta"], "x", "$.choices[0].delta"),
        (
            CHUNK,
            CHAT_COMPLETION_CHUNK,
            ["choices", 0, "delta", "content"],
            None,
            "$.choices[0].delta.content",
        ),
        (MODELS, LIST_MODELS, ["data", 0], {}, "$.data[0].id"),
        (REFUSAL, ERROR, ["error"], {"message": "x"}, "$.error.type"),
    ],
)
def test_what_is_wrong_is_found_at_its_place(
    value: object, shape: Shape, at: list[str | int], new: object, fault: str
) -> None:
    found = faults(with_(value, at, new), shape)

    assert found
    assert found[0].startswith(fault)
