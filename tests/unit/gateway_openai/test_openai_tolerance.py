"""What clients send that OpenAI takes, however odd it looks."""

from __future__ import annotations

import base64
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.messages import Job, MediaPart, Message, ToolCall
from gateway.openai import errors
from gateway.openai.chat_request import ChatAsk, parse_chat
from gateway.openai.completions import parse_completion
from gateway.openai.images import parse_images
from gateway.problems import Problem, unknown_path
from tests.support.openai_answers import status_of
from tests.unit.gateway_openai.test_openai_request import HELLO, WHOLE, chat, refusal, says

DATA = bytes(range(256)) + b"\xfb\xff\xbf" + b"x"
STRICT = base64.b64encode(DATA).decode()


def image(url: str) -> MediaPart:
    content = [{"type": "image_url", "image_url": {"url": url}}]
    (part,) = says({"role": "user", "content": content}).media
    return part


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
@pytest.mark.parametrize(
    "value", [0, -1, -2, -1.0, 0.0, None, 2**63, 2**64, 1e300, -(2**70)], ids=repr
)
def test_what_clients_mean_by_no_limit_is_none(name: str, value: float | None) -> None:
    assert parse_chat(chat(**{name: value})).options.max_tokens is None


def test_a_limit_beside_one_that_is_none_counts() -> None:
    asked = parse_chat(chat(max_tokens=5, max_completion_tokens=-1))

    assert asked.options.max_tokens == 5


def test_whole_numbers_may_be_written_as_floats() -> None:
    asked = parse_chat(chat(n=2.0, seed=-7.0, max_tokens=16.0))

    assert (asked.choices, asked.options.extra["seed"], asked.options.max_tokens) == (2, -7, 16)
    assert isinstance(asked.options.extra["seed"], int)


@pytest.mark.parametrize("seed", [2**63 - 1, 2**64 - 1, -(2**63), 0])
def test_a_seed_of_64_bits_keeps_every_bit(seed: int) -> None:
    assert parse_chat(chat(seed=seed)).options.extra["seed"] == seed


@pytest.mark.parametrize(
    ("written", "read"),
    [
        pytest.param(rb"a\ud83d", "a\ufffd", id="the first half"),
        pytest.param(rb"\ude00a", "\ufffda", id="the second half"),
        pytest.param(rb"\ud83d\ud83d\ude00\ude00", "\ufffd\U0001f600\ufffd", id="around a whole"),
        pytest.param(rb"\uDE00\uD83D", "\ufffd\ufffd", id="the wrong way round"),
        pytest.param(rb"\ud83d\n\ude00", "\ufffd\n\ufffd", id="apart"),
        pytest.param(rb"\\\ud83d", "\\\ufffd", id="behind a backslash"),
        pytest.param(rb"\ud83d\\ude00 \ud800", "\ufffd\\ude00 \ufffd", id="before a backslash"),
        pytest.param(b"a\xed\xa0\xbd", "a\ufffd", id="half, as bytes"),
        pytest.param(b"\xed\xa0\xbd\xed\xb8\x80", "\U0001f600", id="both halves, as bytes"),
    ],
)
def test_half_an_emoji_is_replaced(written: bytes, read: str) -> None:
    body = b'{"model":"x","messages":[{"role":"user","content":"' + written + b'"}]}'

    assert parse_chat(body).messages == (Message("user", read),)


def test_half_an_emoji_is_replaced_where_nobody_looks() -> None:
    assert parse_chat(WHOLE + rb'"x":{"\ud800":"\udc00"}}').options.extra["x"] == {
        "\ufffd": "\ufffd"
    }


@pytest.mark.parametrize(
    "kind",
    [
        *("thinking", "redacted_thinking", "thought", "summary_text"),
        *("reasoning", "reasoning_text", "reasoning_content", "redacted-reasoning"),
        *("reasoning.text", "reasoning.summary", "reasoning.encrypted"),
    ],
)
def test_thoughts_in_the_history_are_left_out(kind: str) -> None:
    thought = {"type": kind, "thinking": "Hm.", "text": "Hm.", "signature": "c2ln", "data": "x"}

    message = says({"role": "assistant", "content": [thought, {"type": "text", "text": "Yes."}]})

    assert message == Message("assistant", "Yes.")


@pytest.mark.parametrize(
    "data",
    [
        pytest.param("\n".join(STRICT[i : i + 76] for i in range(0, len(STRICT), 76)), id="lines"),
        pytest.param("\r\n".join(STRICT[i : i + 64] for i in range(0, 999, 64)), id="CRLF"),
        pytest.param(f" {STRICT}", id="a space after the comma"),
        pytest.param(f"{STRICT}\n", id="a newline at the end"),
        pytest.param(STRICT.rstrip("="), id="no padding"),
        pytest.param(base64.urlsafe_b64encode(DATA).decode(), id="of URLs"),
        pytest.param(base64.urlsafe_b64encode(DATA).decode().rstrip("="), id="of JWTs"),
        pytest.param(STRICT.replace("+", "%2B").replace("=", "%3D"), id="percent-encoded"),
    ],
)
def test_every_dialect_of_base64_is_read(data: str) -> None:
    assert image(f"data:image/png;base64,{data}").url == f"data:image/png;base64,{STRICT}"


@pytest.mark.parametrize("data", ["", " ", "=", "A", "AAAAA", "AA=A", "A*AA", "é"], ids=repr)
def test_what_is_no_base64_is_refused(data: str) -> None:
    with pytest.raises(Problem, match="not base64"):
        image(f"data:image/png;base64,{data}")


def test_spaces_around_a_url_do_not_count() -> None:
    assert image(" https://poe.com/a.png\n").url == "https://poe.com/a.png"


SCHEMA: dict[str, Any] = {
    "type": "object",
    "description": None,
    "required": None,
    "additionalProperties": None,
    "$defs": None,
    "properties": {
        "default": {"type": ["string", None], "default": None, "minLength": None},
        "b": None,
        "c": {"anyOf": [{"type": "string", "enum": ["x", None]}, None], "items": None},
        "d": {"const": None, "allOf": [{}, None], "not": {"type": "object", "required": None}},
        "e": {"enum": None},
    },
}
MEANT: dict[str, Any] = {
    "type": "object",
    "properties": {
        "default": {"type": ["string", "null"], "default": None},
        "b": {},
        "c": {"anyOf": [{"type": "string", "enum": ["x", None]}, {"type": "null"}]},
        "d": {"const": None, "allOf": [{}], "not": {"type": "object"}},
        "e": {},
    },
}


def test_null_in_a_schema_is_nothing_but_where_it_is_a_value() -> None:
    function = {"name": "f", "parameters": SCHEMA}
    response_format = {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}

    asked = parse_chat(
        chat(
            tools=[None, {"type": "function", "function": function}],
            response_format=response_format,
        )
    )

    assert asked.options.tools[0].parameters == MEANT
    assert asked.options.format is not None
    assert asked.options.format.schema == MEANT


def test_null_elements_are_no_elements() -> None:
    call = {"id": "1", "function": {"name": "f", "arguments": {"a": None}}}
    turn = {"role": "assistant", "content": [None], "tool_calls": [None, call]}

    asked = parse_chat(
        chat(messages=[HELLO, turn], stop=[None, "x"], logit_bias={"1": None, "2": 5})
    )

    assert asked.messages[1] == Message(
        "assistant", "", tool_calls=(ToolCall("1", "f", '{"a":null}'),)
    )
    assert asked.options.stop == ("x",)
    assert asked.options.logit_bias == {"2": 5}


@pytest.mark.parametrize(
    ("body", "word"),
    [
        pytest.param(b"", "empty", id="nothing"),
        pytest.param(b" \r\n", "empty", id="blanks"),
        pytest.param('{“model”:"x"}'.encode(), 'where " belongs', id="typographic quotes"),
        pytest.param('{"model"："x"}'.encode(), "where : belongs", id="a full-width colon"),
        pytest.param('{"model":"x"，"n":1}'.encode(), "where , belongs", id="a full-width comma"),
        pytest.param('\u200b{"model":"x"}'.encode(), "invisible U+200B", id="an invisible space"),
        pytest.param(b"\xef\xbb\xbf\r\n", "is empty", id="a mark of byte order alone"),
        pytest.param(chat().decode().encode("utf-16"), "UTF-16", id="UTF-16"),
    ],
)
def test_what_is_no_json_is_told_why(body: bytes, word: str) -> None:
    assert word in refusal(body).message


def test_a_byte_order_mark_does_not_matter() -> None:
    assert parse_chat(b"\xef\xbb\xbf" + chat()) == parse_chat(chat())


@pytest.mark.parametrize(
    "path",
    [
        "/v1/chat/completions/chat/completions",
        "/v1/chat/completions/v1/chat/completions",
        "/chat/completions/models",
        "/v1/completions/chat/completions",
        "/v1/images/generations/images/generations",
        "/v1/models/models",
    ],
)
def test_a_base_url_that_holds_an_endpoint_is_told_so(path: str) -> None:
    assert "The base URL ends in /v1: take /" in errors.body(unknown_path("POST", path))


NUMBERS = [
    *("0", "-0", "-1", "1.0", "0.5", "1e2", "-1e-400", "1e308", "1e400", "1e999999999"),
    *("9007199254740993", "18446744073709551615", "18446744073709551616"),
    *("-9223372036854775809", "1" + "0" * 60, "1" + "0" * 5_000, "NaN", "-Infinity"),
]
OTHERS = [
    *("null", "true", '""', '"x"', '"12"', r'"\ud83d"', r'"\u0000"', "[]", "[null]", "[1e400]"),
    *("{}", '{"a":null}', '{"":1}', '["x"]', "[{}]", '{"type":null}', '{"name":"x"}'),
    *(r'{"\ud800":18446744073709551616}', "[" * 200 + "]" * 200),
]
FUNCTION = {
    "name": "f",
    "description": "d",
    "strict": True,
    "parameters": {
        "type": "object",
        "properties": {"a": {"type": "string", "enum": ["a"], "minimum": 1, "items": {}}},
        "required": ["a"],
        "anyOf": [{"$ref": "#/$defs/x"}],
        "$defs": {"x": {"maxLength": 3, "default": 1}},
    },
}
CHAT: dict[str, Any] = {
    "model": "Echo",
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "t"},
                {"type": "image_url", "image_url": {"url": "https://x/y.png", "detail": "low"}},
                {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
                {"type": "file", "file": {"filename": "a.pdf", "file_data": "AAAA"}},
            ],
        },
        {
            "role": "assistant",
            "content": None,
            "name": "n",
            "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "{}"}}],
            "function_call": {"name": "f", "arguments": "{}"},
        },
        {"role": "tool", "tool_call_id": "c", "content": "r"},
    ],
    "tools": [{"type": "function", "function": FUNCTION}],
    "tool_choice": {"type": "function", "function": {"name": "f"}},
    "functions": [FUNCTION],
    "function_call": {"name": "f"},
    "response_format": {
        "type": "json_schema",
        "json_schema": {"name": "n", "schema": {"type": "object"}, "strict": True},
    },
    "reasoning": {"effort": "low"},
    "stream_options": {"include_usage": True},
    "stop": ["a"],
    "logit_bias": {"1": 1},
    "modalities": ["text"],
    "extra_body": {"foo": 1},
    "foo": {"bar": [1]},
}
"""Requests with something at every place that there is a type for; more fields come by name."""
ENDPOINTS = [
    (parse_chat, CHAT, "n seed temperature top_p max_tokens max_completion_tokens top_logprobs"),
    (parse_chat, CHAT, "logprobs presence_penalty frequency_penalty user stream verbosity store"),
    (parse_chat, CHAT, "reasoning_effort parallel_tool_calls metadata audio prediction input"),
    (
        parse_completion,
        {"model": "x", "prompt": ["p"]},
        "n seed logprobs best_of max_tokens echo suffix",
    ),
    (parse_images, {"model": "x", "prompt": "p"}, "n size quality partial_images stream style"),
]
PLACE = "@place@"


def places(value: Any) -> list[tuple[str | int, ...]]:
    """The paths of all that is within a value."""
    if not isinstance(value, dict | list):
        return []
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    return [(at, *rest) for at, each in inner for rest in ((), *places(each))]


def with_at(whole: Any, path: tuple[str | int, ...]) -> Any:
    copy = json.loads(json.dumps(whole))
    inner = copy
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = PLACE
    return copy


BODIES = [
    (parse, json.dumps(with_at(whole, path)))
    for parse, whole, fields in ENDPOINTS
    for path in (*places(whole), *((field,) for field in fields.split()))
]


def taken_or_refused(parse: Any, body: bytes) -> ChatAsk | Problem:
    try:
        asked: ChatAsk = parse(body)
    except Problem as error:
        assert status_of(error) == 400  # noqa: PT017  # both ways are right
        return error
    # What is taken must also pass through Redis.
    job = Job("id", "client", asked.model, asked.messages, asked.options)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(job), type=Job).id == "id"
    return asked


@pytest.mark.parametrize("value", [*NUMBERS, *OTHERS], ids=lambda value: value[:24])
def test_any_value_of_any_field_is_taken_or_a_400(value: str) -> None:
    for parse, body in BODIES:
        taken_or_refused(parse, body.replace(f'"{PLACE}"', value).encode())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(BODIES), JSON)
def test_anything_at_any_place_is_taken_or_a_400(body: tuple[Any, str], value: Any) -> None:
    parse, text = body

    taken_or_refused(parse, text.replace(f'"{PLACE}"', json.dumps(value)).encode())
