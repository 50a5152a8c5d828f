"""Everything that the gateway answers is what OpenAI's published schema says, whole or streamed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.clients.service import Service
from tests.support.openai_schema import (
    CHAT_COMPLETION,
    CHAT_COMPLETION_CHUNK,
    COMPLETION,
    COMPLETION_CHUNK,
    ERROR,
    IMAGES_RESPONSE,
    LIST_MODELS,
    MODEL,
    assert_is,
)

CHAT, LEGACY, IMAGES = "/v1/chat/completions", "/v1/completions", "/v1/images/generations"

WEATHER: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Tells the weather.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}
STRICT = {"type": "function", "function": {**WEATHER["function"], "strict": True}}
FORM = {
    "type": "json_schema",
    "json_schema": {"name": "form", "schema": WEATHER["function"]["parameters"], "strict": True},
}
CALL = 'call weather {"city": "Köln"}\ncall weather {"city": "東京"}'
PIXEL = "data:image/gif;base64,R0lGODlhAQABAAAAACw="


def says(content: Any, **fields: Any) -> dict[str, Any]:
    """A request's body without its model."""
    return {"messages": [{"role": "user", "content": content}], **fields}


# A name, the bot and what it is asked. Bots whose name is of a real model take Poe's other way.
REQUESTS: dict[str, dict[str, Any]] = {
    "text": {"model": "Echo", **says("Hello, 世界 🙂")},
    "text over the bot protocol": {"model": "DeepSeek-V4-Flash", **says("Hello, 世界 🙂")},
    "a long text": {"model": "Long", **says("5000 words, seed 3")},
    "thoughts": {"model": "Reason", **says("why?")},
    "thoughts in tags": {"model": "Reason-tags", **says("why?")},
    "placeholders": {"model": "Think", **says("hm")},
    "replaced text": {"model": "Replace", **says("one two three")},
    "suggested replies": {"model": "Suggest", **says("hello")},
    "a picture": {"model": "Draw", **says("a cat")},
    "only a picture": {"model": "Draw-bare", **says("a cat")},
    "a picture of a model's": {"model": "Nano-Banana", **says("a cat")},
    "a video": {"model": "Draw-video", **says("a cat")},
    "no end": {"model": "Nodone", **says("hello")},
    "two choices": {"model": "Echo", "n": 2, **says("hello")},
    "cut": {"model": "Count", "max_tokens": 20, **says("count to 100")},
    "stopped": {"model": "Count", "stop": ["5"], **says("count to 100")},
    "tools": {"model": "Tool", "tools": [WEATHER], **says(CALL)},
    "tools over the bot protocol": {"model": "GLM-5.2", "tools": [WEATHER], **says(CALL)},
    "text and tools": {"model": "Tool-talk", "tools": [WEATHER], **says(CALL)},
    "tools that end with stop": {"model": "Tool-stop", "tools": [WEATHER], **says(CALL)},
    "strict tools": {"model": "Tool", "tools": [STRICT], **says(CALL)},
    "a tool that must be called": {
        "model": "Tool",
        "tools": [WEATHER],
        "tool_choice": "required",
        **says("hello"),
    },
    "one call at a time": {
        "model": "Tool",
        "tools": [WEATHER],
        "parallel_tool_calls": False,
        **says(CALL),
    },
    "two choices of tools": {"model": "Tool", "n": 2, "tools": [WEATHER], **says(CALL)},
    "a form": {"model": "Json", "response_format": FORM, **says("hello")},
    "a form with thoughts": {"model": "Reason", "response_format": {"type": "text"}, **says("?")},
    "any object": {"model": "Json", "response_format": {"type": "json_object"}, **says("hello")},
    "a form in a fence": {"model": "Json-fenced", "response_format": FORM, **says("hello")},
    "a refusal": {"model": "Json-never", "response_format": FORM, **says("hello")},
    "a picture to see": {
        "model": "See",
        **says([{"type": "image_url", "image_url": {"url": PIXEL}}]),
    },
    "garbage between text": {"model": "Garbage-unknown", **says("hello")},
}
"""What must be answered, by name."""

HOPELESS: dict[str, tuple[int, dict[str, Any]]] = {
    "an unknown model": (404, {"model": "Nobody", **says("hello")}),
    "a failure": (502, {"model": "Fail-internal-noretry", **says("hello")}),
    "too long": (400, {"model": "Fail-user_message_too_long", **says("hello")}),
    "a page": (502, {"model": "Garbage-html", **says("hello")}),
    "a connection that is cut": (502, {"model": "Cut-0", **says("hello")}),
    "no messages": (400, {"model": "Echo", "messages": []}),
    "no model": (400, says("hello")),
    "a wrong type": (400, {"model": "Echo", "temperature": "hot", **says("hello")}),
    "log probabilities": (400, {"model": "Echo", "logprobs": True, **says("hello")}),
    "too many choices": (400, {"model": "Echo", "n": 100, **says("hello")}),
    "an unknown part": (400, {"model": "Echo", **says([{"type": "hologram"}])}),
    "tools for a bot without": (400, {"model": "Echo", "tools": [WEATHER], **says("hello")}),
}
"""What cannot be answered, with the status that says so."""


@pytest.fixture(scope="module")
def http(service: Service) -> Iterator[httpx.Client]:
    with service.http() as client:
        yield client


def events_of(response: httpx.Response) -> list[Any]:
    """The data of a whole stream, which must have nothing else in it but comments."""
    blocks = response.text.split("\n\n")
    assert blocks.pop() == ""
    assert all(len(line) < 65_536 for line in response.text.splitlines())
    assert response.text.isascii()
    told = [block for block in blocks if not block.startswith(": keep-alive")]
    assert all(block.startswith("data: ") and "\n" not in block for block in told), told
    *chunks, end = (block.removeprefix("data: ") for block in told)
    assert end == "[DONE]"
    return [json.loads(chunk) for chunk in chunks]


@pytest.mark.parametrize("name", REQUESTS)
def test_a_whole_answer_is_what_the_schema_says(http: httpx.Client, name: str) -> None:
    response = http.post(CHAT, json=REQUESTS[name])

    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/json"
    assert_is(response.json(), CHAT_COMPLETION)
    choices = response.json()["choices"]
    assert [choice["index"] for choice in choices] == list(range(REQUESTS[name].get("n", 1)))
    for choice in choices:
        calls = choice["message"].get("tool_calls")
        assert (choice["finish_reason"] == "tool_calls") == bool(calls)
        assert all(json.loads(call["function"]["arguments"]) for call in calls or ())


@pytest.mark.parametrize("usage", [False, True])
@pytest.mark.parametrize("name", REQUESTS)
def test_a_streamed_answer_says_what_the_whole_one_does(
    http: httpx.Client, name: str, usage: bool
) -> None:
    asked = REQUESTS[name] | {"stream": True, "stream_options": {"include_usage": usage}}
    response = http.post(CHAT, json=asked)

    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("text/event-stream")
    chunks = events_of(response)
    for chunk in chunks:
        assert_is(chunk, CHAT_COMPLETION_CHUNK)
    assert len({(chunk["id"], chunk["created"], chunk["model"]) for chunk in chunks}) == 1
    assert [("usage" in chunk, not chunk["choices"]) for chunk in chunks if "usage" in chunk] == (
        [(True, True)] if usage else []
    )
    assert bool(chunks[-1]["choices"]) != usage
    messages = [put_together(chunks, n) for n in range(asked.get("n", 1))]
    assert messages == [
        normal(choice["message"]) | {"finish_reason": choice["finish_reason"]}
        for choice in http.post(CHAT, json=REQUESTS[name]).json()["choices"]
    ]


def put_together(chunks: list[Any], choice: int) -> dict[str, Any]:
    """What a careful client makes of one choice's chunks."""
    own = [c for chunk in chunks for c in chunk["choices"] if c["index"] == choice]
    deltas = [each["delta"] for each in own]
    assert [delta.get("role") for delta in deltas] == ["assistant"] + [None] * (len(own) - 1)
    assert [bool(each["finish_reason"]) for each in own] == [False] * (len(own) - 1) + [True]
    calls: list[dict[str, str]] = []
    for delta in deltas:
        for call in delta.get("tool_calls", ()):
            if call["index"] == len(calls):
                assert call["id"]
                assert call["type"] == "function"
                calls.append({"name": call["function"]["name"], "arguments": ""})
            else:
                assert not call.keys() & {"id", "type"}
                assert "name" not in call["function"]
            calls[call["index"]]["arguments"] += call["function"]["arguments"]
    return {
        "content": "".join(delta.get("content", "") for delta in deltas),
        "reasoning_content": "".join(delta.get("reasoning_content", "") for delta in deltas),
        "refusal": "".join(delta.get("refusal", "") for delta in deltas),
        "tool_calls": calls,
        "finish_reason": own[-1]["finish_reason"],
    }


def normal(message: dict[str, Any]) -> dict[str, Any]:
    """A whole message in the form of `put_together`."""
    texts = ("content", "reasoning_content", "refusal")
    calls = [call["function"] for call in message.get("tool_calls", ())]
    return {key: message.get(key) or "" for key in texts} | {"tool_calls": calls}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", HOPELESS)
def test_what_cannot_be_answered_is_an_error(http: httpx.Client, name: str, stream: bool) -> None:
    status, asked = HOPELESS[name]

    response = http.post(CHAT, json=asked | {"stream": stream})

    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    assert response.headers["access-control-allow-origin"] == "*"
    assert response.headers["x-request-id"]
    assert_is(response.json(), ERROR)
    assert response.json()["error"]["message"]


@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize("echo", [False, True])
def test_a_legacy_completion_is_what_the_schema_says(
    http: httpx.Client, n: int, echo: bool
) -> None:
    asked = {"model": "Echo", "prompt": "Once ", "n": n, "echo": echo}
    whole = http.post(LEGACY, json=asked)
    usage = {"include_usage": True}
    stream = http.post(LEGACY, json={**asked, "stream": True, "stream_options": usage})

    assert_is(whole.json(), COMPLETION)
    chunks = events_of(stream)
    for chunk in chunks:
        assert_is(chunk, COMPLETION_CHUNK)
    for choice in whole.json()["choices"]:
        told = [c for chunk in chunks for c in chunk["choices"] if c["index"] == choice["index"]]
        assert "".join(each["text"] for each in told) == choice["text"]


def test_pictures_are_what_the_schema_says(http: httpx.Client) -> None:
    made = http.post(IMAGES, json={"model": "Draw", "prompt": "a cat"})
    none = http.post(IMAGES, json={"model": "Echo", "prompt": "a cat"})

    assert made.status_code == 200
    assert_is(made.json(), IMAGES_RESPONSE)
    assert none.status_code == 502
    assert_is(none.json(), ERROR)


def test_models_are_what_the_schema_says(http: httpx.Client) -> None:
    listed = http.get("/v1/models").json()

    assert_is(listed, LIST_MODELS)
    for model in listed["data"]:
        assert_is(http.get(f"/v1/models/{model['id']}").json(), MODEL)
