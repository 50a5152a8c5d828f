"""Bodies as a whole: how much they may hold, and what is worked out of them."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from gateway.exchange.bodies import digest_of, framed, parse_apart, prompt_tokens, unframed
from gateway.openai.dialect import OPENAI
from gateway.problems import Problem
from gateway.render.value_count import MAX_VALUES
from tests.support.counting import peak_memory

MIB = 1024 * 1024
ENDPOINTS = {endpoint.name: endpoint for endpoint in OPENAI.endpoints}


def body(**fields: Any) -> bytes:
    messages = [{"role": "user", "content": "hello"}]
    return json.dumps({"model": "Test", "messages": messages, **fields}).encode()


def read(kind: str, data: bytes) -> Any:
    return ENDPOINTS[kind].parse(data)


def digest(kind: str, data: bytes) -> str:
    return digest_of(kind, read(kind, data))


def apart(kind: str, data: bytes) -> Any:
    endpoint = ENDPOINTS[kind]
    ask, _ = unframed(endpoint, parse_apart(b"".join(framed(endpoint, data))))
    return ask


@pytest.mark.parametrize(
    "flood",
    [
        pytest.param(b'"z":[%b[]]' % (b"[]," * (MIB // 2)), id="arrays"),
        pytest.param(b'"z":[%b{}]' % (b"{}," * (MIB // 2)), id="objects"),
        pytest.param(b'"z":[%b""]' % (b'"",' * (MIB // 2)), id="texts"),
        pytest.param(b'"z":[%b0]' % (b"0,\n " * (MIB // 2)), id="numbers"),
        pytest.param(b",".join(b'"%d":0' % n for n in range(MAX_VALUES)), id="members"),
        pytest.param(b'"stop":[%b"a"]' % (b'"a",' * (MIB // 2)), id="stop"),
        pytest.param(b'"logit_bias":{%b"a":1}' % (b'"a":1,' * (MIB // 2)), id="logit_bias"),
        pytest.param(b'"messages":[%b{}]' % (b'{"role":"a"},' * (MIB // 2)), id="messages"),
        pytest.param(b'"tools":[%b{}]' % (b'{"type":"a"},' * (MIB // 2)), id="tools"),
        pytest.param(b'"tools":[{"a":[%b{}]}]' % (b"{}," * (MIB // 2)), id="within tools"),
        pytest.param(
            b'"z":"%b","y":[%b0]' % (b'\\",[{' * MIB, b"0," * (MIB // 2)), id="behind a text"
        ),
    ],
)
def test_what_holds_too_many_values_is_refused_before_any_is_made(flood: bytes) -> None:
    data = b'{"model":"Test",%b}' % flood

    with peak_memory() as peak, pytest.raises(Problem, match="more than 250000 JSON values"):
        read("chat.completions", data)

    assert peak.bytes < 64 * 1024


@pytest.mark.parametrize("kind", ENDPOINTS)
def test_values_are_counted_whatever_is_asked_for(kind: str) -> None:
    with pytest.raises(Problem, match="more than 250000 JSON values"):
        read(kind, b'{"model":"Test","prompt":[%b0]}' % (b"0," * MAX_VALUES))


@pytest.mark.parametrize(
    "text",
    ["\\\"[{,:}]'" * MIB, "\n\n,\t{" * MIB, "a" * 4 * MIB],
    ids=["escapes", "lines", "plain"],
)
def test_what_a_text_holds_are_no_values(text: str) -> None:
    asked = read("chat.completions", body(messages=[{"role": "user", "content": text}]))

    assert asked.messages[0].content == text


@pytest.mark.parametrize("data", [b'"' + b'\\"' * MIB, b'{"a":"' + b"x" * MIB, b" ," * MIB])
def test_what_is_no_json_is_refused_as_such(data: bytes) -> None:
    with pytest.raises(Problem, match="could not parse"):
        read("chat.completions", data)


def test_fields_that_are_none_of_openais_are_bounded_together() -> None:
    halves = {"one": "x" * 32_000, "two": "y" * 34_000}

    assert read("chat.completions", body(one=halves["one"])).options.extra["one"]
    with pytest.raises(Problem, match="'two', are larger than 64 KiB") as caught:
        read("chat.completions", body(**halves))
    assert caught.value.param == "two"


def test_a_body_is_read_apart_as_it_is_read_at_once() -> None:
    schema = {"type": "object", "properties": {"a": {"enum": [1, 2.5, None, "x"]}}}
    data = body(
        messages=[
            {"role": "user", "content": [{"type": "image_url", "image_url": "https://a/b.png"}]},
            {"role": "assistant", "tool_calls": [{"id": "1", "function": {"name": "f"}}]},
        ],
        tools=[{"type": "function", "function": {"name": "f", "parameters": schema}}],
        response_format={"type": "json_schema", "json_schema": {"name": "n", "schema": schema}},
        thinking={"budget": 2**63, "deep": [None, True]},
        n=2,
    )

    there, here = apart("chat.completions", data), read("chat.completions", data)

    assert msgspec.structs.replace(there, digest="", prompt_tokens=0) == here
    assert there.digest == digest("chat.completions", data)
    assert there.prompt_tokens == prompt_tokens(here) > 0


def test_an_error_is_the_same_apart() -> None:
    data = body(temperature=9)
    with pytest.raises(Problem) as at_once:
        read("chat.completions", data)

    with pytest.raises(Problem) as caught:
        apart("chat.completions", data)

    assert vars(caught.value) == vars(at_once.value)
    assert caught.value.param == "temperature"


def reordered(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: reordered(value[name]) for name in reversed(value)}
    return [reordered(item) for item in value] if isinstance(value, list) else value


def test_the_order_of_members_makes_no_other_request() -> None:
    fields: dict[str, Any] = {
        "tools": [
            {
                "type": "function",
                "function": {
                    "name": "f",
                    "parameters": {"type": "object", "properties": {"b": {}, "a": {"const": {}}}},
                },
            }
        ],
        "logit_bias": {"7": 1, "12": -1},
        "thinking": {"z": [{"y": 1, "x": 2}], "a": 0},
        "aspect": "1:1",
    }
    again = json.dumps(reordered(json.loads(body(**fields)))).encode()

    first = digest("chat.completions", body(**fields))

    assert digest("chat.completions", again) == first
    other = {**fields, "thinking": {"z": [{"y": 2, "x": 1}], "a": 0}}
    assert digest("chat.completions", body(**other)) != first


def test_what_is_asked_and_how_makes_another_request() -> None:
    digests = {
        digest("chat.completions", body()),
        digest("chat.completions", body(n=2)),
        digest("chat.completions", body(seed=1)),
        digest("completions", json.dumps({"model": "Test", "prompt": "hello"}).encode()),
    }

    assert len(digests) == 4
    assert digest("chat.completions", body(stream=True)) in digests


def test_the_arguments_of_past_calls_are_bounded_in_all() -> None:
    many = "{" + ",".join(f'"a{n}":1' for n in range(MAX_VALUES // 2)) + "}"
    function = {"name": "f", "arguments": many}

    def asked(calls: int) -> bytes:
        past = {"role": "assistant", "tool_calls": [{"function": function}] * calls}
        return body(messages=[past])

    assert read("chat.completions", asked(2)).messages
    with pytest.raises(Problem, match="more than 250000 arguments"):
        read("chat.completions", asked(3))
